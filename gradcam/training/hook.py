"""A hook of TensorFlow 1's training loops, MonitoredSession and Estimator, that explains pictures meanwhile."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import tensorflow.compat.v1 as tf

import slim_models
from gradcam.events import Events
from gradcam.explainer import Targets
from gradcam.training.watching import Images, Watch
from slim_models.mistakes import BadValue


class ExplainHook(tf.train.SessionRunHook):
    """Writes overlays of fixed pictures for TensorBoard, by the variables of the training that is under way.

        hook = ExplainHook(["cat.jpg", "sample:coffee"], every_steps=1000, logdir="logs", preprocessing="zero_to_one")
        with tf.train.MonitoredTrainingSession(hooks=[hook]) as session:
            while not session.should_stop():
                session.run(train)

    Before the graph is finalized it gets what explains: a second forward graph on the same variables, with a
    placeholder of its own, so that nothing is taken from the training's queues and no gradient of the training changes.
    It is as `slim_models.load` makes it: without dropout, and with what batch norm has stored, whether the graph can be
    told that it is not training (`is_training = tf.placeholder_with_default(True, [])`, or a rate or keep_prob of that
    kind) or both are fixed, as in an Estimator's graph. A warning names what depends on chance, or on the pictures
    beside it, all the same.

    It writes at the first step, every so many steps, and at the end. Of several processes only one should have it
    (`chief_only_hooks`).
    """

    def __init__(
        self,
        images: Images,
        *,
        every_steps: int,
        logdir: str | os.PathLike,
        targets: Targets | None = None,
        method: str = "grad_cam",
        layer: str | None = None,
        fit: str = "stretch",
        images_tensor: str | None = None,
        logits_tensor: str | None = None,
        **found: Any,
    ):
        """Says what is explained; the graph is looked at when the session is made.

        Args:
            images: files, samples (`sample:chelsea`) or photographs.
            every_steps: steps from one explanation to the next.
            logdir: TensorBoard's, or a folder below it; the training's own summaries may be in the same.
            targets: as of `Explainer.explain`; None is the class that is predicted, at each step anew.
            method: a key of `methods.REGISTRY`.
            layer: of the maps, by its name in the graph; None is the last with a spatial extent.
            fit: `"stretch"` or `"crop"`.
            images_tensor: name of the tensor that takes pictures; None finds it.
            logits_tensor: name of the logits, or of the probabilities; None finds them.
            found: what else `slim_models.load` can be told. Unless the graph itself says what happens to RGB in
                [0, 255], `preprocessing` is needed: there is no session yet in which it could be tried.

        Raises:
            FileNotFoundError, KeyError, ValueError: a picture, a method or a number is not what it should be.
        """
        if every_steps < 1:
            raise BadValue(f"every_steps must be at least 1, not {every_steps}")
        self._watch = Watch(images, targets, method=method, layer=layer, fit=fit)
        self._timer = tf.train.SecondOrStepTimer(every_steps=every_steps)
        self._logdir = os.fspath(logdir)
        self._found = {"images": images_tensor, "logits": logits_tensor, "layer": layer, **found}

    def begin(self) -> None:
        """Adds what explains to the graph; errors as of `slim_models.load`, or there is no global step."""
        self._step = tf.train.get_global_step()
        if self._step is None:
            raise BadValue("ExplainHook needs a global step: tf.train.get_or_create_global_step() before the session")
        self._live = _Live(tf.get_default_graph())
        network = slim_models.open_network(self._live, **self._found)
        writer = tf.summary.FileWriterCache.get(self._logdir)  # which summaries of the training go to, too
        self._watch.open(dataclasses.replace(network, values=_InTraining(self._live)), Events(self._logdir, writer))

    def after_create_session(self, session: tf.Session, coord: tf.train.Coordinator) -> None:
        """Explains in this session from now on."""
        self._live.session = session

    def before_run(self, run_context: tf.train.SessionRunContext) -> tf.train.SessionRunArgs:
        """Asks for the step."""
        return tf.train.SessionRunArgs(self._step)

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        """Explains, if it is time."""
        stale = int(run_values.results)  # the step that was asked for beside the training may be one behind
        if self._timer.should_trigger_for_step(stale + 1):
            step = int(run_context.session.run(self._step))
            self._timer.update_last_triggered_step(step)
            self._watch.write(step)

    def end(self, session: tf.Session) -> None:
        """Explains what the network has become."""
        self._live.session = session
        self._watch.write(int(session.run(self._step)))
        self._watch.close()


class _Live:
    """The session that a training will have, as far as a network needs one: a graph, and `run`."""

    def __init__(self, graph: tf.Graph):
        self.graph, self.session = graph, None

    def run(self, *given: Any, **more: Any) -> Any:
        """As of `tf.Session`."""
        if self.session is None:
            raise BadValue(
                "nothing can be tried before the training has a session: give what is asked for, such as "
                "preprocessing='zero_to_one', to ExplainHook"
            )
        return self.session.run(*given, **more)


@dataclasses.dataclass(frozen=True, eq=False)
class _InTraining:
    """The values that variables have in a training's session, whatever they are; as of `slim_models.network.Values`."""

    session: Any
    origin: str = ""

    def arrays(self) -> None:
        """They are not known by the names of files of weights."""

    def fill(self, session: tf.Session, network: slim_models.Network) -> None:
        """Changes nothing: there may be none yet."""
