"""Files as `torch.save` writes them, opcode by opcode: the zip archive and the form before it; no PyTorch needed."""

import struct
import zipfile
from typing import NamedTuple

import numpy as np

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
KINDS = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char"}
KINDS |= {"u1": "Byte", "?": "Bool"}

SIZES = {kind: np.dtype(dtype).itemsize for dtype, kind in KINDS.items()} | {"BFloat16": 2}


class Name(NamedTuple):
    """A class or function."""

    module: str
    name: str


class Call(NamedTuple):
    """What a function returns; `state` is what its attributes are set from."""

    function: Name
    arguments: tuple
    state: object = None


class Storage(NamedTuple):
    """A run of numbers; `kind` and `length` as the file claims them, `part` a view of it: its key, start and length."""

    key: str
    content: bytes
    kind: str
    length: int
    part: tuple | None = None


class Tensor(NamedTuple):
    """A view of a storage."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple


def storage(key, array, byteorder="<", **claims):
    """A storage of the numbers of an array, whose kind and length a test can claim to be others."""
    kind = "Bool" if array.dtype == bool else KINDS[array.dtype.str[1:]]
    content = array.astype(array.dtype.newbyteorder(byteorder)).tobytes()
    return Storage(key, content, **{"kind": kind, "length": array.size, **claims})


def tensor(key, array, byteorder="<", **claims):
    """A whole storage as an array of C order."""
    strides = [step // array.itemsize for step in np.empty(array.shape, array.dtype).strides]
    return Tensor(storage(key, array, byteorder, **claims), 0, array.shape, tuple(strides))


def state_dict(arrays, byteorder="<"):
    """name -> tensor, each of a storage of its own; what is no array stays as it is."""
    return {
        name: tensor(str(number), array, byteorder) if isinstance(array, np.ndarray) else array
        for number, (name, array) in enumerate(arrays.items())
    }


def pickled(value):
    """A pickle of protocol 2."""
    return b"\x80\x02" + opcodes(value) + b"."


def opcodes(value):
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value) if abs(value) < 2**31 else b"\x8a\x08" + struct.pack("<q", value)
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, bytes):  # opcodes of a test's own
        return value
    if isinstance(value, Name):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Call):
        state = b"" if value.state is None else opcodes(value.state) + b"b"
        return opcodes(value.function) + opcodes(tuple(value.arguments)) + b"R" + state
    if isinstance(value, Storage):
        kind = Name("torch", f"{value.kind}Storage")
        return opcodes(("storage", kind, value.key, "cpu", value.length, value.part)) + b"Q"
    if isinstance(value, Tensor):
        hooks = Call(Name("collections", "OrderedDict"), ())
        arguments = (value.storage, value.offset, value.shape, value.strides, False, hooks)
        return opcodes(Call(Name("torch._utils", "_rebuild_tensor_v2"), arguments))
    if isinstance(value, dict):
        return b"}(" + b"".join(opcodes(key) + opcodes(item) for key, item in value.items()) + b"u"
    marks = {tuple: b"t", list: b"l"}
    return b"(" + b"".join(map(opcodes, value)) + marks[type(value)]


def storages_in(value):
    """Every storage, by its key, in the order of the pickle."""
    if isinstance(value, Storage):
        return {value.key: value}
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (tuple, list)):
        return {}
    found = {}
    for item in value:
        found = storages_in(item) | found
    return found


def write_zip(path, saved, byteorder="little", root="archive", compression=zipfile.ZIP_STORED):
    """The form since PyTorch 1.6."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{root}/data.pkl", pickled(saved))
        archive.writestr(f"{root}/byteorder", byteorder)
        for key, stored in storages_in(saved).items():
            archive.writestr(f"{root}/data/{key}", stored.content)
        archive.writestr(f"{root}/version", "3\n")
    return path


def write_old(path, saved, byteorder="little"):
    """The form before."""
    stored = storages_in(saved)
    system = {"protocol_version": 1001, "little_endian": byteorder == "little", "type_sizes": {"int": 4}}
    content = MAGIC + pickled(1001) + pickled(system) + pickled(saved) + pickled(list(stored))
    for one in stored.values():
        content += (len(one.content) // SIZES[one.kind]).to_bytes(8, byteorder) + one.content
    path.write_bytes(content)
    return path
