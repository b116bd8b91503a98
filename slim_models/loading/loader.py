"""`load`: anybody's network, from whatever TensorFlow wrote it as, as a `Network`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.builders import PREPROCESSINGS
from slim_models.files import is_there
from slim_models.labels import Labels, labels_for
from slim_models.loading.assembly import Plan, Size, plan, rebuilt
from slim_models.loading.evidence import recognised
from slim_models.loading.finding import after_decoding, find_head, find_images, find_logits
from slim_models.loading.keras import is_keras_model, of_keras_model, read_keras_model
from slim_models.loading.originals import Original, of_graph, read_frozen, read_meta, read_saved_model
from slim_models.loading.passes import Say, batch_dependent, cut, inferred, inlined, lightened, node_name, settled
from slim_models.loading.tensors import tensor_named
from slim_models.mistakes import BadValue, MissingFile, UnknownName
from slim_models.network import HEADS, Network
from slim_models.weights import checkpoint_in

_WEIGHTS = (".npy", ".npz", ".ckpt", ".caffemodel")


def load(
    path: Any,
    *,
    images: str | None = None,
    logits: str | None = None,
    layer: str | Sequence[str] | None = None,
    preprocessing: str | None = None,
    labels: str | os.PathLike | Sequence[str] | Labels | None = None,
    head: str | None = None,
    image_size: Size = None,
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
            - `.keras`, `.h5`: a Keras model; or such a model itself;
            - a `tf.Session`, whose values are used where they are; or a `tf.Graph` without variables.
        images: name of the tensor that takes the pictures; None finds it.
        logits: name of the logits, or of the probabilities made of them; None finds them.
        layer: name of the default layer, or of several, the first of them; any tensor `[N, h, w, K]` between
            images and logits can be one. None is the last activation with a spatial extent that everything goes
            through.
        preprocessing: what is done with RGB in [0, 255] before `images`, of `PREPROCESSINGS`; None finds it
            out, where it can: for integer images it is `"none"`, for known classes the one under which the
            network recognises three photographs best.
        labels: the classes: `"imagenet"`, `"tiny_imagenet"`, a text file with a name in every line, or names;
            None is ImageNet's for 1000 or 1001 classes, and no names for others.
        head: how logits become what the network says, of `HEADS`; None is what the graph makes of them, or the softmax.
        image_size: height and width in pixels (or both) where the graph takes any; None is then 224.
        say: is told everything that was found or guessed, in lines; None is silent.

    Returns:
        The network; its variables, if it has some, get their values in the session of an `Explainer`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        KeyError: a tensor, layer or preprocessing that does not exist.
        ValueError: the file is none of these, the graph no classifier, or something can be understood in
            several ways; the message lists them.
    """
    if preprocessing is not None and preprocessing not in PREPROCESSINGS:
        raise UnknownName(f"no preprocessing {preprocessing!r}; there are {', '.join(PREPROCESSINGS)}")
    if head is not None and head not in HEADS:
        raise UnknownName(f"no head {head!r}; there are {', '.join(HEADS)}")
    say = say or _silent
    original = open_original(path)
    found, integers = _plan(original, images, logits, image_size, say)
    known = _labels(labels, found.num_classes, say)
    if preprocessing is None:
        preprocessing = _preprocessing_of(original, integers, say)
    network = rebuilt(original, found, preprocessing or "none", layer)
    if preprocessing is None:
        # Keras' VGGs and ResNets, whose layers have these names, were trained in Caffe.
        bgr = any("block1_conv1/" in node.name or "conv1_conv/" in node.name for node in found.part.node)
        preprocessing = recognised(network, known.wnids if known else (), bgr, say)
        network = network if preprocessing == "none" else rebuilt(original, found, preprocessing, layer)
    if layer is None:
        say(f"layer: {network.default_layer} (found: the last activation with a spatial extent)")
    return dataclasses.replace(network, labels=known, head=head or found.head)


def _silent(line: str) -> None:
    """For who does not want to be told."""


def _plan(original: Original, images: str | None, logits: str | None, size: Size, say: Say) -> tuple[Plan, bool]:
    """What to import, and whether the graph takes integers."""
    wanted = [node_name(name) for name in original.logits] or _ends(original.graph_def)
    graph_def, heavy = lightened(inlined(original.graph_def, wanted))
    graph = inferred(graph_def)
    pictures = find_images(graph, images, original.images, say)
    if pictures.dtype.base_dtype == tf.string:
        pictures = _decoded(graph_def, graph, pictures, say)
    y = find_logits(graph, pictures, logits, original.logits, say)
    part = settled(cut(graph_def, pictures, y.name), pictures.name, y.name, say)
    for finding in batch_dependent(part, [pictures.name], [y.name]):
        warnings.warn(finding, RuntimeWarning, stacklevel=4)
    heavy = {node.name: heavy[node.name] for node in part.node if node.name in heavy}
    planned = plan(part, pictures.name, y.name, size, say, heavy)
    return dataclasses.replace(planned, head=find_head(y, say)), pictures.dtype.base_dtype.is_integer


def _ends(graph_def: tf.GraphDef) -> list[str]:
    """The operations that no other reads."""
    read = {node_name(word) for node in graph_def.node for word in node.input}
    return [node.name for node in graph_def.node if node.name not in read]


def _decoded(graph_def: tf.GraphDef, graph: tf.Graph, strings: tf.Tensor, say: Say) -> tf.Tensor:
    """Where pixels can be fed in place of encoded pictures."""
    name = after_decoding(graph_def, strings.name)
    if name is None:
        raise BadValue(f"{strings.name} takes encoded pictures, and nothing after it is [N, H, W, 3]; give images")
    say(f"images: {name} (found: what is decoded from {strings.name})")
    return tensor_named(graph, name)


def _labels(given: Any, num_classes: int, say: Say) -> Labels | None:
    if given is None and num_classes in (1000, 1001):
        background = ", the first being the background" if num_classes == 1001 else ""
        say(f"labels: imagenet (guessed: {num_classes} classes{background})")
        given = "imagenet"
    return None if given is None else labels_for(given, num_classes)


def _preprocessing_of(original: Original, integers: bool, say: Say) -> str | None:
    """The preprocessing, if it need not be tried; None if it has to be."""
    if integers:
        say("preprocessing: none (found: the graph takes integers)")
        return "none"
    if original.values.session is not None:  # trying would leave its operations in the graph
        raise BadValue(
            "what is done with pixels before the graph cannot be told: give preprocessing, one of "
            f"{', '.join(PREPROCESSINGS)}"
        )
    return None


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
    if path.suffix.lower() in _WEIGHTS or path.with_name(f"{path.name}.index").is_file():
        raise BadValue(
            f"{path} holds weights without their graph: they are for a network of ours, which takes them as its weights"
        )
    if not path.is_file():
        raise MissingFile(f"no network at {path}")
    if path.name in ("saved_model.pb", "saved_model.pbtxt"):
        return read_saved_model(path.parent)
    if path.suffix.lower() in (".keras", ".h5", ".hdf5"):
        return read_keras_model(path)
    return read_frozen(path)


def _in_folder(folder: pathlib.Path) -> Original:
    if (folder / "saved_model.pb").is_file() or (folder / "saved_model.pbtxt").is_file():
        return read_saved_model(folder)
    return read_meta(checkpoint_in(folder, "a SavedModel, or one checkpoint with its .meta"))


def exists(path: str | os.PathLike) -> bool:
    """Whether there is a file or folder of that name, or a checkpoint with that prefix."""
    path = pathlib.Path(path)
    return path.exists() or is_there(path) or path.with_name(f"{path.name}.meta").is_file()
