"""The rewrites of somebody's graph, in their order, and the one function that runs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from slim_models.backward import marked
from slim_models.loading.passes.channels_last import channels_last
from slim_models.loading.passes.cut import cut
from slim_models.loading.passes.decided import decided
from slim_models.loading.passes.dequantized import dequantized
from slim_models.loading.passes.dereferenced import dereferenced
from slim_models.loading.passes.float_input import float_input
from slim_models.loading.passes.free_batch import free_batch
from slim_models.loading.passes.graph import Graph, Say, silent
from slim_models.loading.passes.inference import Stored, inference
from slim_models.loading.passes.inlined import inlined
from slim_models.loading.passes.lightened import lightened
from slim_models.loading.passes.loops import with_exits
from slim_models.loading.passes.plain_convolutions import plain_convolutions
from slim_models.loading.passes.training import settled
from slim_models.loading.passes.unfused import unfused
from slim_models.mistakes import Mistake


@dataclasses.dataclass(frozen=True)
class Found:
    """What is known of a graph beside its operations.

    Attributes:
        outputs: names that the file gives its outputs itself; may be empty. Passes of `WHOLE` ask for them.
        images: name of the tensor of the pictures. Passes of `PART` ask for it.
        logits: name of the tensor of the logits; likewise.
        say: is told what was guessed.
        called: name of a tensor -> what the network itself calls it, to be told.
        warn: is told, in sentences, what gives a picture another result beside other pictures, or in another run.
        stored: the variables in which moving averages are stored, of the whole graph (`stored_averages`).
    """

    outputs: Sequence[str] = ()
    images: str = ""
    logits: str = ""
    say: Say = silent
    warn: Say = silent
    called: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stored: Stored = dataclasses.field(default_factory=dict)


Rewrite = Callable[[Graph, Found], Graph]

# Before pictures and logits are looked for: what is inside of functions would not be found. What is assigned to in a
# frozen graph must be gone before anything imports it.
WHOLE: Mapping[str, Rewrite] = {
    "dereferenced": lambda graph, found: dereferenced(graph),
    "inlined": lambda graph, found: inlined(graph, found.outputs),
}
# After that. Heavy constants, those that were kept in 8 bits too, go before anything copies them; training puts the
# constants that decide, which inference asks for, and what that leaves is told of operations as they were written;
# channels_last knows plain operations, not fused ones; free_batch proves by shapes, which those before it change;
# plain_convolutions moves pixels to the batch's axis, of which it would prove nothing.
PART: Mapping[str, Rewrite] = {
    "dequantized": lambda graph, found: dequantized(graph),
    "lightened": lambda graph, found: lightened(graph),
    "cut": lambda graph, found: cut(graph, found.images, found.logits),
    "training": lambda graph, found: settled(graph, found.images, found.logits, found.say, found.called),
    "inference": lambda graph, found: inference(graph, found.stored, found.images, found.logits, found.say, found.warn),
    "loops": lambda graph, found: with_exits(graph),
    "decided": lambda graph, found: decided(graph),
    "unfused": lambda graph, found: unfused(graph),
    "float_input": lambda graph, found: float_input(graph, found.images),
    "channels_last": lambda graph, found: channels_last(graph),
    "free_batch": lambda graph, found: free_batch(graph, found.images, found.logits),
    "plain_convolutions": lambda graph, found: plain_convolutions(graph),
    "marked": lambda graph, found: graph.alike(marked(graph.graph_def)),
}


def rewritten(graph: Graph, passes: Mapping[str, Rewrite], found: Found) -> Graph:
    """Runs passes over a graph, one after the other.

    A graph that a pass has changed must import into TensorFlow again, or the next would be blamed. That costs little:
    the next asks for the shapes that this infers.

    Args:
        graph: unchanged.
        passes: by name, in their order: `WHOLE` or `PART`.
        found: what is known of the graph.

    Returns:
        What the last pass returns; `graph` itself if none changes anything.

    Raises:
        ValueError: a pass cannot do its work, or what it has made is no graph; the message ends with its name.
    """
    for name, rewrite in passes.items():
        try:
            changed = rewrite(graph, found)
            if changed is not graph:
                _ = changed.inferred
        except Mistake as error:
            raise type(error)(f"{error} (in the pass {name})") from error
        graph = changed
    return graph
