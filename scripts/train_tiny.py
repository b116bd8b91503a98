"""Trains an embedded network: the real topology, narrow, on Tiny ImageNet.

    python scripts/train_tiny.py tiny-imagenet-200.zip --out out/train_tiny

Get the data (237 MB, for non-commercial research) from http://cs231n.stanford.edu/tiny-imagenet-200.zip.
The first epochs see small pictures, the last ones the network's own size: two hours on two cores. The flags that
each network was trained with are in weights/README.md.
Every epoch ends with a checkpoint and a line in `log.csv`; the same command goes on after an interruption.
At the end stand `curve.png` and the weights, kernels in float16: a slim-style checkpoint for a ResNet, for
VGG16 a dictionary as in `vgg16.npy`.

    python scripts/train_tiny.py tiny-imagenet-200.zip --network vgg16_tiny --start weights/vgg16_tiny.npy \\
        --teacher efficientnet_lite0 --sizes 112x20 --rate 0.008 --hours 6

begins where the embedded weights are, and learns from a network that knows ImageNet too; both flags also work alone.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import dataclasses
import functools
import os
import pathlib
import time
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from training.examples import augment, cut_mix, smoothed_labels, taught_labels
from training.schedule import Schedule, read_stages

from gradcam.terminal import quiet_tensorflow, run_script
from slim_models.mistakes import BadValue

with quiet_tensorflow():
    from training.starting import start_from
    from training.teacher import teacher_logits
    from training.trainer import BATCH, Trainer

    import slim_models
    from gradcam.evaluation.datasets import reading, tiny_imagenet
    from gradcam.explainer import Explainer
    from gradcam.figures import save_figure
    from gradcam.pictures import fit_image
    from slim_models.weights import folded

# What a network has only while it is trained. VGG16 is trained with batch norm, also on fc6 and fc7, and written
# without it; its fc6 sees every size of picture as a pool5 of 4 x 4, which is that of 112 pixels.
TRAINED_WITH = {
    "resnet_v1_50_tiny": {},
    "vgg16_tiny": {"batch_norm": True, "pool5_size": 4, "dropout": 0.1},
}


def main() -> None:
    args = arguments()
    schedule = Schedule(read_stages(args.sizes), args.rate, args.hours)
    classes, file = slim_models.NETWORKS[args.network].num_classes, slim_models.NETWORKS[args.network].file
    if args.keep and not (args.start and file.endswith(".npy")):
        raise BadValue(f"--keep {args.keep} needs --start, and a network that is written without batch norm")
    args.out.mkdir(parents=True, exist_ok=True)
    train, validation = (read_split(args.data, split) for split in ("train", "val"))
    if args.teacher and len(train.wnids) != classes:
        raise BadValue(f"{args.data} has {len(train.wnids)} classes; --teacher needs the network's {classes}")
    trainer = Trainer(
        args.network,
        TRAINED_WITH[args.network] | ({} if args.dropout is None else {"dropout": args.dropout}),
        args.weight_decay,
        bfloat16=args.bfloat16,
        place_decay=args.place_decay,
        hidden=args.hidden,
    )
    if not trainer.restore(args.out) and args.start:
        some = [np.stack([fit_image(x, (trainer.image_size,) * 2) for x in train.images[i::1000]]) for i in range(5)]
        feeds = [{trainer.images: pictures} for pictures in some]
        start_from(trainer.session, trainer.variables, feeds, slim_models.read_weights(args.start))
    logits = None
    if args.teacher:
        logits = teacher_logits(args.teacher, train, args.teacher_size, args.out / "teacher.npy", args.bfloat16)

    def prepare(rows: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = train.labels[rows]
        targets = smoothed_labels(labels, classes) if logits is None else taught_labels(labels, logits[rows])
        images = augment(train.images[rows], schedule.size(share), args.crop, args.stretch, rng)
        return cut_mix(images, targets, args.mixed * (1 - share), rng)

    while trainer.share(schedule, len(train.labels)) < 1:
        began = time.time()
        epoch, loss, size = trainer.epoch(len(train.labels), prepare, schedule, args.out)
        top1, _ = accuracy(trainer.predict, validation, size, every=5)
        row = (epoch + 1, size, f"{loss:.4f}", f"{top1:.4f}", f"{time.time() - began:.0f}")
        log(args.out / "log.csv", row)
        print("epoch {} at {} px: loss {}, top-1 {} on a fifth of val, {} s".format(*row), flush=True)
    judged = len(validation.labels[::5])
    draw_curve(args.out, f"{args.network}, one training; top-1 of n = {judged:,} validation pictures")
    weights = args.out / file
    export(trainer.weights(), weights, slim_models.read_weights(args.start) if args.keep else None, args.keep)
    # What was written is what is measured, in float32, by the network that users build.
    with Explainer(slim_models.build(args.network), weights, layers=(), rules=()) as explainer:
        top1, top5 = accuracy(lambda images: explainer.explain(images).logits, validation, trainer.image_size)
    print(f"{weights}: top-1 {top1:.4f}, top-5 {top5:.4f} on {len(validation.labels)} validation pictures")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = functools.partial(parser.add_argument, help="(default: %(default)s)")
    add("data", help="the folder tiny-imagenet-200 or the official zip")
    add("--network", choices=TRAINED_WITH, default="resnet_v1_50_tiny")
    add("--out", type=pathlib.Path, default=pathlib.Path("out/train_tiny"))
    add("--sizes", default="64x14,96x9,112x5", help="PIXELSxEPOCHS, in order (default: %(default)s)")
    add("--hours", type=float, help="what it may take: the epochs of --sizes are then shares of that time")
    add("--crop", type=float, default=0.6, help="smallest share of a picture (default: %(default)s)")
    add("--stretch", type=float, default=0.1, help="of crops; log of a side's factor (default: %(default)s)")
    add("--mixed", type=float, default=0.0, help="share of the pictures with a part of another one; falls to none")
    add("--rate", type=float, default=0.1, help="peak learning rate (default: %(default)s)")
    add("--weight-decay", type=float, default=5e-4)
    add("--place-decay", type=float, default=0.0, help="of fc6: what its kernels differ by between places")
    add("--dropout", type=float, help="share of fc6 and fc7 that is left out (default: 0.1)")
    add("--hidden", type=float, default=0.0, help="most of pool5's places that fc6 does not see; falls to none")
    add("--start", help="weights to begin with, also such as have batch norm folded into them")
    add("--keep", type=float, default=0.0, help="share that the weights of --start have in those that are written")
    add("--teacher", help="a network that knows the classes: learn from its logits too")
    add("--teacher-size", type=int, default=160, help="of the pictures that it sees (default: %(default)s)")
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="oneDNN's mixed precision: for AMX and for AMD since Zen 4; other processors are slower by it",
    )
    return parser.parse_args()


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledImages:
    """A split of a data set in memory.

    Attributes:
        images: uint8 `[M, H, W, 3]`, RGB.
        labels: int64 `[M]`, indices into `wnids`.
        wnids: WordNet id of every class, in the order of the labels.
    """

    images: np.ndarray
    labels: np.ndarray
    wnids: tuple[str, ...]


def read_split(path: str | os.PathLike, split: str) -> LabelledImages:
    """Reads Tiny ImageNet (200 classes, 64 x 64 pixels) into memory.

    Args:
        path: the unpacked folder `tiny-imagenet-200` or the official zip.
        split: `"train"` (100,000 pictures, 1.2 GB) or `"val"` (10,000).

    Returns:
        The pictures of the split, labels in the order of the sorted WordNet ids.

    Raises:
        FileNotFoundError: there is nothing at `path`, or it does not hold Tiny ImageNet.
        ValueError: the split is unknown.
    """
    if split not in ("train", "val"):
        raise BadValue(f"no split {split!r}; the splits are train, val")
    read = tiny_imagenet.reader(path)
    wnids = tuple(sorted(read("wnids.txt").decode().split()))
    if split == "train":
        names = [f"train/{wnid}/images/{wnid}_{i}.JPEG" for wnid in wnids for i in range(500)]
        labels = np.repeat(np.arange(len(wnids)), 500)
    else:
        rows = tiny_imagenet.validation_rows(read)
        names = [f"val/images/{row[0]}" for row in rows]
        labels = np.array([wnids.index(row[1]) for row in rows])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        images = np.stack(list(pool.map(lambda name: reading.decode(read(name)), names)))
    return LabelledImages(images, labels.astype(np.int64), wnids)


def export(
    weights: dict[str, np.ndarray],
    path: pathlib.Path,
    before: Mapping[str, np.ndarray] | None = None,
    keep: float = 0.0,
) -> None:
    """Writes weights as the network's file has them, kernels in float16; stored variances may be too large for that.

    Between the weights before a training and those after it lie networks that are as good as the better of both at what
    either is better at (Wortsman et al. 2022, arXiv 2109.01903, eq. 1): here at classes, and at boxes.

    Args:
        weights: variable name -> array, of a network with batch norm.
        path: an npy file, into whose weights and biases batch norm is folded, or a checkpoint.
        before: the plain network's, which the training began with.
        keep: their share in what is written, 0 to 1.
    """
    plain = fold_batch_norm(weights) if path.suffix == ".npy" else weights
    if before and keep:
        plain = {name: (1 - keep) * x + keep * np.asarray(before[name], np.float32) for name, x in plain.items()}
    stored = {name: x.astype(np.float16) if name.endswith("/weights") else x for name, x in plain.items()}
    slim_models.write_weights(path, stored)


def fold_batch_norm(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turns the weights of a network with batch norm into those of its plain form.

    Args:
        weights: variable name -> array; a layer's weights are `[..., K]`, its statistics `[K]`.

    Returns:
        `layer/weights` and `layer/biases` of every layer, in float32. Layers without batch norm keep
        their values.
    """
    gammas = "/BatchNorm/gamma"
    names = [name for name in weights if "/BatchNorm/" not in name]
    names += [name.replace(gammas, "/biases") for name in weights if name.endswith(gammas)]
    return {name: np.asarray(folded(weights, name), np.float32) for name in names}


def accuracy(predict, data: LabelledImages, size: int, every: int = 1) -> tuple[float, float]:
    """Share of pictures (every `every`-th) whose class is the most probable, among the five most probable."""
    images, labels = data.images[::every], data.labels[::every]
    ranks = []
    for i in range(0, len(labels), BATCH):
        logits = predict(np.stack([fit_image(image, (size, size)) for image in images[i : i + BATCH]]))
        own = np.take_along_axis(logits, labels[i : i + BATCH, None], axis=1)
        ranks.append((logits > own).sum(axis=1))
    ranks = np.concatenate(ranks)
    return float((ranks < 1).mean()), float((ranks < 5).mean())


def log(path: pathlib.Path, row: tuple) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(("epoch", "size", "loss", "top1", "seconds"))
        writer.writerow(row)


def draw_curve(folder: pathlib.Path, title: str) -> None:
    """Loss and accuracy against the epoch, from the log; the title says of what."""
    with (folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [float(row["loss"]) for row in rows])
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(epochs, [100 * float(row["top1"]) for row in rows])
    right.set(xlabel="epoch", ylabel="top-1 on a fifth of val, %")
    figure.suptitle(title, fontsize=10)
    save_figure(figure, folder / "curve.png", dpi=150)


if __name__ == "__main__":
    run_script("train_tiny", main)
