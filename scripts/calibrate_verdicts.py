"""What is usual of `gradcam explain --check`: its numbers over validation pictures, and their quantiles.

    python scripts/calibrate_verdicts.py --network vgg16_tiny --data tiny-imagenet-200.zip --limit 500

Checked are the maps of `--method` for each picture's predicted class, of pictures that are spread evenly over the data.
A run that was stopped goes on where it was. The quantiles are put into gradcam/evaluation/judging.py by hand, with the
fingerprint of the weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    import slim_models
    from gradcam.cli import network_flags
    from gradcam.evaluation import Batch, Journal, Row, check, evaluate, usual_of
    from gradcam.evaluation.datasets import read_examples
    from gradcam.explainer import Explainer
    from gradcam.methods import methods_named, needs
    from gradcam.pictures import write_json


@dataclasses.dataclass(frozen=True)
class Measure:
    """The checks of each picture's map, for the class that is predicted."""

    method: str

    def rows(self, explainer: Explainer, batch: Batch) -> list[Row]:
        checks = check(explainer.explain(batch.images), self.method)
        return [{**dataclasses.asdict(one), "right": int(one.target == t)} for one, t in zip(checks, batch.targets)]


def main(argv: Sequence[str] | None = None) -> pathlib.Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="vgg16_tiny", metavar="NAME|PATH", help="default: %(default)s")
    parser.add_argument("--weights", metavar="PATH", help="default: the network's own")
    parser.add_argument("--data", required=True, metavar="DATA", help="as of reproduce_table1.py")
    parser.add_argument("--limit", type=int, default=500, metavar="N", help="pictures of DATA (default: %(default)s)")
    parser.add_argument("--method", default="grad_cam", metavar="NAME", help="whose maps (default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/verdicts.json"), metavar="FILE.json")
    args = parser.parse_args(argv)

    network = slim_models.open_network(args.network, args.weights, say=network_flags.tell).check_photographs()
    examples = read_examples(args.data)
    examples = examples[:: max(1, len(examples) // args.limit)][: args.limit]
    with Explainer(network, **needs(methods_named([args.method]))) as explainer:
        protocol = {"network": network.name, "weights": explainer.fingerprint, "method": args.method}
        path = args.out.with_suffix(f".{network.name}.{args.method}.{len(examples)}.jsonl")
        journal = Journal(path, protocol)
        rows = evaluate(explainer, examples, Measure(args.method), journal, batch=5, progress=True)
    usual = usual_of(rows)
    print(f"{protocol}: {usual}, right {np.mean([row['right'] for row in rows]):.1%}")
    write_json(args.out, {**protocol, "usual": usual._asdict(), "rows": list(rows)})
    print(args.out)
    return args.out


if __name__ == "__main__":
    run_script("calibrate_verdicts", main)
