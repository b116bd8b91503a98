"""Deprecated: what was here is in `gradcam.pictures`."""

import warnings

from gradcam.pictures import write_npz, write_png

__all__ = ["write_npz", "write_png"]

warnings.warn("gradcam.writing is gradcam.pictures now", DeprecationWarning, stacklevel=2)
