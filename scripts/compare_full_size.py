"""Compares the full-size networks, with random weights, with what Caffe computed for the same weights.

    python scripts/compare_full_size.py vgg16_full.npz resnet50_full.npz

The files are references as `gradcam compare` reads them (`scripts/caffe_reference.py` writes them), made
by Caffe with the weights that `scripts/random_weights.py` draws for the number `seed` in the file, which is
what the array `seed` is for. Each network is written in the format that its users have (VGG16 as npy, the
ResNet as a V1 checkpoint), read back, and compared. Then ResNet-v1-101 goes through both versions of a
checkpoint: the explanations have to be the same bits. Takes 2 GB on the disk for a while, 4 GB of memory,
and some minutes for the decisions within rounding of a tie.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time

import numpy as np

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    import tensorflow.compat.v1 as tf

    import slim_models
    from gradcam.comparison import Agreement, Comparison, compare
    from gradcam.explainer import Explainer
    from gradcam.pictures import cat_and_coffee
    from slim_models.weights import random_weights, read_npz

# What the rows of the table are called -> whether an array belongs there.
PARTS = {
    "logits": lambda name: name == "logits",
    "target layer": lambda name: name in ("relu5_3", "block4"),
    "its gradient": lambda name: name in ("grad_relu5_3", "grad_block4"),
    "cam": lambda name: name in ("cam", "cam_raw"),
    "input gradient": lambda name: name.startswith("grad_input"),
    "guided backprop": lambda name: name.startswith("guided_input"),
    "deconvnet": lambda name: name.startswith("deconv_input"),
}


def main(argv: list[str] | None = None) -> bool:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("references", nargs="*", metavar="REFERENCE.npz", help="Caffe's, with the array seed")
    parser.add_argument("--only", action="store_true", help="without ResNet-v1-101")
    args = parser.parse_args(argv)
    comparisons = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in args.references:
            arrays = read_npz(pathlib.Path(path))
            name = "vgg16" if "relu5_3" in arrays else "resnet_v1_50"
            file = pathlib.Path(folder) / ("vgg16.npy" if name == "vgg16" else "resnet_v1_50.ckpt")
            write(file, name, int(arrays["seed"]))
            began = time.time()
            comparisons[name] = compare(arrays, name, file, say=print)
            print(f"{path}: {name} in {time.time() - began:.0f} s\n{comparisons[name]}\n")
        print(table(comparisons))
        same = args.only or same_from_both_versions("resnet_v1_101", pathlib.Path(folder))
    passed = same and all(comparison.passed for comparison in comparisons.values())
    print("pass" if passed else "FAIL")
    return passed


def write(file: pathlib.Path, name: str, seed: int) -> None:
    """Random weights as the network's users have them."""
    weights = random_weights(slim_models.build(name), seed)
    if file.suffix == ".npy":
        slim_models.write_weights(file, weights)
    else:
        write_v1(file, weights)


def write_v1(file: pathlib.Path, weights: dict[str, np.ndarray]) -> None:
    """A V1 checkpoint, one file, as slim's are."""
    with tf.Graph().as_default(), tf.Session() as session:
        variables = {name: tf.get_variable(name, array.shape, tf.float32) for name, array in weights.items()}
        for name, variable in variables.items():
            session.run(variable.initializer, {variable.initializer.inputs[1]: weights[name]})
        saver = tf.train.Saver(variables, write_version=tf.train.SaverDef.V1)
        saver.save(session, str(file), write_meta_graph=False, write_state=False)


def same_from_both_versions(name: str, folder: pathlib.Path) -> bool:
    """Whether a network explains a picture with the same bits from a V1 and from a V2 checkpoint."""
    weights = random_weights(slim_models.build(name), seed=4)
    write_v1(folder / "v1.ckpt", weights)
    slim_models.convert(folder / "v1.ckpt", folder / "v2.ckpt")
    network = slim_models.build(name)
    images = cat_and_coffee()[None, :224, :224]
    explanations = []
    for version in ("v1.ckpt", "v2.ckpt"):
        began = time.time()
        with Explainer(network, folder / version, rules=slim_models.RULES) as explainer:
            explanations.append(explainer.explain(images).arrays())
        print(f"{name} from {version}: read, assigned and explained in {time.time() - began:.1f} s")
    first, second = explanations
    return all(np.isfinite(array).all() and (array == second[key]).all() for key, array in first.items())


def table(comparisons: dict[str, Comparison]) -> str:
    """Largest relative L2 difference of each part; in brackets what is left of it with the ties turned."""
    lines = [
        "| relative L2 difference, at most | " + " | ".join(comparisons) + " |",
        "|---" * (len(comparisons) + 1) + "|",
    ]
    for part, belongs in PARTS.items():
        cells = []
        for comparison in comparisons.values():
            rows = [row for row in comparison.rows if belongs(row.array)]
            worst = max(row.relative_l2 for row in rows)
            cells.append(
                f"{worst:.0e}" + (f" ({max(map(left, rows)):.0e})" if any(row.by_ties for row in rows) else "")
            )
        lines.append(f"| {part} | " + " | ".join(cells) + " |")
    searches = [comparison.ties.values() for comparison in comparisons.values()]
    turned = ["; ".join(f"{len(s.turned)} of {s.found}" for s in some) or "none" for some in searches]
    return "\n".join([*lines, "| ties that fall the other way, picture by picture | " + " | ".join(turned) + " |"])


def left(row: Agreement) -> float:
    return row.relative_l2 if row.turned is None else row.left


if __name__ == "__main__":
    run_script("compare_full_size", lambda: sys.exit(0 if main() else 1))
