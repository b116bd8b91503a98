"""Tries to explain a photograph by every network in a folder, given its path alone, and prints what came of it.

Where a network takes arrays of other channels, random numbers are in the photograph's place.

    python scripts/try_networks.py networks/
    python scripts/try_networks.py networks/ --image photo.jpg --json out/networks.json

A network is a file, a folder with a SavedModel, or a folder with a checkpoint and its .meta. Where only the
preprocessing could not be told, it is tried once more with the first one that the message names, and the table says
so: which one is right is for the user to say. Exit code 1 if anything ended in an error that is not told in a line.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import re
import sys
import time
from collections.abc import Iterator

import numpy as np

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    import slim_models
    from gradcam import Explainer
    from gradcam.pictures import Photograph, read_photograph, write_json
    from slim_models.mistakes import MissingFile, Mistake

_CHOICES = re.compile(r"preprocessing(?: \(--preprocessing\))?, one of (\w+)")


@dataclasses.dataclass
class Outcome:
    """What came of one network.

    Attributes:
        network: its file's name.
        opened: whether a map was made: `yes`, `refused`, or `ERROR` for what no user should see.
        flags: what had to be given.
        seconds: from the path to the map.
        layer: that was explained.
        head: softmax, sigmoid or linear.
        preprocessing: what was said of it.
        reason: of a refusal, in a line.
    """

    network: str
    opened: str = "yes"
    flags: str = ""
    seconds: float = 0.0
    layer: str = ""
    head: str = ""
    preprocessing: str = ""
    reason: str = ""


def main(argv: list[str] | None = None) -> bool:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="with the networks")
    parser.add_argument("--image", default="sample:coffee", metavar="IMAGE", help="default: %(default)s")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the outcomes too")
    args = parser.parse_args(argv)
    outcomes = []
    for path in networks(args.folder):
        outcomes.append(tried(path, args.image))
        print(line(outcomes[-1]), flush=True)
    opened = sum(outcome.opened == "yes" for outcome in outcomes)
    alone = sum(outcome.opened == "yes" and not outcome.flags for outcome in outcomes)
    print(f"\n{opened} of {len(outcomes)} explained, {alone} of them from the path alone")
    if args.json:
        write_json(args.json, {"networks": [dataclasses.asdict(outcome) for outcome in outcomes]})
        print(args.json)
    return not any(outcome.opened == "ERROR" for outcome in outcomes)


def networks(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The networks of a folder, in order of name.

    Raises:
        FileNotFoundError: there are none.
    """
    paths = [path for path in sorted(folder.iterdir() if folder.is_dir() else ()) if path.suffix.lower() != ".md"]
    if not paths:
        raise MissingFile(f"no networks in {folder}")
    yield from paths


def tried(path: pathlib.Path, image: str) -> Outcome:
    """One network, from its path alone, or else with the first preprocessing that it could have."""
    outcome, began = Outcome(path.name), time.time()
    try:
        explained(path, image, outcome)
    except Mistake as mistake:
        outcome.opened, outcome.reason = "refused", " ".join(str(mistake).split())
        if choice := _CHOICES.search(str(mistake)):
            outcome.flags = f"--preprocessing {choice[1]}"
            try:
                explained(path, image, outcome, choice[1])
                outcome.opened = "yes"
            except Mistake as second:
                outcome.reason = " ".join(str(second).split())
    except Exception as error:  # whatever it is, no user should see it
        outcome.opened, outcome.reason = "ERROR", f"{type(error).__name__}: {str(error).splitlines()[0]}"
    outcome.seconds = time.time() - began
    return outcome


def explained(path: pathlib.Path, image: str, outcome: Outcome, preprocessing: str | None = None) -> None:
    """Explains the photograph, and notes what was found on the way."""
    lines: list[str] = []
    network = slim_models.open_network(path, preprocessing=preprocessing, say=lines.append)
    outcome.head, outcome.layer = network.head, network.default_layer
    outcome.preprocessing = next((text for text in lines if text.startswith("preprocessing: ")), "")
    if network.takes_arrays:
        noise = np.random.default_rng(0).normal(size=(*network.image_size, network.channels)).astype(np.float32)
        photograph = Photograph.of_array("noise", noise)
    else:
        photograph = read_photograph(image)
    with Explainer(network) as explainer:
        photograph.heatmap(explainer.explain(photograph.fitted(network.image_size)[None]).cam()[0])


def line(outcome: Outcome) -> str:
    """An outcome in a line, and why below it."""
    flags = f"  {outcome.flags}" if outcome.flags else ""
    first = f"{outcome.opened:8s} {outcome.network:44s} {outcome.seconds:5.1f} s{flags}"
    found = [f"{outcome.head}, layer {outcome.layer}", outcome.preprocessing.removeprefix("preprocessing: ")]
    below = [text for text in found if text] if outcome.opened == "yes" else [outcome.reason]
    return "\n".join([first, *(f"         {text[:200]}" for text in below)])


if __name__ == "__main__":
    run_script("try_networks", lambda: sys.exit(0 if main() else 1))
