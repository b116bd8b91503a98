"""Boxes from maps beside the true ones (paper, sec. 4.1): round the largest segment above 15 % of the maximum.

    python scripts/reproduce_boxes.py
    python scripts/reproduce_boxes.py --data tiny-imagenet-200.zip --count 6 --seed 1

True boxes are white, those of the maps dashed, with their IoU above; the class is the picture's own, whatever was
predicted. By default the sample photographs, with boxes drawn by hand.

What it shows with EfficientNet-Lite0: Grad-CAM's boxes are around the objects but too large where these are small, as
a map of 7 x 7 places is cut at 15 %; those of guided Grad-CAM are tighter, those of guided backprop take in the other
object.
"""

from __future__ import annotations

import pathlib

import numpy as np

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    import slim_models
    from gradcam import figures
    from gradcam.boxes import best_iou, scaled
    from gradcam.cli import flags, network_flags, reproduction
    from gradcam.evaluation import BoxProtocol
    from gradcam.evaluation.datasets import read_examples
    from gradcam.explainer import Explainer
    from gradcam.methods import methods_named, needs
    from gradcam.pictures import Photograph
    from slim_models.mistakes import BadValue

METHODS = ["grad_cam", "guided_grad_cam", "guided_backprop"]


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = reproduction.arguments(__doc__, None, "out/boxes.png")
    flags.add_box_flags(parser)
    parser.add_argument(
        "--data", default="samples", metavar="DATA", help="as for reproduce_table1.py (default: samples)"
    )
    parser.add_argument(
        "--count", type=int, default=6, metavar="N", help="pictures, drawn at random (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the drawing (default: %(default)s)")
    parser.add_argument("--methods", nargs="+", default=METHODS, metavar="NAME", help=f"default: {' '.join(METHODS)}")
    args = reproduction.parsed(parser, argv)

    protocol = BoxProtocol(args.threshold, args.segment, args.resize)
    network = slim_models.open_network(args.network, args.weights, say=network_flags.tell).check_photographs()
    methods = methods_named(args.methods, network.values.arrays() or {})
    examples = [example for example in read_examples(args.data) if example.boxes]
    if args.count < 1 or not examples:
        raise BadValue(f"nothing to draw: --count is {args.count}, {len(examples)} pictures of {args.data} have boxes")
    chosen = np.random.default_rng(args.seed).permutation(len(examples))[: args.count]
    rows, titles, numbers = [], [], []
    with Explainer(network, **needs(methods)) as explainer:
        size = explainer.network.image_size
        for example in (examples[i] for i in sorted(chosen)):
            photograph = Photograph(example.name, example.read())
            explanation = explainer.explain(photograph.fitted(size)[None], example.target)
            cams = {name: method.make(explanation)[0] for name, method in methods.items()}
            boxes = {name: protocol.box(photograph.frame, cam, size) for name, cam in cams.items()}
            overlaps = {name: best_iou(box, example.boxes) for name, box in boxes.items()}
            shown, said = reproduction.sized(photograph, min(size)), explanation.says(0)
            sizes = photograph.pixels.shape[:2], shown.pixels.shape[:2]
            true = [scaled(box, *sizes) for box in example.boxes]
            row: list[tuple[str, figures.Panel]] = [("original", figures.Boxed(shown.pixels, {"true box": true}))]
            for name, cam in cams.items():
                both = {"true box": true, "box of the map": [scaled(boxes[name], *sizes)]}
                panel = figures.Overlay(shown, cam, said, name)
                row.append((methods[name].title, figures.Boxed(panel, both, figures.iou_in_words(overlaps[name]))))
            rows.append(row)
            titles.append(reproduction.row_title(explainer, explanation.logits[0], explanation.targets[0]))
            truth = {"picture": example.name, "class": titles[-1], "true_boxes": example.boxes}
            numbers.append({**truth, "boxes": boxes, "iou": overlaps})
        facts, about = reproduction.facts(explainer), reproduction.about(explainer)
    words = str(protocol)
    figure = reproduction.drawn(args, rows, titles, [about, f"{words[0].upper()}{words[1:]}."])
    return figures.write_figure(figure, {**facts, "protocol": words, "rows": numbers}, args.out, say=print)


if __name__ == "__main__":
    run_script("reproduce_boxes", main)
