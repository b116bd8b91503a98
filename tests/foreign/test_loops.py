"""Recurrent layers behind convolutions: loops of TensorFlow 1 and 2, frozen or with variables, explained exactly."""

import contextlib

import pytest
import tensorflow as tf2
import tensorflow.compat.v1 as tf
from exact import IMAGES, agrees, by_tape
from foreign import constant, load, write_pb
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from gradcam.explainer import Explainer
from slim_models.mistakes import BadValue


@contextlib.contextmanager
def control_flow(v2):
    """As TensorFlow 1 wrote it, or as 2 does."""
    before = tf.control_flow_v2_enabled()
    (tf.enable_control_flow_v2 if v2 else tf.disable_control_flow_v2)()
    try:
        yield
    finally:
        (tf.enable_control_flow_v2 if before else tf.disable_control_flow_v2)()


def dynamic_rnn(sequence):
    """As `tf.nn.dynamic_rnn` writes a plain cell: arrays of inputs and outputs, and a state."""
    inner = tf.get_variable("rnn/inner", initializer=constant([6, 6], 3), use_resource=False)
    outer = tf.get_variable("rnn/outer", initializer=constant([64, 6], 5), use_resource=False)
    inputs = tf.TensorArray(tf.float32, 8).unstack(tf.transpose(sequence, [1, 0, 2]))

    def body(step, state, outputs):
        state = tf.tanh(inputs.read(step) @ outer + state @ inner)
        return step + 1, state, outputs.write(step, state)

    start = [0, tf.zeros([tf.shape(sequence)[0], 6]), tf.TensorArray(tf.float32, 8)]
    _, state, outputs = tf.while_loop(lambda step, *_: step < 8, body, start)
    return state + tf.reduce_mean(outputs.stack(), 0)


def outputs_alone(sequence):
    """A state goes round that nobody reads at the end."""
    states = tf.scan(lambda state, now: tf.tanh(state * 0.5 + now), tf.transpose(sequence, [1, 0, 2]))
    return states[-1]


def a_picture_at_a_time(sequence):
    return tf.map_fn(lambda row: tf.reduce_max(row, 0) * 2, sequence)


def loop_in_a_loop(sequence):
    kernel = tf.get_variable("kernel2", initializer=constant([64, 64], 3) * 0.3, use_resource=False)

    def inner(step, state):
        return step + 1, tf.tanh(state @ kernel)

    def outer(step, state):
        return step + 1, tf.while_loop(lambda step, _: step < 2, inner, [0, state])[1]

    return tf.while_loop(lambda step, _: step < 3, outer, [0, sequence[:, 0]])[1]


def unrolled(sequence):
    """As `tf.nn.static_rnn` writes it."""
    state = tf.zeros_like(sequence[:, 0])
    for now in tf.unstack(sequence, 8, axis=1):
        state = tf.tanh(now + 0.5 * state)
    return state


LOOPS = {f.__name__: f for f in (dynamic_rnn, outputs_alone, a_picture_at_a_time, loop_in_a_loop, unrolled)}


def behind_a_convolution(loop):
    """Images, activations and logits, in the current graph."""
    images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
    kernel = tf.get_variable("kernel", initializer=constant([3, 3, 3, 8]), use_resource=False)
    activations = tf.nn.relu(tf.nn.conv2d(images, kernel, 4, "SAME"))
    net = loop(tf.reshape(activations, [-1, 8, 64]) / 100)
    return images, activations, tf.matmul(net, constant([net.shape[-1], 7], 4), name="logits")


@pytest.mark.parametrize("v2", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize(
    ("loop", "road"), [*((loop, "frozen") for loop in LOOPS), ("dynamic_rnn", "meta"), ("dynamic_rnn", "session")]
)
def test_loops(loop, v2, road, tmp_path):
    with control_flow(v2), tf.Graph().as_default() as graph, tf.Session() as session:
        images, activations, logits = behind_a_convolution(LOOPS[loop])
        graph_def, saver = graph.as_graph_def(), tf.train.Saver()
        meta = tf.train.export_meta_graph(saver_def=saver.saver_def)
        gradient = tf.gradients(logits[:, 2], activations)[0]
        session.run(tf.global_variables_initializer())
        expected = session.run([logits, activations, gradient], {images: IMAGES})
        if road == "session":
            path = session
        elif road == "meta":
            path = saver.save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False) + ".meta"
            (tmp_path / "model.ckpt.meta").write_bytes(meta.SerializeToString())
        else:
            graph_def = tf.graph_util.convert_variables_to_constants(session, graph_def, ["logits"])
            path = write_pb(tmp_path / "net.pb", graph_def)
        agrees(load(path, images="x", logits="logits"), expected)


def test_a_condition_in_a_loop_is_refused_by_name(tmp_path):
    def loop(sequence):
        def body(step, state):
            return step + 1, tf.cond(tf.equal(step, 1), lambda: tf.tanh(state), lambda: state + sequence[:, 1])

        return tf.while_loop(lambda step, _: step < 3, body, [0, sequence[:, 0]])[1]

    with control_flow(False), tf.Graph().as_default() as graph, tf.Session() as session:
        behind_a_convolution(loop)
        session.run(tf.global_variables_initializer())
        graph_def = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["logits"])
    network = load(write_pb(tmp_path / "net.pb", graph_def))
    with pytest.raises(
        BadValue, match=r"has none for 'explained/network/while/Exit_1' \(Exit\); give a layer after it$"
    ):
        Explainer(network, rules=())


LAYERS = tf2.keras.layers
RECURRENT = {
    "lstm": lambda: [LAYERS.LSTM(7)],
    "gru": lambda: [LAYERS.GRU(7)],
    "gru_before": lambda: [LAYERS.GRU(7, reset_after=False)],
    "both_ways": lambda: [LAYERS.Bidirectional(LAYERS.LSTM(7))],
    "relu": lambda: [LAYERS.SimpleRNN(7, activation="relu")],
    "stacked": lambda: [LAYERS.RNN([LAYERS.LSTMCell(5), LAYERS.GRUCell(6)])],
    "sequences": lambda: [
        LAYERS.LSTM(7, return_sequences=True),
        LAYERS.TimeDistributed(LAYERS.Dense(4)),
        LAYERS.GlobalAveragePooling1D(),
    ],
}


@pytest.mark.parametrize(
    ("kind", "road"),
    [*((kind, "memory") for kind in RECURRENT), *(("lstm", road) for road in ("saved", "frozen", "lowered"))],
)
def test_layers_of_keras(kind, road, tmp_path):
    """A CRNN: convolutions whose columns a recurrent layer reads one after the other."""
    tf2.keras.utils.set_random_seed(0)
    images = LAYERS.Input((32, 32, 3))
    net = LAYERS.Conv2D(6, 3, strides=2, padding="same", activation="relu")(images)
    net = LAYERS.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="last")(net)
    net = LAYERS.Reshape((8, 64))(LAYERS.Permute((2, 1, 3))(net))
    for layer in RECURRENT[kind]():
        net = layer(net)
    model = tf2.keras.Model(images, LAYERS.Dense(5)(net))
    path = model
    if road == "saved":
        path = tmp_path / "saved"
        getattr(model, "export", model.save)(str(path))
    elif road in ("frozen", "lowered"):
        function = tf2.function(lambda given: model(given, training=False))
        function = function.get_concrete_function(tf2.TensorSpec([None, 32, 32, 3]))
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=road == "lowered")
        path = write_pb(tmp_path / "net.pb", frozen.graph.as_graph_def())
    agrees(load(path), by_tape(model, "last"))
