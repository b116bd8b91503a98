"""Anybody's network: opened, understood, and made a `Network`.

`originals` opens what TensorFlow and Keras write, `finding` and `evidence` understand it, `passes` rewrite it,
`assembly` imports it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from slim_models.loading.inspection import (
        FoundTensor as FoundTensor,
        Inspection as Inspection,
        inspected as inspected,
        look_at_network as look_at_network,
    )
    from slim_models.loading.loader import exists as exists, load as load

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "inspection": "FoundTensor Inspection inspected look_at_network",
        "loader": "exists load",
    },
)
