"""Maps that need only a network's predictions of changed pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from gradcam.perturbation.occlusion import occlusion_map as occlusion_map

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "occlusion": "occlusion_map",
    },
)
