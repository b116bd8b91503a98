"""Layers of a Keras file may claim any size: they are made only if the file has as many numbers for their weights.

Keras fills variables as it makes them, which would take all memory before it is found out that they have no values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from slim_models.loading.keras_config import mappings_in, name_of
from slim_models.mistakes import BadValue

_PACKED = 4  # numbers in the place of one, at most, where a model is quantized


def numbers_in(file: Any) -> int:
    """How many numbers the arrays of an open HDF5 file have."""
    sizes: list[int] = []
    file.visititems(lambda name, item: sizes.append(int(getattr(item, "size", 0) or 0)))
    return sum(sizes)


def check_claims(config: Any, numbers: int, path: Any) -> None:
    """Whether there are numbers for the layers of a model of Keras 3, which says what each is built for.

    Args:
        config: of the model, or anything in it.
        numbers: that there are.
        path: the file, to be named.

    Raises:
        ValueError: there are not.
    """
    for entry in mappings_in(config):
        if "class_name" not in entry:
            continue
        built = entry.get("build_config")
        shape = built.get("input_shape") if isinstance(built, Mapping) else None
        check_claim_of(entry, shape if isinstance(shape, list) else None, numbers, path)


def check_claim_of(entry: Mapping[str, Any], shape: Sequence[Any] | None, numbers: int, path: Any) -> None:
    """Whether there are numbers for one layer.

    Args:
        entry: of the layer in the file.
        shape: of what it is called on, with the batch's size; None if that is not known.
        numbers: that there are.
        path: the file, to be named.

    Raises:
        ValueError: there are not.
    """
    claimed = _least(entry.get("config"), shape)
    if claimed > _PACKED * numbers:
        raise BadValue(
            f"{path} has the layer {name_of(entry)!r} of {claimed:,} numbers or more, and there are {numbers:,} for all"
        )


def _least(config: Any, shape: Sequence[Any] | None) -> int:
    """How many numbers the weights of a layer have at least, by its sizes."""
    if not isinstance(config, Mapping):
        return 0
    units = max((_number(config, name) for name in ("units", "filters", "nb_filter", "output_dim")), default=0)
    if "input_dim" in config and "output_dim" in config:  # an Embedding's, and a Dense's of Keras 1
        return units * max(1, _number(config, "input_dim"))
    units = units or _number(config, "key_dim") * max(1, _number(config, "num_heads"))
    first = config.get("data_format") == "channels_first" or config.get("dim_ordering") == "th"
    channels = shape[1 if first else -1] if shape is not None and len(shape) > 1 else 1
    channels = channels if isinstance(channels, int) else 1
    sides = config.get("kernel_size") or [config.get("nb_row"), config.get("nb_col")]
    sides = sides if isinstance(sides, (list, tuple)) else [sides]
    kernel = math.prod(side for side in sides if isinstance(side, int) and side > 0)
    groups = max(1, _number(config, "groups"))
    return units * max(1, kernel * channels // groups) if "depth_multiplier" not in config else units


def _number(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    return value if isinstance(value, int) and value > 0 else 0
