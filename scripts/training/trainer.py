"""The training itself: the graphs of a network, its loss, its steps, and what an interruption leaves."""

from __future__ import annotations

import concurrent.futures
import functools
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2

import slim_models
from slim_models.mistakes import BadValue
from slim_models.weights import fill
from training.schedule import Schedule, kept

BATCH = 100
SAVED_EVERY = 200  # steps


def place_loss(kernel: tf.Tensor) -> tf.Tensor:
    """Half the sum of squares of how far a fully connected layer's kernels of single places are from their mean.

    Where these differ much, the gradients by which Grad-CAM weighs channels (Selvaraju et al., eq. 1) do too, and their
    mean over the places says little of any one.

    Args:
        kernel: `[P, K, C]`, of P places and K channels.
    """
    return tf.nn.l2_loss(kernel - tf.reduce_mean(kernel, axis=0, keepdims=True))


class Trainer:
    """Two graphs over one set of variables (the batch's statistics, the stored ones) and a session.

    Attributes:
        steps: how many lie behind.
        seconds: that they took.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any],
        weight_decay: float,
        bfloat16: bool = False,
        place_decay: float = 0.0,
        hidden: float = 0.0,
    ):
        entry = slim_models.NETWORKS[name]
        classes = {"num_classes": entry.num_classes, "width_divisor": entry.width_divisor}
        if hidden and not name.startswith("vgg"):
            raise BadValue(f"--hidden {hidden} is for a network with fc6")
        builder = functools.partial(entry.builder, **classes, **options)
        self.image_size, self.hidden = entry.image_size, hidden
        self.steps, self.seconds = 0, 0.0
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.images = tf.placeholder(tf.uint8, [None, None, None, 3])
            self.targets = tf.placeholder(tf.float32, [None, entry.num_classes])
            self.rate = tf.placeholder(tf.float32, [])
            self.hidden_now = tf.placeholder_with_default(0.0, [])
            images = tf.cast(self.images, tf.float32)
            logits, _ = builder(images, training=True, **({"hidden": self.hidden_now} if hidden else {}))
            self.variables = tf.global_variables()
            updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
            with tf.variable_scope(tf.get_variable_scope(), reuse=True):
                self.logits, _ = builder(images)
            self.loss = tf.losses.softmax_cross_entropy(self.targets, logits)
            with tf.control_dependencies(updates):
                self.step = self._minimize(weight_decay, place_decay)
            self.behind = [tf.Variable(0, False, name="steps"), tf.Variable(0.0, False, name="seconds")]
            self.saver = tf.train.Saver(max_to_keep=1)
            self.session = tf.Session(config=configuration(bfloat16))
            self.session.run(tf.global_variables_initializer())
            # Every unit begins as the identity (Goyal et al. 2017, sec. 5.1).
            last = [v for v in self.variables if v.op.name.endswith("bottleneck_v1/conv3/BatchNorm/gamma")]
            self.session.run([v.assign(tf.zeros_like(v)) for v in last])

    def _minimize(self, weight_decay: float, place_decay: float) -> tf.Operation:
        kernels = [v for v in tf.trainable_variables() if v.op.name.endswith("/weights")]
        decay = weight_decay * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
        if place_decay:
            named = {v.op.name: v for v in kernels}
            if "fc6/weights" not in named:
                raise BadValue(f"--place-decay {place_decay} is for a network with fc6")
            channels, fc6 = named["conv5_3/weights"].shape[-1], named["fc6/weights"]
            decay += place_decay * place_loss(tf.reshape(fc6, [-1, channels, fc6.shape[-1]]))
        return tf.train.MomentumOptimizer(self.rate, 0.9, use_nesterov=True).minimize(self.loss + decay)

    def share(self, schedule: Schedule, pictures: int) -> float:
        """What share of the way lies behind, of that many pictures an epoch."""
        return schedule.share(self.steps / (pictures // BATCH), self.seconds)

    def epoch(
        self,
        pictures: int,
        prepare: Callable[..., tuple[np.ndarray, np.ndarray]],
        schedule: Schedule,
        folder: pathlib.Path,
    ) -> tuple[int, float, int]:
        """What is left of a pass over the data, or of the time: in an order that depends on the epoch alone.

        Args:
            pictures: how many there are.
            prepare: `(rows, share, rng)` -> pictures uint8 `[N, size, size, 3]` of these rows, as they are learnt at
                this share of the way, and what is to be predicted of them, float32 `[N, C]`.
            schedule: of sizes and learning rates.
            folder: for checkpoints.

        Returns:
            The epoch's number, from 0, the mean loss and the size of the last pictures.
        """
        before, began = self.seconds, time.time()
        epoch, first = divmod(self.steps, pictures // BATCH)
        batches = np.random.default_rng(epoch).permutation(pictures).reshape(-1, BATCH)
        losses: list[float] = []

        def prepared(step: int) -> tuple[np.ndarray, np.ndarray]:
            share = schedule.share(epoch + step / len(batches), self.seconds)
            return prepare(batches[step], share=share, rng=np.random.default_rng((epoch, step)))

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            ahead: list[concurrent.futures.Future] = []
            for step in range(first, len(batches)):
                # While a batch is learnt from, the next one is made.
                for i in range(step + len(ahead), min(step + 2, len(batches))):
                    ahead.append(pool.submit(prepared, i))
                images, targets = ahead.pop(0).result()
                share = self.share(schedule, pictures)
                now = {self.rate: schedule.rate(share), self.hidden_now: self.hidden * kept(share)}
                losses.append(self._learn(images, targets, now))
                self.steps, self.seconds = self.steps + 1, before + time.time() - began
                if self.share(schedule, pictures) >= 1:
                    break
                if len(losses) % SAVED_EVERY == 0:
                    self.save(folder)
                    mean = np.mean(losses[-SAVED_EVERY:])
                    print(f"  step {step + 1} of {len(batches)}, {share:.1%} of the way: loss {mean:.3f}", flush=True)
        self.save(folder)
        return epoch, float(np.mean(losses)), images.shape[1]

    def _learn(self, images: np.ndarray, targets: np.ndarray, now: Mapping[tf.Tensor, float]) -> float:
        """One step; returns the loss."""
        return self.session.run([self.loss, self.step], {self.images: images, self.targets: targets, **now})[0]

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Logits `[N, C]` by the stored statistics."""
        return self.session.run(self.logits, {self.images: images})

    def save(self, folder: pathlib.Path) -> None:
        behind = {"steps": self.steps, "seconds": self.seconds}
        fill(self.session, {v.op.name: v for v in self.behind}, lambda name: np.array(behind[name]))
        with self.graph.as_default():
            self.saver.save(self.session, str(folder / "state.ckpt"), global_step=self.steps, write_meta_graph=False)

    def restore(self, folder: pathlib.Path) -> bool:
        """Restores the newest checkpoint; whether there is one."""
        path = tf.train.latest_checkpoint(str(folder))
        if path is None:
            return False
        with self.graph.as_default():
            self.saver.restore(self.session, path)
        self.steps, self.seconds = (x.item() for x in self.session.run(self.behind))
        return True

    def weights(self) -> dict[str, np.ndarray]:
        """The values of the variables, by name."""
        return dict(zip((v.op.name for v in self.variables), self.session.run(self.variables)))


def configuration(bfloat16: bool) -> tf.ConfigProto:
    """Of sessions: operations one after the other; with or without oneDNN's mixed precision."""
    config = tf.ConfigProto(inter_op_parallelism_threads=1)
    if bfloat16:
        options = config.graph_options.rewrite_options
        options.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    return config
