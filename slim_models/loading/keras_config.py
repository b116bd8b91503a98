"""Layers as Keras 1 and 2 wrote them down, in the words of the installed Keras: tables, and what applies them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from slim_models.mistakes import BadValue

MODELS = ("Sequential", "Functional", "Model", "Network", "Container")
IN_MEMORY = "the model must be given in memory"
WITH_CODE = "Lambda"
# What classes were called -> what they are called.
CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Convolution2DTranspose": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "FixedDropout": "Dropout",  # of the package efficientnet; the same for whatever is not trained
    "ThresholdedReLU": "ReLU",
    "Custom>CustomScaleLayer": "CustomScaleLayer",
}
# Layers of Keras' own networks, which it keeps beside them, and a network of whose module they are.
OF_NETWORKS = {
    "LayerScale": "ConvNeXtTiny",
    "StochasticDepth": "ConvNeXtTiny",
    "CustomScaleLayer": "InceptionResNetV2",
}
# One operation of each module of Keras 3's that have some.
_OPERATIONS = ("add", "relu", "cast", "top_k", "norm")
# Keras 1 had one layer for all ways of merging.
_MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
}
# What arguments were called -> what they are called. A name that the installed class takes itself is left alone:
# an ELU has its alpha, a LeakyReLU of Keras 3 a negative_slope.
_ARGUMENTS = {
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "subsample": "strides",
    "subsample_length": "strides",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "bias": "use_bias",
    "atrous_rate": "dilation_rate",
    "pool_length": "pool_size",
    "output_dim": "units",
    "p": "rate",
    "sigma": "stddev",
    "alpha": "negative_slope",
    "theta": "threshold",
}
_DATA_FORMATS = {"tf": "channels_last", "th": "channels_first", "default": None}
# Initial values are never seen: every weight is read from the file. What is for training is not needed.
_NOT_NEEDED_ENDINGS = ("_initializer", "_regularizer", "_constraint")
_NOT_NEEDED = {
    *("init", "inner_init", "forget_bias_init", "beta_init", "gamma_init"),
    *("W_regularizer", "b_regularizer", "U_regularizer", "W_constraint", "b_constraint", "U_constraint"),
    *("depthwise_init", "pointwise_init", "input_shape", "batch_input_shape", "batch_shape", "build_input_shape"),
    *("input_dim", "input_length", "input_dtype", "weights", "fused", "consume_less", "implementation"),
    *("renorm_clipping", "renorm_momentum", "virtual_batch_size", "adjustment", "output_shape", "autocast"),
    *("renorm", "experimental_autocast", "rng_type", "trainable", "query_shape", "key_shape", "value_shape"),
}
# Arguments that went away, and the values with which they meant nothing.
_WITHOUT_MEANING: Mapping[str, tuple[Any, ...]] = {
    "groups": (1, None),
    "mode": (0,),
    "ragged": (False, None),
    "sparse": (False, None),
    "time_major": (False, None),
    "dynamic": (False, None),
    "data_format": (None,),
    "keepdims": (False, None),
}


def layers_of_networks(keras: Any) -> dict[str, Any]:
    """The classes of layers that only networks of `keras.applications` have, by name, as far as there are any."""
    found = {}
    for name, network in OF_NETWORKS.items():
        builder = getattr(getattr(keras, "applications", None), network, None)
        layer = getattr(sys.modules.get(getattr(builder, "__module__", "")), name, None)
        if layer is not None:
            found[name] = layer
    return found


def with_modules_of_operations(config: Any, keras: Any) -> Any:
    """What Keras 3 left out of an HDF5 file: that `x + y` is the operation Add, and not the layer of that name.

    An operation's configuration has its name and its own arguments, a layer's also whether it is trained.

    Args:
        config: of a model, or anything in it.
        keras: the installed one.

    Returns:
        The same with `module` at each operation.
    """
    if isinstance(config, list):
        return [with_modules_of_operations(part, keras) for part in config]
    if not isinstance(config, Mapping):
        return config
    result = {key: with_modules_of_operations(value, keras) for key, value in config.items()}
    inner = config.get("config")
    if "inbound_nodes" in config and isinstance(inner, Mapping) and not {"trainable", "layers"} & inner.keys():
        samples = (getattr(keras.ops, name, None) for name in _OPERATIONS)
        modules = [module for sample in samples if (module := getattr(sample, "__module__", None)) in sys.modules]
        known = [module for module in modules if hasattr(sys.modules[module], str(config["class_name"]))]
        result |= {"module": known[0], "registered_name": None} if known and "module" not in config else {}
    return result


def class_of(entry: Mapping[str, Any]) -> str:
    """The name that the class of a layer's entry has today."""
    name = str(entry.get("class_name"))
    if name == "Merge":
        name = _MERGES.get(str(entry["config"].get("mode")), name)
    return CLASSES.get(name, name)


def name_of(entry: Mapping[str, Any]) -> str:
    """The name of a layer, as the file has it."""
    config = entry.get("config")
    name = config.get("name") if isinstance(config, Mapping) else None
    return str(entry.get("name") or name or entry.get("class_name"))


def entries_of(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The layers of a model; a Sequential of Keras 1 and early 2 is a bare list of them."""
    config = entry["config"]
    return list(config if isinstance(config, list) else config["layers"])


def shape_of(entry: Mapping[str, Any]) -> list[Any] | None:
    """Shape of what a layer, or the first layer of a model, says that it takes; None if it does not say."""
    config = entry["config"]
    if entry.get("class_name") in MODELS:
        found = next((shape for inner in entries_of(entry)[:1] if (shape := shape_of(inner))), None)
        return found or (config.get("build_input_shape") if isinstance(config, Mapping) else None)
    return config.get("batch_input_shape") or config.get("batch_shape")


def updated(entry: Mapping[str, Any], known: Collection[str], path: Any) -> dict[str, Any]:
    """The arguments of a layer, as the installed Keras takes them.

    Args:
        entry: of the layer in the file.
        known: arguments that the installed class takes by name.
        path: the file, to be named.

    Raises:
        ValueError: an argument means what no layer of today's does.
    """
    old: dict[str, Any] = dict(entry["config"])
    if entry["class_name"] == "Merge":
        axis = {"axis": old.get("concat_axis", -1)} if old.get("mode") == "concat" else {}
        return {"name": old.get("name"), **axis}
    if "nb_row" in old:
        old["kernel_size"] = [old.pop("nb_row"), old.pop("nb_col")]
    config: dict[str, Any] = {}
    for name, value in old.items():
        new = name if name in known else _ARGUMENTS.get(name, name)
        if new == "data_format":
            value = _DATA_FORMATS.get(str(value), value)
        if not _is_needed(name, new, value, known):
            continue
        config[new] = _CHANGES[new](value) if new in _CHANGES else value
    if config.get("mode") in (1, 2) and class_of(entry) == "BatchNormalization":
        raise BadValue(
            f"{path} has the layer {name_of(entry)!r}, a BatchNormalization with mode={config['mode']} of Keras 1, "
            f"which later ones do not have: {IN_MEMORY}"
        )
    return config


def _is_needed(name: str, new: str, value: Any, known: Collection[str]) -> bool:
    if name.endswith(_NOT_NEEDED_ENDINGS) or (name in _NOT_NEEDED and name not in known):
        return False
    if value is None and new not in known:
        return False
    if new in _WITHOUT_MEANING and value in _WITHOUT_MEANING[new]:
        return new in known and value is not None
    return True


def _dtype(value: Any) -> Any:
    """The name of a policy; a mixed one has its variables in float32, in which all is computed here."""
    if isinstance(value, Mapping):
        value = value.get("config", {}).get("name")
    return "float32" if value is None or str(value).startswith("mixed") else value


def _axis(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def _padding(value: Any) -> Any:
    """Zeros or cropping by sides: Keras 1 had them as a dictionary, or as four numbers."""
    if isinstance(value, Mapping):
        value = [value.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
    if isinstance(value, list) and len(value) == 4:
        return [value[:2], value[2:]]
    return value


_CHANGES = {"dtype": _dtype, "axis": _axis, "padding": _padding}


def activation_name(value: Any) -> Any:
    """The bare name of an activation: it was a name, a name with its module, or a dictionary of these."""
    if isinstance(value, Mapping):
        config = value.get("config")
        value = config if isinstance(config, str) else value.get("class_name")
    return str(value).replace(">", ".").rpartition(".")[2]


def mappings_in(config: Any) -> Iterator[Mapping[str, Any]]:
    """All that is a mapping in a configuration: models, layers and what they are made with."""
    parts = [config]
    while parts:
        part = parts.pop()
        parts.extend(part if isinstance(part, list) else part.values() if isinstance(part, Mapping) else ())
        if isinstance(part, Mapping):
            yield part


def under_all_names(config: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Objects of the user's own, also by the names with a package that a file has for them: `theirs>Scaled`.

    Args:
        config: of a model.
        given: class or function by its name.
    """
    found = dict(given)
    for part in mappings_in(config):
        name = part.get("registered_name")
        if isinstance(name, str) and name.rpartition(">")[2] in given:
            found.setdefault(name, given[name.rpartition(">")[2]])
    return found
