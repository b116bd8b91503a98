"""The networks of this project: the catalogue, and how each is built.

`build` makes one in a graph of its own; what it does to pixels first is in `preprocessing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from slim_models.builders.building import (
        build as build,
        build_for as build_for,
    )
    from slim_models.builders.catalogue import (
        DEFAULT_NETWORK as DEFAULT_NETWORK,
        NETWORKS as NETWORKS,
        Architecture as Architecture,
        architecture as architecture,
        find_weights as find_weights,
    )
    from slim_models.builders.preprocessing import (
        GREY_PREPROCESSINGS as GREY_PREPROCESSINGS,
        PREPROCESSINGS as PREPROCESSINGS,
        RGB_MEAN as RGB_MEAN,
        Affine as Affine,
        Preprocessing as Preprocessing,
        channels_of as channels_of,
        example_for as example_for,
        grey as grey,
        in_words as in_words,
        order_of as order_of,
        prepared as prepared,
        preprocessing_for as preprocessing_for,
    )

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "building": "build build_for",
        "catalogue": "DEFAULT_NETWORK NETWORKS Architecture architecture find_weights",
        "preprocessing": "GREY_PREPROCESSINGS PREPROCESSINGS RGB_MEAN Affine Preprocessing channels_of example_for "
        "grey in_words order_of prepared preprocessing_for",
    },
)
