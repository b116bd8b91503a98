"""What is to be imported of somebody's network: by what the user says of it, and by what is found in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from slim_models.loading.assembly import Plan, check_coarse, fine_places, plan
from slim_models.loading.confined import check_harmless, check_runs
from slim_models.loading.decoding import Decoded, after_python, decoded, is_decoded
from slim_models.loading.feeding import fed_tensors, given_value
from slim_models.loading.finding import find_head, find_images, find_logits, is_map
from slim_models.loading.inputs import outputs
from slim_models.loading.originals import Original
from slim_models.loading.passes import (
    PART,
    PLACEHOLDERS,
    WHOLE,
    Found,
    Graph,
    Say,
    apart,
    ends,
    fed,
    mean_of,
    rewritten,
    silent,
    stored_averages,
)
from slim_models.loading.refusals import check_no_detector
from slim_models.loading.signatures import called, narrowed, tensors_of, words
from slim_models.loading.tables import names_in
from slim_models.loading.tensors import has_tensor, shape_of, tensor_named, text_of
from slim_models.mistakes import BadValue


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the user says of a graph; each as of `load`."""

    images: str | None
    logits: str | None
    size: tuple[int, int] | None
    head: str | None
    prepared: bool
    feed: Mapping[str, Any]
    say: Say

    def in_tensors(self, original: Original) -> Asked:
        """The same, with the names of tensors in place of what the network itself calls them."""
        found: dict[str, str | None] = {}
        for kind, word in (("inputs", self.images), ("outputs", self.logits)):
            known = words(original.signatures, kind)
            found[kind] = known.get(word, word) if word is not None else None
            if word is not None and word in known:
                self.say(f"{word}: {known[word]} (found: one of the network's own {kind}, {', '.join(known)})")
        return dataclasses.replace(self, images=found["inputs"], logits=found["outputs"])


def planned(original: Original, asked: Asked) -> Plan:
    """What to import of a network, and what is known of it by then.

    Raises:
        KeyError: a tensor or an input that does not exist.
        ValueError: the graph is no classifier, or can be understood in several ways.
    """
    if asked.images is None or asked.logits is None:
        check_no_detector(original.name, original.graph_def)
    asked, say = asked.in_tensors(original), asked.say
    original, names = _narrowed(original, asked), called(original.signatures)
    kept = [*original.logits, *(name for name in [asked.logits] if name in names)]
    graph = rewritten(Graph(original.graph_def), WHOLE, Found(outputs=kept))
    whole = graph
    try:
        graph, pictures, made = _pictures(original, graph, asked, names)
        y = find_logits(graph.inferred, pictures, asked.logits, original.logits, say, names)
    except BadValue:  # perhaps because what is not allowed is in between
        check_harmless(whole, _asked_of(original, whole) or _computed(whole), original.name)
        raise
    said = asked.head or find_head(y, say)
    places = y.name if is_map(y) and not (asked.logits and _is_fine(graph, pictures, y, asked)) else None
    if places:
        say(f"logits: the mean of {y.name} over its height and width (guessed: it has logits for every place)")
        graph, averaged = mean_of(graph, places)
        y = tensor_named(graph.inferred, averaged)
    check_harmless(graph, [y.name, *_asked_of(original, graph)], original.name, [pictures.name])
    warned: list[str] = []
    stored = stored_averages(graph)
    found = Found(images=pictures.name, logits=y.name, say=say, warn=warned.append, called=names, stored=stored)
    part = _allowed(rewritten(graph, PART, found), original)
    result = plan(part, pictures.name, y.name, asked.size or made.size, say, asked.prepared)
    if places:
        check_coarse(result, places)
    integers = pictures.dtype.base_dtype.is_integer
    result = dataclasses.replace(result, head=said, integers=integers, decoding=made.own, warned=warned)
    return dataclasses.replace(result, names=names_in(whole, places or y.name, result.num_classes))


def _allowed(part: Graph, original: Original) -> Graph:
    """The part, if nothing in it is refused that would run."""
    if not original.trusted:
        check_runs(part, original.name)
    return part


def _is_fine(graph: Graph, pictures: tf.Tensor, places: tf.Tensor, asked: Asked) -> bool:
    """Whether a map of logits has too many places for a classifier."""
    part = rewritten(graph, PART, Found(images=pictures.name, logits=places.name))
    planned = plan(part, pictures.name, places.name, asked.size, silent, asked.prepared)
    return fine_places(planned, places.name) is not None


def _asked_of(original: Original, graph: Graph) -> list[str]:
    """What is asked of a graph when it is run, as far as it says so itself.

    Who freezes a graph leaves nothing but what its outputs need; beside those of a training is much that is not run.
    """
    return ends(graph) if original.graph is None else [n for n in original.logits if has_tensor(graph.inferred, n)]


def _computed(graph: Graph) -> list[str]:
    """What is computed from what a graph is fed, file names apart."""
    fed = [tensor.name for tensor in outputs(graph.inferred, PLACEHOLDERS) if tensor.dtype.base_dtype != tf.string]
    return [node.name for node in graph.computed_from(fed)]


def _narrowed(original: Original, asked: Asked) -> Original:
    """With the inputs and outputs of that way to run the network, of several, which the user's words are of."""
    if not original.signatures:
        return original
    chosen = narrowed(original.signatures, {"inputs": asked.images, "outputs": asked.logits})
    return dataclasses.replace(original, images=tensors_of(chosen, "inputs"), logits=tensors_of(chosen, "outputs"))


def _pictures(
    original: Original, graph: Graph, asked: Asked, names: Mapping[str, str]
) -> tuple[Graph, tf.Tensor, Decoded]:
    """The graph with values for its other inputs, the tensor that takes the pictures, and how it comes by them."""
    tensors = fed_tensors(graph.inferred, asked.feed, words(original.signatures, "inputs"))
    others = [tensor.name for tensor in tensors.values()]
    pictures = find_images(graph.inferred, asked.images, original.images, asked.say, names, others)
    if pictures.name in others:
        raise BadValue(f"feed gives a value to {pictures.name}, which takes the pictures")
    by_python = after_python(graph, pictures.name) if asked.images is None else None
    if by_python is not None:
        asked.say(f"images: {by_python} (found: what Python code that is not in the file makes of {pictures.name})")
        pictures = tensor_named(graph.inferred, by_python)
    made = Decoded(pictures.name)
    if is_decoded(graph, pictures):
        made = decoded(graph, pictures, asked.say)
    graph, taken = apart(graph, made.images)
    number = (shape_of(tensor_named(graph.inferred, taken)) or [None])[0]
    given = {t.name: given_value(name, asked.feed[name], t, number) for name, t in tensors.items()}
    for name, tensor in tensors.items():
        asked.say(f"{name}: given, {text_of(tensor)}, the same for every picture")
    graph = fed(graph, taken, given)
    return graph, tensor_named(graph.inferred, taken), made
