"""What the training does at each share of its way."""

from __future__ import annotations

import dataclasses
import math
import re

from slim_models.mistakes import BadValue


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Sizes of pictures and the learning rate, by the share, 0 to 1, of the way that lies behind.

    Attributes:
        stages: size of the pictures in pixels and epochs, in order.
        peak: the highest learning rate.
        hours: what the whole may take; the epochs of the stages are then shares of that time. None: as many epochs as
            the stages have.
    """

    stages: tuple[tuple[int, int], ...]
    peak: float
    hours: float | None = None

    def __post_init__(self) -> None:
        if self.hours is not None and not self.hours > 0:
            raise BadValue(f"--hours must be more than 0, not {self.hours!r}")
        if not self.epochs:
            raise BadValue("--sizes has no epoch")

    @property
    def epochs(self) -> int:
        return sum(epochs for _, epochs in self.stages)

    def share(self, epochs: float, seconds: float) -> float:
        """The share of the way after so many epochs, which took so many seconds."""
        return min(1.0, epochs / self.epochs if self.hours is None else seconds / (3600 * self.hours))

    def size(self, share: float) -> int:
        """Of the pictures."""
        sizes = [size for size, epochs in self.stages for _ in range(epochs)]
        return sizes[min(int(share * self.epochs + 1e-9), self.epochs - 1)]

    def rate(self, share: float) -> float:
        """An epoch of linear warm-up, then a cosine to zero (Loshchilov & Hutter 2017)."""
        epoch = share * self.epochs
        if epoch < 1:
            return self.peak * epoch
        return self.peak * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / max(1, self.epochs - 1)))


def kept(share: float) -> float:
    """What is left of a disturbance at a share of the way: all of it for two thirds, then ever less, at the end none.

    So the stored statistics of batch norm become those of what is not disturbed.
    """
    return min(1.0, 3 * (1 - share))


def read_stages(text: str) -> tuple[tuple[int, int], ...]:
    """`"64x14,96x9"` -> `((64, 14), (96, 9))`."""
    stages = re.findall(r"(\d+)x(\d+)", text)
    if ",".join("x".join(stage) for stage in stages) != text:
        raise BadValue(f"--sizes is PIXELSxEPOCHS,PIXELSxEPOCHS,..., not {text!r}")
    return tuple((int(size), int(epochs)) for size, epochs in stages)
