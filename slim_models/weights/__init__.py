"""Values of variables: files of every format read and written, and given to a network.

One module a format; `reading` and `writing` choose by the file. `values` is where a network's numbers come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from slim_models.weights.archives import check_claim as check_claim, check_sums as check_sums
    from slim_models.weights.assigning import (
        assign_weights as assign_weights,
        check_weights as check_weights,
        fill as fill,
        is_finite as is_finite,
        portions as portions,
    )
    from slim_models.weights.caffe_names import resnet_layer as resnet_layer
    from slim_models.weights.checkpoint import checkpoint_in as checkpoint_in
    from slim_models.weights.drawn import random_weights as random_weights
    from slim_models.weights.folding import EPSILON as EPSILON, folded as folded
    from slim_models.weights.hdf5 import open_hdf5 as open_hdf5
    from slim_models.weights.placing import put_in_place as put_in_place
    from slim_models.weights.reading import (
        check_weights_file as check_weights_file,
        evaluated_weights as evaluated_weights,
        read_npz as read_npz,
        read_weights as read_weights,
    )
    from slim_models.weights.training import (
        AVERAGE as AVERAGE,
        evaluated as evaluated,
        fitted as fitted,
    )
    from slim_models.weights.values import (
        Opened as Opened,
        Restored as Restored,
        Stored as Stored,
        check_open as check_open,
        fingerprint as fingerprint,
    )
    from slim_models.weights.writing import convert as convert, write_weights as write_weights

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "archives": "check_claim check_sums",
        "assigning": "assign_weights check_weights fill is_finite portions",
        "caffe_names": "resnet_layer",
        "checkpoint": "checkpoint_in",
        "drawn": "random_weights",
        "folding": "EPSILON folded",
        "hdf5": "open_hdf5",
        "placing": "put_in_place",
        "reading": "check_weights_file evaluated_weights read_npz read_weights",
        "training": "AVERAGE evaluated fitted",
        "values": "Opened Restored Stored check_open fingerprint",
        "writing": "convert write_weights",
    },
)
