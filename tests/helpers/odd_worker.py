"""A preload of Dask workers that are not as they should be, in a way that the variable ODD names."""

import os

VERSIONS = {"gradcam": "1", "tensorflow": "2"}


def doubling():
    """What a job makes, without a network."""
    return double, {"versions": VERSIONS, **dict.fromkeys(("network", "weights", "preprocessing", "precision"))}


def double(part):
    if os.environ.get("ODD") == "mortal":
        os._exit(1)
    return 2 * part


def dask_setup(worker):
    if os.environ["ODD"] == "version":
        import tensorflow.compat.v1 as tf

        tf.__version__ = "2.0.0"
    if os.environ["ODD"] == "disk":
        from gradcam.evaluation.datasets.reading import InFile
        from slim_models.mistakes import BadValue

        def damaged(self):
            raise BadValue(f"{self.path} is damaged or truncated")

        InFile.__call__ = damaged
