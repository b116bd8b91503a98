"""Grad-CAM for TensorFlow static graphs: one session run of a network, turned into explanations.

Names are imported when they are first used, so that arrays can be worked on, and the command line
asked for help, without waiting for TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models import __version__ as __version__
from slim_models.lazy import lazy

if TYPE_CHECKING:
    from gradcam.boxes import box_of as box_of
    from gradcam.cams import (
        counterfactual as counterfactual,
        grad_cam as grad_cam,
        grad_cam_plus_plus as grad_cam_plus_plus,
        hires_cam as hires_cam,
        layer_cam as layer_cam,
        xgrad_cam as xgrad_cam,
    )
    from gradcam.comparison import compare as compare
    from gradcam.evaluation import Verdict as Verdict, check as check, verdicts as verdicts
    from gradcam.evaluation.datasets import read_examples as read_examples
    from gradcam.explainer import Explainer as Explainer
    from gradcam.explanation import BlankMapWarning as BlankMapWarning, Explanation as Explanation
    from gradcam.maps import guided_grad_cam as guided_grad_cam, heatmap as heatmap, overlay as overlay
    from gradcam.methods import METHODS as METHODS
    from gradcam.perturbation import occlusion_map as occlusion_map
    from gradcam.pictures import (
        SAMPLES as SAMPLES,
        Photograph as Photograph,
        fit_image as fit_image,
        read_heatmap as read_heatmap,
        read_image as read_image,
        read_photograph as read_photograph,
        read_provenance as read_provenance,
        write_png as write_png,
    )
    from gradcam.targets import (
        Difference as Difference,
        Direction as Direction,
        Opposite as Opposite,
        Region as Region,
    )
    from gradcam.terminal import quiet_tensorflow as quiet_tensorflow
    from slim_models.labels import Labels as Labels, read_labels as read_labels
    from slim_models.mistakes import Mistake as Mistake

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "boxes": "box_of",
        "cams": "counterfactual grad_cam grad_cam_plus_plus hires_cam layer_cam xgrad_cam",
        "comparison": "compare",
        "evaluation": "Verdict check verdicts",
        "evaluation.datasets": "read_examples",
        "explainer": "Explainer",
        "explanation": "BlankMapWarning Explanation",
        "maps": "guided_grad_cam heatmap overlay",
        "methods": "METHODS",
        "perturbation": "occlusion_map",
        "pictures": "SAMPLES Photograph fit_image read_heatmap read_image read_photograph read_provenance write_png",
        "targets": "Difference Direction Opposite Region",
        "terminal": "quiet_tensorflow",
        "slim_models.labels": "Labels read_labels",
        "slim_models.mistakes": "Mistake",
    },
)
