"""The maps of other libraries of the reference network of `gradcam conformance`, each family in a process of its own.

    python -m conforming.torch_maps REFERENCE.npz OUT.npz
    python -m conforming.keras_maps REFERENCE.npz OUT.npz

in the folder `scripts/benchmarks`. What is written is `LIBRARY/THEIR NAME/OUR METHOD` -> the map, as the library gives
it by default, in RGB where it has channels; a library that is not installed is left out. `versions` is JSON.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import pathlib
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

TARGET = 3
SAMPLES, NOISE = 200, 0.02  # of the methods that are told how much noise there is, as a share of the picture's range
Maps = Mapping[tuple[str, str], np.ndarray]  # their name, our method -> the map


class Reference:
    """What `gradcam conformance --reference` has written."""

    def __init__(self, path: str):
        with np.load(path) as arrays:
            self.image = arrays["image"].astype(np.float32)
            found = {name: arrays[name] for name in arrays.files if name.startswith("weights/")}
        self.weights = {name.removeprefix("weights/"): array.astype(np.float32) for name, array in found.items()}
        self.sigma = NOISE * float(np.ptp(self.image))


def main(family: Callable[[Reference], Any], libraries: Mapping[str, str]) -> None:
    """Writes the maps of the libraries that are there, by the two files that the command line names.

    Args:
        family: of the reference: has a method for each library, which makes its `Maps`.
        libraries: module, which the method is called as -> distribution.
    """
    warnings.simplefilter("ignore")
    reference, out = sys.argv[1:]
    made = family(Reference(reference))
    arrays: dict[str, np.ndarray] = {}
    versions = {}
    for module, distribution in libraries.items():
        if importlib.util.find_spec(module) is None:
            continue
        versions[distribution] = importlib.metadata.version(distribution)
        for (theirs, ours), array in getattr(made, module)().items():
            arrays[f"{distribution}/{theirs}/{ours}"] = np.asarray(array, np.float32)
    np.savez_compressed(pathlib.Path(out), versions=np.array(json.dumps(versions)), **arrays)


def named(pairs: Iterable[tuple[str, str, Callable[[], np.ndarray]]]) -> dict[tuple[str, str], np.ndarray]:
    """Their name, our method, and what makes it -> the maps."""
    return {(theirs, ours): make() for theirs, ours, make in pairs}
