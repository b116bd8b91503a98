"""Anybody's network: opened, understood, and made a `Network`.

`locating` opens what a user gives, `planning` understands it, with `passes` that rewrite it, `deciding` says what is
done with pixels first, `assembly` imports it again.
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
    from slim_models.loading.loader import load as load

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "inspection": "FoundTensor Inspection inspected look_at_network",
        "loader": "load",
    },
)
