"""A run over a data set by the workers of a cluster, which open the network themselves."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcam.evaluation.datasets import Example
from gradcam.evaluation.journal import Row
from gradcam.evaluation.running import Measure, measured
from gradcam.methods import needs

if TYPE_CHECKING:
    from gradcam.cluster import Cluster
    from gradcam.explainer import Explainer
    from slim_models.network import Network


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """Who measures in this program's place.

    Attributes:
        cluster: the workers.
        open_network: is called on a worker, once: the network with its values, found there by name or path.
        make_measure: is called there with it: what is measured.
        send: whether the bytes of the pictures are sent along, for workers that do not see their files.
        any_tensorflow: whether workers may have another version of TensorFlow, whose last digits differ.
    """

    cluster: Cluster
    open_network: Callable[[], Network]
    make_measure: Callable[[Network], Measure]
    send: bool = False
    any_tensorflow: bool = False

    @contextlib.contextmanager
    def rows(
        self, explainer: Explainer, layers: Sequence[str] | None, fit: str, parts: Iterable[Sequence[Example]]
    ) -> Iterator[Iterator[list[Row]]]:
        """The rows of each part, in their order; arguments as of `running.run`, errors as of `Cluster.results`.

        Args:
            explainer: of the same network in this program: what workers say of theirs is held against it.
            layers: of the maps; None is the network's default one.
            fit: `"stretch"` or `"crop"`.
            parts: pictures of one session run each.
        """
        from gradcam.cluster import Job

        make = functools.partial(_measuring, self.open_network, self.make_measure, layers, fit)
        job = Job(uuid.uuid4().hex, make, explainer.provenance(), self.any_tensorflow)
        if self.send:
            parts = (list(map(_carried, part)) for part in parts)
        with self.cluster.results(job, parts) as results:
            yield results


def _carried(example: Example) -> Example:
    """A picture with its bytes, if they are in a file; what is made by a function is made on the worker."""
    carried = getattr(example.read, "carried", None)
    return example if carried is None else dataclasses.replace(example, read=carried())


def _measuring(
    open_network: Callable[[], Network],
    make_measure: Callable[[Network], Measure],
    layers: Sequence[str] | None,
    fit: str,
) -> tuple[Callable[[Sequence[Example]], list[Row]], Mapping[str, Any]]:
    """On a worker: what measures a part, and by what."""
    from gradcam.explainer import Explainer

    network = open_network()
    measure = make_measure(network)
    explainer = Explainer(network, layers=layers, **needs(measure.methods))
    return functools.partial(measured, explainer, measure, fit), explainer.provenance()
