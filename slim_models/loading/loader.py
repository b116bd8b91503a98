"""`load`: anybody's network, from whatever TensorFlow wrote it as, as a `Network`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.builders import (
    EXAMPLE,
    GREY_PREPROCESSINGS,
    PREPROCESSINGS,
    Preprocessing,
    channels_of,
    preprocessing_for,
    whole_number,
)
from slim_models.files import is_there
from slim_models.heads import HEADS
from slim_models.labels import Labels, labels_for
from slim_models.loading.assembly import Plan, check_coarse, plan, rebuilt
from slim_models.loading.decoding import Decoded, decoded
from slim_models.loading.evidence import by_examples, recognised
from slim_models.loading.examples import Example, Examples, settled
from slim_models.loading.feeding import fed_tensors, given_value
from slim_models.loading.finding import find_head, find_images, find_logits, is_map
from slim_models.loading.keras import is_keras_model, of_keras_model
from slim_models.loading.keras_files import is_keras_file, read_keras_model
from slim_models.loading.layers import kind_of_layer
from slim_models.loading.names import names_beside
from slim_models.loading.originals import Original, read_frozen, read_meta, read_saved_model
from slim_models.loading.passes import PART, WHOLE, Found, Graph, Say, apart, fed, mean_of, rewritten, silent
from slim_models.loading.refusals import check_no_detector
from slim_models.loading.sessions import is_session, of_graph, of_session
from slim_models.loading.signatures import called, narrowed, words
from slim_models.loading.structure import Arithmetic, as_preprocessing, told, usual
from slim_models.loading.tensors import shape_of, tensor_named, text_of
from slim_models.mistakes import BadValue, MissingFile, UnknownName
from slim_models.network import Network
from slim_models.weights import checkpoint_in

_DIRECTIONS = ("lower", "higher")  # the two that the only number a network says is explained in
_WEIGHTS = (".npy", ".npz", ".ckpt", ".caffemodel")


def load(
    path: Any,
    *,
    images: str | None = None,
    logits: str | None = None,
    layer: str | Sequence[str] | None = None,
    preprocessing: str | Preprocessing | None = None,
    labels: str | os.PathLike | Sequence[str] | Labels | None = None,
    head: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    prepared: bool = False,
    examples: Sequence[Example] | None = None,
    feed: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    trusted: bool = False,
    say: Say | None = None,
) -> Network:
    """Makes a `Network` of anybody's classifier.

    Its ReLUs are marked before it is imported, so that it is differentiated under every rule, as the networks
    of `build` are; its own graph and gradients, where it has some, stay what they are.

    Args:
        path: one of

            - `.pb`, `.pbtxt`: a frozen graph, binary or text;
            - a folder with a SavedModel, of TensorFlow 1 or 2;
            - a checkpoint with its `.meta`;
            - `.keras`, or HDF5 under any name: a model of Keras 1, 2 or 3; or such a model itself, subclassed ones
              too;
            - a `tf.Session`, interactive, monitored or wrapped, whose values are used where they are, or copied when
              an `Explainer` is made if its graph is finalized; or a `tf.Graph` without variables.
        images: name of the tensor that takes the pictures, or of an input: a Keras input's, a signature's key,
            `signature/key`; None finds it.
        logits: name of the logits, or of the probabilities made of them, or of an output: that of a Keras output or of
            the layer that makes it, a signature's key; None finds them.
        layer: name of the default layer, or of several, the first of them; any tensor `[N, h, w, K]` between
            images and logits can be one. None is the last activation with a spatial extent that everything goes
            through.
        preprocessing: what is done with RGB in [0, 255] before `images`: a name of `PREPROCESSINGS`, numbers
            such as `"mean=123.68/116.779/103.939,order=BGR"` (`(images / scale - mean) / std`), or a function
            of a tensor `[N, H, W, 3]`. None finds it out, where it can: from what the graph does with pixels
            itself, by `examples`, for known classes by which the network recognises three photographs, and by what
            its first batch norm has seen in training. Of pictures that are not of one or three channels, None takes
            them as they are, and numbers are one for all channels or one for each.
        labels: the classes: `"imagenet"`, `"tiny_imagenet"`, a text file with a name in every line, or names;
            None is ImageNet's for 1000 or 1001 classes, and no names for others.
        head: how logits become what the network says, of `HEADS`; None is what the graph makes of them, or the softmax.
            One output behind a sigmoid is class 1 against class 0, and one that is linear has the classes `lower` and
            `higher`: its logits `[N, 2]` are those of `Network.one_output`.
        image_size: height and width in pixels, or the two of them, where the graph takes any; None is then 224. A
            Keras model that is not built is built for it.
        prepared: whether the pictures are what the graph takes already, whatever their channels and range:
            `Network.images` is then `[N, H, W, K]`, any finite numbers, and goes in as it is.
        examples: pictures of the user's own, `(picture, class)` each: `[h, w, 3]` of any size, RGB in [0, 255], and an
            index, a name or a WordNet id. Where the graph does not say its preprocessing, it is the one under which
            these are recognised. One whose class is None is for a message alone: what each choice would make of it.
        feed: values of inputs beside the pictures, by name as of `images`, the same for every picture: what such an
            input `[N, ...]` is given has the shape `[...]`.
        custom_objects: classes and functions of the user's own that a Keras file names, as Keras takes them.
        trusted: whether code in a Keras file, a Lambda's, may be executed. It can do anything: only for files
            from where programs would be run from.
        say: is told everything that was found or guessed, in lines; None is silent.

    Returns:
        The network; its variables, if it has some, get their values in the session of an `Explainer`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        KeyError: a tensor, input, layer or preprocessing that does not exist.
        ValueError: the file is none of these, the graph no classifier, or something can be understood in
            several ways; the message lists them.
    """
    _check_given(preprocessing, prepared, head)
    size = None if image_size is None else _height_and_width(image_size)
    say = say or silent
    original = open_original(path, _Opening(size, custom_objects, trusted, say))
    asked = _Asked(images, logits, size, head, prepared, feed or {}, say)
    found, integers, own, warned = _plan(original, asked)
    for sentence in warned:
        warnings.warn(sentence, RuntimeWarning, stacklevel=3)
    known = _labels(path, labels, found, say)
    choices = _preprocessings(found, preprocessing)
    theirs = settled(examples or (), found.num_classes, known, say)
    if found.takes_arrays:
        say(_arrays(found, prepared, preprocessing))
        preprocessing = preprocessing or "none"
    elif preprocessing is None and own is not None:
        preprocessing = as_preprocessing(own, say)
    elif preprocessing is None:
        preprocessing = _preprocessing_of(original, found, integers, choices, say)
    network = rebuilt(original, found, preprocessing or "none", layer)
    if preprocessing is None:
        preprocessing = _guessed(network, found, theirs, choices, say)
        network = network if preprocessing == "none" else rebuilt(original, found, preprocessing, layer)
    if layer is None:
        kind = kind_of_layer(network.images, network.endpoints[network.default_layer])
        say(f"layer: {network.default_layer} (found: {kind})")
    return dataclasses.replace(network, labels=theirs.labels)


def _check_given(preprocessing: Any, prepared: bool, head: str | None) -> None:
    """What is wrong with them is told before anything is opened."""
    if preprocessing is not None:
        preprocessing_for(preprocessing)
        if prepared:
            raise BadValue(
                f"prepared pictures go in as they are, and preprocessing {preprocessing!r} would change them: give "
                "only one of prepared and preprocessing"
            )
    if head is not None and head not in HEADS:
        raise UnknownName(f"no head {head!r}; there are {', '.join(HEADS)}")


def _height_and_width(image_size: Any) -> tuple[int, int]:
    """The two of them, in pixels.

    Raises:
        ValueError: it is no such size.
    """
    given = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    sides = [whole_number(side) for side in given]
    if len(sides) != 2 or min(sides) < 1:
        raise BadValue(
            f"image_size must be a positive whole number of pixels, or (height, width) in pixels, not {image_size!r}"
        )
    return sides[0], sides[1]


@dataclasses.dataclass(frozen=True)
class _Asked:
    """What the user says of a graph; each as of `load`."""

    images: str | None
    logits: str | None
    size: tuple[int, int] | None
    head: str | None
    prepared: bool
    feed: Mapping[str, Any]
    say: Say

    def in_tensors(self, original: Original) -> _Asked:
        """The same, with the names of tensors in place of what the network itself calls them."""
        found: dict[str, str | None] = {}
        for kind, word in (("inputs", self.images), ("outputs", self.logits)):
            known = words(original.signatures, kind)
            found[kind] = known.get(word, word) if word is not None else None
            if word is not None and word in known:
                self.say(f"{word}: {known[word]} (found: one of the network's own {kind}, {', '.join(known)})")
        return dataclasses.replace(self, images=found["inputs"], logits=found["outputs"])


def _plan(original: Original, asked: _Asked) -> tuple[Plan, bool, Arithmetic | None, list[str]]:
    """What to import, whether the graph takes integers, what its decoding makes of pixels, and what to warn of."""
    if asked.images is None or asked.logits is None:
        check_no_detector(original.name, original.graph_def)
    asked, say = asked.in_tensors(original), asked.say
    original, names = _narrowed(original, asked), called(original.signatures)
    kept = [*original.logits, *(name for name in [asked.logits] if name in names)]
    graph = rewritten(Graph(original.graph_def), WHOLE, Found(outputs=kept))
    graph, pictures, made = _pictures(original, graph, asked, names)
    y = find_logits(graph.inferred, pictures, asked.logits, original.logits, say, names)
    said, places = asked.head or find_head(y, say), y.name if is_map(y) else None
    if places:
        say(f"logits: the mean of {y.name} over its height and width (guessed: it has logits for every place)")
        graph, averaged = mean_of(graph, places)
        y = tensor_named(graph.inferred, averaged)
    warned: list[str] = []
    found = Found(images=pictures.name, logits=y.name, say=say, warn=warned.append, called=names)
    part = rewritten(graph, PART, found)
    planned = plan(part, pictures.name, y.name, asked.size or made.size, say, asked.prepared)
    if places:
        check_coarse(planned, places)
    return dataclasses.replace(planned, head=said), pictures.dtype.base_dtype.is_integer, made.own, warned


def _narrowed(original: Original, asked: _Asked) -> Original:
    """With the inputs and outputs of that way to run the network, of several, which the user's words are of."""
    if not original.signatures:
        return original
    chosen = narrowed(original.signatures, {"inputs": asked.images, "outputs": asked.logits})
    images = sorted({name for signature in chosen for name in signature.inputs.values()})
    logits = sorted({name for signature in chosen for name in signature.outputs.values()})
    return dataclasses.replace(original, images=images, logits=logits)


def _pictures(
    original: Original, graph: Graph, asked: _Asked, names: Mapping[str, str]
) -> tuple[Graph, tf.Tensor, Decoded]:
    """The graph with values for its other inputs, the tensor that takes the pictures, and how it comes by them."""
    tensors = fed_tensors(graph.inferred, asked.feed, words(original.signatures, "inputs"))
    others = [tensor.name for tensor in tensors.values()]
    pictures = find_images(graph.inferred, asked.images, original.images, asked.say, names, others)
    if pictures.name in others:
        raise BadValue(f"feed gives a value to {pictures.name}, which takes the pictures")
    made = Decoded(pictures.name)
    if pictures.dtype.base_dtype == tf.string:
        made = decoded(graph, pictures, asked.say)
    graph, taken = apart(graph, made.images)
    number = (shape_of(tensor_named(graph.inferred, taken)) or [None])[0]
    given = {t.name: given_value(name, asked.feed[name], t, number) for name, t in tensors.items()}
    for name, tensor in tensors.items():
        asked.say(f"{name}: given, {text_of(tensor)}, the same for every picture")
    graph = fed(graph, taken, given)
    return graph, tensor_named(graph.inferred, taken), made


def _labels(path: Any, given: Any, found: Plan, say: Say) -> Labels | None:
    """The classes' names: the user's, those beside the file, or ImageNet's; of one number, its directions."""
    beside = names_beside(path, found.num_classes, say) if given is None else None
    if beside is not None:
        return beside
    if given is None and found.num_classes in (1000, 1001):
        background = ", the first being the background" if found.num_classes == 1001 else ""
        say(f"labels: imagenet (guessed: {found.num_classes} classes{background})")
        given = "imagenet"
    if given is None and found.one_output and found.head == "linear":
        given = _DIRECTIONS
    return None if given is None else labels_for(given, found.num_classes)


def _preprocessings(found: Plan, given: Any) -> Sequence[str]:
    """The preprocessings that there are for such pictures.

    Raises:
        ValueError: the one that is given is for others.
    """
    channels = found.layout.channels
    choices = tuple(PREPROCESSINGS) if channels == 3 else GREY_PREPROCESSINGS
    count = None if given is None else channels_of(given)
    if count not in (None, channels):
        numbers = {3: "three numbers"}.get(count, f"{count} numbers")
        taken = {1: "grey pictures of one", 3: "RGB pictures of three"}.get(channels, f"pictures of {channels}")
        raise BadValue(
            f"preprocessing {given!r} has {numbers} a pixel, and {found.images} takes {taken}; "
            f"for these there are {', '.join(choices)}"
        )
    return choices


def _arrays(found: Plan, prepared: bool, given: Any) -> str:
    """What a network that takes arrays is said to take."""
    _, height, width, channels = found.shape
    tensor = text_of(found.part.inferred.get_tensor_by_name(found.images))
    why = "given: the pictures are prepared" if prepared else "found: its shape and its first convolution"
    taken = "taken as they are" if given in (None, "none") else "preprocessed as given"
    shape = f"[N, {height}, {width}, {channels}]"
    return f"channels: {channels} of {tensor} ({why}); pictures are arrays {shape} of any numbers, {taken}"


def _preprocessing_of(original: Original, found: Plan, integers: bool, choices: Sequence[str], say: Say) -> str | None:
    """The preprocessing, if it need not be tried; None if it has to be."""
    lines: list[str] = []
    chosen = told(found.part, found.images, found.logits, _fed(found), lines.append)
    if chosen in choices and (chosen == "bgr" or not integers):
        say(lines[0])
        return chosen
    if integers:
        say("preprocessing: none (found: the graph takes integers)")
        return "none"
    if original.values.session is not None:  # trying would leave its operations in the graph
        raise BadValue(
            "what is done with pixels before the graph cannot be told, as nothing is tried in a live session: give "
            f"preprocessing (--preprocessing), one of {', '.join(choices)}, or numbers such as {EXAMPLE}"
        )
    return None


def _guessed(network: Network, found: Plan, theirs: Examples, choices: Sequence[str], say: Say) -> str:
    """The preprocessing by what the network recognises: the user's pictures, or ours."""
    if not theirs.known:
        return recognised(network, theirs.labels, say, choices, usual(found.part), theirs.unknown)
    if found.one_output and found.head == "linear":
        raise BadValue("examples have classes, and the network says a number: give preprocessing")
    return by_examples(network, theirs.known, theirs.labels, say, choices, usual(found.part))


def _fed(found: Plan) -> list[int | None]:
    """The shape of what the graph takes: of its own tensor, and where that says nothing of the plan."""
    planned = found.layout.fed(*found.shape[:3])
    own = found.part.inferred.get_tensor_by_name(found.images).shape
    return [mine or other for mine, other in zip(own.as_list() if own.ndims == len(planned) else planned, planned)]


@dataclasses.dataclass(frozen=True)
class _Opening:
    """How to open what has to be built or trusted first: Keras models; each as of `load`."""

    size: tuple[int, int] | None = None
    custom_objects: Mapping[str, Any] | None = None
    trusted: bool = False
    say: Say = silent


def open_original(given: Any, how: _Opening = _Opening()) -> Original:
    """Opens a path, a session, a graph or a Keras model.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: it is nothing that can be opened.
    """
    if is_session(given):
        return of_session(given)
    if isinstance(given, tf.Graph):
        return of_graph(given)
    if isinstance(given, (str, os.PathLike)):
        return _at_path(pathlib.Path(given), how)
    if is_keras_model(given):
        return of_keras_model(given, size=how.size, say=how.say)
    raise BadValue(f"a network is a path, a tf.Session, a tf.Graph or a Keras model, not {given!r}")


def _at_path(path: pathlib.Path, how: _Opening) -> Original:
    if path.is_dir():
        return _in_folder(path)
    if path.suffix == ".meta" or path.with_name(f"{path.name}.meta").is_file():
        return read_meta(path)
    if path.name.endswith(".index") or ".data-" in path.name:
        return read_meta(path.with_suffix(""))
    if path.is_file() and is_keras_file(path):
        return read_keras_model(path, how.custom_objects, how.trusted)
    if path.suffix.lower() in _WEIGHTS or path.with_name(f"{path.name}.index").is_file():
        raise BadValue(
            f"{path} holds weights without their graph: they are for a network of ours, which takes them as its "
            "weights; of another network give the SavedModel, the frozen graph or the checkpoint with its .meta"
        )
    if not path.is_file():
        raise MissingFile(f"no network at {path}")
    if path.name in ("saved_model.pb", "saved_model.pbtxt"):
        return read_saved_model(path.parent)
    return read_frozen(path)


def _in_folder(folder: pathlib.Path) -> Original:
    if (folder / "saved_model.pb").is_file() or (folder / "saved_model.pbtxt").is_file():
        return read_saved_model(folder)
    return read_meta(checkpoint_in(folder, "a SavedModel, or one checkpoint with its .meta"))


def exists(path: str | os.PathLike) -> bool:
    """Whether there is a file or folder of that name, or a checkpoint with that prefix."""
    path = pathlib.Path(path)
    return path.exists() or is_there(path) or path.with_name(f"{path.name}.meta").is_file()
