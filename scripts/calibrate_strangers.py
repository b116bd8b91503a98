"""Thresholds for "none of this network's classes may fit", from validation pictures, and how often the rule errs.

    python scripts/calibrate_strangers.py --data tiny-imagenet-200.zip
    python scripts/calibrate_strangers.py --network vgg16_tiny --data tiny-imagenet-200.zip --also photographs.csv

A picture is taken for a stranger if its top probability and the log-sum-exp of its logits are both below thresholds:
the same quantile of each, at which a share `--rate` of the pictures of `--data` is. Told are the share of all of these,
and of those that were classified right and wrong; of `--also`, pictures with classes as for reproduce_table1.py, the
shares of those whose class the network has and of those whose class it has not; of the pictures in the folder `--none`;
and of pictures that are made up: noise, textures and drawings, 100 of a kind. The thresholds are put into
gradcam/strangers.py by hand, with the fingerprint of the weights, which is printed too.
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    import slim_models
    from gradcam.cli import network_flags
    from gradcam.evaluation import as_rows, as_text, estimate
    from gradcam.evaluation.datasets import Example, read_examples
    from gradcam.explainer import Explainer
    from gradcam.pictures import Photograph, expand, read_photograph, write_json
    from gradcam.strangers import RATE, none_fits, thresholds_for
    from slim_models.mistakes import BadValue, UnknownName

BATCH = 25
COUNT, SIDE = 100, 224  # of made-up pictures of a kind; their pixels
WHITE = 255
LETTERS = [*"abcdefghijklmnopqrstuvwxyz", *"      "]


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="efficientnet_lite0", metavar="NAME|PATH", help="default: %(default)s")
    parser.add_argument("--weights", metavar="PATH", help="default: the network's own")
    parser.add_argument("--data", required=True, metavar="DATA", help="as of reproduce_table1.py; the thresholds' own")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures of DATA")
    parser.add_argument("--also", metavar="DATA", help="pictures with classes, of which the network may have some")
    parser.add_argument("--none", metavar="FOLDER", help="pictures of none of its classes")
    text = "of DATA that the rule takes for strangers (default: %(default)s)"
    parser.add_argument("--rate", type=float, default=RATE, metavar="SHARE", help=text)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/strangers.json"), metavar="FILE.json")
    args = parser.parse_args(argv)

    network = slim_models.open_network(args.network, args.weights, say=network_flags.tell).check_photographs()
    if network.head != "softmax":
        raise BadValue(f"the rule is one of a softmax, and the head of {network.name} is {network.head}")
    with Explainer(network, layers=[], rules=[]) as explainer:
        data = read_examples(args.data)[: args.limit]
        own = logits_of(explainer, photographs(data))
        groups = {**by_answer(explainer, data, own), **others(explainer, args.also, args.none)}
        weights = explainer.fingerprint
    thresholds = thresholds_for(own, args.rate)
    taken = {name: none_fits(logits, thresholds) for name, logits in groups.items() if len(logits)}
    table = {name: {"taken for strangers": estimate(flags, 100)} for name, flags in taken.items()}
    print(f"{network.name}, weights {weights}: {thresholds}\n\n{as_text(table, 1)}\n")
    facts = {"network": network.name, "weights": weights, "rate": args.rate, "thresholds": thresholds._asdict()}
    write_json(args.out, {**facts, "cells": as_rows(table)})
    print(args.out)
    return args.out


def photographs(examples: Sequence[Example]) -> Iterable[Photograph]:
    return (Photograph(example.name, example.read()) for example in examples)


def logits_of(explainer: Explainer, pictures: Iterable[Photograph]) -> np.ndarray:
    """The logits `[N, C]` of photographs, which are read as they are wanted."""
    size, found = explainer.network.image_size, []
    waiting = iter(pictures)
    with tqdm(unit="picture", disable=None, leave=False) as bar:
        while batch := [photograph.fitted(size) for photograph in itertools.islice(waiting, BATCH)]:
            found.append(explainer.predict(np.stack(batch)))
            bar.update(len(batch))
    return np.concatenate(found) if found else np.empty((0, explainer.network.num_classes), np.float32)


def by_answer(explainer: Explainer, examples: Sequence[Example], logits: np.ndarray) -> dict[str, np.ndarray]:
    """The logits of pictures of the network's classes: of all, and of those that it classified right and wrong."""
    right = logits.argmax(axis=1) == [explainer.index(example.target) for example in examples]
    return {"its classes": logits, "classified right": logits[right], "classified wrong": logits[~right]}


def others(explainer: Explainer, also: str | None, none: str | None) -> dict[str, np.ndarray]:
    """The logits of pictures of other sources, group by group; of some the network has the class, of most not."""
    sources: dict[str, Iterable[Photograph]] = {}
    if also:
        examples = read_examples(also)
        known = [has_class(explainer, example.target) for example in examples]
        sources["also, its classes"] = photographs([one for one, has in zip(examples, known) if has])
        sources["also, other classes"] = photographs([one for one, has in zip(examples, known) if not has])
    if none:
        sources["of the folder"] = map(read_photograph, expand([none]))
    sources |= {kind: all_made_up(kind) for kind in MADE_UP}
    return {name: logits_of(explainer, pictures) for name, pictures in sources.items()}


def has_class(explainer: Explainer, target: int | str) -> bool:
    try:
        explainer.index(target)
    except UnknownName:
        return False
    return True


def all_made_up(kind: str) -> Iterable[Photograph]:
    return (Photograph(kind, made_up(kind, number)) for number in range(COUNT))


def made_up(kind: str, number: int) -> np.ndarray:
    """The picture of that number of a kind of `MADE_UP`: uint8 `[SIDE, SIDE, 3]`, always the same."""
    return MADE_UP[kind](np.random.default_rng([number, *kind.encode()]))


def noise(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def one_colour(rng: np.random.Generator) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), rng.integers(0, 256, 3), np.uint8)


def clouds(rng: np.random.Generator) -> np.ndarray:
    """Noise whose amplitude falls as 1 / frequency, as that of photographs does, in each channel."""
    return np.clip(128 + 50 * np.stack([_smooth(rng, 1.0) for _ in range(3)], axis=-1), 0, 255).astype(np.uint8)


def blobs(rng: np.random.Generator) -> np.ndarray:
    """Camouflage: four colours by the height of smooth noise."""
    return _colours(rng, 4)[np.digitize(_smooth(rng, rng.uniform(1.2, 2)), [-0.7, 0, 0.7])]


def stripes(rng: np.random.Generator) -> np.ndarray:
    """Stripes of two colours, or a chessboard, at any angle."""
    y, x = np.mgrid[:SIDE, :SIDE]
    angle, width = rng.uniform(0, np.pi), rng.uniform(4, 40)
    number = np.floor((x * np.cos(angle) + y * np.sin(angle)) / width)
    if rng.random() < 0.5:
        number += np.floor((y * np.cos(angle) - x * np.sin(angle)) / width)
    return _colours(rng, 2)[number.astype(int) % 2]


def strokes(rng: np.random.Generator) -> np.ndarray:
    """Scribbles in black on white."""
    picture = np.full((SIDE, SIDE, 3), WHITE, np.uint8)
    for _ in range(rng.integers(3, 10)):
        steps = np.cumsum(rng.normal(0, 25, (rng.integers(3, 10), 2)), axis=0)
        points = np.rint(rng.uniform(30, SIDE - 30, 2) + steps).astype(np.int32)
        cv2.polylines(picture, [points], bool(rng.integers(2)), (0, 0, 0), int(rng.integers(1, 4)), cv2.LINE_AA)
    return picture


def writing(rng: np.random.Generator) -> np.ndarray:
    """Lines of letters."""
    picture = np.full((SIDE, SIDE, 3), WHITE, np.uint8)
    height = int(rng.integers(14, 30))
    for y in range(height, SIDE, height):
        words = "".join(rng.choice(LETTERS, 30))
        cv2.putText(picture, words, (6, y), cv2.FONT_HERSHEY_SIMPLEX, height / 40, (0, 0, 0), 1, cv2.LINE_AA)
    return picture


def charts(rng: np.random.Generator) -> np.ndarray:
    """Curves between two axes."""
    picture = np.full((SIDE, SIDE, 3), WHITE, np.uint8)
    x = np.arange(20, SIDE - 10)
    cv2.polylines(picture, [np.array([[20, 10], [20, 200], [SIDE - 10, 200]], np.int32)], False, (0, 0, 0))
    for _ in range(rng.integers(1, 4)):
        y = np.clip(np.rint(rng.uniform(60, 150) + np.cumsum(rng.normal(0, 3, len(x)))), 10, 200)
        colour = tuple(map(int, rng.integers(0, 200, 3)))
        cv2.polylines(picture, [np.stack([x, y], axis=1).astype(np.int32)], False, colour, 2, cv2.LINE_AA)
    return picture


def _smooth(rng: np.random.Generator, power: float) -> np.ndarray:
    """Noise whose amplitude falls as 1 / frequency ** power, of mean 0 and deviation 1: `[SIDE, SIDE]`."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = np.inf
    waves = np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) / frequency**power
    found = np.fft.irfft2(waves, s=(SIDE, SIDE))
    return found / found.std()


def _colours(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(0, 256, (count, 3), np.uint8)


MADE_UP: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "noise": noise,
    "one colour": one_colour,
    "clouds": clouds,
    "blobs": blobs,
    "stripes and chessboards": stripes,
    "scribbles": strokes,
    "letters": writing,
    "charts": charts,
}


if __name__ == "__main__":
    run_script("calibrate_strangers", main)
