"""Grad-CAM for TensorFlow static graphs: one session run of a network, turned into explanations.

Names are imported when they are first used, so that arrays can be worked on, and the command line
asked for help, without waiting for TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Explainer": "explainer",
    "Explanation": "explanation",
    "Labels": "labels",
    "METHODS": "cams",
    "SAMPLES": "samples",
    "box_of": "boxes",
    "compare": "comparison",
    "counterfactual": "cams",
    "fit_image": "fitting",
    "grad_cam": "cams",
    "grad_cam_plus_plus": "cams",
    "guided_grad_cam": "maps",
    "heatmap": "maps",
    "hires_cam": "cams",
    "layer_cam": "cams",
    "occlusion_map": "occlusion",
    "overlay": "maps",
    "read_examples": "examples",
    "read_image": "images",
    "read_labels": "labels",
    "xgrad_cam": "cams",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gradcam' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gradcam.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
