"""Deprecated: what was here is in `slim_models.labels`."""

import warnings

from slim_models.labels import Labels, class_index, class_indices, class_name, read_labels

__all__ = ["Labels", "class_index", "class_indices", "class_name", "read_labels"]

warnings.warn("gradcam.labels is slim_models.labels now", DeprecationWarning, stacklevel=2)
