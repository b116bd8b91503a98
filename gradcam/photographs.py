"""Deprecated: what was here is in `gradcam.pictures`."""

import warnings

from gradcam.pictures import Photograph, expand, read_photograph

__all__ = ["Photograph", "expand", "read_photograph"]

warnings.warn("gradcam.photographs is gradcam.pictures now", DeprecationWarning, stacklevel=2)
