"""PyTorch's state dicts (`.pth`, `.pt`, `.bin`), read without PyTorch and without trusting the file; safetensors."""

from __future__ import annotations

import io
import math
import operator
import os
import pathlib
import pickle
import pickletools
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

from slim_models.memory import freeze, read_numbers
from slim_models.mistakes import BadValue
from slim_models.weights.opcodes import check_opcodes

_MAGIC = 0x1950A86A20F9469CFC6C  # begins a file of the form before zip
_DTYPES = {"Double": "f8", "Float": "f4", "Half": "f2", "BFloat16": "u2"}
_DTYPES |= {"Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "?"}
_DTYPES = {f"{kind}Storage": dtype for kind, dtype in _DTYPES.items()}
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "params", "weights")
_PREFIX = re.compile(r"(module|model|state_dict|_orig_mod)\.")


def read_pytorch(path: pathlib.Path) -> dict[str, Any]:
    """Reads what `torch.save(model.state_dict(), path)` wrote, in the form of a zip archive or the one before it.

    Args:
        path: of the file. A checkpoint with the state dict inside, as `state_dict` or `model`, is opened, and what
            stands before every name (`module.`, `model.`) taken off.

    Returns:
        PyTorch's own names -> arrays as they are in the file, read-only; bfloat16 as float32.

    Raises:
        ValueError: it is no state dict, names anything else than arrays of numbers, or claims more than it holds.
            Nothing of it has been executed. `pickle` and `zipfile` raise nearly anything for a damaged one.
    """
    with _Bounded(io.FileIO(path)) as file:
        read = _read_zip if file.peek(4).startswith(b"PK") else _read_old
        saved, storages = read(file)
    return {
        name: value.array(storages) if isinstance(value, _Tensor) else value
        for name, value in _state_dict(saved).items()
    }


def read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads a `.safetensors` file: arrays by name, bfloat16 as float32; what is before every name is taken off.

    Raises:
        safetensors.SafetensorError: it is none.
    """
    from safetensors import deserialize, safe_open

    weights, halves = {}, set()
    with safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118 - it is no dictionary
            if file.get_slice(name).get_dtype() == "BF16":  # which NumPy has no name for
                halves.add(name)
            else:
                weights[name] = file.get_tensor(name)
    if halves:
        for name, part in deserialize(path.read_bytes()):
            if name in halves:
                weights[name] = _widened(np.frombuffer(part["data"], "<u2")).reshape(part["shape"])
    return _without_prefixes(weights)


class _Bounded(io.BufferedReader):
    """A file that never sets aside memory for more than it holds."""

    def left(self) -> int:
        """Bytes from here to the end."""
        return os.fstat(self.fileno()).st_size - self.tell()

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > self.left():
            raise EOFError("it ends in the middle of an object: truncated")
        return super().read(size)


def _state_dict(saved: Any) -> Mapping[str, Any]:
    """The dictionary of tensors in what was saved: itself, or one inside by a usual name."""
    for _ in range(4):  # {"model": {"state_dict": {...}}}
        if not isinstance(saved, dict):
            raise BadValue(f"it holds {type(saved).__name__.strip('_')}, not a state dict")
        if any(isinstance(value, _Tensor) for value in saved.values()):
            break
        inner = next((saved[key] for key in _WRAPPERS if isinstance(saved.get(key), dict)), None)
        if inner is None:
            raise BadValue("it holds a dictionary without arrays, not a state dict")
        saved = inner
    if not all(isinstance(name, str) for name in saved):
        raise BadValue("it holds a dictionary whose keys are no names, not a state dict")
    return _without_prefixes(saved)


def _without_prefixes(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Without what wrappers of a network put before every name, which says nothing of the network."""
    while (match := _PREFIX.match(next(iter(weights), ""))) and all(name.startswith(match[0]) for name in weights):
        weights = {name.removeprefix(match[0]): value for name, value in weights.items()}
    return dict(weights)


class _Storage(NamedTuple):
    """What a pickle says of a run of numbers: its key in the file, its kind and how many there are."""

    key: str
    kind: str
    length: int


class _Tensor:
    """What a pickle says of a tensor: a view of a storage, from `offset` on, in steps of `strides` numbers."""

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any):
        numbers = (offset, *shape, *strides)
        if not isinstance(storage, _Storage) or len(shape) != len(strides):
            raise pickle.UnpicklingError("a tensor without numbers")
        if not all(type(number) is int and 0 <= number < 2**48 for number in numbers):
            raise pickle.UnpicklingError("a tensor whose shape or strides are no numbers")
        last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides))
        if math.prod(shape) and max(last + 1, math.prod(shape)) > storage.length:
            raise pickle.UnpicklingError(f"a tensor {list(shape)} that is larger than its {storage.length} numbers")
        self.storage, self.offset, self.shape, self.strides = storage, offset, tuple(shape), tuple(strides)

    def array(self, storages: Mapping[str, np.ndarray]) -> np.ndarray:
        """The tensor, as a view of what the file holds."""
        numbers = storages[self.storage.key]
        if not math.prod(self.shape):
            return np.zeros(self.shape, numbers.dtype)
        strides = [stride * numbers.itemsize for stride in self.strides]
        return np.ndarray(self.shape, numbers.dtype, numbers, self.offset * numbers.itemsize, strides)


class _Dictionary(dict):
    """`collections.OrderedDict`, whose attributes (`_metadata`, the versions of PyTorch's layers) are of no use."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Ignored:
    """What checkpoints hold beside arrays, such as the flags of the training; nothing is known of it."""

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


_ADMITTED: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): _Dictionary,
    ("torch._utils", "_rebuild_tensor"): _Tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    ("torch", "Size"): lambda sizes: tuple(map(operator.index, sizes)),
    ("torch.nn.parameter", "Parameter"): lambda tensor, *_: tensor,
    ("torch", "device"): _Ignored,
    ("argparse", "Namespace"): _Ignored,
    ("numpy.core.multiarray", "scalar"): _Ignored,
    ("numpy", "dtype"): _Ignored,
    ("_codecs", "encode"): _Ignored,
}


class _TensorsUnpickler(pickle.Unpickler):
    """Admits the names that a dictionary of tensors needs, and no others; each stands for a record of this module."""

    def __init__(self, content: bytes):
        super().__init__(io.BytesIO(content), encoding="latin1")
        self.storages: dict[str, _Storage] = {}
        self.views: dict[str, tuple[str, int]] = {}  # key of a part of a storage -> that storage's, first number

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage", "torch.cuda") and name in _DTYPES:
            return name
        key = (module.replace("numpy._core.", "numpy.core."), name)
        if key not in _ADMITTED:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which is no array of numbers; refused. Of a whole model, save its "
                "state_dict() instead"
            )
        return _ADMITTED[key]

    def persistent_load(self, given: Any) -> _Storage:
        word, kind, key, _, count, *view = given
        if word != "storage" or kind not in _DTYPES or not isinstance(key, str) or type(count) is not int or count < 0:
            raise pickle.UnpicklingError("a storage that is none")
        if view and view[0] is not None:
            part, offset, length = view[0]
            if not isinstance(part, str) or type(offset) is not int or not 0 <= offset <= offset + length <= count:
                raise pickle.UnpicklingError("a part of a storage that is none")
            self._add(_Storage(key, kind, count))
            self.views[part] = key, offset
            return _Storage(part, kind, length)
        return self._add(_Storage(key, kind, count))

    def _add(self, storage: _Storage) -> _Storage:
        if self.storages.setdefault(storage.key, storage) != storage:
            raise pickle.UnpicklingError(f"two storages {storage.key!r}")
        return storage


def _scanned(file: IO[bytes]) -> bytes:
    """The next pickle in the file, whose lengths all lie inside of it: the unpickler itself would believe them."""
    start = file.tell()
    check_opcodes(pickletools.genops(file))
    end = file.tell()
    file.seek(start)
    return file.read(end - start)


def _read_zip(file: _Bounded) -> tuple[Any, dict[str, np.ndarray]]:
    """What was saved, and its storages: `NAME/data.pkl` and `NAME/data/KEY`, stored as they are."""
    size = file.left()
    with zipfile.ZipFile(file) as archive:
        infos = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        if "data.pkl" not in infos:
            raise BadValue("it is a zip archive without a data.pkl")
        if any(info.compress_type or info.flag_bits & 1 for info in infos.values()):
            raise BadValue("its parts are compressed, which PyTorch's are not")
        if sum(info.file_size for info in archive.infolist()) > size:
            raise BadValue("its parts claim to be larger than the file")
        order = archive.read(infos["byteorder"]).decode() if "byteorder" in infos else "little"
        unpickler = _TensorsUnpickler(_scanned(io.BytesIO(archive.read(infos["data.pkl"]))))
        saved = unpickler.load()
        storages = {}
        for storage in unpickler.storages.values():
            info = infos.get(f"data/{storage.key}")
            if info is None or info.file_size != storage.length * _size(storage):
                raise BadValue(f"storage {storage.key!r} does not hold the {storage.length} numbers that it claims")
            with archive.open(info) as part:
                storages[storage.key] = _numbers(part, storage, order)
    return saved, storages


def _read_old(file: _Bounded) -> tuple[Any, dict[str, np.ndarray]]:
    """The form before zip: a magic number, a version, the system, what was saved, keys, and then the storages."""
    magic, version, system = (_TensorsUnpickler(_scanned(file)).load() for _ in range(3))
    if magic != _MAGIC or version != 1001 or not isinstance(system, dict):
        raise BadValue("it is a pickle, but none that PyTorch wrote")
    order = "little" if system.get("little_endian", True) else "big"
    unpickler = _TensorsUnpickler(_scanned(file))
    saved = unpickler.load()
    keys = _TensorsUnpickler(_scanned(file)).load()
    storages: dict[str, np.ndarray] = {}
    for storage in _in_order(keys, unpickler.storages):
        count = int.from_bytes(file.read(8), order)  # type: ignore[arg-type]
        if count != storage.length or count * _size(storage) > file.left():
            raise BadValue(f"storage {storage.key!r} does not hold the {storage.length} numbers that it claims")
        storages[storage.key] = _numbers(file, storage, order)
    return saved, storages | {part: storages[key][first:] for part, (key, first) in unpickler.views.items()}


def _in_order(keys: Any, storages: Mapping[str, _Storage]) -> Iterator[_Storage]:
    """The storages as they follow each other in the file."""
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise BadValue("its list of storages is not that of its arrays")
    return (storages[key] for key in keys)


def _size(storage: _Storage) -> int:
    return np.dtype(_DTYPES[storage.kind]).itemsize


def _numbers(file: IO[bytes], storage: _Storage, order: str) -> np.ndarray:
    """The next numbers in the file, `[count]`, in memory that a variable can take over."""
    dtype = np.dtype(_DTYPES[storage.kind]).newbyteorder(">" if order == "big" else "<")
    numbers = read_numbers(file, dtype, storage.length)
    if storage.kind == "BFloat16Storage":
        numbers = _widened(numbers)
    return freeze(numbers.astype(numbers.dtype.newbyteorder("="), copy=False))


def _widened(halves: np.ndarray) -> np.ndarray:
    """Float32 numbers, of whose four bytes bfloat16 has the upper two."""
    return (halves.astype(np.uint32) << 16).view(np.float32)
