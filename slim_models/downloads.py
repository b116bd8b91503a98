"""Deprecated: what was here is in `slim_models.downloading`."""

import warnings

from slim_models.downloading import download, mirrored

__all__ = ["download", "mirrored"]

warnings.warn("slim_models.downloads is slim_models.downloading now", DeprecationWarning, stacklevel=2)
