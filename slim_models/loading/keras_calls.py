"""What Keras models are called on and what they give: its shapes, its structure and its names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.mistakes import BadValue

Arguments = tuple[list[Any], dict[str, Any]]  # as a model is called, with a tf.TensorSpec for every tensor


def called_with(model: Any, name: str, size: tuple[int, int] | None) -> Arguments:
    """What a model takes, as far as it knows itself.

    Args:
        model: functional, Sequential or subclassed.
        name: what to call it in errors.
        size: height and width for a model that is not built.

    Raises:
        ValueError: nobody knows, or the model was built in a graph.
    """
    given = _symbolic(model, "input")
    if given is not None:
        return [_mapped(given, lambda tensor, path: _of_symbolic(tensor, path, name))], {}
    saved = model.save_spec() if hasattr(model, "save_spec") else None  # of Keras 2; with every argument
    if saved is not None:
        args, kwargs = saved
        names = _parameters(model)
        named = [_mapped(spec, _named_spec, (name,)) for spec, name in zip(args, names)]
        return named, _mapped(dict(kwargs), _named_spec)
    shapes = _shapes_built_with(model)
    if shapes is not None:
        return shapes
    if size is None:
        raise BadValue(
            f"the Keras model {name} is not built, or does not know for what: call it on a picture of the right size, "
            "or give the height and width as image_size"
        )
    return [_spec([None, *_picture(model, size)], _parameters(model)[0])], {}


def _parameters(model: Any) -> list[str]:
    """What the `call` of a subclassed model calls its arguments."""
    parameters = inspect.signature(model.call).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    return names or ["images"]


def _symbolic(model: Any, kind: str) -> Any:
    """The symbolic `"input"` or `"output"` of a functional model or a Sequential, in its structure; None of others."""
    inner = getattr(model, "_functional", None) or model  # Keras 3's Sequential has one inside
    try:
        several = getattr(inner, f"{kind}s", None)
    except (AttributeError, ValueError):  # of a Sequential that is not built
        return None
    if not several:
        return None
    try:
        found = getattr(inner, kind)
    except (AttributeError, ValueError, RuntimeError):
        found = None
    return found if found is not None else several


def _of_symbolic(tensor: Any, path: Sequence[Any], model: str) -> Any:
    if isinstance(tensor, tf.Tensor):
        raise BadValue(
            f"the Keras model {model} was built in a graph of TensorFlow 1: give the session that has its values, with "
            "the names of its input and output as images and logits"
        )
    # A number of pictures that the model fixes is freed later, where that can be proved.
    return _spec([*tensor.shape], str(path[-1]) if path and isinstance(path[-1], str) else tensor.name, tensor.dtype)


def _shapes_built_with(model: Any) -> Arguments | None:
    """Keras 3's record of the shapes of what a model was first called on."""
    config = model.get_build_config() if hasattr(model, "get_build_config") else None
    if not isinstance(config, Mapping):
        return None
    shapes = config.get("shapes_dict")
    if isinstance(shapes, Mapping) and all(key.endswith("_shape") for key in shapes):
        return [], {(key := word.removesuffix("_shape")): _shaped(shape, key) for word, shape in shapes.items()}
    shape = config.get("input_shape")
    return None if shape is None else ([_shaped(shape, _parameters(model)[0])], {})


def _shaped(shape: Any, name: str) -> Any:
    """Specs for a shape, or for a structure of shapes, of whatever number of pictures."""
    if isinstance(shape, Mapping):
        return {key: _shaped(inner, str(key)) for key, inner in shape.items()}
    if all(size is None or isinstance(size, int) for size in shape):
        return _spec([None, *list(shape)[1:]], name)
    return [_shaped(inner, f"{name}_{number}") for number, inner in enumerate(shape)]


def _named_spec(spec: Any, path: Sequence[Any]) -> Any:
    """Under its key in a dictionary, or that and its place in a list."""
    last = max(place for place, part in enumerate(path) if isinstance(part, str))
    return _spec([*spec.shape], "_".join(str(part) for part in path[last:]), spec.dtype)


def _spec(shape: Sequence[int | None], name: str, dtype: Any = "float32") -> Any:
    import tensorflow

    plain = re.sub(r"[^A-Za-z0-9_.]", "_", name.split(":")[0])
    return tensorflow.TensorSpec(shape, dtype, name=plain if plain[:1].isalnum() else f"input{plain}")


def _picture(model: Any, size: tuple[int, int]) -> list[int]:
    """The shape of a picture, in colour unless the first layer that says anything says otherwise."""
    for layer in model.layers:
        axes: Mapping[int, int] = {}
        for spec in _several(getattr(layer, "input_spec", None)):
            axes = getattr(spec, "axes", None) or axes
        if getattr(layer, "data_format", None) == "channels_first":
            return [axes.get(1, 3), *size]
        if axes or getattr(layer, "data_format", None):
            return [*size, axes.get(-1) or axes.get(3) or 3]
    return [*size, 3]


def _several(given: Any) -> Sequence[Any]:
    if isinstance(given, Mapping):
        return list(given.values())
    return given if isinstance(given, (list, tuple)) else [given]


def _mapped(structure: Any, change: Any, path: tuple[Any, ...] = ()) -> Any:
    """A structure of lists and dictionaries with every tensor changed; `change` is told where it is too."""
    if isinstance(structure, Mapping):
        return {key: _mapped(inner, change, (*path, key)) for key, inner in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_mapped(inner, change, (*path, number)) for number, inner in enumerate(structure)]
    return change(structure, path)


def input_names(arguments: Arguments) -> list[str]:
    """What the inputs of a model are called, in the order in which TensorFlow flattens its arguments."""
    import tensorflow

    return [spec.name for spec in tensorflow.nest.flatten(arguments)]


def leaves(outputs: Any) -> dict[str, Any]:
    """The tensors that a model gives, by their keys: `gender`, or `output_1` for the second of a list."""
    found: dict[str, Any] = {}

    def keep(tensor: Any, path: Sequence[Any]) -> None:
        words = [f"output_{part}" if isinstance(part, int) else str(part) for part in path]
        if hasattr(tensor, "shape") and hasattr(tensor, "dtype"):
            found["/".join(words) or "output_0"] = tensor

    _mapped(outputs, keep)
    return found


def by_layer(model: Any, outputs: Mapping[str, str]) -> dict[str, str]:
    """Name of the layer that makes an output, where it makes no other -> name of the output's tensor."""
    symbolic = _symbolic(model, "output")
    made: dict[str, list[str]] = {}
    for key, tensor in leaves(symbolic).items() if symbolic is not None else ():
        history = getattr(tensor, "_keras_history", None)
        layer = getattr(history, "operation", None) or getattr(history, "layer", None)
        if layer is not None and key in outputs:
            made.setdefault(layer.name, []).append(outputs[key])
    return {layer: tensors[0] for layer, tensors in made.items() if len(tensors) == 1 and layer not in outputs}
