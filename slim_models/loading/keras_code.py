"""What of a Keras file runs code: it is refused, unless the file is trusted or what it computes is given."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import Any

from slim_models.loading.keras_config import IN_MEMORY, OF_NETWORKS, WITH_CODE, mappings_in, name_of
from slim_models.mistakes import BadValue
from slim_models.running import shortened

_LONGEST = 100  # letters of a name
# Layers of Keras' own that run what is in a file, or read other files that it names.
_WITH_CODE = (
    *("Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"),
    *("StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"),
)
# Where in Keras a model's parts are; its other rooms unpack archives, download, read files and change settings.
_ROOMS = {
    *("layers", "models", "engine", "ops", "activations", "initializers", "regularizers", "constraints", "quantizers"),
    *("losses", "metrics", "optimizers", "dtype_policies", "mixed_precision", "random"),
}
_PACKAGES = ("src", "api", "_tf_keras", "keras", "legacy")  # names in modules' names that say nothing
# TensorFlow's, which Keras 2's EfficientNetV2 has.
_INITIALIZERS = ("Constant", "Zeros", "Ones", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling")


def lambdas_of(config: Any) -> list[str]:
    """The names of a model's Lambdas, or of anything in it."""
    return [name_of(part) for part in mappings_in(config) if part.get("class_name") == WITH_CODE]


def refuse_code(
    config: Any, path: Any, registered: Callable[[str], Any], functions: Mapping[str, Any] | None = None
) -> None:
    """Nothing that a file brings along is executed: no Lambda, nothing out of a module that is not Keras'.

    Args:
        config: of a model, or anything in it.
        path: the file, to be named.
        registered: the class that the user has made known to Keras under a name, or None.
        functions: what Lambdas compute, by their names: their code is not looked at. None if none can be given.

    Raises:
        ValueError: there is such a layer; the message names it and its class.
    """
    # How the model itself is trained is never built; how a model in it is, Keras would build.
    parts = [{**config, "compile_config": None} if isinstance(config, Mapping) else config]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts.extend(part)
        elif isinstance(part, Mapping):
            if part.get("class_name") == WITH_CODE and name_of(part) in (functions or {}):
                parts.extend(value for key, value in part.items() if key != "config")
                continue
            parts.extend(part.values())
            if "class_name" in part and _is_foreign(part, registered):
                raise BadValue(custom_layer(part, path, functions is not None))


def custom_layer(entry: Mapping[str, Any], path: Any, by_name: bool = False) -> str:
    """The sentence about a layer that no file can be trusted with; `by_name`: a Lambda's function can be given."""
    # Of a damaged file they may be anything, the whole model too.
    layer = f"{path} has the layer {shortened(name_of(entry), _LONGEST)!r}"
    name = shortened(str(entry["class_name"]), _LONGEST)
    if _plain(name) in (WITH_CODE, "__lambda__"):
        given = f"{given_by_name(entry)}, " if by_name else ""
        return (
            f"{layer}, a Lambda: Python code in the file, which could do anything, and nothing of a file is executed "
            f"unless it is trusted: give the model in memory, {given}or, if you trust where the file comes from, "
            "trusted=True (--trusted)"
        )
    if _plain(name) in _WITH_CODE:
        return (
            f"{layer} of the class {name}, which runs code or reads files that this file names, and nothing of a file "
            f"is executed unless it is trusted: {IN_MEMORY}, or, if you trust where the file comes from, trusted=True "
            "(--trusted)"
        )
    return (
        f"{layer} of the class {name}, which is not Keras' own, and nothing of a file is executed: {IN_MEMORY}, or the "
        f"class as custom_objects={{{name!r}: {name.rpartition('>')[2]}}} (in Python)"
    )


def given_by_name(entry: Mapping[str, Any]) -> str:
    """How what a Lambda computes can be given, in words."""
    name = shortened(name_of(entry), _LONGEST)
    return f"or what it computes as custom_objects={{{name!r}: lambda x: ...}} (in Python)"


def _is_foreign(entry: Mapping[str, Any], registered: Callable[[str], Any]) -> bool:
    name = str(entry["class_name"])
    if _plain(name) in _WITH_CODE:
        return True
    if any(registered(str(entry[key])) is not None for key in ("registered_name", "class_name") if entry.get(key)):
        return False
    module = str(entry.get("module") or "keras")
    if module.startswith("tensorflow.python.ops.init_ops"):
        return name not in _INITIALIZERS
    # Of a function the name is elsewhere; and either name may have a part of the module's in front.
    named = str(entry.get("config")) if name == "function" else name
    root, *rooms = f"{module}.{named}".split(".")[:-1]
    if root == "builtins":  # Keras looks for functions among its own first
        return name != "function" or bool(rooms) or hasattr(builtins, named)
    rooms = [room for room in rooms if room not in _PACKAGES]
    if rooms[:1] == ["applications"]:
        return name not in OF_NETWORKS
    return root not in ("keras", "tf_keras") or (bool(rooms[:1]) and rooms[0] not in _ROOMS)


def _plain(name: str) -> str:
    """The name of a class without what it is in: `layers.Dense`, `Custom>Scaled`."""
    return name.replace(">", ".").rpartition(".")[2]
