"""Files of Keras 1 and 2: predictions and maps are those of the same layers, built directly."""

import os
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow
from foreign import keras_model, load
from old_keras import functional, old, start, values, write_old

from gradcam.explainer import Explainer

layers = tensorflow.keras.layers
THREE = tensorflow.keras.__version__.startswith("3")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy


class Reference:
    """A network built directly: every layer is kept by its name, with drawn weights."""

    def __init__(self, size=32):
        self.images = self.net = layers.Input((size, size, 3))
        self.weights = {}

    def __call__(self, layer, net=None):
        """Calls a layer on `net`, or on what was made last."""
        self.net = layer(self.net if net is None else net)
        if layer.weights and layer.name not in self.weights:
            self.weights[layer.name] = values(layer)
        return self.net

    def finish(self, activations):
        """The activations that are explained, and the seven logits after their mean."""
        self(layers.GlobalAveragePooling2D(), activations)
        logits = self(layers.Dense(7, name="head"))
        return tensorflow.keras.Model(self.images, [activations, logits])


CONV = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "data_format": "channels_last", "use_bias": True}
CONV |= {"activation": "relu", "kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.01}}}
CONV |= {"kernel_initializer": {"class_name": "VarianceScaling", "config": {"scale": 1.0, "seed": None}}}


def ending(on):
    """The last two layers of a functional model."""
    mean = old("GlobalAveragePooling2D", "mean", [[on]], data_format="channels_last")
    return [mean, old("Dense", "head", [["mean"]], units=7, activation="softmax", use_bias=True)]


def sequential(entries, bare=False):
    entries = [*entries, old("GlobalAveragePooling2D", "mean"), old("Dense", "head", units=7, activation="softmax")]
    return {"class_name": "Sequential", "config": entries if bare else {"name": "sequential_1", "layers": entries}}


def keras_1(tmp_path):
    """A Sequential of Keras 1: a bare list, and other names for everything."""
    make = Reference()
    make(layers.Conv2D(8, 3, strides=2, padding="same", name="one"))
    make(layers.BatchNormalization(name="norm"))
    make(layers.ZeroPadding2D(1), make(layers.ReLU()))
    last = make(layers.Conv2D(6, (3, 2), activation="relu", name="two"))
    common = {"init": "glorot_uniform", "dim_ordering": "tf", "b_regularizer": None, "b_constraint": None, "bias": True}
    common |= {"W_constraint": None, "W_regularizer": {"name": "L1L2Regularizer", "l1": 0.0, "l2": 0.0005}}
    first = {"batch_input_shape": [None, 32, 32, 3], "input_dtype": "float32", "activation": "linear", **common}
    entries = [
        old("Convolution2D", "one", nb_filter=8, nb_row=3, nb_col=3, subsample=[2, 2], border_mode="same", **first),
        old("BatchNormalization", "norm", mode=0, axis=-1, epsilon=0.001, momentum=0.99, gamma_init="one"),
        old("Activation", "relu", activation="relu"),
        old("ZeroPadding2D", "pad", padding=[1, 1], dim_ordering="tf"),
        old(
            "Convolution2D",
            "two",
            nb_filter=6,
            nb_row=3,
            nb_col=2,
            subsample=[1, 1],
            border_mode="valid",
            activation="relu",
            **common,
        ),
        old("Dropout", "drop", p=0.5),
        old("GlobalAveragePooling2D", "mean", dim_ordering="tf"),
        old("Dense", "head", output_dim=7, input_dim=None, init="uniform", bias=True, activation="softmax"),
    ]
    model = make.finish(last)
    weights = {name: {f"{name}_{i}": array for i, array in enumerate(w.values())} for name, w in make.weights.items()}
    path = write_old(tmp_path / "model", {"class_name": "Sequential", "config": entries}, weights, b"1.2.2", None)
    return path, model


def keras_1_merge(tmp_path):
    make = Reference()
    one = make(layers.Conv2D(4, 3, padding="same", activation="relu", name="one"))
    two = make(layers.Conv2D(4, 1, padding="same", activation="relu", name="two"), make.images)
    both = make(layers.Concatenate(name="both"), [make(layers.Add(name="sum"), [one, two]), one])
    last = make(layers.Conv2D(6, 3, activation="relu", name="three"), both)
    conv = {"subsample": [1, 1], "border_mode": "same", "dim_ordering": "tf", "activation": "relu", "bias": True}
    entries = [
        old("InputLayer", "images", [], batch_input_shape=[None, 32, 32, 3], input_dtype="float32", sparse=False),
        old("Convolution2D", "one", [["images"]], nb_filter=4, nb_row=3, nb_col=3, **conv),
        old("Convolution2D", "two", [["images"]], nb_filter=4, nb_row=1, nb_col=1, **conv),
        old("Merge", "sum", [["one", "two"]], mode="sum", mode_type="raw", concat_axis=-1, dot_axes=-1),
        old("Merge", "both", [["sum", "one"]], mode="concat", mode_type="raw", concat_axis=3, dot_axes=-1),
        old("Convolution2D", "three", [["both"]], nb_filter=6, nb_row=3, nb_col=3, **conv | {"border_mode": "valid"}),
        old("GlobalAveragePooling2D", "mean", [["three"]], dim_ordering="tf"),
        old("Dense", "head", [["mean"]], output_dim=7, activation="softmax"),
    ]
    for entry in entries:  # Keras 1 has nodes without further arguments
        entry["inbound_nodes"] = [[reference[:3] for reference in node] for node in entry["inbound_nodes"]]
    model = make.finish(last)
    return write_old(tmp_path / "net.hdf5", functional("m", entries, "head"), make.weights, None, None), model


def keras_2(tmp_path):
    """Every kind of layer in one Sequential."""
    make = Reference()
    make(layers.Conv2D(8, 3, padding="same", name="one", activation="relu"))
    make(layers.DepthwiseConv2D(3, padding="same", name="depth", use_bias=False))
    make(layers.BatchNormalization(axis=3, scale=False, name="norm"))
    make(layers.ReLU(max_value=6.0))
    make(layers.SeparableConv2D(10, 3, padding="same", name="separable"))
    make(layers.LeakyReLU(**{"negative_slope" if THREE else "alpha": 0.2}))
    make(layers.MaxPooling2D(2))
    make(layers.Conv2DTranspose(5, 3, strides=2, name="up"))
    make(layers.PReLU(shared_axes=[1, 2], name="prelu"))
    last = make(layers.Conv2D(6, 3, activation="relu", name="last"))
    policy = {"class_name": "Policy", "config": {"name": "float32"}}
    entries = [
        old("Conv2D", "one", filters=8, groups=1, batch_input_shape=[None, 32, 32, 3], dtype="float32", **CONV),
        old(
            "DepthwiseConv2D",
            "depth",
            groups=1,
            depth_multiplier=1,
            **CONV | {"activation": "linear", "use_bias": False},
            depthwise_regularizer=None,
            dtype=policy,
        ),
        old("BatchNormalizationV1", "norm", axis=[3], scale=False, center=True, epsilon=0.001, momentum=0.99),
        old("ReLU", "six", max_value=6.0, negative_slope=0.0, threshold=0.0),
        old("SeparableConv2D", "separable", filters=10, groups=1, **CONV | {"activation": "linear"}),
        old("LeakyReLU", "leaky", alpha=0.2),
        old("MaxPooling2D", "pool", pool_size=[2, 2], padding="valid", strides=[2, 2], data_format=None),
        old(
            "Conv2DTranspose",
            "up",
            filters=5,
            groups=1,
            output_padding=None,
            **CONV | {"strides": [2, 2], "padding": "valid", "activation": "linear"},
        ),
        old("PReLU", "prelu", shared_axes=[1, 2], alpha_constraint=None, alpha_initializer={"class_name": "Zeros"}),
        old("Conv2D", "last", filters=6, **CONV | {"padding": "valid"}, activity_regularizer=None),
        old("SpatialDropout2D", "drop", rate=0.5, noise_shape=None, seed=None),
    ]
    model = make.finish(last)
    return write_old(tmp_path / "net.h5", sequential(entries), make.weights, b"2.1.6-tf"), model


def branches(tmp_path):
    """Branches, a shared layer, names with `/`, and TensorFlow's functions as layers."""
    make = Reference()
    scaled = (make.images / 127.5) - 1.0
    one = make(layers.Conv2D(4, 3, padding="same", name="one_conv"), scaled)
    shared = layers.Conv2D(4, 3, padding="same", activation="relu", name="shared")
    twice = make(shared, make(shared, make(layers.ReLU(), one)))
    both = make(layers.Concatenate(), [make(layers.Add(), [twice, one]), twice])
    last = make(layers.Conv2D(6, 3, padding="same", activation="relu", name="two_conv"), both)
    division = old("TFOpLambda", "tf.math.truediv", [], function="math.truediv")
    division["inbound_nodes"] = [["images", 0, 0, {"y": 127.5, "name": None}]]
    subtraction = old("TFOpLambda", "tf.math.subtract", [], function="math.subtract")
    subtraction["inbound_nodes"] = [["tf.math.truediv", 0, 0, {"y": 1.0, "name": None}]]
    entries = [
        start(),
        division,
        subtraction,
        old("Conv2D", "one/conv", [["tf.math.subtract"]], filters=4, **CONV | {"activation": "linear"}),
        old("Conv2D", "shared", [["one/relu"], ["shared"]], filters=4, **CONV),
        old("Activation", "one/relu", [["one/conv"]], activation="relu"),
        old("Add", "add", [[("shared", 1), "one/conv"]]),
        old("Concatenate", "both", [["add", ("shared", 1)]], axis=-1),
        old("Conv2D", "two/conv", [["both"]], filters=6, **CONV),
        *ending("two/conv"),
    ]
    model = make.finish(last)
    weights = {name.replace("_", "/"): arrays for name, arrays in make.weights.items()}
    return write_old(tmp_path / "net.model", functional("m", entries, "head", "Functional"), weights, b"2.4.0"), model


def inner_layers(make):
    make(layers.Conv2D(6, 3, strides=2, name="conv", use_bias=False))
    make(layers.BatchNormalization(name="norm"))
    make(layers.Activation(tensorflow.nn.relu6))
    return make(layers.Conv2D(5, 3, padding="same", activation="relu", name="last"))


def inner(class_name):
    convolution = {"filters": 6, **CONV, "strides": [2, 2], "use_bias": False, "activation": "linear"}
    entries = [
        start(),
        old("Conv2D", "conv", [["images"]], **convolution | {"padding": "valid"}),
        old("BatchNormalization", "norm", [["conv"]], axis=[3], epsilon=0.001, momentum=0.99),
        old("Activation", "six", [["norm"]], activation="relu6"),
        old("Conv2D", "last", [["six"]], filters=5, **CONV),
    ]
    return functional("inner", entries, "last", class_name)


def trained_first(weights):
    """A model's weights as Keras 2 put them into one group: statistics last."""
    arrays = {key: array for layer in weights.values() for key, array in layer.items()}
    return dict(sorted(arrays.items(), key=lambda item: "moving" in item[0]))


def teachable(tmp_path, named=True):
    """Sequential of Sequentials, of which one has a functional model in it."""
    make = Reference()
    last = inner_layers(make)
    features = trained_first({**make.weights})
    make(layers.GlobalAveragePooling2D(), last)
    make(layers.Dense(9, activation="relu", name="dense"))
    logits = make(layers.Dense(7, use_bias=False, name="head"))
    before = old("InputLayer", "first_input", batch_input_shape=[None, 32, 32, 3], dtype="float32", ragged=False)
    first = [before, inner("Functional"), old("GlobalAveragePooling2D", "mean", data_format="channels_last")]
    second = [
        old("Dense", "dense", units=9, activation="relu", batch_input_shape=[None, 5]),
        old("Dense", "head", units=7, activation="softmax", use_bias=False),
    ]
    nested = [
        {"class_name": "Sequential", "config": {"name": "features", "layers": first}},
        {"class_name": "Sequential", "config": {"name": "classes", "layers": second}},
    ]
    weights = {"features": features, "classes": {**make.weights["dense"], **make.weights["head"]}}
    if not named:
        weights = {part: {f"w{i:02}": a for i, a in enumerate(w.values())} for part, w in weights.items()}
    config = {"class_name": "Sequential", "config": {"name": "whole", "layers": nested}}
    path = write_old(tmp_path / "keras_model.h5", config, weights, b"2.4.0")
    return path, tensorflow.keras.Model(make.images, [last, logits])


def teachable_without_names(tmp_path):
    return teachable(tmp_path, named=False)


def model_in_model(tmp_path):
    """As fine-tuning leaves it: a model's calls count from 1, because it was called when it was made."""
    make = Reference()
    last = inner_layers(make)
    features = trained_first({**make.weights})
    model = make.finish(last)
    entries = [start(), {**inner("Model"), "name": "inner", "inbound_nodes": [[["images", 0, 0, {"training": False}]]]}]
    entries += ending(("inner", 1))
    weights = {"inner": features, "head": make.weights["head"]}
    return write_old(tmp_path / "net.weights", functional("whole", entries, "head"), weights), model


def activations(tmp_path):
    """Activations by other names, and one whose meaning Keras 3 has changed."""
    make = Reference()
    make(layers.Conv2D(8, 3, padding="same", name="one"))
    make(layers.Activation(lambda x: tensorflow.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)))
    make(layers.Conv2D(6, 3, padding="same", name="two"))
    make(layers.LeakyReLU(**{"negative_slope" if THREE else "alpha": 0.1}))
    last = make(layers.Conv2D(6, 3, padding="same", activation="relu", name="last"))
    leaky = {"class_name": "LeakyReLU", "config": {"name": "inside", "alpha": 0.1}}
    relu = {"class_name": "function", "config": "relu", "module": "builtins", "registered_name": "function"}
    first = {"filters": 8, "batch_input_shape": [None, 32, 32, 3], **CONV, "activation": "hard_sigmoid"}
    entries = [
        old("Conv2D", "one", **first),
        old("Conv2D", "two", filters=6, **CONV | {"activation": leaky}),
        old("Conv2D", "last", filters=6, **CONV | {"activation": relu if THREE else "relu"}),
    ]
    model = make.finish(last)
    return write_old(tmp_path / "net.h5", sequential(entries, bare=THREE), make.weights), model


def both_ways(tmp_path):
    """Recurrent layers behind convolutions; Keras' own reads one that goes both ways with today's hard_sigmoid."""

    def slope(x):
        return tensorflow.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)

    make = Reference()
    last = make(layers.Conv2D(6, 3, padding="same", activation="relu", name="last"))
    make(layers.Reshape((32, 192)))
    with tensorflow.keras.utils.custom_object_scope({slope.__name__: slope}):
        make(layers.Bidirectional(layers.LSTM(5, recurrent_activation=slope), name="ways"))
    model = tensorflow.keras.Model(make.images, [last, make(layers.Dense(7, name="head"))])
    kinds = [f"{way}/{kind}" for way in ("forward", "backward") for kind in ("kernel", "recurrent_kernel", "bias")]
    arrays = make.weights | {"ways": dict(zip(kinds, model.get_layer("ways").get_weights()))}
    lstm = {
        "name": "lstm",
        "units": 5,
        "activation": "tanh",
        "recurrent_activation": "hard_sigmoid",
        "implementation": 1,
    }
    entries = [
        old("Conv2D", "last", filters=6, batch_input_shape=[None, 32, 32, 3], **CONV),
        old("Reshape", "rows", target_shape=[32, 192]),
        old("Bidirectional", "ways", layer={"class_name": "LSTM", "config": lstm}, merge_mode="concat"),
        old("Dense", "head", units=7, activation="softmax"),
    ]
    whole = {"class_name": "Sequential", "config": {"name": "sequential_1", "layers": entries}}
    return write_old(tmp_path / "net.h5", whole, arrays), model


CASES = [
    keras_1,
    keras_1_merge,
    keras_2,
    branches,
    teachable,
    teachable_without_names,
    model_in_model,
    activations,
    both_ways,
]


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * max(1, np.abs(expected).max()))


def check(path, model, size=32):
    """Predictions, activations, gradients and the map of Grad-CAM are those of the model, by GradientTape."""
    images = np.random.default_rng(0).uniform(0, 3, (2, size, size, 3)).astype(np.float32)
    with tensorflow.GradientTape(persistent=True) as tape:
        pixels = tensorflow.constant(images)
        tape.watch(pixels)
        activations, logits = model(pixels, training=False)
        y = logits[:, 3]
    gradients = tape.gradient(y, activations).numpy()
    with Explainer(load(path), rules=["backprop"]) as explainer:
        found = explainer.explain(images, 3)
    (layer,) = found.activations
    close(found.logits, logits.numpy())
    close(found.probabilities, tensorflow.nn.softmax(logits).numpy())
    close(found.activations[layer], activations.numpy())
    close(found.gradients[layer], gradients)
    close(found.saliency["backprop"], tape.gradient(y, pixels).numpy())
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    close(found.cam(), np.maximum((weights * activations.numpy()).sum(-1), 0))


@pytest.mark.parametrize("case", CASES)
def test_the_network_is_the_one_built_directly(case, tmp_path):
    check(*case(tmp_path))


@pytest.mark.parametrize("backend", [b"tensorflow", b"theano"])
def test_kernels_of_keras_1_with_channels_first(backend, tmp_path):
    """Theano turned kernels round; pictures come in last-channel order, as for any network."""
    make = Reference()
    make(layers.Conv2D(5, 3, padding="same", activation="relu", name="one"))
    last = make(layers.Conv2D(6, (3, 2), activation="relu", name="two"))
    model = make.finish(last)
    for name in ("one", "two"):
        for key, array in make.weights[name].items():
            if array.ndim == 4:
                array = array[::-1, ::-1] if backend == b"theano" else array
                make.weights[name][key] = array.transpose(3, 2, 0, 1)
    common = {"dim_ordering": "th", "activation": "relu", "subsample": [1, 1]}
    shape = {"batch_input_shape": [None, 3, 32, 32]}
    entries = [
        old("Convolution2D", "one", nb_filter=5, nb_row=3, nb_col=3, border_mode="same", **shape, **common),
        old("Convolution2D", "two", nb_filter=6, nb_row=3, nb_col=2, border_mode="valid", **common),
        old("GlobalAveragePooling2D", "mean", dim_ordering="th"),
        old("Dense", "head", output_dim=7, activation="softmax"),
    ]
    config = {"class_name": "Sequential", "config": entries}
    check(write_old(tmp_path / "net.h5", config, make.weights, b"1.2.2", backend), model)
    if THREE:
        with pytest.raises(ValueError, match=r"'one' has its channels first.*must be given in memory"):
            load(write_old(tmp_path / "unknown.h5", config, make.weights, b"1.2.2", None))


def simple(*more, name="one", **config):
    """A Sequential with one convolution of five filters, and what comes after it."""
    first = {"filters": 5, "batch_input_shape": [None, 8, 8, 3], **CONV, **config}
    return sequential([old("Conv2D", name, **first), *more])


def simple_weights():
    random = np.random.default_rng(0)
    return {
        "one": {"one/kernel:0": random.normal(0, 0.3, (3, 3, 3, 5)), "one/bias:0": np.zeros(5)},
        "head": {"head/kernel:0": random.normal(0, 0.3, (5, 7)), "head/bias:0": np.zeros(7)},
    }


LAMBDA = old("Lambda", "mine", function=["4wEAAAA=", None, None], function_type="lambda", module="__main__")
FILE_TO_READ = old("StringLookup", "words", vocabulary="/etc/passwd")
SENTENCE = "nothing of a file is executed: the model must be given in memory, or the class as custom_objects="
CODE = "Python code in the file, .* give the model in memory, "
TRUST = r"or, if you trust .*, trusted=True \(--trusted\)"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (simple(LAMBDA), f"the layer 'mine', a Lambda: {CODE}or what it computes as custom_objects=.*, {TRUST}"),
        (
            simple(old("TimeDistributed", "each", layer=LAMBDA)),
            f"'mine', a Lambda: {CODE}or what it computes as .*{TRUST}",
        ),
        (simple(FILE_TO_READ), "'words' of the class StringLookup, which runs code or reads files .*, trusted=True"),
        (simple(old("LRN2D", "norm", alpha=0.1)), f"the layer 'norm' of the class LRN2D, .*{SENTENCE}"),
        (simple(old("Conv2D", "x") | {"module": "os"}), f"the layer 'x' of the class Conv2D, .*{SENTENCE}"),
        (simple(activation="sparkle"), "'one' with the activation 'sparkle', .*must be given in memory"),
        (simple(old("BatchNormalization", "norm", mode=2)), "'norm', a BatchNormalization with mode=2"),
        (simple(old("ReLU", "r", colour=3)), r"Keras [\d.]+ cannot read .*net\.h5 as a model: .*"),
    ],
)
def test_what_cannot_be_built_is_told_in_one_sentence(model, message, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        load(write_old(tmp_path / "net.h5", model, simple_weights()))
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_the_layers(tmp_path):
    weights = simple_weights()
    weights["one"]["one/kernel:0"] = np.zeros((3, 3, 3, 4))
    with pytest.raises(ValueError, match=r"3, 3, 3, 4"):
        load(write_old(tmp_path / "a.h5", simple(), weights))
    del weights["one"]
    with pytest.raises(ValueError, match=r"b\.h5"):
        load(write_old(tmp_path / "b.h5", simple(), weights))


def test_weights_alone_are_told_as_such(tmp_path):
    path = write_old(tmp_path / "net.weights", None, simple_weights())
    with pytest.raises(ValueError, match=r"net\.weights as a model: it holds weights only.*give the model in memory"):
        load(path)


def test_a_file_that_names_other_files_is_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(np.ones(12, np.float32).tobytes())
    for how in ("storage", "link", "soft"):
        path = write_old(tmp_path / f"{how}.h5", simple(), simple_weights())
        with h5py.File(path, "r+") as file:
            group = file["model_weights/one"]
            del group["one/bias:0"]
            if how == "storage":
                outside = [(str(tmp_path / "secret"), 0, 20)]
                group.create_dataset("one/bias:0", (5,), np.float32, external=outside)
            else:
                link = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x") if how == "link" else h5py.SoftLink("/x")
                group["one/bias:0"] = link
        with pytest.raises(ValueError, match=r"/model_weights/one/one/bias:0 of the HDF5 file"):
            load(path)


def test_half_a_file(tmp_path):
    path = write_old(tmp_path / "net.h5", simple(), simple_weights())
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"net\.h5 cannot be read as an HDF5 file"):
        load(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Keras 3's, that HDF5 is a legacy format
def test_kinds_are_told_by_first_bytes(tmp_path):
    model = keras_model()
    images = np.random.default_rng(0).uniform(0, 3, (1, 32, 32, 3)).astype(np.float32)
    expected = model(images, training=False).numpy()
    for suffix in (".h5", ".keras"):
        model.save(str(tmp_path / f"net{suffix}"))
        path = (tmp_path / f"net{suffix}").rename(tmp_path / f"network{suffix[1:]}")
        with Explainer(load(path)) as explainer:
            close(explainer.explain(images, 3).probabilities, expected)


@pytest.mark.skipif(not THREE, reason="Keras 2 writes other archives")
def test_code_in_an_archive_is_refused(tmp_path):
    images = layers.Input((8, 8, 3))
    net = layers.Lambda(lambda x: x, name="mine")(layers.Conv2D(5, 3)(images))
    tensorflow.keras.Model(images, net).save(str(tmp_path / "net.keras"))
    with pytest.raises(ValueError, match=f"the layer 'mine', a Lambda: {CODE}{TRUST}"):
        load(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "evil.keras", "w") as archive:
        entry = {"module": "subprocess", "class_name": "run", "config": {"name": "x"}, "registered_name": "run"}
        archive.writestr("config.json", str(entry).replace("'", '"'))
    with pytest.raises(ValueError, match=f"the layer 'x' of the class run, .*{SENTENCE}"):
        load(tmp_path / "evil.keras")


def test_classes_that_the_user_has_registered_are_the_users(tmp_path):

    class Twice(layers.Layer):
        def call(self, x):
            return 2 * x

    with tensorflow.keras.utils.custom_object_scope({"Twice": Twice}):
        path = write_old(tmp_path / "net.h5", simple(old("Twice", "twice")), simple_weights())
        assert load(path).num_classes == 7


WITHOUT_KERAS = """
import sys
sys.modules["tf_keras"] = None  # as where it is not installed
import slim_models
try:
    slim_models.load(sys.argv[1])
except slim_models.mistakes.BadValue as error:
    print(error)
"""


@pytest.mark.skipif(not THREE, reason="TensorFlow has one Keras")
def test_legacy_keras_that_is_not_installed(tmp_path):
    path = write_old(tmp_path / "net.h5", simple(), simple_weights())
    command = [sys.executable, "-c", f"import slim_models.mistakes{WITHOUT_KERAS}", str(path)]
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "net.h5 is a Keras model, and TensorFlow finds no Keras: " in result.stdout
