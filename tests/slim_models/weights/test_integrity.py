"""Damage that a format can tell is told: no value that is another than was written comes out of a damaged file."""

import contextlib
import gzip
import io
import pathlib
import tarfile
import zipfile

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import torch_files

import slim_models
from gradcam.explainer import Explainer
from slim_models.weights import archives, verify
from slim_models.weights.assigning import is_finite

RNG = np.random.default_rng(0)
ARRAYS = {
    # Larger than a block of a table, so that each is in one of its own.
    "a/weights": RNG.normal(size=(400, 400)).astype(np.float32),
    "b/biases": np.float32([0.5, -1]),
    "b/weights": RNG.normal(size=(3, 3, 200, 100)).astype(np.float32),
}


def write_checkpoint(path, version):
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.Variable(array, name=name) for name, array in ARRAYS.items()]
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(variables, write_version=version)
        saver.save(session, str(path), write_meta_graph=False, write_state=False)
    return path


def write_v1(folder):
    return (path := write_checkpoint(folder / "a.ckpt", tf.train.SaverDef.V1)), path


def write_v2(folder):
    path = write_checkpoint(folder / "a.ckpt", tf.train.SaverDef.V2)
    return path, path.with_name("a.ckpt.data-00000-of-00001")


def write_v2_index(folder):
    return (path := write_v2(folder)[0]), path.with_name("a.ckpt.index")


def write_npz(folder):
    np.savez(folder / "a.npz", **ARRAYS)
    return (folder / "a.npz",) * 2


def write_packed_npz(folder):
    np.savez_compressed(folder / "a.npz", **ARRAYS)
    return (folder / "a.npz",) * 2


def write_pth(folder):
    return (torch_files.write_zip(folder / "a.pth", torch_files.state_dict(ARRAYS)),) * 2


def flipped(content, place, bit):
    damaged = bytearray(content)
    damaged[place] ^= 1 << bit
    return bytes(damaged)


@pytest.mark.parametrize("write", [write_v1, write_v2, write_v2_index, write_npz, write_packed_npz, write_pth])
def test_no_flipped_bit_changes_a_value_without_a_word(tmp_path, write):
    path, damaged = write(tmp_path)
    whole = damaged.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for place in rng.integers(len(whole), size=150):
        damaged.write_bytes(flipped(whole, place, rng.integers(8)))
        try:
            read = slim_models.read_weights(path)
        except ValueError:
            refused += 1
            continue
        for name in read.keys() & ARRAYS.keys():  # a name has no sum in some formats: then one is missing
            np.testing.assert_array_equal(read[name], ARRAYS[name])
    assert refused > 20


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("byte", [0, 3, -1])
def test_every_array_of_a_v1_checkpoint_is_held_against_its_sum(tmp_path, name, byte):
    path, _ = write_v1(tmp_path)
    content = path.read_bytes()
    start, size = content.index(ARRAYS[name].tobytes()), ARRAYS[name].nbytes
    path.write_bytes(flipped(content, start + byte % size, 6))
    with pytest.raises(
        ValueError, match=rf"a\.ckpt is a damaged checkpoint: the numbers of {name} are damaged: CRC-32C"
    ):
        slim_models.read_weights(path)
    with pytest.raises(tf.errors.OpError):  # a second way
        tf.train.load_checkpoint(str(path)).get_tensor(name)


def test_an_npz_whose_header_tells_of_less_than_it_holds(tmp_path):
    """NumPy would stop at the array's end, and so before the sum of the member is looked at."""
    path, _ = write_npz(tmp_path)
    damaged = path.read_bytes().replace(b"(400, 400)", b"(100, 400)")
    path.write_bytes(damaged)
    assert np.load(path)["a/weights"].shape == (100, 400)
    with pytest.raises(ValueError, match=r"a\.npz cannot be read as .*: (a/weights.npy in it holds more|Bad CRC)"):
        slim_models.read_weights(path)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own
def test_a_keras_archive_whose_weights_are_damaged(tmp_path):
    """Keras reads in places, where `zipfile` checks nothing."""
    keras = pytest.importorskip("keras", minversion="3")
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, activation="relu")])
    model.add(keras.layers.GlobalAveragePooling2D())
    model.add(keras.layers.Dense(3))
    kernel = model.layers[0].kernel.value.numpy()
    model.save(tmp_path / "a.keras")
    whole = (tmp_path / "a.keras").read_bytes()
    assert whole.count(kernel.tobytes()) == 1  # stored, not packed
    (tmp_path / "a.keras").write_bytes(flipped(whole, whole.index(kernel.tobytes()) + 2, 6))
    with pytest.raises(ValueError, match=r"model\.weights\.h5"):
        slim_models.load(tmp_path / "a.keras", preprocessing="none")


class TestArchives:
    """`.tar.gz`, whose only sum comes last."""

    @pytest.fixture
    def archive(self, tmp_path):
        buffer = io.BytesIO()
        content = RNG.integers(0, 256, 5000, np.uint8).tobytes()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            entry = tarfile.TarInfo("a.ckpt")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        (tmp_path / "a.tgz").write_bytes(buffer.getvalue())
        return tmp_path / "a.tgz", content

    def test_whole(self, archive):
        assert verify.unpacked(archive[0], "a.ckpt").read_bytes() == archive[1]

    def test_no_flipped_bit_passes(self, archive):
        path, content = archive
        whole = path.read_bytes()
        for place in RNG.integers(10, len(whole), size=100):
            path.write_bytes(flipped(whole, place, RNG.integers(8)))
            with contextlib.suppress(ValueError, OSError, EOFError, tarfile.TarError, gzip.zlib.error):
                assert verify.unpacked(path, "a.ckpt").read_bytes() == content

    def test_the_sum_at_the_end(self, archive):
        path, _ = archive
        path.write_bytes(flipped(path.read_bytes(), -8, 0))
        with pytest.raises(OSError, match="CRC"):
            verify.unpacked(path, "a.ckpt")

    def test_a_bomb(self, tmp_path, monkeypatch):
        monkeypatch.setattr(verify, "MOST", 2**20)
        (tmp_path / "a.tgz").write_bytes(gzip.compress(bytes(2**22)))
        with pytest.raises(ValueError, match="unpacks to more than 1,048,576 bytes"):
            verify.unpacked(tmp_path / "a.tgz", "a.ckpt")

    def test_too_many_members_and_names_without_end(self, tmp_path):
        with tarfile.open(tmp_path / "many.tgz", "w:gz") as tar:
            for number in range(101):
                tar.addfile(tarfile.TarInfo(str(number)))
        with pytest.raises(ValueError, match="more than 100 members"):
            verify.unpacked(tmp_path / "many.tgz", "a.ckpt")
        with tarfile.open(tmp_path / "long.tgz", "w:gz", format=tarfile.GNU_FORMAT) as tar:
            tar.addfile(tarfile.TarInfo("x" * 2**21))
        with pytest.raises(ValueError, match=r"a member whose name takes 2\d+ bytes"):
            verify.unpacked(tmp_path / "long.tgz", "a.ckpt")


class TestBombs:
    def test_an_npz_of_zeros(self, tmp_path):
        np.savez_compressed(tmp_path / "a.npz", a=np.zeros(2**25, np.float32))
        with pytest.raises(ValueError, match=r"claims 134,217,8\d\d bytes, from a file of 1\d\d,\d{3}: more than 100"):
            slim_models.read_weights(tmp_path / "a.npz")

    def test_few_zeros_are_no_bomb(self, tmp_path):
        np.savez_compressed(tmp_path / "a.npz", a=np.zeros(2**20, np.float32))
        assert not slim_models.read_weights(tmp_path / "a.npz")["a"].any()

    def test_two_members_of_one_name(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
            for value in (1, 2):
                with archive.open("a.npy", "w") as member:
                    np.lib.format.write_array(member, np.float32([value]))
        with pytest.raises(ValueError, match=r"a\.npy is in it twice"):
            slim_models.read_weights(tmp_path / "a.npz")

    def test_a_constant_of_a_graph(self, tmp_path):
        """A number that is there once, of a shape that asks for a gigabyte of it."""
        with tf.Graph().as_default() as graph:
            images = tf.placeholder(tf.float32, [None, 8, 8, 3], "images")
            layer = tf.nn.relu(tf.nn.conv2d(images, tf.constant(1.0, shape=[1, 1, 3, 2**14]), 1, "SAME"))
            last = tf.constant(1.0, shape=[2**14, 4], name="last")
            tf.matmul(tf.reduce_mean(layer, [1, 2]), last, name="logits")
            graph_def = graph.as_graph_def()
        (node,) = (node for node in graph_def.node if node.name == "last")
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1.0, shape=[2**14, 2**14]))
        (tmp_path / "a.pb").write_bytes(graph_def.SerializeToString())
        with pytest.raises(ValueError, match=r"what .*a\.pb has as constants claims 1,073,9\d\d,\d{3} bytes"):
            slim_models.load(tmp_path / "a.pb", preprocessing="none")

    def test_a_constant_of_a_graph_that_is_imported_with_its_checkpoint(self, tmp_path):
        """What only the training needs may be as large as it likes: a slot's zeros were constants once."""
        with tf.Graph().as_default() as graph, tf.Session() as session:
            images = tf.placeholder(tf.float32, [None, 8, 8, 3], "images")
            layer = tf.nn.relu(tf.nn.conv2d(images, tf.get_variable("w", [1, 1, 3, 4]), 1, "SAME"))
            last = tf.reduce_sum(tf.constant(1.0, shape=[4, 4], name="last"))
            tf.add(tf.reduce_mean(layer, [1, 2]), last, name="logits")
            tf.constant(0.0, shape=[2, 2], name="slot")
            session.run(tf.global_variables_initializer())
            tf.train.Saver().save(session, str(tmp_path / "m.ckpt"))
            meta = tf.train.export_meta_graph(graph=graph)
        nodes = {node.name: node for node in meta.graph_def.node}
        large = tf.make_tensor_proto(0.0, shape=[4, 2**24])
        for name, told in (("slot", False), ("last", True)):
            nodes[name].attr["value"].tensor.CopyFrom(large)
            nodes[name].attr.pop("_output_shapes", None)
            (tmp_path / "m.ckpt.meta").write_bytes(meta.SerializeToString())
            error = pytest.raises(ValueError, match="what m has as constants claims 268,435,")
            with error if told else contextlib.nullcontext():
                slim_models.load(tmp_path / "m.ckpt.meta", preprocessing="none", logits="logits")

    def test_the_limit(self):
        archives.check_claim(archives.HARMLESS, 1)
        archives.check_claim(10**9, 10**7)
        with pytest.raises(ValueError, match="1,000,000,001 bytes, from a file of 10,000,000"):
            archives.check_claim(10**9 + 1, 10**7)


@pytest.fixture(scope="module")
def network():
    return slim_models.build("resnet_v1_50", image_size=32, num_classes=4, width_divisor=16)


class TestValues:
    @pytest.fixture
    def weights(self, network):
        return slim_models.random_weights(network)

    @pytest.mark.parametrize("value", [-1e-3, -np.float32(1e-45)])
    def test_a_variance_below_zero(self, network, weights, value):
        name = next(name for name in weights if name.endswith("moving_variance"))
        weights[name] = np.array(weights[name])
        weights[name][1] = value
        with pytest.raises(ValueError, match=rf"1 negative, though variances \({name}\)"):
            slim_models.check_weights(network, weights)

    @pytest.mark.parametrize("value", [1e300, -1e39, np.nan])
    def test_what_float32_does_not_hold(self, network, weights, value):
        name = next(iter(weights))
        weights[name] = weights[name].astype(np.float64)
        weights[name].flat[0] = value
        with pytest.raises(ValueError, match=rf"1 not finite as float32 \({name}\)"):
            slim_models.check_weights(network, weights)

    def test_the_largest_number_of_float32_is_one(self, network, weights):
        name = next(iter(weights))
        weights[name] = weights[name].astype(np.float64)
        weights[name].flat[0] = np.finfo(np.float32).max
        slim_models.check_weights(network, weights)

    def test_every_number_of_sixteen_bits(self):
        numbers = np.arange(2**16, dtype=np.uint16).view(np.float16)
        finite = np.isfinite(numbers)
        assert is_finite(numbers[finite])
        assert is_finite(np.float16(-65504)) and is_finite(np.zeros((3, 0), np.float16))
        for number in numbers[~finite]:
            assert not is_finite(np.float16([[0, number], [-65504, 1]]).T)

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1.0])
    @pytest.mark.parametrize("how", ["own session", "checkpoint", "resource", "frozen", "finalized"])
    def test_somebody_elses_network(self, tmp_path, value, how):
        kernel = np.full((3, 3, 3, 8), 0.1, np.float32)
        kernel[0, 0, 0, 0] = value
        with tf.Graph().as_default() as graph, tf.Session() as session:
            images = tf.placeholder(tf.float32, [None, 32, 32, 3], "images")
            with tf.variable_scope("", use_resource=how == "resource"):
                layer = tf.nn.relu(tf.nn.conv2d(images, tf.get_variable("conv/weights", initializer=kernel), 1, "SAME"))
                last = tf.get_variable("fc/weights", initializer=np.ones((8, 5), np.float32))
            tf.matmul(tf.reduce_mean(layer, [1, 2]), last, name="logits")
            session.run(tf.global_variables_initializer())
            found = session
            if how in ("checkpoint", "resource"):
                found = pathlib.Path(tf.train.Saver().save(session, str(tmp_path / "m.ckpt")) + ".meta")
            elif how == "frozen":
                frozen = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["logits"])
                found = tmp_path / "m.pb"
                found.write_bytes(frozen.SerializeToString())
            elif how == "finalized":
                graph.finalize()
            network = slim_models.load(found, preprocessing="none")
            fails = np.isnan(value) or (np.isinf(value) and how != "frozen")
            told = pytest.raises(ValueError, match="not finite: conv/weights; nothing can be computed")
            with told if fails else contextlib.nullcontext():
                Explainer(network).close()
