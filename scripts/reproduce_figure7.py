"""Reproduces Figure 7 of the Grad-CAM paper: a network is made sure of a class that is not there.

    python scripts/reproduce_figure7.py
    python scripts/reproduce_figure7.py --network vgg16 --images cat_dog.jpg --classes boxer "tiger cat" \
        --adversarial-class airliner --most 2 --probability 0.9999

Above the original, below the adversarial picture, which differs by at most --most grey levels of 255; columns: the
picture as the network is fed it, Grad-CAM of each class that is there, Grad-CAM of the adversarial class, and the
difference about mid-grey. out/figure7_adversarial.png is the picture itself, at the network's size.
EfficientNet-Lite0 then sees a school bus and nearly nothing else, and the map of that is nearly everywhere; those of
the cat and of the cup still lie on them. The embedded networks hold out against more levels; the VGG16 loses the cat.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam import figures
    from gradcam.adversarial import Perturbed, perturb
    from gradcam.cli import reproduction
    from gradcam.explainer import Explainer
    from gradcam.explanation import Explanation
    from gradcam.pictures import Photograph, read_photograph, write_png
    from slim_models.labels import class_name
    from slim_models.mistakes import BadValue


def main(argv: list[str] | None = None) -> pathlib.Path:
    args = reproduction.parsed(_parser(), argv)
    if len(args.images) != 1:
        raise BadValue(f"--images takes one picture here, not {len(args.images)}")
    photograph = read_photograph(args.images[0])
    with reproduction.open_explainer(args.network, args.weights, rules=("backprop",)) as explainer:
        image = photograph.fitted(explainer.network.image_size)
        classes = [*args.classes, args.adversarial_class]
        before = explainer.explain_classes(image, classes)
        limits = {"most": args.most, "steps": args.steps, "probability": args.probability}
        perturbed = perturb(explainer, image, args.adversarial_class, **limits)
        after = explainer.explain_classes(perturbed.image, classes)
        names = [class_name(target, explainer.labels) for target in before.targets]
        rows = [_row(explainer, photograph, explanation) for explanation in (before, after)]
        facts, about = reproduction.facts(explainer), reproduction.about(explainer)
    difference = perturbed.image.astype(np.int64) - image
    factor = max(1, 127 // args.most)
    amplified = np.clip(128 + factor * difference, 0, 255)
    rows[1].append((f"difference x {factor}", _as_photograph(photograph, amplified).pixels))
    numbers = {
        **facts,
        "image": args.images[0],
        "adversarial_class": names[-1],
        "asked": limits,
        **_numbers(names, before, after, perturbed, difference),
    }
    outcome = "reached" if perturbed.reached else f"did not reach {args.probability:.4%}: it stopped at"
    print(f"{names[-1]} {outcome} {perturbed.probability:.4%} after {perturbed.steps} of {args.steps} steps")
    path = args.out.with_name(f"{args.out.stem}_adversarial.png")
    write_png(path, perturbed.image)
    print(path)
    change = f"The adversarial picture differs from the original by at most {np.abs(difference).max()} of 255 levels."
    figure = reproduction.drawn(args, rows, ["original", "adversarial"], [about, change])
    return figures.write_figure(figure, numbers, args.out, say=print)


def _parser() -> argparse.ArgumentParser:
    parser = reproduction.arguments(__doc__, None, "out/figure7.png")
    reproduction.add_images(parser, ["sample:cat_and_coffee"], ["Egyptian cat", "espresso"])
    parser.add_argument(
        "--adversarial-class", default="school bus", metavar="CLASS", help="that is not there (default: %(default)s)"
    )
    # The embedded networks, whose pictures have few pixels, need more than the 2 levels that do for ImageNet's.
    parser.add_argument("--most", type=int, default=6, metavar="LEVELS", help="of change (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=200, metavar="N", help="at most (default: %(default)s)")
    parser.add_argument(
        "--probability", type=float, default=0.99, metavar="P", help="at which to stop (default: %(default)s)"
    )
    return parser


def _row(explainer: Explainer, photograph: Photograph, explanation: Explanation) -> list[tuple[str, figures.Panel]]:
    """The picture with what the network takes it for, and Grad-CAM of each class."""
    fed = _as_photograph(photograph, explanation.images[0])
    logits = explanation.logits[0]
    row: list[tuple[str, figures.Panel]] = [
        (f"top: {reproduction.row_title(explainer, logits, logits.argmax())}", fed.pixels)
    ]
    for target, cam in zip(explanation.targets, explanation.cam()):
        title = class_name(target, explainer.labels)
        row.append((title, figures.Overlay(fed, cam, reproduction.said(explainer, logits, target))))
    return row


def _as_photograph(photograph: Photograph, image: np.ndarray) -> Photograph:
    """What the network is fed, at the proportions of the photograph."""
    pixels = np.rint(photograph.shrunk(reproduction.PIXELS).place(image)).astype(np.uint8)
    return Photograph(photograph.name, pixels, photograph.fit)


def _numbers(
    names: list[str], before: Explanation, after: Explanation, perturbed: Perturbed, difference: np.ndarray
) -> dict:
    """What JSON has about the perturbation and about each class."""
    classes = []
    for number, target in enumerate(before.targets):
        maps = before.heatmap()[number], after.heatmap()[number]
        classes.append(
            {
                "class": names[number],
                "probability_before": before.probabilities[number, target],
                "probability_after": after.probabilities[number, target],
                "correlation": _correlation(*maps),
                "cam_before": before.cam()[number],
                "cam_after": after.cam()[number],
            }
        )
    return {
        "reached": perturbed.reached,
        "steps": perturbed.steps,
        "probability": perturbed.probability,
        "l_infinity": np.abs(difference).max(),
        "l2": float(np.sqrt(np.square(difference).sum())),
        "classes": classes,
    }


def _correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Pearson's correlation of two heat maps; None where one is constant."""
    if min(np.ptp(first), np.ptp(second)) == 0:
        return None
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


if __name__ == "__main__":
    run_script("reproduce_figure7", main)
