"""Random weights that any program with NumPy can draw again: those that Caffe was given for the comparisons.

    python scripts/random_weights.py vgg16 vgg16.npy --seed 0
    python scripts/random_weights.py resnet_v1_101 resnet_v1_101.ckpt

They classify nothing; they make every number of a network depend on every other.
"""

from __future__ import annotations

import argparse

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    import slim_models


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="see gradcam networks")
    parser.add_argument("file", help="ends in .npy, .npz or .ckpt")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    args = parser.parse_args(argv)
    weights = slim_models.random_weights(slim_models.build(args.network), args.seed)
    slim_models.write_weights(args.file, weights)
    print(args.file)


if __name__ == "__main__":
    run_script("random_weights", main)
