"""What `gradcam serve` shows of a picture; no page in it: networks, classes and choices by name, one run at a time."""

from __future__ import annotations

import collections
import pathlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

import slim_models
from gradcam.cli.naming import Naming
from gradcam.cli.predictions import none_may_fit, predicted
from gradcam.cli.writer import TOP, Writer
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from gradcam.maps import LOOK, Look
from gradcam.methods import methods_named, needs
from gradcam.panels import heading, panels, pixels_of
from gradcam.pictures import Photograph, read_photograph, source_of
from gradcam.targets import Asked, asked, title
from slim_models.labels import Labels, class_name
from slim_models.mistakes import BadValue, check_name

MOST_CLASSES = 10  # of one picture: each is a row of pictures on the page
_OPEN, _REMEMBERED = 3, 4  # explainers whose sessions stay open, and explanations that can be drawn again
_T = TypeVar("_T")


class Choices(NamedTuple):
    """What there is to choose of a network.

    Attributes:
        classes: what a class is called and its index in digits, by which it can be asked for.
        layers: that can be explained.
        layer: the default one of them.
    """

    classes: list[tuple[str, str]]
    layers: list[str]
    layer: str


class Wanted(NamedTuple):
    """What is to be shown of a picture.

    Attributes:
        source: of the picture, as `read_photograph` takes it.
        network: one of the studio's.
        targets: classes as users say them; empty for the predicted one.
        layer: one of the network's; None is its default.
        method: a key of `methods.REGISTRY`.
        fit: `"stretch"` or `"crop"`.
    """

    source: str
    network: str
    targets: tuple[str, ...] = ()
    layer: str | None = None
    method: str = "grad_cam"
    fit: str = "stretch"


class Shown(NamedTuple):
    """What a page shows of a picture.

    Attributes:
        pictures: a row a class: uint8 `[H, W, 3]`, RGB, and what stands below it.
        columns: pictures a row.
        table: of the likeliest classes: index, name and what the network says of it.
        said: what that is: `"probability"` or `"output"`.
        files: the numbers of each class, as `gradcam explain` writes them.
        remarks: sentences on what would look like a mistake.
    """

    pictures: list[tuple[np.ndarray, str]]
    columns: int
    table: list[tuple[int, str, float]]
    said: str
    files: list[str]
    remarks: list[str]


class _Explained(NamedTuple):
    """A picture that was explained: for each target an explanation of it alone, and what its files say."""

    photograph: Photograph
    targets: Sequence[Asked]
    explanations: Sequence[Explanation]
    labels: Labels | None
    made: Mapping[str, Any]


class Studio:
    """Explains pictures by some networks: one session run at a time, whoever asks.

    Attributes:
        networks: what opens each, by its name; it is opened when it is first asked for.
    """

    def __init__(self, networks: Mapping[str, Callable[[], slim_models.Network]]):
        self.networks = dict(networks)
        self._lock = threading.RLock()
        self._opened: dict[str, slim_models.Network] = {}
        self._explainers: collections.OrderedDict[Hashable, Explainer] = collections.OrderedDict()
        self._explained: collections.OrderedDict[Hashable, _Explained] = collections.OrderedDict()
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="gradcam-"))

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: Any) -> None:
        """Closes all sessions and removes the files."""
        with self._lock:
            for explainer in self._explainers.values():
                explainer.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def choices(self, name: str) -> Choices:
        """What there is to choose of a network; errors as of `slim_models.open_network`.

        Raises:
            KeyError: no such network.
            ValueError: it takes arrays in place of photographs.
        """
        with self._lock:
            network = self._network(name)
        labels, indices = network.labels, range(network.num_classes)
        names = [f"{labels.names[i]} ({i})" if labels else class_name(i, None) for i in indices]
        layers = [layer for layer, tensor in network.endpoints.items() if tensor.shape.rank == 4]
        return Choices([*zip(names, map(str, indices))], layers, network.default_layer)

    def explain(self, wanted: Wanted, look: Look = LOOK) -> Shown:
        """Explains a picture; what was explained a moment ago is only drawn again.

        The files stay until the next picture is explained.

        Args:
            wanted: of the picture.
            look: of heat maps.

        Raises:
            KeyError, ValueError, OSError: as `read_photograph`, `slim_models.open_network` and `Explainer.explain`; or
                too many classes.
        """
        with self._lock:
            found = _kept(self._explained, wanted, _REMEMBERED, lambda: self._explain(wanted))
            return self._shown(wanted, found, look)

    def _network(self, name: str) -> slim_models.Network:
        check_name("network", name, self.networks)
        if name not in self._opened:
            self._opened[name] = self.networks[name]().check_photographs()
        return self._opened[name]

    def _explainer(self, name: str, layer: str | None, method: str) -> Explainer:
        """One with the rules that the method and, where it is defined, guided backprop need."""
        network = self._network(name)
        layer = layer or network.default_layer
        guided = [] if slim_models.refusal(network.logits, [network.images]) else ["guided"]
        needed = needs(methods_named([method]))
        rules, layer_rules = tuple(dict.fromkeys([*guided, *needed["rules"]])), needed["layer_rules"]

        def make() -> Explainer:
            return Explainer(network, layers=[layer], rules=rules, layer_rules=layer_rules)

        key = (name, layer, rules, layer_rules)
        return _kept(self._explainers, key, _OPEN, make, lambda explainer: explainer.close())

    def _explain(self, wanted: Wanted) -> _Explained:
        if len(wanted.targets) > MOST_CLASSES:
            raise BadValue(f"at most {MOST_CLASSES} classes at once, not {len(wanted.targets)}")
        explainer = self._explainer(wanted.network, wanted.layer, wanted.method)
        photograph = read_photograph(wanted.source, wanted.fit)
        image = photograph.fitted(explainer.network.image_size)
        targets = list(dict.fromkeys(asked(word, explainer.index) for word in wanted.targets))
        explanation = explainer.explain_classes(image, targets) if targets else explainer.explain(image[None])
        ones = [explanation[number] for number in range(len(explanation))]
        made = {
            **explainer.provenance(),
            "fit": wanted.fit,
            **source_of(wanted.source),
            "source": _called(wanted.source),
        }
        return _Explained(photograph, targets or [int(ones[0].targets[0])], ones, explainer.labels, made)

    def _shown(self, wanted: Wanted, found: _Explained, look: Look) -> Shown:
        rows = []
        for target, one in zip(found.targets, found.explanations):
            shown, name = (
                panels(found.photograph, one, layer=wanted.layer, method=wanted.method),
                title(target, found.labels),
            )
            rows.append([(pixels_of(panel, look), f"{name}: {heading(what, panel)}") for what, panel in shown.items()])
        files, blank = self._files(wanted, found)
        top = predicted(found.explanations[0], found.labels, TOP)
        said = "output" if "output" in top[0] else "probability"
        return Shown(
            [picture for row in rows for picture in row],
            len(rows[0]),
            [(entry["index"], entry["class"], entry[said]) for entry in top],
            said,
            files,
            [*filter(None, [none_may_fit(found.explanations[0])]), *blank],
        )

    def _files(self, wanted: Wanted, found: _Explained) -> tuple[list[str], list[str]]:
        """Writes the numbers of each target; and sentences about maps that are blank."""
        shutil.rmtree(self._folder, ignore_errors=True)
        layer, made = found.explanations[0].default_layer, found.made
        what = [layer], [wanted.method], wanted.network, found.labels, made["weights"], wanted.fit
        writer = Writer(Naming(self._folder, *what, self._network(wanted.network).default_layer), ["arrays"], LOOK)
        picture = writer.picture(pathlib.Path(made["source"]).stem.removeprefix("sample:"), made, found.photograph)
        written = [writer.write(picture, *pair) for pair in zip(found.explanations, found.targets)]
        files = [str(self._folder / file) for one in written for file in one.files]
        return files, [sentence for one in written for sentence in one.blank]


def _called(source: str) -> str:
    """What a picture is called: of an upload not where it lies."""
    return source if source.startswith("sample:") else pathlib.Path(source).name


def _kept(
    shelf: collections.OrderedDict[Hashable, _T],
    key: Hashable,
    most: int,
    make: Callable[[], _T],
    end: Callable[[_T], object] = lambda _: None,
) -> _T:
    """What is on a shelf under a key, made if it is not there; what has not been asked for the longest goes.

    Args:
        shelf: the latest last.
        key: of what is wanted.
        most: that the shelf holds.
        make: makes it.
        end: of what goes.
    """
    if key not in shelf:
        shelf[key] = make()
    shelf.move_to_end(key)
    while len(shelf) > most:
        end(shelf.popitem(last=False)[1])
    return shelf[key]
