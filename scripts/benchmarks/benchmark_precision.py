"""What bfloat16 costs in accuracy: the same pictures explained in both precisions.

    python scripts/benchmarks/benchmark_precision.py --data tiny-imagenet-200.zip
    python scripts/benchmarks/benchmark_precision.py --data tiny-imagenet-200 --network vgg16_tiny --limit 100

For each network a row: pictures whose prediction changes, the error of the predictions and of Grad-CAM's boxes (the
class given, IoU >= 0.5) in either precision, and the correlation of the Grad-CAM maps and of guided backprop, each for
the picture's own class: the median, and the value that all but 5 % of the pictures exceed. Without --data it is run on
the sample photographs, too few to say anything; docs/PERFORMANCE.md has 1,000 pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from tqdm import tqdm

from gradcam.terminal import quiet_tensorflow, run_script
from slim_models.mistakes import BadValue

with quiet_tensorflow():
    from benchmarking.agreement import correlation

    import slim_models
    from gradcam.boxes import best_iou
    from gradcam.evaluation import BoxProtocol, require_boxes
    from gradcam.evaluation.datasets import Example, read_examples
    from gradcam.explainer import Explainer
    from gradcam.explanation import Explanation
    from gradcam.pictures import Photograph
    from slim_models.files import whole_file

Row = dict[str, float | bool]

COLUMNS = {
    "changed": "predictions changed, %",
    "wrong_float32": "error float32, %",
    "wrong_bfloat16": "error bfloat16, %",
    "apart_float32": "boxes wrong float32, %",
    "apart_bfloat16": "boxes wrong bfloat16, %",
    "cam": "Grad-CAM, correlation",
    "cam_low": "(5 % below)",
    "guided": "guided backprop, correlation",
    "guided_low": "(5 % below)",
}


def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="samples", help="as of scripts/reproduce_table1.py (default: %(default)s)")
    parser.add_argument("--network", action="append", metavar="NAME", help="default: the embedded ones")
    parser.add_argument("--limit", type=int, default=1000, metavar="N", help="pictures (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=25, metavar="N", help="pictures a run (default: %(default)s)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the numbers here too")
    args = parser.parse_args(argv)
    if args.limit < 1 or args.batch < 1:
        raise BadValue("--limit and --batch must be at least 1")
    examples = read_examples(args.data)[: args.limit]
    require_boxes(examples)
    table = {}
    for name in args.network or ["resnet_v1_50_tiny", "vgg16_tiny"]:
        table[name] = summary(measure(name, examples, args.batch))
    print(markdown(table, len(examples)))
    if args.json:
        with whole_file(args.json) as temporary:
            temporary.write_text(json.dumps({"pictures": len(examples), "networks": table}, indent=1))
    return table


def measure(name: str, examples: Sequence[Example], batch: int) -> list[Row]:
    """A row a picture."""
    weights = slim_models.read_weights(slim_models.find_weights(name))
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        explainers = {
            precision: stack.enter_context(Explainer(slim_models.build(name), weights, precision=precision))
            for precision in slim_models.PRECISIONS
        }
        for start in tqdm(range(0, len(examples), batch), name, unit="batch", disable=None, leave=False):
            part = examples[start : start + batch]
            photographs = [Photograph(example.name, example.read()) for example in part]
            one = next(iter(explainers.values()))
            images = np.stack([photograph.fitted(one.network.image_size) for photograph in photographs])
            targets = [one.index(example.target) for example in part]
            made = {precision: explainer.explain(images, targets) for precision, explainer in explainers.items()}
            rows += [
                row(example, photograph, {precision: explanation[i] for precision, explanation in made.items()})
                for i, (example, photograph) in enumerate(zip(part, photographs))
            ]
    return rows


def row(example: Example, photograph: Photograph, explanations: Mapping[str, Explanation]) -> Row:
    """What is measured of one picture, explained in float32 and in bfloat16."""
    full, half = (explanations[precision] for precision in slim_models.PRECISIONS)
    result: Row = {"changed": bool(np.argmax(full.logits) != np.argmax(half.logits))}
    for precision, explanation in explanations.items():
        box = BoxProtocol().box(photograph.frame, explanation.cam()[0], explanation.images.shape[1:3])
        result[f"wrong_{precision}"] = bool(np.argmax(explanation.logits) != explanation.targets[0])
        result[f"apart_{precision}"] = best_iou(box, example.boxes) < 0.5
    result["cam"] = correlation(full.cam(), half.cam())
    result["guided"] = correlation(full.saliency["guided"], half.saliency["guided"])
    return result


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Rows of pictures -> per cent and correlations, by the keys of `COLUMNS`."""
    columns = {key: np.array([row[key] for row in rows], float) for key in rows[0]}
    result = {key: 100 * float(values.mean()) for key, values in columns.items() if key not in ("cam", "guided")}
    for key in ("cam", "guided"):
        result[key], result[f"{key}_low"] = (float(q) for q in np.quantile(columns[key], [0.5, 0.05]))
    return result


def markdown(table: Mapping[str, Mapping[str, float]], pictures: int) -> str:
    """The table as Markdown."""
    lines = [f"| {pictures:,} pictures | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, cells in table.items():
        words = [f"{cells[key]:.{4 if key.startswith(('cam', 'guided')) else 1}f}" for key in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(words) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_script("benchmark_precision", main)
