"""Trains an embedded network: the real topology, narrow, on Tiny ImageNet.

    python scripts/train_tiny.py tiny-imagenet-200.zip --out out/train_tiny

Get the data (237 MB, for non-commercial research) from http://cs231n.stanford.edu/tiny-imagenet-200.zip.
The first epochs see small pictures, the last ones the network's own size: two hours on two cores. The flags that
each network was trained with are in weights/README.md.
Every epoch ends with a checkpoint and a line in `log.csv`; the same command goes on after an interruption.
At the end stand `curve.png` and the weights, kernels in float16: a slim-style checkpoint for a ResNet, for
VGG16 a dictionary as in `vgg16.npy`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import dataclasses
import functools
import math
import os
import pathlib
import re
import time
from collections.abc import Mapping

import cv2
import numpy as np
from matplotlib.figure import Figure

from gradcam.terminal import quiet_tensorflow, run_script
from slim_models.mistakes import BadValue

with quiet_tensorflow():
    import tensorflow.compat.v1 as tf
    from tensorflow.core.protobuf import rewriter_config_pb2

    import slim_models
    from gradcam.evaluation.datasets import tiny_imagenet
    from gradcam.explainer import Explainer
    from gradcam.figures import save_figure
    from gradcam.pictures import fit_image
    from slim_models.weights import folded

BATCH = 100
# What a network has only while it is trained. VGG16 is trained with batch norm, also on fc6 and fc7, and written
# without it; its fc6 sees every size of picture as a pool5 of 4 x 4, which is that of 112 pixels.
TRAINED_WITH = {
    "resnet_v1_50_tiny": {},
    "vgg16_tiny": {"batch_norm": True, "pool5_size": 4, "dropout": 0.1},
}
# A 64-pixel picture enlarged in different ways: the network must not come to need one way's blur.
INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_NEAREST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the folder tiny-imagenet-200 or the official zip")
    parser.add_argument("--network", choices=TRAINED_WITH, default="resnet_v1_50_tiny")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/train_tiny"))
    parser.add_argument("--sizes", default="64x14,96x9,112x5", help="PIXELSxEPOCHS, in order (default: %(default)s)")
    parser.add_argument("--crop", type=float, default=0.6, help="smallest share of a picture (default: %(default)s)")
    parser.add_argument(
        "--stretch", type=float, default=0.1, help="of crops; log of a side's factor (default: %(default)s)"
    )
    parser.add_argument("--rate", type=float, default=0.1, help="peak learning rate (default: %(default)s)")
    parser.add_argument("--weight-decay", type=float, default=5e-4, help="(default: %(default)s)")
    args = parser.parse_args()
    stages = re.findall(r"(\d+)x(\d+)", args.sizes)
    if ",".join("x".join(stage) for stage in stages) != args.sizes:
        raise BadValue(f"--sizes is PIXELSxEPOCHS,PIXELSxEPOCHS,..., not {args.sizes!r}")
    sizes = [int(size) for size, epochs in stages for _ in range(int(epochs))]
    args.out.mkdir(parents=True, exist_ok=True)
    train, validation = (read_split(args.data, split) for split in ("train", "val"))
    trainer = Trainer(args.network, args.weight_decay)
    first = trainer.restore(args.out)
    for epoch in range(first, len(sizes)):
        began = time.time()
        rate = functools.partial(learning_rate, peak=args.rate, total=len(sizes))
        prepare = functools.partial(augment, size=sizes[epoch], crop=args.crop, stretch=args.stretch)
        loss = trainer.epoch(train, prepare, epoch, rate)
        top1, _ = accuracy(trainer.predict, validation, sizes[epoch], every=5)
        trainer.save(args.out, epoch + 1)
        row = (epoch + 1, sizes[epoch], f"{loss:.4f}", f"{top1:.4f}", f"{time.time() - began:.0f}")
        log(args.out / "log.csv", row)
        print("epoch {} at {} px: loss {}, top-1 {} on a fifth of val, {} s".format(*row), flush=True)
    draw_curve(args.out)
    weights = args.out / slim_models.NETWORKS[args.network].file
    export(trainer.weights(), weights)
    # What was written is what is measured, in float32, by the network that users build.
    with Explainer(slim_models.build(args.network), weights, layers=(), rules=()) as explainer:
        top1, top5 = accuracy(lambda images: explainer.explain(images).logits, validation, trainer.image_size)
    print(f"{weights}: top-1 {top1:.4f}, top-5 {top5:.4f} on {len(validation.labels)} validation pictures")


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
        images = np.stack(list(pool.map(lambda name: tiny_imagenet.decode(read(name)), names)))
    return LabelledImages(images, labels.astype(np.int64), wnids)


def learning_rate(epoch: float, *, peak: float, total: int) -> float:
    """One epoch of linear warm-up, then a cosine to zero."""
    return peak * (epoch if epoch < 1 else 0.5 * (1 + math.cos(math.pi * (epoch - 1) / (total - 1))))


def augment(images: np.ndarray, size: int, crop: float, stretch: float, rng: np.random.Generator) -> np.ndarray:
    """Random crops, half of them flipped: uint8 `[N, size, size, 3]`.

    Args:
        images: uint8 `[N, H, W, 3]`.
        size: of the result in pixels.
        crop: smallest share of a picture's area.
        stretch: the logarithm of the most by which one side grows and the other shrinks.
        rng: where the random numbers come from.
    """
    result = np.empty((len(images), size, size, 3), np.uint8)
    for image, out in zip(images, result):
        side = image.shape[0]
        extent, factor = side * np.sqrt(rng.uniform(crop, 1)), np.exp(rng.uniform(-stretch, stretch))
        height, width = min(side, round(extent * factor)), min(side, round(extent / factor))
        top, left = rng.integers(side - height + 1), rng.integers(side - width + 1)
        part = image[top : top + height, left : left + width, :: 1 if rng.random() < 0.5 else -1]
        cv2.resize(part, (size, size), dst=out, interpolation=int(rng.choice(INTERPOLATIONS)))
    return result


class Trainer:
    """Two graphs over one set of variables (the batch's statistics, the stored ones) and a session."""

    def __init__(self, name: str, weight_decay: float):
        entry = slim_models.NETWORKS[name]
        options = {"num_classes": entry.num_classes, "width_divisor": entry.width_divisor, **TRAINED_WITH[name]}
        builder = functools.partial(entry.builder, **options)
        self.image_size = entry.image_size
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.images = tf.placeholder(tf.uint8, [None, None, None, 3])
            self.labels = tf.placeholder(tf.int64, [None])
            self.rate = tf.placeholder(tf.float32, [])
            images = tf.cast(self.images, tf.float32)
            logits, _ = builder(images, training=True)
            self.variables = tf.global_variables()
            updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
            with tf.variable_scope(tf.get_variable_scope(), reuse=True):
                self.logits, _ = builder(images)
            targets = tf.one_hot(self.labels, logits.shape[-1])
            self.loss = tf.losses.softmax_cross_entropy(targets, logits, label_smoothing=0.1)
            kernels = [v for v in tf.trainable_variables() if v.op.name.endswith("/weights")]
            decay = weight_decay * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
            optimizer = tf.train.MomentumOptimizer(self.rate, 0.9, use_nesterov=True)
            with tf.control_dependencies(updates):
                self.step = optimizer.minimize(self.loss + decay)
            self.saver = tf.train.Saver(max_to_keep=1)
            config = tf.ConfigProto(inter_op_parallelism_threads=1)
            options = config.graph_options.rewrite_options
            options.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
            self.session = tf.Session(config=config)
            self.session.run(tf.global_variables_initializer())
            # Every unit begins as the identity (Goyal et al. 2017, sec. 5.1).
            last = [v for v in self.variables if v.op.name.endswith("bottleneck_v1/conv3/BatchNorm/gamma")]
            self.session.run([v.assign(tf.zeros_like(v)) for v in last])

    def epoch(self, data: LabelledImages, prepare, epoch: int, rate) -> float:
        """One pass over the data in an order that depends on the epoch alone; returns the mean loss."""
        rng = np.random.default_rng(epoch)
        batches = rng.permutation(len(data.labels)).reshape(-1, BATCH)
        losses = []
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            prepared = [pool.submit(prepare, data.images[batch], rng=rng) for batch in batches[:1]]
            for i, batch in enumerate(batches):
                images = prepared.pop().result()
                if i + 1 < len(batches):
                    prepared.append(pool.submit(prepare, data.images[batches[i + 1]], rng=rng))
                feed = {self.images: images, self.labels: data.labels[batch], self.rate: rate(epoch + i / len(batches))}
                losses.append(self.session.run([self.loss, self.step], feed)[0])
                if i % 200 == 199:
                    print(f"  step {i + 1} of {len(batches)}: loss {np.mean(losses[-200:]):.3f}", flush=True)
        return float(np.mean(losses))

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Logits `[N, C]` by the stored statistics."""
        return self.session.run(self.logits, {self.images: images})

    def save(self, folder: pathlib.Path, epoch: int) -> None:
        with self.graph.as_default():
            self.saver.save(self.session, str(folder / "state.ckpt"), global_step=epoch, write_meta_graph=False)

    def restore(self, folder: pathlib.Path) -> int:
        """Restores the newest checkpoint; returns the number of epochs behind it, 0 if there is none."""
        path = tf.train.latest_checkpoint(str(folder))
        if path is None:
            return 0
        with self.graph.as_default():
            self.saver.restore(self.session, path)
        return int(path.rsplit("-", 1)[1])

    def weights(self) -> dict[str, np.ndarray]:
        """The values of the variables, by name."""
        return dict(zip((v.op.name for v in self.variables), self.session.run(self.variables)))


def export(weights: dict[str, np.ndarray], path: pathlib.Path) -> None:
    """Writes weights as the network's file has them, kernels in float16; stored variances may be too large for that.

    Args:
        weights: variable name -> array, of a network with batch norm.
        path: an npy file, into whose weights and biases batch norm is folded, or a checkpoint.
    """
    plain = fold_batch_norm(weights) if path.suffix == ".npy" else weights
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


def draw_curve(folder: pathlib.Path) -> None:
    """Loss and accuracy against the epoch, from the log."""
    with (folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [float(row["loss"]) for row in rows])
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(epochs, [100 * float(row["top1"]) for row in rows])
    right.set(xlabel="epoch", ylabel="top-1 on a fifth of val, %")
    save_figure(figure, folder / "curve.png", dpi=150)


if __name__ == "__main__":
    run_script("train_tiny", main)
