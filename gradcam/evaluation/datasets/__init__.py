"""Data sets as `Example`s: pictures with classes and boxes, whatever wrote the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from gradcam.evaluation.datasets.example import Example as Example
    from gradcam.evaluation.datasets.examples import check_data as check_data, read_examples as read_examples

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "example": "Example",
        "examples": "check_data read_examples",
    },
)
