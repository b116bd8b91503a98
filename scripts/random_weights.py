"""Random weights that any program with NumPy can draw again: those that Caffe was given for the comparisons.

    python scripts/random_weights.py vgg16 vgg16.npy --seed 0
    python scripts/random_weights.py resnet_v1_101 resnet_v1_101.ckpt

They classify nothing; they make every number of a network depend on every other.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    import slim_models


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="see gradcam networks")
    parser.add_argument("file", help="ends in .npy, .npz or .ckpt")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    args = parser.parse_args(argv)
    slim_models.write_weights(args.file, random_weights(slim_models.build(args.network), args.seed))
    print(args.file)


def random_weights(network: slim_models.Network, seed: int = 0) -> Mapping[str, np.ndarray]:
    """`{variable name: float32 array}` for a known network, from one legacy random stream.

    A VGG's layer by layer, weights before biases; any other's in the order of the sorted names.
    """
    rng = np.random.RandomState(seed)
    shapes = network.weight_shapes()
    names = list(shapes) if network.name.startswith("vgg") else sorted(shapes)
    return {name: _draw(rng, name, shapes[name]).astype(np.float32) for name in names}


def _draw(rng: np.random.RandomState, name: str, shape: tuple[int, ...]) -> np.ndarray:
    kind = name.rsplit("/", 1)[1]
    if kind == "depthwise_weights":  # each kernel sees one channel
        return rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:2]))
    if kind == "weights":
        gain = 1 if name.endswith("/logits/weights") else 2
        return rng.standard_normal(shape) * np.sqrt(gain / np.prod(shape[:-1]))
    if kind in ("gamma", "moving_variance"):
        return 0.5 + rng.rand(*shape)
    return 0.1 * rng.standard_normal(shape)  # biases, beta, moving_mean


if __name__ == "__main__":
    run_script("random_weights", main)
