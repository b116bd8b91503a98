"""Values of variables: files of every format read, written and fetched, and given to a network.

One module a format; `reading` and `writing` choose by the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from slim_models.weights.assigning import (
        assign_weights as assign_weights,
        check_weights as check_weights,
        fill as fill,
    )
    from slim_models.weights.checkpoint import checkpoint_in as checkpoint_in
    from slim_models.weights.downloading import (
        SOURCES as SOURCES,
        Source as Source,
        download as download,
        mirrored as mirrored,
    )
    from slim_models.weights.drawn import random_weights as random_weights
    from slim_models.weights.reading import read_npz as read_npz, read_weights as read_weights
    from slim_models.weights.writing import convert as convert, write_weights as write_weights

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "assigning": "assign_weights check_weights fill",
        "checkpoint": "checkpoint_in",
        "downloading": "SOURCES Source download mirrored",
        "drawn": "random_weights",
        "reading": "read_npz read_weights",
        "writing": "convert write_weights",
    },
)
