"""Live sessions, wrapped, monitored, finalized: what they hold is explained, and they stay as they are."""

import contextlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import classifier, constant, load

from gradcam.explainer import Explainer
from slim_models.mistakes import BadValue

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


class Program:
    """A graph with variables of a kind, and what its own gradients say."""

    def __init__(self, resource=True):
        self.graph = tf.Graph()
        with self.graph.as_default():
            step = tf.train.get_or_create_global_step()
            self.images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
            kernel = tf.Variable(constant([3, 3, 3, 8]), use_resource=resource, name="kernel")
            self.bias = tf.Variable(constant([8], 5), use_resource=resource, collections=["mine"], name="bias")
            self.activations = tf.nn.relu(tf.nn.conv2d(self.images, kernel, 2, "SAME") + self.bias, name="relu")
            head = tf.Variable(constant([8, 7], 4), use_resource=resource, name="head")
            self.logits = tf.matmul(tf.reduce_mean(self.activations, [1, 2]), head, name="logits")
            self.start = tf.variables_initializer([step, kernel, self.bias, head])
            self.louder = tf.assign_add(self.bias, tf.ones([8]))
            self.gradient = tf.gradients(self.logits[:, 2], self.activations)[0]

    def expected(self, session):
        return session.run([self.logits, self.activations, self.gradient], {self.images: IMAGES})

    def agrees(self, network, expected):
        with Explainer(network, rules=("backprop",)) as explainer:
            found = explainer.explain(IMAGES, 2)
        logits, activations, gradient = expected
        assert network.default_layer == "relu"
        close(found.logits, logits)
        close(found.activations["relu"], activations)
        close(found.gradients["relu"], gradient)


def plain(program):
    return tf.Session(graph=program.graph)


def finalized(program):
    program.graph.finalize()
    return tf.Session(graph=program.graph)


@contextlib.contextmanager
def interactive(program):
    session = tf.InteractiveSession(graph=program.graph)
    yield session
    session.close()


class Debugger:
    """As tfdbg and others wrap a session: a graph, and `run`, which here must not be used but for the oracle."""

    def __init__(self, session):
        self.session, self.graph, self.open = session, session.graph, True

    def run(self, *given, **more):
        assert self.open, "the debugger was asked"
        return self.session.run(*given, **more)


@contextlib.contextmanager
def wrapped(program):
    with tf.Session(graph=program.graph) as session:
        yield Debugger(session)


class Duck:
    """A wrapper that says nothing of what is in it: it is run itself."""

    def __init__(self, session):
        self.graph, self.run = session.graph, session.run


@contextlib.contextmanager
def opaque(program):
    with tf.Session(graph=program.graph) as session:
        yield Duck(session)


class Counting(tf.train.SessionRunHook):
    def __init__(self):
        self.runs = 0

    def before_run(self, run_context):
        self.runs += 1


HOOK = Counting()


def monitored(make):
    def opened(program):
        with program.graph.as_default():
            return make(tf.train.Scaffold(init_op=program.start))

    return opened


KINDS = {
    "plain": plain,
    "finalized": finalized,
    "interactive": interactive,
    "wrapped": wrapped,
    "opaque": opaque,
    "MonitoredTrainingSession": monitored(lambda s: tf.train.MonitoredTrainingSession(scaffold=s, hooks=[HOOK])),
    "MonitoredSession": monitored(lambda s: tf.train.MonitoredSession(tf.train.ChiefSessionCreator(s), [HOOK])),
    "SingularMonitoredSession": monitored(lambda s: tf.train.SingularMonitoredSession([HOOK], s)),
}


@pytest.mark.parametrize("resource", [True, False], ids=["resource", "ref"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_session_of_a_program(kind, resource):
    program = Program(resource)
    with KINDS[kind](program) as session:
        if "Monitored" not in kind:
            session.run(program.start)
        session.run(program.louder)
        expected, before = program.expected(session), len(program.graph.get_operations())
        session.open, runs = False, HOOK.runs
        network = load(session, logits="logits")
        program.agrees(network, expected)
        session.open = True
        assert HOOK.runs == runs  # nothing of the program's own was run
        if program.graph.finalized:
            assert len(program.graph.get_operations()) == before
            assert network.values.session is None
        else:
            assert network.graph is program.graph
        assert {"kernel", "head"} <= set(network.variables())
        for mine, theirs in zip(program.expected(session), expected):  # and its session goes on
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("resource", [True, False], ids=["resource", "ref"])
def test_a_copy_is_of_the_values_when_an_explainer_is_made(resource):
    program = Program(resource)
    with finalized(program) as session:
        session.run(program.start)
        network = load(session, logits="logits")
        for _ in range(2):
            session.run(program.louder)
            program.agrees(network, program.expected(session))
        with Explainer(network) as explainer:
            before = explainer.predict(IMAGES)
            session.run(program.louder)
            np.testing.assert_array_equal(explainer.predict(IMAGES), before)


def test_what_a_graph_has_on_other_devices_runs_here():
    program = Program()
    with program.graph.as_default(), tf.device("/device:GPU:7"):
        tf.identity(program.logits * 2, name="doubled")
    program.graph.finalize()
    with tf.Session(graph=program.graph, config=tf.ConfigProto(allow_soft_placement=True)) as session:
        session.run(program.start)
        with Explainer(load(session, logits="doubled")) as explainer:
            close(explainer.predict(IMAGES), 2 * session.run(program.logits, {program.images: IMAGES}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_session_is_told(kind):
    program = Program()
    with contextlib.suppress(RuntimeError), KINDS[kind](program) as session:  # a monitored one closes once
        if "Monitored" not in kind:
            session.run(program.start)
        network = load(session, logits="logits")
        inner = getattr(session, "session", session)
        if kind != "opaque":
            inner.close()
            for late in (lambda: load(session, logits="logits"), lambda: Explainer(network)):
                with pytest.raises(BadValue, match="the session is closed: give"):
                    late()


def test_a_session_that_is_closed_after_its_explainer_was_made():
    program = Program()
    with tf.Session(graph=program.graph) as session:
        session.run(program.start)
        explainer = Explainer(load(session, logits="logits"))
        session.close()
        for late in (explainer.explain, explainer.predict, lambda images: explainer.explain_classes(images[0], [1, 2])):
            with pytest.raises(BadValue, match="the session is closed: give"):
                late(IMAGES)


@pytest.mark.parametrize("finalize", [True, False])
def test_variables_without_values(finalize):
    program = Program()
    if finalize:
        program.graph.finalize()
    with tf.Session(graph=program.graph) as session:
        network = load(session, logits="logits")
        with (
            pytest.raises(BadValue, match="the session has no values for variables of graph: initialize"),
            Explainer(network) as explainer,
        ):
            explainer.explain(IMAGES)


def test_a_variable_that_is_read_only_after_a_step_of_training_is_not_read():
    """Reading it would train."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
        activations, _ = classifier(images)
        handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[12, 7], shared_name="w", name="w")
        step = tf.raw_ops.AssignVariableOp(resource=handle, value=constant([12, 7]))
        with tf.control_dependencies([step]):
            value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)
        tf.matmul(tf.reduce_mean(activations, [1, 2]), value, name="end")
        graph.finalize()
        with tf.Session() as session, pytest.raises(BadValue, match="reads its variable w nowhere by itself"):
            Explainer(load(session, logits="end"))


def test_a_finalized_graph_without_variables_needs_no_session():
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
        _, logits = classifier(images)
        graph.finalize()
        with tf.Session() as session:
            expected = session.run(logits, {images: IMAGES})
    with Explainer(load(graph)) as explainer:
        close(explainer.predict(IMAGES), expected)


def test_a_graph_that_is_finalized_after_it_was_loaded():
    program = Program()
    with tf.Session(graph=program.graph) as session:
        session.run(program.start)
        network = load(session, logits="logits")
        program.graph.finalize()
        with pytest.raises(BadValue, match="was finalized after it was loaded: load it again"):
            Explainer(network)
        program.agrees(load(session, images="x", logits="logits"), program.expected(session))
