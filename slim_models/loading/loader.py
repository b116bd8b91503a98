"""`load`: anybody's network, from whatever TensorFlow wrote it as, as a `Network`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.builders import Preprocessing
from slim_models.labels import Labels
from slim_models.loading.assembly import Plan, rebuilt
from slim_models.loading.averages import averaged
from slim_models.loading.deciding import choices_for, known, tried
from slim_models.loading.examples import Example, settled
from slim_models.loading.layers import kind_of_layer
from slim_models.loading.locating import Opening, open_original
from slim_models.loading.names import class_names
from slim_models.loading.originals import Original, check_imports
from slim_models.loading.passes import Say, silent
from slim_models.loading.planning import Asked, planned
from slim_models.mistakes import Mistake
from slim_models.naming import check_found
from slim_models.network import Network
from slim_models.running import told
from slim_models.sizes import Size, height_and_width


@dataclasses.dataclass
class Steps:
    """What the steps of `load` come to; None what was not reached.

    Attributes:
        original: what was opened.
        plan: what is to be imported of it.
        labels: the names of its classes, if they are known.
        network: without labels, and without preprocessing where that has to be tried.
        preprocessing: what is done with pixels before the graph.
    """

    original: Original | None = None
    plan: Plan | None = None
    labels: Labels | None = None
    network: Network | None = None
    preprocessing: str | Preprocessing | None = None


def load(
    path: Any,
    *,
    images: str | None = None,
    logits: str | None = None,
    layer: str | Sequence[str] | None = None,
    preprocessing: str | Preprocessing | None = None,
    labels: str | os.PathLike | Sequence[str] | Labels | None = None,
    head: str | None = None,
    image_size: Size | None = None,
    prepared: bool = False,
    examples: Sequence[Example] | None = None,
    feed: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    trusted: bool = False,
    averages: bool | None = None,
    weights: str | os.PathLike | None = None,
    say: Say | None = None,
    steps: Steps | None = None,
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
              too; or its layers alone as `to_json` wrote them, beside the HDF5 file of its weights, or these;
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
        trusted: whether code in a Keras file, a Lambda's, may be executed, and operations of a graph be run that reach
            outside of it: that read and write files, print, or call Python. They can do anything: only for files from
            where programs would be run from.
        averages: whether the variables of a training get the moving averages that it has kept of them; None leaves them
            their own values, and says that there are averages.
        weights: of a Keras model whose layers are in a file of their own (`.json`), the HDF5 file of its weights; None
            is the one beside it.
        say: is told everything that was found or guessed, in lines; None is silent.
        steps: is given what each step comes to, as far as they go (`inspect`).

    Returns:
        The network; its variables, if it has some, get their values in the session of an `Explainer`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        KeyError: a tensor, input, layer or preprocessing that does not exist.
        ValueError: the file is none of these, or damaged, the graph no classifier, or something can be understood in
            several ways; the message lists them.
    """
    check_found(preprocessing, prepared, head)
    size = None if image_size is None else height_and_width(image_size, "image_size")
    say, steps = say or silent, steps or Steps()
    with _told(path, steps):
        original = averaged(open_original(path, Opening(size, custom_objects, trusted, say, weights)), averages, say)
        steps.original = original
        steps.plan = found = planned(original, Asked(images, logits, size, head, prepared, feed or {}, say))
        for sentence in found.warned:
            warnings.warn(sentence, RuntimeWarning, stacklevel=3)
        names = class_names(labels, path, found, say)
        choices = choices_for(found, preprocessing)
        theirs = settled(examples or (), found.num_classes, names, say)
        steps.labels = theirs.labels
        chosen = known(original, found, preprocessing, choices, prepared, say)
        steps.network = network = rebuilt(original, found, chosen or "none", layer)
        if chosen is None:
            chosen = tried(network, found, theirs, choices, say)
            network = network if chosen == "none" else rebuilt(original, found, chosen, layer)
        steps.preprocessing = chosen
        if layer is None:
            kind = kind_of_layer(network.images, network.endpoints[network.default_layer])
            say(f"layer: {network.default_layer} (found: {kind})")
        return dataclasses.replace(network, labels=theirs.labels)


@contextlib.contextmanager
def _told(given: Any, steps: Steps) -> Iterator[None]:
    """Tells mistakes with the path of what is loaded; and of a damaged graph what TensorFlow says of it.

    Whatever else is raised is a fault of ours, if TensorFlow takes the graph.
    """
    path = os.fspath(given) if isinstance(given, (str, os.PathLike)) else ""
    try:
        with told("TensorFlow cannot run the graph"):
            try:
                yield
            except (Mistake, tf.errors.OpError):
                raise
            except Exception:
                if steps.original is not None:
                    check_imports(steps.original.graph_def)
                raise
    except Mistake as mistake:
        if not path or path in str(mistake):
            raise
        raise type(mistake)(f"{path}: {mistake}") from mistake
