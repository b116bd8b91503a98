"""Deprecated: what was here is in `slim_models.weights`."""

import warnings

from slim_models.weights import download, mirrored

__all__ = ["download", "mirrored"]

warnings.warn("slim_models.downloads is slim_models.weights now", DeprecationWarning, stacklevel=2)
