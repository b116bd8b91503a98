"""What a user calls a network and its weights -> which are meant; without TensorFlow: mistakes are told at once."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from slim_models import files
from slim_models.builders import DEFAULT_NETWORK, NETWORKS, Architecture, architecture, find_weights, preprocessing_for
from slim_models.heads import HEADS
from slim_models.labels import Labels, names_given
from slim_models.mistakes import BadValue, MissingFile, UnknownName, check_name
from slim_models.weights import check_weights_file

_IN_ITS_PLACE = "resnet_v1_50_tiny"  # it is embedded, so that its weights are always there


@dataclasses.dataclass(frozen=True)
class Meant:
    """A network and its weights, which are there.

    Attributes:
        network: a key of `NETWORKS`, or what `load` takes.
        weights: a file or arrays; None for those that a network of anybody's has itself.
        found: what is known of it, as of `open_network`, without what is None or False.
        own_file: whether a network of ours has the weights that it was published or embedded with in this project or a
            package, and so the classes that the catalogue says.
    """

    network: Any
    weights: str | os.PathLike | Mapping[str, np.ndarray] | None
    found: Mapping[str, Any]
    own_file: bool = False

    @property
    def origin(self) -> str:
        """What the weights come from, as figures say it: a file's name, or a package; empty of arrays."""
        if not isinstance(self.weights, (str, os.PathLike)):
            return ""
        path = pathlib.Path(self.weights)
        package = self.entry.package if self.entry is not None and self.own_file else None
        packaged = files.in_package(package, path.suffix) if package else None
        return f"the package {package}" if packaged is not None and packaged.resolve() == path.resolve() else path.name

    @property
    def entry(self) -> Architecture | None:
        """Of a network of ours, the catalogue's; None of anybody's."""
        return NETWORKS.get(self.network) if isinstance(self.network, str) else None

    def classes(self) -> tuple[int, Labels | None] | None:
        """The number of classes and their names, if neither depends on what is in a file that is still to be read.

        Raises:
            FileNotFoundError, ValueError: the names that were given cannot be read, or are others.
        """
        given = self.found.get("labels")
        if self.entry is not None and self.own_file:
            return self.entry.num_classes, self.entry.labels_of(self.entry.num_classes, given)
        if given is not None:
            names_given(given)
        return None


def meant(
    network: Any = None,
    weights: str | os.PathLike | Mapping[str, np.ndarray] | None = None,
    found: Mapping[str, Any] | None = None,
    say: Callable[[str], object] = warnings.warn,
) -> Meant:
    """Decides which network and which weights a user means, and says what of them is not there.

    Args:
        network: as of `open_network`.
        weights: as of `open_network`.
        found: as of `open_network`.
        say: is told that the default network's weights are missing, and which network takes its place.

    Raises:
        FileNotFoundError: there is no file of weights.
        KeyError: neither a name nor a path.
        ValueError: something has no meaning for a network of ours.
    """
    given = {name: value for name, value in (found or {}).items() if value is not None and value is not False}
    if network is None:
        network = DEFAULT_NETWORK if weights is not None else _with_weights(say)
    if isinstance(weights, (str, os.PathLike)):
        check_weights_file(weights)
    if isinstance(network, str) and network in NETWORKS:
        if others := [name for name in given if name != "labels"]:
            known = f"{network} is a network of ours, whose tensors are known"
            raise BadValue(f"{known}: it takes no {', '.join(others)}")
        if weights is not None:
            return Meant(network, weights, given)
        path = find_weights(network)
        return Meant(network, path, given, own_file=_is_own(architecture(network), path))
    if isinstance(network, (str, os.PathLike)) and not exists(network):
        raise UnknownName(
            f"no network {os.fspath(network)!r}; the networks are {', '.join(NETWORKS)}, and there is no file of "
            "that name"
        )
    check_found(given.get("preprocessing"), bool(given.get("prepared")), given.get("head"))
    return Meant(network, weights, given)


def _with_weights(say: Callable[[str], object]) -> str:
    """The default network, or the embedded one if its weights are not here."""
    try:
        find_weights(DEFAULT_NETWORK)
    except MissingFile:
        say(
            f"the embedded {_IN_ITS_PLACE}, which knows {architecture(_IN_ITS_PLACE).num_classes} classes, takes the "
            f"place of {DEFAULT_NETWORK}, whose weights '{architecture(DEFAULT_NETWORK).source}' fetches"
        )
        return _IN_ITS_PLACE
    return DEFAULT_NETWORK


def _is_own(entry: Architecture, path: pathlib.Path) -> bool:
    """Whether a file of weights came with the project or with a package, and has the classes of the catalogue."""
    carried = files.carried(entry.file)
    packaged = files.in_package(entry.package, path.suffix) if entry.package else None
    return any(place is not None and place.resolve() == path.resolve() for place in (carried, packaged))


def check_there(path: str | os.PathLike, what: str = "nothing") -> None:
    """Whether there is anything at a path; `what`: what is missing, in words, "no reference".

    Raises:
        FileNotFoundError: there is nothing.
    """
    if not exists(path):
        raise MissingFile(f"{what} at {os.fspath(path)}")


def exists(path: str | os.PathLike) -> bool:
    """Whether there is a file or folder of that name, or a checkpoint with that prefix."""
    path = pathlib.Path(path)
    return path.exists() or files.is_there(path) or path.with_name(f"{path.name}.meta").is_file()


def check_found(preprocessing: Any, prepared: bool, head: str | None) -> None:
    """What is wrong with these of `load`'s arguments, which is told before anything is opened.

    Raises:
        KeyError: no such preprocessing or head.
        ValueError: the preprocessing cannot be, or is of pictures that are prepared already.
    """
    if preprocessing is not None:
        preprocessing_for(preprocessing)
        if prepared:
            raise BadValue(
                f"prepared pictures go in as they are, and preprocessing {preprocessing!r} would change them: give "
                "only one of prepared and preprocessing"
            )
    if head is not None:
        check_name("head", head, HEADS)
