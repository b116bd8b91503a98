"""Models that Keras 1 and 2 wrote down, built of the installed Keras' layers."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import operator
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from slim_models.loading.keras_claims import check_claim_of
from slim_models.loading.keras_code import custom_layer
from slim_models.loading.keras_config import (
    IN_MEMORY,
    MODELS,
    WITH_CODE,
    activation_name,
    class_of,
    entries_of,
    layers_of_networks,
    name_of,
    shape_of,
    updated,
)
from slim_models.loading.keras_lambdas import function_of
from slim_models.mistakes import BadValue

# Functions of TensorFlow that Keras 2 wrote down as layers, and that are called; no others are.
_FUNCTIONS = {
    *("math.add", "math.subtract", "math.multiply", "math.truediv", "math.divide", "math.sigmoid", "math.tanh"),
    *("math.reduce_mean", "math.reduce_max", "math.maximum", "math.minimum"),
    *("nn.relu", "nn.relu6", "nn.leaky_relu", "nn.sigmoid", "nn.silu", "nn.softmax", "image.resize"),
    *("concat", "stack", "reshape", "transpose", "squeeze", "expand_dims", "identity", "cast"),
    *("math.sqrt", "math.pow", "math.abs"),
}
_ACTIVATIONS = ("activation", "recurrent_activation")


@dataclasses.dataclass
class Part:
    """A layer, or a model with its layers, of the file and as it was built.

    Attributes:
        name: in the file; a layer's own may differ, because Keras 3 takes no `/` in it.
        class_name: of today.
        layer: as it was built.
        parts: the layers of a model.
    """

    name: str
    class_name: str
    layer: Any
    parts: list[Part] = dataclasses.field(default_factory=list)

    def leaves(self) -> Iterator[Part]:
        """Layers that are no models, in the file's order."""
        if self.class_name not in MODELS:
            yield self
        for part in self.parts:
            yield from part.leaves()


@dataclasses.dataclass
class _Names:
    """Names of layers that Keras takes, each once."""

    given: dict[str, int] = dataclasses.field(default_factory=dict)

    def of(self, name: str) -> str:
        plain = name.replace("/", "_")
        self.given[plain] = count = self.given.get(plain, 0) + 1
        return plain if count == 1 else f"{plain}__{count}"


@dataclasses.dataclass
class Builder:
    """Builds what is written in a file.

    Attributes:
        path: to be named in errors.
        keras: the installed one.
        trusted: whether code in the file may be executed.
        functions: what Lambdas compute, by their names, in place of the file's code.
        numbers: how many there are for the weights; None if that is not known.
    """

    path: pathlib.Path
    keras: Any
    trusted: bool = False
    functions: Mapping[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    numbers: int | None = None

    def model(self, entry: Mapping[str, Any], name: str | None = None, shape: Any = None) -> Part:
        """A model; `shape` of what it is called on, if it says none itself.

        Raises:
            ValueError: something in it cannot be built, in one sentence.
        """
        name = name or name_of(entry).replace("/", "_")
        if entry["class_name"] == "Sequential":
            inputs, outputs, parts = self._chain(entry, shape)
        else:
            inputs, outputs, parts = _Nodes(self, entry).connected()
        model = self.keras.Model(inputs, outputs, name=name)
        return Part(name_of(entry), str(entry["class_name"]), model, parts)

    def _chain(self, entry: Mapping[str, Any], shape: Any) -> tuple[Any, Any, list[Part]]:
        entries = entries_of(entry)
        shape = shape_of(entry) or shape
        if shape is None:
            raise BadValue(f"{self.path} does not say what shape the model {name_of(entry)!r} takes: {IN_MEMORY}")
        names, parts = _Names(), []
        first = entries[0] if entries and entries[0]["class_name"] == "InputLayer" else {"config": {}}
        inputs = net = self.input(shape, first["config"], names.of(f"{name_of(entry)}_input"))
        for inner in entries:
            if inner["class_name"] == "InputLayer":
                continue
            parts.append(self.part(inner, names, net.shape))
            net = parts[-1].layer(net)
        return inputs, net, parts

    def input(self, shape: Sequence[Any], config: Mapping[str, Any], name: str) -> Any:
        """What takes the pictures; `shape` with the batch's size."""
        dtype = config.get("dtype") or config.get("input_dtype") or "float32"
        dtype = dtype if isinstance(dtype, str) else "float32"
        return self.keras.Input(shape=tuple(shape[1:]), batch_size=shape[0], dtype=dtype, name=name)

    def part(self, entry: Mapping[str, Any], names: _Names, shape: Any = None) -> Part:
        """A layer or a model in a model, called on nothing yet."""
        name = names.of(name_of(entry))
        if self.numbers is not None:
            check_claim_of(entry, None if shape is None else tuple(shape), self.numbers, self.path)
        if entry["class_name"] in MODELS:
            return self.model(entry, name, shape)
        if entry["class_name"] in ("TFOpLambda", "SlicingOpLambda"):
            return Part(name_of(entry), str(entry["class_name"]), self._function(entry, name))
        return Part(name_of(entry), class_of(entry), self.layer(entry, name))

    def layer(self, entry: Mapping[str, Any], name: str | None = None) -> Any:
        """A layer of Keras' own, or of a class that the user has registered.

        Raises:
            ValueError: Keras knows none of that class.
        """
        if entry["class_name"] == WITH_CODE and (self.trusted or name_of(entry) in self.functions):
            return self.keras.layers.Lambda(function_of(entry, self.path, self.keras, self.functions), name=name)
        users = self.keras.utils.get_registered_object(str(entry["class_name"]))
        known = getattr(self.keras.layers, class_of(entry), None)
        found = users or known or layers_of_networks(self.keras).get(class_of(entry))
        if not inspect.isclass(found):
            raise BadValue(custom_layer(entry, self.path))
        built: Any = found
        config = dict(entry["config"]) if users else updated(entry, _arguments(built), self.path)
        if name is not None:
            config["name"] = name
        if users:  # who has made a class known to Keras knows what it takes
            return built.from_config(config)
        for key in _ACTIVATIONS:
            if config.get(key) is not None:
                config[key] = self.activation(config[key], name_of(entry))
        for key in ("layer", "backward_layer"):  # what TimeDistributed and the like are round
            if isinstance(config.get(key), Mapping):
                config[key] = self.layer(config[key])
                return built(**config)
        return built.from_config(config)

    def activation(self, given: Any, layer: str) -> Any:
        """An activation's function; some were layers, and one has changed its meaning under its name.

        Raises:
            ValueError: Keras has none of that name.
        """
        if isinstance(given, Mapping) and inspect.isclass(getattr(self.keras.layers, class_of(given), None)):
            return self.layer(given)
        name = activation_name(given)
        users = self.keras.utils.get_registered_object(name)
        if users is not None:
            return users
        if f"_{name}" in OLD_ACTIVATIONS:
            return OLD_ACTIVATIONS[f"_{name}"]
        try:
            return self.keras.activations.get(name)
        except Exception as error:  # Keras raises nearly anything
            raise BadValue(
                f"{self.path} has the layer {layer!r} with the activation {name!r}, which is none of Keras' own: "
                f"{IN_MEMORY}"
            ) from error

    def _function(self, entry: Mapping[str, Any], name: str) -> Any:
        """A layer that calls one of TensorFlow's functions."""
        import tensorflow

        path = str(entry["config"].get("function"))
        if path == "__operators__.getitem":
            return self._layer_of(_sliced, name)
        path = path.replace("__operators__.", "math.")
        if path not in _FUNCTIONS:
            raise BadValue(
                f"{self.path} has the layer {name_of(entry)!r}, which is TensorFlow's function {path} and not a layer "
                f"of Keras: {IN_MEMORY}"
            )
        return self._layer_of(operator.attrgetter(path)(tensorflow), name)

    def _layer_of(self, function: Callable[..., Any], name: str) -> Any:
        class Function(self.keras.layers.Layer):  # type: ignore[name-defined]
            def call(self, *inputs: Any, **more: Any) -> Any:
                return function(*inputs, **more)

        return Function(name=name)


class _Nodes:
    """The layers of a functional model and what each is called on: `[layer, which of its calls, which output]`."""

    def __init__(self, builder: Builder, entry: Mapping[str, Any]) -> None:
        self.builder, self.config, self.names = builder, entry["config"], _Names()
        self.entries = {name_of(inner): inner for inner in entries_of(entry)}
        self.ends = {key: _ends(self.config[key]) for key in ("input_layers", "output_layers")}
        self.tensors: dict[tuple[str, int], list[Any]] = {}
        self.parts: dict[str, Part] = {}
        self.calls = {
            name: [_references(node) for node in inner.get("inbound_nodes") or ()]
            for name, inner in self.entries.items()
            if inner["class_name"] != "InputLayer"
        }
        self.first = self._first_calls()

    def _first_calls(self) -> dict[str, int]:
        """By layer, the number of its first call: 1 for a model that was called when it was made."""
        used = [self._referred(nodes) for calls in self.calls.values() for nodes in calls]
        last: dict[str, int] = {}
        for name, index, _ in itertools.chain(*used, self.ends["output_layers"]):
            last[name] = max(index, last.get(name, 0))
        return {name: max(0, last.get(name, 0) - len(calls) + 1) for name, calls in self.calls.items()}

    def _referred(self, references: Sequence[Any]) -> list[list[Any]]:
        """What a call needs: its inputs, and tensors among its other arguments."""
        more = [value for reference in references for value in _more(reference).values() if self._is_tensor(value)]
        return [list(reference[:3]) for reference in (*references, *more)]

    def _is_tensor(self, value: Any) -> bool:
        return isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str) and value[0] in self.entries

    def _tensor(self, reference: Sequence[Any]) -> Any:
        name, index, output = reference[:3]
        outputs = self.tensors.get((name, index - self.first.get(name, 0)))
        return outputs[output] if outputs else None

    def connected(self) -> tuple[Any, Any, list[Part]]:
        """Its inputs, outputs and layers."""
        for name, inner in self.entries.items():
            if inner["class_name"] == "InputLayer":
                given = self.builder.input(shape_of(inner) or (), inner["config"], self.names.of(name))
                self.tensors[name, 0] = [given]
        pending = [(name, number) for name, calls in self.calls.items() for number in range(len(calls))]
        while pending:
            left = [call for call in pending if not self._called(*call)]
            if len(left) == len(pending):
                raise BadValue(f"{self.builder.path}: layer {left[0][0]!r} is called on what no layer makes")
            pending = left
        inputs, outputs = ([self._tensor(end) for end in self.ends[key]] for key in ("input_layers", "output_layers"))
        one = outputs[0] if len(outputs) == 1 else outputs
        return (inputs[0] if len(inputs) == 1 else inputs), one, [self.parts[n] for n in self.calls if n in self.parts]

    def _called(self, name: str, number: int) -> bool:
        references = self.calls[name][number]
        if any(self._tensor(reference) is None for reference in self._referred(references)):
            return False
        given = [self._tensor(reference) for reference in references]
        more = {key: value for reference in references for key, value in _more(reference).items()}
        more = {key: self._tensor(value) if self._is_tensor(value) else value for key, value in more.items()}
        if name not in self.parts:
            self.parts[name] = self.builder.part(self.entries[name], self.names, given[0].shape)
        made = self.parts[name].layer(given[0] if len(given) == 1 else given, **more)
        self.tensors[name, number] = list(made) if isinstance(made, (list, tuple)) else [made]
        return True


def _references(node: Any) -> list[list[Any]]:
    """`[["conv", 0, 0, {}]]`, or `["conv", 0, 0, {}]` where there is one input."""
    if not isinstance(node, list):
        raise TypeError("nodes of a later Keras")
    return [node] if node and isinstance(node[0], str) else node


def _more(reference: Sequence[Any]) -> dict[str, Any]:
    """Further arguments of a call, but for those that say what is so anyway."""
    further = reference[3] if len(reference) > 3 else {}
    return {key: value for key, value in further.items() if value is not None and value is not False and key != "name"}


def _ends(given: Any) -> list[list[Any]]:
    """Inputs or outputs of a model: a list of them, one, or a dictionary."""
    if isinstance(given, Mapping):
        given = list(given.values())
    return [given] if given and isinstance(given[0], str) else given


def _arguments(built: type) -> set[str]:
    """What a class takes by name, itself and those that it hands the rest on to."""
    found: set[str] = set()
    for base in built.__mro__:
        if "__init__" in vars(base) and base is not object:
            parameters = inspect.signature(vars(base)["__init__"]).parameters
            found.update(parameters)
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
                break
    return found


def _sliced(x: Any, slice_spec: Sequence[Any]) -> Any:
    """`x[...]` as Keras 2 wrote it: slices and `...` as dictionaries, new axes as None."""

    def part(given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        if given.get("class_name") == "__ellipsis__":
            return Ellipsis
        return slice(*(given[key] for key in ("start", "stop", "step")))

    return x[tuple(map(part, slice_spec))]


def _hard_sigmoid(x: Any) -> Any:
    """Keras 1's and 2's; that of Keras 3 has another slope."""
    import tensorflow

    return tensorflow.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)


def _relu6(x: Any) -> Any:
    import tensorflow

    return tensorflow.nn.relu6(x)


# By the names that Keras has for them: a Bidirectional writes its layer down, and builds two of that.
OLD_ACTIVATIONS: Mapping[str, Callable[..., Any]] = {f.__name__: f for f in (_hard_sigmoid, _relu6)}
