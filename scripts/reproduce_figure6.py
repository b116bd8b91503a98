"""Reproduces Figure 6 of the Grad-CAM paper: misclassified pictures, explained for the predicted and the true class.

    python scripts/reproduce_figure6.py
    python scripts/reproduce_figure6.py --images coffee.jpg uniform.jpg --classes espresso "military uniform"
    python scripts/reproduce_figure6.py --data tiny-imagenet-200.zip --count 4 --seed 0

A row a picture; columns: original, guided Grad-CAM and Grad-CAM of the predicted class, the same of the true class.
Pictures that the network gets right are left out; of a data set, the mistakes that it is surest of are shown. Without
any mistake, the least sure pictures are shown, with the class that comes second. EfficientNet-Lite0 takes the tabby
for an Egyptian cat, by the same face, so that the two maps differ little, and a rocket for a drilling platform: that
map takes in the towers beside it, the rocket's own lies on the rocket.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam import figures
    from gradcam.adversarial import strongest_other
    from gradcam.cli import reproduction
    from gradcam.evaluation.datasets import Example, read_examples
    from gradcam.explainer import Explainer
    from gradcam.pictures import Photograph, read_photograph
    from slim_models.heads import probabilities_of
    from slim_models.labels import class_name
    from slim_models.mistakes import BadValue

IMAGES = ("sample:chelsea", "sample:grace_hopper", "sample:coffee", "sample:rocket")
CLASSES = ("tabby", "military uniform", "espresso", "projectile")  # 'missile' names two of ImageNet's classes
BATCH = 50


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says of a picture.

    Attributes:
        example: the picture, which is read again when it is shown.
        true: index of its class.
        rival: the strongest other class: the predicted one, unless the picture is classified right.
        lead: the rival's logit less the true class's.
        probability: of the rival.
    """

    example: Example
    true: int
    rival: int
    lead: float
    probability: float


def main(argv: list[str] | None = None) -> pathlib.Path:
    args = reproduction.parsed(_parser(), argv)
    if min(args.among, args.count) < 1:
        raise BadValue(f"--among and --count must be at least 1, not {args.among} and {args.count}")
    examples = _from_data(args) if args.data else _from_files(args)
    with reproduction.open_explainer(args.network, args.weights) as explainer:
        batches = (examples[start : start + BATCH] for start in range(0, len(examples), BATCH))
        predictions = [prediction for batch in batches for prediction in _predict(explainer, batch)]
        wrong = [prediction for prediction in predictions if prediction.lead > 0]
        print(f"{len(wrong)} of {len(examples)} pictures are misclassified{'' if wrong else '; shown: the least sure'}")
        shown = wrong or sorted(predictions, key=lambda prediction: -prediction.lead)[: args.count]
        if args.data:
            shown = sorted(shown, key=lambda prediction: -prediction.probability)[: args.count]
        rows, numbers = zip(*(_row(explainer, prediction) for prediction in shown))
        facts, about = reproduction.facts(explainer), reproduction.about(explainer)
    titles = [pathlib.PurePath(facts["image"]).name.removeprefix("sample:") for facts in numbers]
    figure = reproduction.drawn(args, rows, titles, [about])
    counts = {"pictures": len(examples), "misclassified": len(wrong), "seed": args.seed if args.data else None}
    return figures.write_figure(figure, {**facts, **counts, "rows": list(numbers)}, args.out, say=print)


def _parser() -> argparse.ArgumentParser:
    parser = reproduction.arguments(__doc__, None, "out/figure6.png")
    reproduction.add_images(parser, IMAGES, CLASSES)
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="instead of --images: samples, Tiny ImageNet's folder or zip, ILSVRC's validation pictures, or a CSV file",
    )
    parser.add_argument("--among", type=int, default=500, metavar="N", help="pictures of DATA (default: %(default)s)")
    parser.add_argument("--count", type=int, default=4, metavar="N", help="rows, of DATA (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice among DATA (default: %(default)s)")
    return parser


def _from_files(args: argparse.Namespace) -> list[Example]:
    """The pictures of --images with their true classes."""
    if len(args.images) != len(args.classes):
        raise BadValue(f"{len(args.classes)} classes for {len(args.images)} pictures: give each its true class")
    return [
        Example(source, target, (), functools.partial(_pixels, source))
        for source, target in zip(args.images, args.classes)
    ]


def _pixels(source: str) -> np.ndarray:
    return read_photograph(source).pixels


def _from_data(args: argparse.Namespace) -> list[Example]:
    """A random part of --data."""
    examples = read_examples(args.data)
    return [examples[i] for i in np.random.default_rng(args.seed).permutation(len(examples))[: args.among]]


def _predict(explainer: Explainer, examples: Sequence[Example]) -> Iterator[Prediction]:
    """What the network says of some pictures, from one run."""
    size = explainer.network.image_size
    logits = explainer.predict(
        np.stack([Photograph(example.name, example.read()).fitted(size) for example in examples])
    )
    for example, scores, shares in zip(examples, logits, probabilities_of(logits, explainer.network.head)):
        true = explainer.index(example.target)
        rival = strongest_other(scores, true)
        yield Prediction(example, true, rival, float(scores[rival] - scores[true]), float(shares[rival]))


def _row(explainer: Explainer, prediction: Prediction) -> tuple[figures.Panels, dict[str, Any]]:
    """Panels and numbers of a picture."""
    photograph = Photograph(prediction.example.name, prediction.example.read())
    wrong = prediction.lead > 0
    size = explainer.network.image_size
    explanation = explainer.explain_classes(photograph.fitted(size), [prediction.rival, prediction.true])
    shown = reproduction.sized(photograph, min(size))
    row: list[tuple[str, figures.Panel]] = [("original", shown.pixels)]
    roles = ("predicted", "true") if wrong else ("second", "true, predicted")
    for number, (role, target) in enumerate(zip(roles, explanation.targets)):
        note = f"{role}:\n{reproduction.row_title(explainer, explanation.logits[number], target)}"
        row.append(("guided Grad-CAM", figures.Saliency(shown, explanation.guided_grad_cam()[number], note)))
        row.append(("Grad-CAM", figures.Overlay(shown, explanation.cam()[number], note)))
    numbers = {
        "image": photograph.name,
        "misclassified": wrong,
        "true": class_name(prediction.true, explainer.labels),
        "rival": class_name(prediction.rival, explainer.labels),
        "probability_true": explanation.probabilities[0, prediction.true],
        "probability_rival": explanation.probabilities[0, prediction.rival],
        "cam_true": explanation.cam()[1],
        "cam_rival": explanation.cam()[0],
    }
    return row, numbers


if __name__ == "__main__":
    run_script("reproduce_figure6", main)
