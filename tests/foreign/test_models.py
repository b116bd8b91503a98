"""Keras models in memory, however they were made: what they say themselves, and what a GradientTape says of them."""

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import keras_model, load

from gradcam.explainer import Explainer
from slim_models.mistakes import BadValue

layers = tensorflow.keras.layers
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 24, 24, 3)).astype(np.float32)
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",  # Keras' own, of NumPy
    "ignore:.*build\\(\\)`? was called on layer:UserWarning",
)


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max() + 1e-12)


class Subclassed(tensorflow.keras.Model):
    """Layers and a `call`; how it is called and what it gives is for those that inherit."""

    def __init__(self, **more):
        super().__init__(**more)
        self.convolution = layers.Conv2D(6, 3, strides=2, activation="relu", bias_initializer="random_normal")
        self.pool, self.drop = layers.GlobalAveragePooling2D(), layers.Dropout(0.5)
        self.head = layers.Dense(7, bias_initializer="random_normal")

    def after(self, activations, training=False):
        return self.head(self.drop(self.pool(activations), training=training))

    def call(self, images):
        return self.after(self.convolution(images))


class Training(Subclassed):
    """Whose dropout is on unless it is told not to."""

    def call(self, images, training=True):
        return self.after(self.convolution(images), training=training)


class Normalized(Subclassed):
    """Without an argument `training`, over layers that ask for it."""

    def __init__(self, **more):
        super().__init__(**more)
        self.norm = layers.BatchNormalization(moving_mean_initializer="random_normal", momentum=0.5)

    def call(self, images):
        return self.after(self.norm(self.convolution(images)))


class Giving(Subclassed):
    """A dictionary with a list in it."""

    def __init__(self, **more):
        super().__init__(**more)
        self.other = layers.Dense(3)

    def call(self, images):
        activations = self.convolution(images)
        return {"classes": tf.nn.softmax(self.after(activations)), "more": [None, self.other(self.pool(activations))]}


class Named(Subclassed):
    """Which takes its pictures in a dictionary."""

    def call(self, inputs, training=None):
        return self.after(self.convolution(inputs["picture"])) * inputs["weight"]


class Built(Subclassed):
    """With a `build` of its own, as Keras 3 asks for."""

    def build(self, input_shape):
        self.convolution.build(input_shape)
        self.head.build((None, 6))
        super().build(input_shape)


def tape(model, images=IMAGES, target=2):
    """Of `Subclassed`: logits, and the gradient at the activations."""
    with tensorflow.GradientTape() as recorded:
        activations = model.convolution(images)
        recorded.watch(activations)
        after = model.norm(activations, training=False) if hasattr(model, "norm") else activations
        logits = model.after(after)
        y = logits[:, target]
    return logits.numpy(), recorded.gradient(y, activations).numpy()


def agrees(network, expected, images=IMAGES):
    logits, gradient = expected
    # Behind a batch norm there is another layer, of which the tape knows nothing.
    name = next(name for name, layer in network.endpoints.items() if layer.shape[-1] == 6)
    with Explainer(network, layers=[name], rules=("backprop",)) as explainer:
        found = explainer.explain(images, 2)
    close(found.logits, logits)
    close(found.gradients[name], gradient, 1e-4)


def called(model):
    model(np.repeat(IMAGES, 3, axis=0))  # of nine pictures, and any number is explained
    return model


def built(model):
    model.build((None, 24, 24, 3))
    return model


@pytest.mark.parametrize("kind", [Subclassed, Training, Normalized, Built])
def test_a_subclassed_model_that_was_called(kind):
    model = called(kind())
    network = load(model)
    assert network.image_size == (24, 24)
    agrees(network, tape(model))


@pytest.mark.parametrize("kind", [Built, Subclassed])
def test_a_subclassed_model_that_was_built(kind):
    """Keras 3 takes a model without a `build` for built when it is not."""
    model = built(kind())
    complete = bool(model.weights)
    lines = []
    network = load(model, say=lines.append)
    agrees(network, tape(model))
    told = [line for line in lines if line.startswith("weights: those that")]
    assert bool(told) is not complete


@pytest.mark.parametrize("kind", [Subclassed, Training, Normalized])
def test_a_subclassed_model_that_is_not_built(kind):
    model = kind(name="mine")
    with pytest.raises(BadValue, match="Keras model mine is not built, .* call it on a picture .* as image_size$"):
        load(model)
    lines = []
    network = load(model, image_size=24, say=lines.append)
    assert "weights: those that mine begins with (it was not built, and so never trained)" in lines
    agrees(network, tape(model))
    agrees(load(model), tape(model))  # now it is built


def sequential(*first):
    return tensorflow.keras.Sequential(
        [*first, layers.Conv2D(6, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(7)]
    )


@pytest.mark.parametrize("how", ["given", "built", "called", "explicit"])
def test_a_sequential_however_it_is_built(how):
    model = sequential(layers.Input((24, 24, 3))) if how == "explicit" else sequential()
    if how == "built":
        built(model)
    if how == "called":
        called(model)
    network = load(model, image_size=24 if how == "given" else None)
    assert network.batch_size is None
    with Explainer(network) as explainer:
        close(explainer.predict(IMAGES), model(IMAGES, training=False).numpy())


@pytest.mark.parametrize("channels", [1, 3])
def test_how_many_channels_the_first_layer_says(channels):
    """A layer that is built knows, though its model is not."""
    first = layers.Conv2D(4, 3)
    first.build((None, 24, 24, channels))
    lines = []
    network = load(sequential(first), image_size=24, say=lines.append)
    assert bool([line for line in lines if line.startswith("grey: ")]) is (channels == 1)
    assert network.images.shape.as_list() == [None, 24, 24, 3]


@pytest.mark.parametrize("word", ["classes", None])
def test_a_model_that_gives_a_dictionary(word):
    model = called(Giving())
    if word is None:
        with pytest.raises(BadValue, match=r"2 outputs could be the logits: .*more/output_1 \(.*\[\?, 3\]\)"):
            load(model)
    else:
        agrees(load(model, logits=word), tape(model))
    assert load(model, logits="more/output_1").num_classes == 3


def test_a_model_that_takes_a_dictionary():
    model = Named()
    model({"picture": IMAGES, "weight": np.ones((3, 1), np.float32)})
    network = load(model, feed={"weight": 2.5})
    expected = model({"picture": IMAGES, "weight": np.full((3, 1), 2.5, np.float32)}).numpy()
    with Explainer(network) as explainer:
        close(explainer.predict(IMAGES), expected)


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_under_a_mixed_policy(name):
    policies = tensorflow.keras.mixed_precision
    policies.set_global_policy(name)
    try:
        model = keras_model(size=24)
    finally:
        policies.set_global_policy("float32")
    tolerance = 1e-3 if "bf" not in name else 1e-2
    with Explainer(load(model), rules=("backprop",)) as explainer:
        found = explainer.explain(IMAGES)
    close(found.probabilities, model(IMAGES, training=False).numpy().astype(np.float32), tolerance)
    assert np.isfinite(found.cam()).all() and found.cam().max() > 0


def test_a_number_of_pictures_that_a_model_fixes():
    images = layers.Input((24, 24, 3), batch_size=4)
    net = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu")(images))
    model = tensorflow.keras.Model(images, layers.Dense(7)(net))
    with Explainer(load(model)) as explainer:
        close(explainer.predict(IMAGES), model(np.resize(IMAGES, (4, 24, 24, 3)), training=False).numpy()[:3])


class Failing(Subclassed):
    def call(self, images):
        raise NotImplementedError("of a base class\nwith more lines")


class Two(Subclassed):
    def call(self, images, weight):
        return self.after(self.convolution(images)) * weight


def test_what_keras_cannot_call_is_told_in_a_line():
    with pytest.raises(BadValue, match="the Keras model broken cannot be built: .*base class") as caught:
        load(Failing(name="broken"), image_size=24)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_called_on_two_arguments():
    """Keras 2 knows of both of them, Keras 3 only of the first, and then it is told."""
    model = Two(name="two")
    model(IMAGES, np.ones((3, 1), np.float32))
    if hasattr(model, "save_spec"):
        network = load(model, feed={"weight": 2.0})
        with Explainer(network) as explainer:
            close(explainer.predict(IMAGES), 2 * tape(model)[0])
    else:
        with pytest.raises(BadValue, match="Keras cannot call the model two: .*weight"):
            load(model)


def test_a_model_of_a_graph_asks_for_its_session():
    if not hasattr(tensorflow.keras.Model, "save_spec"):
        pytest.skip("Keras 3 has no graphs of TensorFlow 1")
    with tf.Graph().as_default(), pytest.raises(BadValue, match="give the session that has its values"):
        load(keras_model())


def test_models_are_not_taken_for_sessions_or_layers_for_models():
    with pytest.raises(ValueError, match="a network is a path, a tf.Session, a tf.Graph or a Keras model"):
        load(layers.Conv2D(3, 3))
