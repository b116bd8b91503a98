"""PyTorch's files: read without PyTorch, exactly, and distrusted."""

import json
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from torch_files import Call, Name, Tensor, pickled, state_dict, storage, tensor, write_old, write_zip

import slim_models

ARRAYS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 7,
    "a.double": np.array([np.pi, -1e300]),
    "a.half": np.array([[0.5, -2]], np.float16),
    "a.num_batches_tracked": np.array(2**40),
    "a.bytes": np.array([0, 255], np.uint8),
    "a.empty": np.zeros((0, 3), np.float32),
}
WRITERS = [write_zip, write_old]


def assert_same(read, expected=ARRAYS):
    assert list(read) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(read[name], array)
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)


def refused(path, message):
    with pytest.raises(slim_models.Mistake, match=message) as caught:
        slim_models.read_weights(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("write", WRITERS)
class TestBothForms:
    @pytest.mark.parametrize("suffix", ["pth", "pt", "bin", "PTH"])
    def test_arrays_of_every_kind(self, tmp_path, write, suffix):
        assert_same(slim_models.read_weights(write(tmp_path / f"a.{suffix}", state_dict(ARRAYS))))

    def test_of_a_machine_of_the_other_byte_order(self, tmp_path, write):
        assert_same(slim_models.read_weights(write(tmp_path / "a.pth", state_dict(ARRAYS, ">"), byteorder="big")))

    def test_bfloat16_is_the_upper_half_of_a_float32(self, tmp_path, write):
        numbers = np.array([1.0, -2.5, 1e30, 0.0], np.float32)
        halves = np.frombuffer(numbers.tobytes(), np.uint16)[1::2]
        rounded = np.float32([1.0, -2.5, struct.unpack("<f", b"\0\0" + halves[2].tobytes())[0], 0.0])
        saved = {"a": tensor("0", halves.astype(np.int16), kind="BFloat16")}
        assert_same(slim_models.read_weights(write(tmp_path / "a.pth", saved)), {"a": rounded})

    def test_tensors_that_are_views_of_one_storage(self, tmp_path, write):
        numbers = np.arange(12, dtype=np.float32)
        shared = storage("0", numbers)
        saved = {
            "whole": Tensor(shared, 0, (3, 4), (4, 1)),
            "transposed": Tensor(shared, 0, (4, 3), (1, 4)),
            "column": Tensor(shared, 2, (3,), (4,)),
            "scalar": Tensor(shared, 11, (), ()),
        }
        read = slim_models.read_weights(write(tmp_path / "a.pth", saved))
        whole = numbers.reshape(3, 4)
        assert_same(
            read,
            {"whole": whole, "transposed": whole.T, "column": whole[:, 2], "scalar": np.array(11, np.float32)},
        )
        assert not any(array.flags.writeable for array in read.values())
        assert np.shares_memory(read["whole"], read["transposed"])

    def test_ordered_dictionaries_with_attributes(self, tmp_path, write):
        ordered = Call(Name("collections", "OrderedDict"), ())
        items = b"(" + b"".join(pickled({k: v})[4:-2] for k, v in state_dict(ARRAYS).items()) + b"u"
        saved = b"".join([pickled(ordered)[2:-1], items, pickled({"_metadata": {"": {"version": 1}}})[2:-1], b"b"])
        path = write(tmp_path / "a.pth", list(state_dict(ARRAYS).values()))  # for its storages
        beginning = pickled(list(state_dict(ARRAYS).values()))
        replaced(path, beginning, b"\x80\x02" + saved + b".")
        assert_same(slim_models.read_weights(path))

    @pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
    def test_checkpoints_with_a_state_dict_inside(self, tmp_path, write, wrapper):
        saved = {"epoch": 7, wrapper: state_dict(ARRAYS), "args": Call(Name("argparse", "Namespace"), (), {"lr": 1})}
        assert_same(slim_models.read_weights(write(tmp_path / "a.pth", saved)))

    @pytest.mark.parametrize("prefix", ["module.", "model.", "module.model.", "_orig_mod."])
    def test_what_stands_before_every_name_is_taken_off(self, tmp_path, write, prefix):
        saved = state_dict({prefix + name: array for name, array in ARRAYS.items()})
        assert_same(slim_models.read_weights(write(tmp_path / "a.pth", saved)))

    def test_what_stands_before_some_names_is_part_of_them(self, tmp_path, write):
        arrays = {"module.a": ARRAYS["a.half"], "b": ARRAYS["a.half"]}
        assert_same(slim_models.read_weights(write(tmp_path / "a.pth", state_dict(arrays))), arrays)

    def test_parameters(self, tmp_path, write):
        parameter = Call(Name("torch._utils", "_rebuild_parameter"), (tensor("0", ARRAYS["a.half"]), True, ()))
        read = slim_models.read_weights(write(tmp_path / "a.pth", {"a": parameter, "b": tensor("1", ARRAYS["a.half"])}))
        assert_same(read, {"a": ARRAYS["a.half"], "b": ARRAYS["a.half"]})

    @pytest.mark.parametrize(
        ("saved", "message"),
        [
            ([1, 2], "holds list, not a state dict"),
            ({"epoch": 7}, "a dictionary without arrays"),
            ({"a": tensor("0", ARRAYS["a.half"]), "b": "text"}, r"b is str, not an array of numbers"),
            ({"a": tensor("0", np.array([True]))}, r"a is an array of bool, not an array of numbers"),
            ({7: tensor("0", ARRAYS["a.half"])}, "keys are no names"),
            (
                {"a": Call(Name("torchvision.models.vgg", "VGG"), ())},
                r"names torchvision\.models\.vgg\.VGG.*state_dict\(",
            ),
        ],
    )
    def test_what_is_no_state_dict(self, tmp_path, write, saved, message):
        refused(write(tmp_path / "a.pth", saved), message)


def replaced(path, old, new):
    """A part of a file for another; a zip archive is written anew."""
    if not zipfile.is_zipfile(path):
        content = path.read_bytes()
        assert content.count(old) == 1
        path.write_bytes(content.replace(old, new))
        return path
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(old, new))
    return path


@pytest.mark.parametrize("write", WRITERS)
class TestHostile:
    @pytest.mark.parametrize(
        "name",
        [
            Name("os", "system"),
            Name("posix", "system"),
            Name("builtins", "eval"),
            Name("builtins", "getattr"),
            Name("torch.hub", "load"),
            Name("torch", "load"),
            Name("numpy.core.multiarray", "_reconstruct"),
            Name("collections", "OrderedDict.fromkeys"),
        ],
    )
    @pytest.mark.parametrize("protocol", [2, 4])
    def test_nothing_is_executed(self, tmp_path, write, name, protocol):
        there = tmp_path / "executed"
        call = Call(name, (f"touch {there}",))
        if protocol == 4:  # its names come from the stack
            call = (
                pickled(name.module)[2:-1]
                + pickled(name.name)[2:-1]
                + b"\x93"
                + pickled((f"touch {there}",))[2:-1]
                + b"R"
            )
        saved = {"a": tensor("0", ARRAYS["a.half"]), "b": call}
        refused(write(tmp_path / "a.pth", saved), f"names {name.module}.{name.name}, .*refused")
        assert not there.exists()

    @pytest.mark.parametrize(
        ("offset", "shape", "strides"),
        [
            (0, (7,), (1,)),
            (3, (4,), (1,)),
            (0, (2, 2), (5, 2)),
            (-1, (2,), (1,)),
            (5, (2,), (-1,)),
            (0, (-2,), (1,)),
            (0, (2**40,), (0,)),
            (0, (2**60,), (1,)),
            (0, (2, 3), (1,)),
            (0, ("2",), (1,)),
            (0, (2.0,), (1,)),
        ],
    )
    def test_views_beyond_their_numbers(self, tmp_path, write, offset, shape, strides):
        if shape == (2.0,):
            shape = (b"G" + struct.pack(">d", 2.0),)
        saved = {"a": Tensor(storage("0", np.zeros(6, np.float32)), offset, shape, strides)}
        refused(write(tmp_path / "a.pth", saved), "a tensor")

    @pytest.mark.parametrize("claim", [{"length": 5}, {"length": 7}, {"length": 2**40}, {"kind": "Double"}])
    def test_storages_that_claim_more_or_less_than_they_hold(self, tmp_path, write, claim):
        saved = {"a": tensor("0", np.zeros(6, np.float32), **claim)}
        saved["a"] = saved["a"]._replace(shape=(5,))
        refused(write(tmp_path / "a.pth", saved), "does not hold|truncated")

    def test_one_storage_of_two_kinds(self, tmp_path, write):
        saved = {"a": tensor("0", np.zeros(6, np.float32)), "b": tensor("0", np.zeros(6, np.float32), kind="Int")}
        refused(write(tmp_path / "a.pth", saved), "two storages '0'")

    @pytest.mark.parametrize(
        "opcode",
        [
            b"X" + struct.pack("<I", 2**32 - 1),  # text
            b"\x8e" + struct.pack("<Q", 2**62),  # bytes
            b"\x8d" + struct.pack("<Q", 2**40),  # text
            b"T" + struct.pack("<i", 2**31 - 1),  # a string of Python 2
            b"\x8b" + struct.pack("<i", 2**31 - 1),  # a number
        ],
    )
    def test_lengths_that_no_file_has(self, tmp_path, write, opcode):
        refused(write(tmp_path / "a.pth", {"a": tensor("0", ARRAYS["a.half"]), "b": opcode + b"bit"}), "a.pth")

    def test_numbers_of_objects_that_no_file_has(self, tmp_path, write):
        memo = b"Nr" + struct.pack("<I", 2**32 - 2)
        refused(write(tmp_path / "a.pth", {"a": memo}), "numbers more objects than it holds")

    def test_a_billion_laughs(self, tmp_path, write):
        laughs = b"".join([b"]q\x010", b"(hhhhhhhhhlq\x010".replace(b"h", b"h\1") * 30, b"h\1"])
        refused(write(tmp_path / "a.pth", {"a": tensor("0", ARRAYS["a.half"]), "b": laughs}), "b is list, not")

    def test_every_first_part(self, tmp_path, write):
        path = write(tmp_path / "a.pth", state_dict({"a": ARRAYS["a.weight"]}))
        content = path.read_bytes()
        for size in [*range(0, len(content), 17), len(content) - 1]:
            path.write_bytes(content[:size])
            refused(path, "first part|cannot be read|an empty file|is not")

    def test_every_flipped_byte_is_refused_or_read(self, tmp_path, write):
        path = write(tmp_path / "a.pth", state_dict({"a": ARRAYS["a.weight"]}))
        content = path.read_bytes()
        for place in range(0, len(content), 3):
            path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
            try:
                slim_models.read_weights(path)
            except slim_models.Mistake as error:
                assert str(path) in str(error)


def test_parts_of_a_storage_in_the_old_form(tmp_path):
    numbers = np.arange(12, dtype=np.float32)
    part = storage("0", numbers, part=("1", 4, 6))
    path = write_old(tmp_path / "a.pth", {"a": Tensor(part, 1, (2,), (2,)), "b": tensor("0", numbers)})
    assert_same(slim_models.read_weights(path), {"a": numbers[[5, 7]], "b": numbers})
    beyond = storage("0", numbers, part=("1", 8, 6))
    refused(write_old(tmp_path / "b.pth", {"a": Tensor(beyond, 0, (2,), (1,))}), "a part of a storage")


def test_parts_that_are_compressed(tmp_path):
    path = write_zip(tmp_path / "a.pth", state_dict(ARRAYS), compression=zipfile.ZIP_DEFLATED)
    refused(path, "compressed, which PyTorch's are not")


def test_a_zip_archive_of_something_else(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    refused((tmp_path / "a.npz").rename(tmp_path / "a.pth"), "a zip archive without a data.pkl")


def test_a_bare_pickle(tmp_path):
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"a": 1}))
    refused(tmp_path / "a.pt", "a pickle, but none that PyTorch wrote|truncated|first part")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"<!DOCTYPE html><html>")
    refused(tmp_path / "a.bin", "is not a state dict that PyTorch saved; it is an HTML page")
    with pytest.raises(FileNotFoundError, match="no weights at"):
        slim_models.read_weights(tmp_path / "b.pth")


class TestSafetensors:
    def test_arrays(self, tmp_path):
        arrays = {name: array for name, array in ARRAYS.items() if array.size}
        write_safetensors(tmp_path / "a.safetensors", {f"model.{name}": array for name, array in arrays.items()})
        read = slim_models.read_weights(tmp_path / "a.safetensors")
        assert_same({name: read[name] for name in arrays}, arrays)
        assert read.keys() == arrays.keys()

    def test_a_header_whose_length_is_gzips_mark(self, tmp_path):
        path = tmp_path / "a.safetensors"
        write_safetensors(path, {"a": np.arange(8, dtype=np.float32)})
        content, length = path.read_bytes(), 0x8B1F
        own = 8 + struct.unpack("<Q", content[:8])[0]
        path.write_bytes(struct.pack("<Q", length) + content[8:own].ljust(length) + content[own:])
        np.testing.assert_array_equal(slim_models.read_weights(path)["a"], np.arange(8))

    def test_bfloat16_which_numpy_has_no_name_for(self, tmp_path):
        path = tmp_path / "a.safetensors"
        halves = {"a": np.array([[0x3F80], [0xC020]], np.uint16), "b": np.zeros(3, np.float32)}
        write_safetensors(path, halves, {"U16": "BF16"})
        program = "import sys, slim_models; print(slim_models.read_weights(sys.argv[1]), 'ml_dtypes' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
        assert done.stdout.endswith("False\n")  # TensorFlow's package gives it one
        expected = {"a": np.float32([[1], [-2.5]]), "b": np.zeros(3, np.float32)}
        assert {name: array.tolist() for name, array in slim_models.read_weights(path).items()} == {
            name: array.tolist() for name, array in expected.items()
        }

    @pytest.mark.parametrize("size", [0, 5, 40, 90])
    def test_a_first_part(self, tmp_path, size):
        path = tmp_path / "a.safetensors"
        write_safetensors(path, {"a": np.zeros(8, np.float32)})
        path.write_bytes(path.read_bytes()[:size])
        refused(path, "empty file|cannot be read as a safetensors file")

    def test_a_length_that_lies(self, tmp_path):
        (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
        refused(tmp_path / "a.safetensors", "cannot be read as a safetensors file")


def write_safetensors(path, arrays, names=()):
    """A header in JSON, its length before it, and the numbers behind it."""
    kinds = {"f": "F", "i": "I", "u": "U"}
    header, place = {}, 0
    for name, array in arrays.items():
        kind = f"{kinds[array.dtype.kind]}{8 * array.itemsize}"
        kind = dict(names).get(kind, kind)
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in arrays.values()))


@pytest.mark.parametrize("zipped", [True, False])
def test_what_pytorch_itself_writes(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    tensors = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
    tensors["transposed"] = tensors["a.weight"].transpose(0, 2)[:, 1:]
    tensors["bfloat16"] = tensors["a.weight"].bfloat16()
    tensors["parameter"] = torch.nn.Parameter(tensors["a.weight"] * 2)
    saved = {"state_dict": tensors, "epoch": 3, "size": torch.Size([1, 2])}
    torch.save(saved, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    expected = {
        name: one.detach().float().numpy() if name == "bfloat16" else one.detach().numpy()
        for name, one in tensors.items()
    }
    assert_same(slim_models.read_weights(tmp_path / "a.pth"), expected)
