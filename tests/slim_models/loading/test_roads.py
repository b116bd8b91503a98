"""One network, whatever TensorFlow wrote it as: every road leads to the maps of the network as it was built."""

import contextlib
import functools

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import classifier, frozen, keras_model, load, write_pb, write_saved_model
from google.protobuf import text_format
from thin import SIZES, THIN, less_deep

import slim_models
from gradcam.explainer import Explainer
from slim_models.weights.checkpoint import checkpoint_in

RULES = tuple(slim_models.RULES)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max() + 1e-12)


class Roads:
    """The thin networks of `thin`, unmarked as other programs build them, and written into `folder` in every format."""

    def __init__(self, thin):
        self.graph = tf.Graph()
        with self.graph.as_default():
            images = tf.placeholder(tf.float32, thin.network.images.shape, name="input")
            entry = slim_models.NETWORKS[thin.network.name]
            logits, _ = entry.builder(images, **less_deep(thin.network.name, THIN))
            self.images, self.probabilities = images, tf.nn.softmax(logits, name="probabilities")
            self.variables = tf.global_variables()
            loss = -tf.reduce_sum(tf.log(self.probabilities[:, 0]))
            tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)  # as training leaves a graph, with its variables
            self.saver, start = tf.train.Saver(), tf.global_variables_initializer()
        self.session = tf.Session(graph=self.graph)
        self.session.run(start)

    def set(self, weights):
        initial = {variable.initializer: weights[variable.op.name] for variable in self.variables}
        self.session.run(list(initial), {op.inputs[1]: value for op, value in initial.items()})

    def frozen(self):
        names = [self.probabilities.op.name]
        return tf.graph_util.convert_variables_to_constants(self.session, self.graph.as_graph_def(), names)

    def pb(self):
        return write_pb(self.folder / "network.pb", self.frozen())

    def pbtxt(self):
        path = self.folder / "network.pbtxt"
        path.write_text(text_format.MessageToString(self.frozen()))
        return path

    def saved_model(self):
        return write_saved_model(self.folder / "saved", self.session, self.images, {"scores": self.probabilities})

    def meta(self):
        with self.graph.as_default():
            prefix = self.saver.save(self.session, str(self.folder / "model.ckpt"))
        return f"{prefix}.meta"

    def checkpoint(self):
        return self.meta().removesuffix(".meta")

    def checkpoint_folder(self):
        self.meta()
        return self.folder

    def live_session(self):
        return self.session

    def live_graph(self):
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(self.frozen(), name="mine")
        return graph


# Those that differ from another road by a name alone are tried with the smaller network.
BY_NAME = ("pbtxt", "checkpoint", "checkpoint_folder")
ROADS = [name for name in vars(Roads) if not name.startswith("_") and name not in ("frozen", "set")]


@pytest.fixture(scope="module")
def built_roads(built):
    """By the network's name, each built once."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def build(name):
            result = Roads(built(name))
            stack.callback(result.session.close)
            return result

        yield build


@pytest.fixture
def roads(built_roads, thin, tmp_path):
    """With the weights of `thin`, whatever a test has made of them, and an empty folder."""
    result = built_roads(thin.network.name)
    result.folder = tmp_path
    result.set(thin.weights)
    return result


@pytest.fixture
def live(thin):
    """For what is done to its graph."""
    result = Roads(thin)
    result.set(thin.weights)
    yield result
    result.session.close()


@pytest.mark.parametrize(
    ("thin", "road"),
    [(name, road) for name in SIZES for road in ROADS if name == "vgg16" or road not in BY_NAME],
    indirect=["thin"],
)
def test_equal_maps_on_every_road(road, roads, thin):
    network = load(getattr(roads, road)())
    expected = thin.explainer.explain(thin.images, [1, 2, 3])
    layer = network.endpoints[network.default_layer]
    assert layer.shape.as_list()[1:] == list(expected.activations[thin.network.default_layer].shape[1:])
    with Explainer(network, rules=RULES) as explainer:
        found = explainer.explain(thin.images, [1, 2, 3])
    close(found.logits, expected.logits)
    close(found.cam(), expected.cam())
    close(found.gradients[network.default_layer], expected.gradients[thin.network.default_layer])
    for rule in RULES:
        close(found.saliency[rule], expected.saliency[rule])


def test_a_live_graph_keeps_its_own_gradients(live, thin):
    """The copy is marked, the original is not; and variables are shared, not copied."""
    with live.graph.as_default():
        own = tf.gradients(live.probabilities[:, 1], live.images)[0]
    before = live.session.run(own, {live.images: thin.images})
    variables = len(live.graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES))
    network = load(live.session)
    with live.graph.as_default():
        again = tf.gradients(live.probabilities[:, 1], live.images)[0]
    with Explainer(network, rules=RULES) as explainer:
        explainer.explain(thin.images)
        held = [op for op in live.graph.get_operations() if op.type in ("VariableV2", "VarHandleOp")]
        assert len(held) == variables
        assert set(network.variables()) == set(thin.weights)  # not those of training
    np.testing.assert_array_equal(live.session.run(own, {live.images: thin.images}), before)
    np.testing.assert_array_equal(live.session.run(again, {live.images: thin.images}), before)


def test_a_live_graph_follows_its_training(live, thin):
    """A variable that changes changes the explanation: nothing was copied."""
    network = load(live.session)
    with Explainer(network) as explainer:
        before = explainer.predict(thin.images)
        last = live.variables[-1]
        live.session.run(last.initializer, {last.initializer.inputs[1]: thin.weights[last.op.name] + 1})
        np.testing.assert_allclose(explainer.predict(thin.images), before + 1, rtol=1e-4, atol=1e-4)


@contextlib.contextmanager
def tape_gradients(model, images, target):
    """By Keras and GradientTape alone: activations, true gradient at them and at the images."""
    inner = tensorflow.keras.Model(model.inputs, [model.get_layer("last").output, model.layers[-2].output])
    head = model.layers[-1]
    with tensorflow.GradientTape(persistent=True) as tape:
        pixels = tensorflow.constant(images)
        tape.watch(pixels)
        activations, pooled = inner(pixels, training=False)
        logits = tensorflow.matmul(pooled, head.kernel) + head.bias
        y = logits[:, target]
    yield activations.numpy(), tape.gradient(y, activations).numpy(), tape.gradient(y, pixels).numpy(), logits.numpy()


def keras_file(suffix):
    def write(model, folder):
        path = folder / f"model{suffix}"
        model.save(path)
        return path

    return write


def exported(model, folder):
    export = model.export if hasattr(model, "export") else model.save
    export(str(folder / "exported"))
    return folder / "exported"


def frozen_keras(model, folder):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tensorflow.TensorSpec([None, 32, 32, 3], tf.float32)
    function = tensorflow.function(lambda images: model(images, training=False)).get_concrete_function(spec)
    return write_pb(folder / "keras.pb", convert_variables_to_constants_v2(function).graph.as_graph_def())


KERAS_ROADS = {
    "in memory": lambda model, folder: model,
    ".keras": keras_file(".keras"),
    ".h5": keras_file(".h5"),
    "SavedModel of TensorFlow 2": exported,
    "frozen": frozen_keras,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy
@pytest.mark.parametrize("activation", ["relu", "swish", "elu"])
@pytest.mark.parametrize("road", KERAS_ROADS)
def test_keras_on_every_road_against_a_gradient_tape(road, activation, tmp_path):
    model = keras_model(activation)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    with tape_gradients(model, images / 255, 3) as (activations, at_layer, at_images, logits):
        network = load(KERAS_ROADS[road](model, tmp_path), preprocessing="zero_to_one")
        with Explainer(network, rules=["backprop"]) as explainer:
            explanation = explainer.explain(images, 3)
    layer = network.default_layer
    close(explanation.logits, logits)  # before the softmax that the model ends with
    close(explanation.activations[layer], activations)
    close(explanation.gradients[layer], at_layer)
    close(explanation.saliency["backprop"] * 255, at_images)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of Python's random
def test_guided_backprop_where_it_is_not_defined(tmp_path):
    network = load(keras_model("swish"))
    with Explainer(network) as explainer:
        explanation = explainer.explain(np.full((1, 32, 32, 3), 100.0))
    assert explanation.saliency == {}  # and Grad-CAM works
    assert explanation.cam().max() > 0
    with pytest.raises(ValueError, match="'guided' is not defined"):
        Explainer(network, rules=["guided"])


def test_our_marks_survive_freezing(thin, tmp_path):
    """A graph of `build` that was frozen by TensorFlow is loaded like any other."""
    graph_def = frozen(thin.network, thin.explainer.session, thin.network.logits)
    network = load(write_pb(tmp_path / "ours.pb", graph_def))
    with Explainer(network, rules=RULES) as explainer:
        found, expected = explainer.explain(thin.images, 5), thin.explainer.explain(thin.images, 5)
    for rule in RULES:
        close(found.saliency[rule], expected.saliency[rule])


def test_shapes_that_another_tensorflow_inferred_are_not_believed(tmp_path):
    """As of the gradient of a batch norm, which TensorFlow 1 wrote into the graph of a training."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"))
        tf.get_variable("step", [])
        session.run(tf.global_variables_initializer())
        prefix = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False)
        meta = tf.train.export_meta_graph(graph_def=graph.as_graph_def(add_shapes=True))
    relu = next(node for node in meta.graph_def.node if node.op == "Relu")
    relu.attr["_output_shapes"].list.shape[0].dim[3].size = 5
    (tmp_path / "model.ckpt.meta").write_bytes(meta.SerializeToString())
    with tf.Graph().as_default(), pytest.raises(ValueError, match="inconsistent"):
        tf.train.import_meta_graph(meta)
    assert [tensor.shape.as_list()[3] for tensor in load(prefix).endpoints.values()] == [8, 12]


def test_a_folder_with_a_v1_checkpoint_of_a_step(tmp_path):
    """`model.ckpt-7` has no ending to be known by, and no index: the graph beside it tells."""
    for name in ("model.ckpt-7", "model.ckpt-7.meta"):
        (tmp_path / name).write_bytes(b"")
    assert checkpoint_in(tmp_path) == tmp_path / "model.ckpt-7"
    (tmp_path / "model.ckpt-8.meta").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="should hold one checkpoint; found: model.ckpt-7, model.ckpt-8"):
        checkpoint_in(tmp_path)
