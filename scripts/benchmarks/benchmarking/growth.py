"""How long explanations take as the batch, the pictures, the classes and the depth of the layer change."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarking.measuring import pictures, sized_network, timed
from benchmarking.seconds import spread
from gradcam.terminal import quiet_tensorflow

with quiet_tensorflow():
    import slim_models
    from gradcam.explainer import Explainer

TASKS: Mapping[str, Sequence[str]] = {"CAM": (), "CAM + guided": ("guided",)}  # title -> rules

# Title of a line -> its points: `x`, `median`, `low` and `high` (the quartiles) in ms, and the number of `runs`.
Lines = Mapping[str, list[dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Amount:
    """Where is measured, and for how many seconds, but at least how many runs, each."""

    batches: Sequence[int] = (1, 2, 4, 8, 16)
    sizes: Sequence[int] = (112, 160, 224, 320, 448)
    classes: Sequence[int] = (1, 2, 5, 10, 20)
    seconds: float = 2.0
    least: int = 7


@dataclasses.dataclass(frozen=True)
class Subject:
    """A network with its weights in a precision, and how much is measured of it."""

    network: slim_models.Network
    weights: Mapping[str, np.ndarray]
    precision: str
    amount: Amount

    def explainer(self, rules: Sequence[str], layer: str | None = None) -> Explainer:
        """One that is asked for the rules and one layer, no more: None is the default layer."""
        layers = None if layer is None else [layer]
        return Explainer(self.network, self.weights, layers=layers, rules=rules, precision=self.precision)

    def point(self, x: float | str, run: Callable[[], object], per: int = 1) -> dict[str, Any]:
        """The milliseconds of a run over `per`."""
        seconds = timed(run, self.amount.seconds, self.amount.least)
        median, low, high = (1000 * value / per for value in spread([seconds]))
        return {"x": x, "median": median, "low": low, "high": high, "runs": len(seconds)}


def by_batch(subject: Subject) -> Lines:
    """Milliseconds a picture, for each task, against the batch."""
    lines: dict[str, list[dict[str, Any]]] = {task: [] for task in TASKS}
    for task, rules in TASKS.items():
        with subject.explainer(rules) as explainer:
            for batch in subject.amount.batches:
                run = partial(cams, explainer, pictures(batch, subject.network))
                lines[task].append(subject.point(batch, run, per=batch))
    return lines


def by_size(subject: Subject, name: str, path: str | None) -> Lines:
    """Milliseconds, for each task, against the megapixels of a picture; points have its `size` too.

    Args:
        subject: whose precision and sizes are meant.
        name: of the network.
        path: of its weights, as `sized_network` takes them.
    """
    lines: dict[str, list[dict[str, Any]]] = {task: [] for task in TASKS}
    for size in subject.amount.sizes:
        network, weights = sized_network(name, path, size)
        sized = dataclasses.replace(subject, network=network, weights=weights)
        for task, rules in TASKS.items():
            with sized.explainer(rules) as explainer:
                run = partial(cams, explainer, pictures(1, network))
                lines[task].append({"size": size, **sized.point(size**2 / 1e6, run)})
    return lines


def by_classes(subject: Subject) -> Lines:
    """Milliseconds of all classes of a picture, for each task: in one forward pass, and with the picture repeated."""
    lines: dict[str, list[dict[str, Any]]] = {}
    images = pictures(1, subject.network)
    for task, rules in TASKS.items():
        shared, repeated = lines[task], lines[f"{task}, picture repeated"] = [], []
        with subject.explainer(rules) as explainer:
            for count in subject.amount.classes:
                targets = np.arange(count) % subject.network.num_classes
                shared.append(subject.point(count, partial(class_cams, explainer, images[0], targets)))
                run = partial(cams, explainer, np.repeat(images, count, axis=0), targets)
                repeated.append(subject.point(count, run))
    return lines


def by_layer(subject: Subject) -> Lines:
    """Milliseconds of a CAM, against the layer, from the default one to the first."""
    points = []
    for layer in layers_down(subject.network):
        with subject.explainer((), layer) as explainer:
            points.append(subject.point(layer, partial(cams, explainer, pictures(1, subject.network))))
    return {"CAM": points}


def cams(explainer: Explainer, images: np.ndarray, targets: np.ndarray | None = None) -> np.ndarray:
    """What a user waits for: the run, and the maps from what it says."""
    return explainer.explain(images, targets).cam()


def class_cams(explainer: Explainer, image: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The same for several classes of one picture."""
    return explainer.explain_classes(image, targets).cam()


def layers_down(network: slim_models.Network) -> list[str]:
    """The default layer, then upwards of it the last layer of every resolution, and the first of all."""
    names = list(network.endpoints)
    names = names[: names.index(network.default_layer) + 1]
    last = {network.endpoints[name].shape.as_list()[1]: name for name in names}  # by height; the default is the last
    return list(dict.fromkeys([*reversed(last.values()), names[0]]))
