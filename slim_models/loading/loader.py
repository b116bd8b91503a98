"""`load`: anybody's network, from whatever TensorFlow wrote it as, as a `Network`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import warnings
from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.builders import (
    EXAMPLE,
    GREY_PREPROCESSINGS,
    PREPROCESSINGS,
    Preprocessing,
    preprocessing_for,
    whole_number,
)
from slim_models.files import is_there
from slim_models.labels import Labels, labels_for
from slim_models.loading.assembly import Plan, check_coarse, plan, rebuilt
from slim_models.loading.evidence import recognised
from slim_models.loading.finding import after_decoding, find_head, find_images, find_logits, is_map
from slim_models.loading.keras import is_keras_model, of_keras_model
from slim_models.loading.keras_files import is_keras_file, read_keras_model
from slim_models.loading.layers import kind_of_layer
from slim_models.loading.names import names_beside
from slim_models.loading.originals import Original, of_graph, read_frozen, read_meta, read_saved_model
from slim_models.loading.passes import PART, WHOLE, Found, Graph, Say, apart, mean_of, rewritten, silent
from slim_models.loading.refusals import check_no_detector
from slim_models.loading.structure import told
from slim_models.loading.tensors import tensor_named
from slim_models.mistakes import BadValue, MissingFile, UnknownName
from slim_models.network import HEADS, Network
from slim_models.weights import checkpoint_in

_DIRECTIONS = ("lower", "higher")  # the two that the only number a network says is explained in
_WEIGHTS = (".npy", ".npz", ".ckpt", ".caffemodel", ".pth", ".pt", ".safetensors")
_OF_CAFFE = re.compile(r"(^|/)(block1_conv1|conv1_conv)(_\d+)?/")  # first layers of Keras' VGGs and ResNets


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
            - `.keras`, or HDF5 under any name: a model of Keras 1, 2 or 3; or such a model itself;
            - a `tf.Session`, whose values are used where they are; or a `tf.Graph` without variables.
        images: name of the tensor that takes the pictures; None finds it.
        logits: name of the logits, or of the probabilities made of them; None finds them.
        layer: name of the default layer, or of several, the first of them; any tensor `[N, h, w, K]` between
            images and logits can be one. None is the last activation with a spatial extent that everything goes
            through.
        preprocessing: what is done with RGB in [0, 255] before `images`: a name of `PREPROCESSINGS`, numbers
            such as `"mean=123.68/116.779/103.939,order=BGR"` (`(images / scale - mean) / std`), or a function
            of a tensor `[N, H, W, 3]`. None finds it out, where it can: from what the graph does with pixels
            itself, for known classes by which the network recognises three photographs, and by what its first
            batch norm has seen in training.
        labels: the classes: `"imagenet"`, `"tiny_imagenet"`, a text file with a name in every line, or names;
            None is ImageNet's for 1000 or 1001 classes, and no names for others.
        head: how logits become what the network says, of `HEADS`; None is what the graph makes of them, or the softmax.
            One output behind a sigmoid is class 1 against class 0, and one that is linear has the classes `lower` and
            `higher`: its logits `[N, 2]` are those of `Network.one_output`.
        image_size: height and width in pixels, or the two of them, where the graph takes any; None is then 224.
        say: is told everything that was found or guessed, in lines; None is silent.

    Returns:
        The network; its variables, if it has some, get their values in the session of an `Explainer`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        KeyError: a tensor, layer or preprocessing that does not exist.
        ValueError: the file is none of these, the graph no classifier, or something can be understood in
            several ways; the message lists them.
    """
    if preprocessing is not None:
        preprocessing_for(preprocessing)  # what is wrong with it is told before anything is opened
    if head is not None and head not in HEADS:
        raise UnknownName(f"no head {head!r}; there are {', '.join(HEADS)}")
    size = None if image_size is None else _height_and_width(image_size)
    say = say or silent
    original = open_original(path)
    found, integers, warned = _plan(original, images, logits, size, head, say)
    for sentence in warned:
        warnings.warn(sentence, RuntimeWarning, stacklevel=3)
    known = _labels(path, labels, found, say)
    choices = _preprocessings(found, preprocessing)
    if preprocessing is None:
        preprocessing = _preprocessing_of(original, found, integers, choices, say)
    network = rebuilt(original, found, preprocessing or "none", layer)
    if preprocessing is None:
        # Keras' VGGs and ResNets, whose layers have these names, were trained in Caffe.
        bgr = any(_OF_CAFFE.search(name) for name in found.part.nodes)
        preprocessing = recognised(network, known.wnids if known else (), bgr, say, choices)
        network = network if preprocessing == "none" else rebuilt(original, found, preprocessing, layer)
    if layer is None:
        kind = kind_of_layer(network.images, network.endpoints[network.default_layer])
        say(f"layer: {network.default_layer} (found: {kind})")
    return dataclasses.replace(network, labels=known)


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


def _plan(
    original: Original,
    images: str | None,
    logits: str | None,
    size: tuple[int, int] | None,
    head: str | None,
    say: Say,
) -> tuple[Plan, bool, list[str]]:
    """What to import, whether the graph takes integers, and what to warn of."""
    if images is None or logits is None:
        check_no_detector(original.name, original.graph_def)
    graph = rewritten(Graph(original.graph_def), WHOLE, Found(outputs=original.logits))
    pictures = find_images(graph.inferred, images, original.images, say)
    if pictures.dtype.base_dtype == tf.string:
        pictures = _decoded(graph, pictures, say)
    graph, taken = apart(graph, pictures.name)
    pictures = tensor_named(graph.inferred, taken)
    y = find_logits(graph.inferred, pictures, logits, original.logits, say)
    said, places = head or find_head(y, say), y.name if is_map(y) else None
    if places:
        say(f"logits: the mean of {y.name} over its height and width (guessed: it has logits for every place)")
        graph, averaged = mean_of(graph, places)
        y = tensor_named(graph.inferred, averaged)
    warned: list[str] = []
    found = Found(images=pictures.name, logits=y.name, say=say, warn=warned.append)
    part = rewritten(graph, PART, found)
    planned = plan(part, pictures.name, y.name, size, say)
    if places:
        check_coarse(planned, places)
    return dataclasses.replace(planned, head=said), pictures.dtype.base_dtype.is_integer, warned


def _decoded(graph: Graph, strings: tf.Tensor, say: Say) -> tf.Tensor:
    """Where pixels can be fed in place of encoded pictures."""
    name = after_decoding(graph, strings.name)
    if name is None:
        raise BadValue(f"{strings.name} takes encoded pictures, and nothing after it is [N, H, W, 3]; give images")
    say(f"images: {name} (found: what is decoded from {strings.name})")
    return tensor_named(graph.inferred, name)


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
        ValueError: the one that is given is none of them.
    """
    choices = GREY_PREPROCESSINGS if found.layout.grey else tuple(PREPROCESSINGS)
    if isinstance(given, str) and given in PREPROCESSINGS and given not in choices:
        raise BadValue(
            f"preprocessing {given!r} has three numbers a pixel, and {found.images} takes grey pictures of one; "
            f"for these there are {', '.join(choices)}"
        )
    return choices


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


def _fed(found: Plan) -> list[int | None]:
    """The shape of what the graph takes: of its own tensor, and where that says nothing of the plan."""
    planned = found.layout.fed(*found.shape[:3])
    own = found.part.inferred.get_tensor_by_name(found.images).shape
    return [mine or other for mine, other in zip(own.as_list() if own.ndims == len(planned) else planned, planned)]


def open_original(given: Any) -> Original:
    """Opens a path, a session, a graph or a Keras model.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: it is nothing that can be opened.
    """
    if isinstance(given, tf.Session):
        return of_graph(given.graph, given)
    if isinstance(given, tf.Graph):
        return of_graph(given, None)
    if isinstance(given, (str, os.PathLike)):
        return _at_path(pathlib.Path(given))
    if is_keras_model(given):
        return of_keras_model(given)
    raise BadValue(f"a network is a path, a tf.Session, a tf.Graph or a Keras model, not {given!r}")


def _at_path(path: pathlib.Path) -> Original:
    if path.is_dir():
        return _in_folder(path)
    if path.suffix == ".meta" or path.with_name(f"{path.name}.meta").is_file():
        return read_meta(path)
    if path.name.endswith(".index") or ".data-" in path.name:
        return read_meta(path.with_suffix(""))
    if path.is_file() and is_keras_file(path):
        return read_keras_model(path)
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
