"""Maps that need only a network's predictions of changed pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from gradcam.perturbation.occlusion import occlusion_map as occlusion_map
    from gradcam.perturbation.rise import rise_map as rise_map
    from gradcam.perturbation.score_cam import (
        ablation_weights as ablation_weights,
        score_cam_weights as score_cam_weights,
    )
    from gradcam.perturbation.scoring import (
        Score as Score,
        in_portions as in_portions,
        masked as masked,
        mean_colour as mean_colour,
        portions as portions,
    )

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "occlusion": "occlusion_map",
        "rise": "rise_map",
        "score_cam": "ablation_weights score_cam_weights",
        "scoring": "Score in_portions masked mean_colour portions",
    },
)
