"""Makes every figure and table of this project, one after the other.

    python scripts/reproduce_all.py
    python scripts/reproduce_all.py --only figure1 table1
    python scripts/reproduce_all.py --vgg vgg16 --resnet resnet_v1_50 --data ILSVRC --out out/published

By default on the sample photographs and the networks that come along, in some minutes. Each script has more flags.
"""

from __future__ import annotations

import argparse
import pathlib
import runpy
import sys
import time

from gradcam.terminal import MISTAKES, message, run_script
from slim_models.mistakes import BadValue, UnknownName

SCRIPTS = pathlib.Path(__file__).parent
VGG, RESNET = "vgg16_tiny", "resnet_v1_50_tiny"  # what weights without a network are of
# Which network a script is for, and whether it is run over a data set.
FIGURES = {
    "figure1": ("both", False),
    "figure3": ("resnet", False),
    "figure6": ("resnet", True),
    "figure7": ("resnet", False),
    "layers": ("both", False),
    "ablations": ("vgg", False),
    "boxes": ("resnet", True),
    "table1": ("resnet", True),
    "table3": ("vgg", True),
    "pointing": ("resnet", True),
    "faithfulness": ("resnet", True),
    "sanity": ("vgg", False),
}


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(FIGURES), metavar="NAME", help=f"of {', '.join(FIGURES)}")
    for network in ("vgg", "resnet"):
        parser.add_argument(f"--{network}", metavar="NAME", help="default: what each script takes itself")
        parser.add_argument(f"--{network}-weights", metavar="PATH", help="default: the network's file in weights/")
    parser.add_argument("--data", metavar="DATA", help="as for reproduce_table1.py (default: the sample photographs)")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("out"), metavar="DIR", help="default: %(default)s"
    )
    args = parser.parse_args(argv)
    unknown = [name for name in args.only if name not in FIGURES]
    if unknown:
        raise UnknownName(f"no figure or table {unknown[0]!r}; there are {', '.join(FIGURES)}")

    failures = []
    for name in args.only:
        print(f"== {name}", flush=True)
        began = time.time()
        try:
            runpy.run_path(str(SCRIPTS / f"reproduce_{name}.py"))["main"](_flags(name, args))
        except MISTAKES as error:
            failures.append(name)
            print(f"{name}: {message(error)}", file=sys.stderr)
        print(f"{time.time() - began:.0f} s\n", flush=True)
    if failures:
        raise BadValue(f"{len(failures)} of {len(args.only)} failed: {', '.join(failures)}")
    return args.out


def _flags(name: str, args: argparse.Namespace) -> list[str]:
    """The flags of one script."""
    network, over_data = FIGURES[name]
    flags = ["--out", str(args.out / f"{name}.png")]
    resnet = args.resnet or (RESNET if args.resnet_weights else None)  # weights are of a network that is known
    vgg = args.vgg or (VGG if args.vgg_weights else None)
    first, weights = (resnet, args.resnet_weights) if network == "resnet" else (vgg, args.vgg_weights)
    given = {"--network": first, "--weights": weights}
    if network == "both":
        given |= {"--resnet": resnet, "--resnet-weights": args.resnet_weights}
    flags += [word for flag, value in given.items() if value for word in (flag, value)]
    return flags + (["--data", args.data] if over_data and args.data else [])


if __name__ == "__main__":
    run_script("reproduce_all", main)
