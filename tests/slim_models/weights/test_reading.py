"""Weight files of every format: read exactly, distrusted, and fitted strictly."""

import contextlib
import gzip
import importlib
import os
import pathlib
import pickle
import textwrap
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from formats import write_caffemodel, write_keras

import slim_models
from slim_models.memory import lasting
from slim_models.weights.matrices import turned

DATA = pathlib.Path(__file__).parents[2] / "data"
ARRAYS = {
    "conv1_1/weights": np.arange(54, dtype=np.float32).reshape(3, 3, 3, 2),
    "conv1_1/biases": np.array([0.5, -1], np.float32),
}


def write_npy(path, content):
    """As numpy.save writes an object: header, then a pickle."""
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def write_pickle_as_npy(path, pickled):
    """An npy header for an object, and any pickle at all behind it."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(pickled)
    return path


def assert_same(read, expected=ARRAYS):
    assert read.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


def checkpoint(path, version, arrays=ARRAYS):
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.Variable(array, name=name) for name, array in arrays.items()]
        session.run(tf.global_variables_initializer())
        return tf.train.Saver(variables, write_version=version).save(session, str(path))


class TestNpy:
    def test_lists_of_weights_and_biases(self, tmp_path):
        layers = {"conv1_1": [ARRAYS["conv1_1/weights"], ARRAYS["conv1_1/biases"]]}
        assert_same(slim_models.read_weights(write_npy(tmp_path / "a.npy", layers)))

    def test_dictionaries_of_arrays(self, tmp_path):
        layers = {"conv1_1": {"weights": ARRAYS["conv1_1/weights"], "biases": ARRAYS["conv1_1/biases"]}}
        assert_same(slim_models.read_weights(str(write_npy(tmp_path / "a.npy", layers))))

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_every_pickle_protocol(self, tmp_path, protocol):
        layers = np.array({"conv1_1": [ARRAYS["conv1_1/weights"], ARRAYS["conv1_1/biases"]]}, dtype=object)
        path = write_pickle_as_npy(tmp_path / "a.npy", pickle.dumps(layers, protocol))
        assert_same(slim_models.read_weights(path))

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    @pytest.mark.parametrize("writeable", [True, False])
    def test_large_arrays_under_every_protocol(self, tmp_path, protocol, writeable):
        arrays = [np.arange(30000, dtype=np.float32) + number for number in range(3)]
        for array in arrays:
            array.flags.writeable = writeable
        layers = {"a": {str(number): array for number, array in enumerate(arrays)}}
        path = write_pickle_as_npy(tmp_path / "a.npy", pickle.dumps(np.array(layers, dtype=object), protocol))
        assert_same(slim_models.read_weights(path), {f"a/{number}": array for number, array in enumerate(arrays)})

    def test_large_arrays_of_python_2(self, tmp_path):
        """Whose bytes are strings, BINSTRING with four bytes of length."""
        array = np.arange(30000, dtype=np.float32)
        pickled = pickle.dumps(np.array({"a": {"b": array}}, dtype=object), 3)
        content = b"B" + array.nbytes.to_bytes(4, "little") + array.tobytes()
        assert pickled.count(content) == 1
        path = write_pickle_as_npy(tmp_path / "a.npy", pickled.replace(content, b"T" + content[1:]))
        assert_same(slim_models.read_weights(path), {"a/b": array})

    def test_a_file_that_python_2_wrote(self):
        """data/python2.npy: numpy.save of a dictionary under Python 2.7, numpy 1.16."""
        with pytest.raises(UnicodeError):  # this is what makes it a file of Python 2
            np.load(DATA / "python2.npy", allow_pickle=True)
        weights = slim_models.read_weights(DATA / "python2.npy")
        expected = {
            "conv1_1/weights": np.arange(24, dtype=np.float32).reshape(2, 2, 3, 2) / 7,
            "conv1_1/biases": np.array([-1.5, 1e-30], np.float32),
        }
        assert_same(weights, expected)


class Malicious:
    """Unpickled, it would make a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Pickled:
    """Pickled, it is a call and the state set afterwards, whatever they are."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


class TestDistrust:
    def test_a_malicious_file_is_refused_and_nothing_of_it_executed(self, tmp_path):
        mark = tmp_path / "executed"
        content = {"conv1_1": [ARRAYS["conv1_1/weights"], Malicious(mark)]}
        path = write_pickle_as_npy(tmp_path / "a.npy", pickle.dumps(content))
        with pytest.raises(ValueError, match=r"a\.npy.*names \w+\.mkdir.*refused"):
            slim_models.read_weights(path)
        assert not mark.exists()
        np.load(path, allow_pickle=True)  # the file is a real attack on a reader that trusts it
        assert mark.exists()

    @pytest.mark.parametrize(
        "pickled",
        [
            b"cos\nsystem\n(S'true'\ntR.",
            b"cbuiltins\neval\n(S'1'\ntR.",
            b"cnumpy\nload\n(S'x'\ntR.",
            b"cnumpy.core.multiarray\nscalar\n.",
            b"cnumpy._core.numeric\nos.system\n(S'true'\ntR.",  # a dotted name, pickle protocol 4
        ],
    )
    def test_names_of_anything_but_arrays_are_refused(self, tmp_path, pickled):
        with pytest.raises(ValueError, match="refused"):
            slim_models.read_weights(write_pickle_as_npy(tmp_path / "a.npy", pickled))

    @pytest.mark.parametrize("flags", [0, 1, 63])
    @pytest.mark.parametrize("shape", [(), (1,)])
    def test_a_file_cannot_make_numpy_follow_its_pointers(self, tmp_path, flags, shape):
        """An object dtype whose flags say that it holds no references: NumPy itself would crash here."""
        dtype = Pickled(np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, flags))
        reconstruct = np.array(0).__reduce__()[0]
        crafted = Pickled(reconstruct, (np.ndarray, (0,), b"b"), (1, shape, dtype, False, b"AAAAAAAA"))
        for content in (crafted, {"conv1_1": [crafted, ARRAYS["conv1_1/biases"]]}):
            with pytest.raises(ValueError, match="cannot be read as an npy dictionary of arrays"):
                slim_models.read_weights(write_pickle_as_npy(tmp_path / "a.npy", pickle.dumps(content)))

    def test_any_flipped_byte_is_read_or_refused_with_one_kind_of_error(self, tmp_path):
        rng = np.random.default_rng(0)
        npy = write_npy(tmp_path / "a.npy", {"conv1_1": list(ARRAYS.values())})
        np.savez_compressed(tmp_path / "a.npz", **ARRAYS)
        for path in (npy, tmp_path / "a.npz"):
            whole = path.read_bytes()
            for _ in range(300):
                damaged = bytearray(whole)
                damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
                path.write_bytes(damaged)
                with contextlib.suppress(ValueError):
                    slim_models.read_weights(path)

    @pytest.mark.parametrize(
        ("pickled", "message"),
        [
            (b"\x80\x05B\x00\x5e\xd0\xb2x.", "ends in the middle of an object"),  # 3 GB of bytes
            (b"\x80\x05\x8e" + (2**40).to_bytes(8, "little") + b"x.", "ends in the middle of an object"),
            (b"\x80\x05\x8d" + (2**40).to_bytes(8, "little") + b"x.", "ends in the middle of an object"),
            (b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"x.", "ends in the middle of an object"),
            (b"\x80\x03}r\xff\xff\xff\x7f.", "numbers more objects than it holds"),
            (b"}p2147483647\n.", "numbers more objects than it holds"),
            (b"\x80\x03]q\x00" + b"".join(b"]q%c(h%ch%ce" % (n, n - 1, n - 1) for n in range(1, 60)) + b".", "list"),
        ],
    )
    def test_a_few_bytes_take_no_memory_and_no_time(self, tmp_path, pickled, message):
        resource = pytest.importorskip("resource")
        path = write_pickle_as_npy(tmp_path / "a.npy", pickled)
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        with pytest.raises(ValueError, match=message):
            slim_models.read_weights(path)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB, or bytes
        assert time.process_time() - began < 2

    @pytest.mark.parametrize("reader", ["npy", "pytorch"])
    def test_an_array_of_opcodes_is_not_walked_through(self, tmp_path, monkeypatch, reader):
        """Each takes as long as a thousand bytes of an array: of a few thousand more than enough has been seen."""
        module = importlib.import_module("slim_models.weights.opcodes")
        pickled = b"\x80\x02" + b"N0" * 5000 + b"]."
        if reader == "npy":
            path = write_pickle_as_npy(tmp_path / "a.npy", pickled)
        else:
            path = tmp_path / "a.pth"
            path.write_bytes(pickled)
        with pytest.raises(ValueError, match="holds|state dict") as caught:
            slim_models.read_weights(path)
        assert "parts" not in str(caught.value)
        monkeypatch.setattr(module, "_MOST_OPCODES", 5000)
        with pytest.raises(ValueError, match="its pickle has more than 5,000 parts, where .* have a few thousand"):
            slim_models.read_weights(path)

    def test_arrays_that_share_their_numbers(self, tmp_path):
        """What they share is handed out once, and what a second one would get is memory of any content."""
        array = np.arange(30000, dtype=np.float32)
        reconstruct, dtype = np.array(0).__reduce__()[0], np.dtype("f4")
        same = [array.tobytes()] * 2
        both = [Pickled(reconstruct, (np.ndarray, (0,), b"b"), (1, (30000,), dtype, False, part)) for part in same]
        path = write_pickle_as_npy(tmp_path / "a.npy", pickle.dumps({"a": both}, 4))
        with pytest.raises(ValueError, match="two of its arrays share their numbers"):
            slim_models.read_weights(path)

    @pytest.mark.parametrize("cut", [10, 100, 200, 300])
    def test_a_truncated_file_is_one_clear_error(self, tmp_path, cut):
        whole = write_npy(tmp_path / "a.npy", {"conv1_1": list(ARRAYS.values())}).read_bytes()
        (tmp_path / "b.npy").write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"b\.npy"):
            slim_models.read_weights(tmp_path / "b.npy")

    def test_a_web_page_saved_as_npy(self, tmp_path):
        (tmp_path / "a.npy").write_text("<!DOCTYPE html><title>404</title>")
        with pytest.raises(ValueError, match="is not an npy dictionary.*; it is an HTML page"):
            slim_models.read_weights(tmp_path / "a.npy")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ([1, 2], "arrays of objects"),
            ({"conv1_1": "weights"}, "'conv1_1'.*str"),
            ({"conv1_1": ["a", "b"]}, "conv1_1/weights is str"),
            ({"conv1_1": [np.array(["a"]), np.zeros(1)]}, "arrays of 'U1'"),
            ({"conv1_1": [np.array([True]), np.zeros(1)]}, "conv1_1/weights is an array of bool"),
            ({"conv1_1": [np.zeros(1, "f4,f4"), np.zeros(1)]}, "arrays of"),
            ({"conv1_1": [np.array([None]), np.zeros(1)]}, "arrays of objects"),
        ],
    )
    def test_other_contents_are_named(self, tmp_path, content, message):
        with pytest.raises(ValueError, match=message):
            slim_models.read_weights(write_npy(tmp_path / "a.npy", content))

    def test_one_array_is_not_a_dictionary(self, tmp_path):
        np.save(tmp_path / "a.npy", np.zeros(3))
        with pytest.raises(ValueError, match="one array"):
            slim_models.read_weights(tmp_path / "a.npy")

    def test_an_npz_with_pickles_is_refused(self, tmp_path):
        np.savez(tmp_path / "a.npz", x=np.array([Malicious(tmp_path / "executed")], dtype=object))
        with pytest.raises(ValueError, match=r"a\.npz cannot be read as an npz file of plain arrays"):
            slim_models.read_weights(tmp_path / "a.npz")
        assert not (tmp_path / "executed").exists()


def test_npz(tmp_path):
    np.savez(tmp_path / "a.npz", **ARRAYS)
    assert_same(slim_models.read_weights(tmp_path / "a.npz"))


IMPOSTORS = {
    b"": "an empty file",
    b"\n<!DOCTYPE html>\n<html><title>404 Not Found</title>": "an HTML page, which is what a dead link gives",
    b"<html><body>Moved": "an HTML page",
    b'<?xml version="1.0"?><Error><Code>AccessDenied': "a server's XML answer",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 553432\n": "a Git LFS pointer",
    gzip.compress(b"resnet_v1_50.ckpt"): "a gzip archive, to be unpacked first",
    b"resnet_v1_50.ckpt".ljust(257, b"\0") + b"ustar".ljust(255, b"\0"): "a tar archive, to be unpacked first",
}


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a.caffemodel", "a.ckpt"])
@pytest.mark.parametrize("content", IMPOSTORS, ids=["empty", "HTML", "html", "XML", "LFS", "gzip", "tar"])
def test_what_stands_in_a_files_place_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is not .*; it is {IMPOSTORS[content]}"):
        slim_models.read_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "v1.ckpt", "v2.ckpt", "a.caffemodel"])
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_half_a_file_is_named(tmp_path, name, share):
    path = tmp_path / name
    layers = {"conv1_1/weights": np.ones((3, 3, 3, 64), np.float32), "conv1_1/biases": np.ones(64, np.float32)}
    if name.startswith("v"):
        path = pathlib.Path(checkpoint(path, tf.train.SaverDef.V1 if "1" in name else tf.train.SaverDef.V2, layers))
        path = path if path.is_file() else path.with_name(f"{path.name}.data-00000-of-00001")
    elif name == "a.h5":
        write_keras(path, {"block1_conv1": layers.values()})
    elif name == "a.caffemodel":
        write_caffemodel(path, {"conv1_1": ("Convolution", list(layers.values()))})
    else:
        slim_models.write_weights(path, layers)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=f"{path.stem.split('.')[0]}.* is only the first part of "):
        slim_models.read_weights(path)


VGG = {
    "conv1_1/weights": np.arange(27, dtype=np.float32).reshape(3, 3, 3, 1),
    "conv1_1/biases": np.ones(1, np.float32),
    "fc6/weights": np.arange(9 * 300, dtype=np.float32).reshape(9, 300),  # of maps of 3 x 3 and one channel
    "fc6/biases": np.ones(300, np.float32),
}


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a.caffemodel"])
def test_what_is_read_becomes_the_variables_where_it_is(tmp_path, name):
    """A VGG16's fc6 has 411 MB: to copy it once more would take as long as to read it."""
    (conv, *_), (kernel, offset) = VGG.values(), (VGG["fc6/weights"], VGG["fc6/biases"])
    if name == "a.h5":
        write_keras(tmp_path / name, {"block1_conv1": [conv, VGG["conv1_1/biases"]], "fc1": [kernel, offset]})
    elif name == "a.caffemodel":
        first = "Convolution", [conv.transpose(3, 2, 0, 1), VGG["conv1_1/biases"]]
        write_caffemodel(tmp_path / name, {"conv1_1": first, "fc6": ("InnerProduct", [kernel.T, offset])})
    else:
        slim_models.write_weights(tmp_path / name, VGG)
    weights = slim_models.read_weights(tmp_path / name)
    assert_same(weights, VGG)
    assert lasting(weights["fc6/weights"], np.float32) is weights["fc6/weights"]
    assert name == "a.npy" or weights["fc6/weights"].ctypes.data % 64 == 0  # which reads so what is larger


@pytest.mark.parametrize("outputs", [1, 255, 256, 600])
def test_matrices_are_turned_a_few_rows_at_a_time(outputs):
    rows = np.arange(outputs * 12, dtype=np.float16).reshape(outputs, 12)  # of maps of 2 x 2 and three channels
    found = turned(lambda first, last: rows[first:last], outputs, 3, 2, np.float16)
    assert found.dtype == np.float16 and found.shape == (12, outputs)
    for y, x, channel in np.ndindex(2, 2, 3):
        np.testing.assert_array_equal(found[(y * 2 + x) * 3 + channel], rows[:, channel * 4 + y * 2 + x])


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a.ckpt"])
def test_another_format_under_the_name_of_one_is_named(tmp_path, name):
    other = "npy" if name == "a.h5" else "h5"
    source = tmp_path / f"b.{other}"
    if other == "npy":
        np.save(source, np.zeros(100))
    else:
        write_keras(source, {"block1_conv1": list(ARRAYS.values())})
    source.rename(tmp_path / name)
    with pytest.raises(ValueError, match=f"{name} is not .*; it is an {'npy' if other == 'npy' else 'HDF5'} file"):
        slim_models.read_weights(tmp_path / name)


def read_with_flipped_bits(path, times):
    """Raises what is no ValueError; always the same bits."""
    rng = np.random.default_rng(0)
    whole = path.read_bytes()
    for place in rng.integers(len(whole), size=times):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError):
            slim_models.read_weights(path)


def test_any_flipped_byte_of_a_caffemodel_is_read_or_refused_with_one_kind_of_error(tmp_path):
    path = write_caffemodel(tmp_path / "a.caffemodel", {"conv1_1": ("Convolution", list(ARRAYS.values()))})
    read_with_flipped_bits(path, 300)


class TestCheckpoints:
    @pytest.mark.parametrize("version", [tf.train.SaverDef.V1, tf.train.SaverDef.V2], ids=["V1", "V2"])
    def test_by_path_by_prefix_and_by_directory(self, tmp_path, version):
        prefix = checkpoint(tmp_path / "model.ckpt", version)
        assert_same(slim_models.read_weights(prefix))
        assert_same(slim_models.read_weights(tmp_path))
        (tmp_path / "checkpoint").unlink()  # TensorFlow's record of the newest: slim's archives have none
        for meta in tmp_path.glob("*.meta"):
            meta.unlink()
        assert_same(slim_models.read_weights(tmp_path))

    def test_version_1_read_in_place_and_unpacked(self, tmp_path):
        """Whole float32 tensors are read where they lie, other types are unpacked."""
        rng = np.random.default_rng(0)
        arrays = {
            "a/weights": rng.normal(size=(300, 40)).astype(np.float32),
            "a/scalar": np.array(2.5, np.float32),
            "a/double": rng.normal(size=(2, 2)),
            "global_step": np.array(-7, np.int64),
            "a/half": np.float16([[1.5, -2]]),
            "a/bytes": np.uint8([0, 200, 255]),
            "a/short": np.int16([-300, 7]),
            "a/many": rng.integers(-(2**31), 2**31, 5000).astype(np.int32),
            "a/empty": np.zeros((0, 3), np.float32),
        }
        with tf.Graph().as_default(), tf.Session() as session:
            variables = [tf.Variable(array, name=name) for name, array in arrays.items()]
            session.run(tf.global_variables_initializer())
            saver = tf.train.Saver(variables, write_version=tf.train.SaverDef.V1)
            path = pathlib.Path(saver.save(session, str(tmp_path / "model.ckpt")))
        assert_same(slim_models.read_weights(path), arrays)
        assert path.read_bytes().count(arrays["a/weights"].tobytes()) == 1
        reader = tf.train.load_checkpoint(str(path))  # a second way
        assert reader.get_variable_to_shape_map() == {name: list(array.shape) for name, array in arrays.items()}

    def test_any_flipped_byte_of_version_1_is_read_or_refused_with_one_kind_of_error(self, tmp_path):
        path = pathlib.Path(checkpoint(tmp_path / "model.ckpt", tf.train.SaverDef.V1))
        read_with_flipped_bits(path, 200)

    def test_by_one_of_its_files(self, tmp_path):
        prefix = checkpoint(tmp_path / "model.ckpt", tf.train.SaverDef.V2)
        for part in (".index", ".meta", ".data-00000-of-00001"):
            assert_same(slim_models.read_weights(prefix + part))

    def test_several_in_a_directory_without_a_record(self, tmp_path):
        checkpoint(tmp_path / "a.ckpt", tf.train.SaverDef.V2)
        checkpoint(tmp_path / "b.ckpt", tf.train.SaverDef.V2)
        (tmp_path / "checkpoint").unlink()
        with pytest.raises(FileNotFoundError, match=r"a\.ckpt, b\.ckpt"):
            slim_models.read_weights(tmp_path)

    def test_a_file_that_is_none(self, tmp_path):
        (tmp_path / "model.ckpt").write_bytes(b"not a checkpoint at all" * 100)
        with pytest.raises(ValueError, match=r"model\.ckpt is not a checkpoint.*it begins with b'not a checkpoint'"):
            slim_models.read_weights(tmp_path / "model.ckpt")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.ckpt", "folder/"])
def test_nothing_there(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name.rstrip("/")):
        slim_models.read_weights(tmp_path / name)


class TestAssignment:
    @pytest.fixture
    def network(self):
        return slim_models.build("vgg16", image_size=32, num_classes=4, width_divisor=8)

    @pytest.fixture
    def weights(self, network):
        shapes = {name: variable.shape.as_list() for name, variable in network.variables().items()}
        return {name: np.full(shape, i, np.float32) for i, (name, shape) in enumerate(shapes.items())}

    def assign(self, network, weights):
        with tf.Session(graph=network.graph) as session:
            slim_models.assign_weights(session, network, weights)
            return session.run(network.variables())

    def test_values_arrive_and_the_graph_does_not_grow(self, network, weights):
        before = len(network.graph.get_operations())
        assert_same(self.assign(network, weights), weights)
        assert len(network.graph.get_operations()) == before

    def test_half_precision_is_widened(self, network, weights):
        halves = {name: array.astype(np.float16) for name, array in weights.items()}
        assert_same(self.assign(network, halves), weights)

    def test_one_error_lists_all_that_is_off(self, network, weights):
        del weights["conv1_1/biases"], weights["fc7/weights"]
        weights["conv6/weights"] = np.zeros(1)
        weights["fc8/weights"] = weights["fc8/weights"][:, :3]
        message = (
            r"2 missing \(conv1_1/biases, fc7/weights\).*1 unexpected \(conv6/weights\).*"
            r"1 misshapen \(fc8/weights \[512, 3\] instead of \[512, 4\]\)"
        )
        with pytest.raises(ValueError, match=message):
            self.assign(network, weights)

    def test_nothing_is_assigned_when_something_is_off(self, network, weights):
        del weights["fc8/biases"]
        with tf.Session(graph=network.graph) as session:
            with pytest.raises(ValueError, match="missing"):
                slim_models.assign_weights(session, network, weights)
            with pytest.raises(tf.errors.FailedPreconditionError):
                session.run(network.variables()["conv1_1/weights"])

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_values_that_are_not_finite_are_named(self, network, weights, value):
        weights["conv3_2/biases"][3] = value
        with pytest.raises(ValueError, match=r"1 not finite as float32 \(conv3_2/biases\)"):
            self.assign(network, weights)

    def test_slims_extras_are_ignored(self, network, weights):
        extras = {"vgg16/mean_rgb": np.zeros(3), "global_step": np.array(7)}
        assert_same(self.assign(network, {**weights, **extras}), weights)

    def test_1001_classes_say_what_they_are(self):
        network, other = (
            slim_models.build("vgg16", image_size=32, num_classes=c, width_divisor=8) for c in (1000, 1001)
        )
        weights = {name: np.zeros(v.shape.as_list(), np.float32) for name, v in other.variables().items()}
        with pytest.raises(ValueError, match="1001 classes.*background.*num_classes=1001"):
            self.assign(network, weights)


class TestFindingWeights:
    def test_missing_weights_say_what_to_fetch_and_where_to_put_it(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("GRADCAM_WEIGHTS", raising=False)
        with pytest.raises(FileNotFoundError, match=r"gradcam download vgg16.*vgg16\.npy.*weights"):
            slim_models.find_weights("vgg16")

    @pytest.mark.parametrize("where", ["weights", "elsewhere"])
    def test_found_in_the_working_directory_and_in_the_chosen_folder(self, tmp_path, monkeypatch, where):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("GRADCAM_WEIGHTS", str(tmp_path / "elsewhere"))
        (tmp_path / where).mkdir()
        (tmp_path / where / "vgg16.npy").touch()
        assert slim_models.find_weights("vgg16").resolve() == tmp_path / where / "vgg16.npy"

    def test_the_embedded_network_is_here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        network = slim_models.build("resnet_v1_50_tiny")
        weights = slim_models.read_weights(slim_models.find_weights("resnet_v1_50_tiny"))
        assert weights.keys() == network.variables().keys()


def test_a_v1_file_beside_a_v2_checkpoint_of_its_name_is_not_read(tmp_path):
    """TensorFlow reads the V2 checkpoint; numbers must not come from the offsets of the other."""
    values = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable("a", initializer=values["a"])
        session.run(variable.initializer)
        saver = tf.train.Saver(write_version=tf.train.SaverDef.V1)
        saver.save(session, str(tmp_path / "m.ckpt"), write_meta_graph=False, write_state=False)
    slim_models.write_weights(tmp_path / "new" / "m.ckpt", {"a": -values["a"]})
    for part in (tmp_path / "new").iterdir():
        part.rename(tmp_path / part.name)
    assert (tmp_path / "m.ckpt").is_file()
    np.testing.assert_array_equal(slim_models.read_weights(tmp_path / "m.ckpt")["a"], -values["a"])


def test_wrong_weights_are_told_in_ten_lines_at_most():
    """Of the largest network, with something wrong of every kind."""
    network = slim_models.build("resnet_v1_101", image_size=64, width_divisor=16)
    weights = dict(slim_models.random_weights(network))
    names = list(network.weight_shapes())
    for name in names[50:150]:
        del weights[name]
    for number, name in enumerate(names[150:300]):
        weights[f"{name}_of_another_training_{number}"] = weights[name]
    for name in names[300:400]:
        weights[name] = weights[name][..., None]
    for name in names[400:450]:
        weights[name] = np.full_like(weights[name], np.nan)
    with pytest.raises(ValueError) as mistake:
        slim_models.check_weights(network, weights)
    message = str(mistake.value)
    assert len(textwrap.wrap(f"gradcam: {message}", 120)) <= 10
    for part in ("100 missing (", "150 unexpected (", "100 misshapen (", "50 not finite as float32 (", " and 98 more)"):
        assert part in message
    assert f"({names[50]}, {names[51]} and 98 more)" in message
