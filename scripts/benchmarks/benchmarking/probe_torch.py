"""PyTorch's part of `benchmarking.probe`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from peers.process import THREADS

torch.set_num_threads(THREADS)

_Run = Callable[[], object]


def convolution(batch: int, height: int, width: int, kernel: Sequence[int], precision: str) -> _Run:
    """One convolution, which pads, channels last."""
    rows, columns, inputs, outputs = kernel
    images = _filled([batch, inputs, height, width], precision).to(memory_format=torch.channels_last)
    weights = _filled([outputs, inputs, rows, columns], precision).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def run() -> object:
        return torch.nn.functional.conv2d(images, weights, padding=(rows // 2, columns // 2))

    return run


def product(rows: int, inner: int, columns: int, precision: str) -> _Run:
    """One product of matrices, `[rows, inner]` by `[inner, columns]`."""
    left, right = _filled([rows, inner], precision), _filled([columns, inner], precision)
    return lambda: torch.nn.functional.linear(left, right)


def total(rows: int, columns: int, precision: str) -> _Run:
    """The sum of a matrix."""
    return _filled([rows, columns], precision).sum


def _filled(shape: list[int], precision: str) -> torch.Tensor:
    return torch.full(shape, 0.5, dtype=getattr(torch, precision))
