"""Keys of dictionaries in pickles: to look at one takes as long as it is, with all in it as often as it is there."""

import pickle
import pickletools
import time
import zipfile

import numpy as np
import pytest

import slim_models
from slim_models.weights.opcodes import check_opcodes


def in_npy(path, pickled):
    with path.with_suffix(".npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(pickled)
        return file.name


def in_archive(path, pickled):
    with zipfile.ZipFile(path.with_suffix(".pth"), "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/byteorder", "little")
    return path.with_suffix(".pth")


def in_old_file(path, pickled):
    path.with_suffix(".bin").write_bytes(pickled)
    return path.with_suffix(".bin")


def twice(number):
    """The object on the stack is kept, and taken out again."""
    return b"q%ch%c" % (number, number)


PROTOCOL, DICTIONARY, TAKES = b"\x80\x04", b"}", b"K\x01s."
KEYS = {
    "pairs of pairs": b")" + b"".join(twice(number) + b"\x86" for number in range(60)),
    "pairs by a mark": b")" + b"".join(b"q%c(h%ch%ct" % ((number,) * 3) for number in range(60)),
    "triples by DUP": b")" + b"22\x87" * 60,
    "frozen sets": b")" + b"".join(b"\x94(h%ch%c\x85\x91" % (number, number) for number in range(60)),
    "numbered as they come": b")" + b"".join(b"\x94h%ch%c\x86" % (number, number) for number in range(60)),
    "a million deep": b")" + b"\x85" * 10**6,
    "sizes of sizes": b")" + b"".join(b"q%cctorch\nSize\n](h%ch%ce\x85R" % ((number,) * 3) for number in range(60)),
}


@pytest.mark.parametrize("write", [in_npy, in_archive, in_old_file])
@pytest.mark.parametrize("key", KEYS)
def test_keys_that_would_take_for_ever(key, write, tmp_path):
    path = write(tmp_path / "a", PROTOCOL + DICTIONARY + KEYS[key] + TAKES)
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"a\.\w+ cannot be read as .*(nests objects|torch\.Size|as an integer)"):
        slim_models.read_weights(path)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_people_pickle(protocol):
    shared = (1, 2, "three")
    many = {(name, number): [np.zeros((2, 3)), shared, {shared}] for name in "abc" for number in range(100)}
    check_opcodes(pickletools.genops(pickle.dumps([many, frozenset([shared]), *range(3000)], protocol)))
