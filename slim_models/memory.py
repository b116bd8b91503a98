"""Memory that TensorFlow takes over as it is: what is fed is copied unless it begins at a multiple of 64 bytes."""

from __future__ import annotations

import concurrent.futures
import math
import mmap
import os
from typing import IO

import numpy as np

_ALIGNMENT = 64  # bytes; TensorFlow asks for this with AVX-512, and for a divisor of it without
_PAGE, _PORTION = 2**12, 2**24  # bytes: of memory, no more than systems hand out at a time; of one thread's turn


def aligned_bytes(size: int) -> np.ndarray:
    """Memory of any content: uint8 `[size]`.

    Much memory is asked for by several threads at once: a virtual machine can take longer to hand it out, page by
    page as it is first written to, than to fill it from a file. NumPy would ask Linux for pages of 2 MB, which a
    machine that lends to others what is free has to fetch back: 1.5 s for a VGG16, and 0.2 for pages of 4 KB.
    """
    if size <= _PORTION:
        memory = np.empty(size + _ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        return memory[start : start + size]
    memory = np.frombuffer(mmap.mmap(-1, size, access=mmap.ACCESS_COPY), np.uint8)
    portions = [memory[first : first + _PORTION] for first in range(0, size, _PORTION)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_touch, portions))
    return memory


def aligned_array(shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
    """An array of any content in such memory."""
    dtype = np.dtype(dtype)
    return aligned_bytes(math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape)


def _touch(memory: np.ndarray) -> None:
    memory[::_PAGE] = 0


def read_numbers(file: IO[bytes], dtype: np.dtype, count: int) -> np.ndarray:
    """The next numbers of a file, `[count]`, read-only.

    Args:
        file: open; it has to have so many bytes, or to be known to claim no more than is there.
        dtype: of the numbers.
        count: how many.

    Raises:
        EOFError: it ends before.
    """
    content = aligned_bytes(count * dtype.itemsize)
    rest = content.data
    while rest:  # a member of an archive makes bytes of all that it is asked for
        got = file.readinto(rest[:_PORTION])  # type: ignore[attr-defined]
        if not got:
            raise EOFError("it ends in the middle of an array: truncated")
        rest = rest[got:]
    return freeze(content.view(dtype))


def freeze(array: np.ndarray) -> np.ndarray:
    """The same array, read-only for good: what it is a view of is read-only too."""
    for part in (array, array.base):
        if isinstance(part, np.ndarray):
            part.flags.writeable = False
    return array


def lasting(array: np.ndarray, dtype: np.typing.DTypeLike) -> np.ndarray:
    """The values for good: a variable that is fed with them may go on reading this very memory.

    Args:
        array: of numbers.
        dtype: of the result.

    Returns:
        The array if it has the type and nobody can write into it, or a frozen, aligned copy.
    """
    array = np.asarray(array)
    owner = array.base if isinstance(array.base, np.ndarray) else array
    if array.dtype == dtype and not array.flags.writeable and not owner.flags.writeable:
        return array
    copy = aligned_array(array.shape, dtype)
    copy[...] = array
    return freeze(copy)
