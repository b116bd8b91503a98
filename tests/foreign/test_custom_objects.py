"""Keras files with classes and code of their own: given by name, or executed only where that was asked for."""

import base64
import io
import marshal
import zipfile

import numpy as np
import pytest
import tensorflow
from foreign import load
from old_keras import old, write_old

from gradcam.cli.main import main
from gradcam.explainer import Explainer
from slim_models.mistakes import BadValue

keras, layers = tensorflow.keras, tensorflow.keras.layers
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",  # Keras' own, of NumPy
    "ignore:You are saving your model as an HDF5 file:UserWarning",
)
RAN = []  # what a Lambda leaves behind when it runs


class Scaled(layers.Layer):
    """With an argument of its own."""

    def __init__(self, by=1.0, **more):
        super().__init__(**more)
        self.by = by

    def call(self, inputs):
        return inputs * self.by

    def get_config(self):
        return {**super().get_config(), "by": self.by}


def leaning(inputs):
    return tensorflow.maximum(inputs, 0.1 * inputs)


CUSTOM = {"Scaled": Scaled, "leaning": leaning}


def model_of(*more):
    tensorflow.keras.utils.set_random_seed(0)
    images = layers.Input((16, 16, 3))
    net = layers.Conv2D(5, 3, activation="relu")(images)
    for layer in more:
        net = layer(net)
    return keras.Model(images, layers.Dense(7)(layers.GlobalAveragePooling2D()(net)))


def saved(model, path):
    model.save(path)
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        pytest.skip("this Keras has no archives yet")


def predicted(given, **options):
    with Explainer(load(given, **options)) as explainer:
        return explainer.predict(IMAGES)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_classes_and_functions_that_are_given(suffix, tmp_path):
    model = model_of(Scaled(3.0), layers.Activation(leaning))
    path = tmp_path / f"model{suffix}"
    saved(model, path)
    with pytest.raises(BadValue, match="(the class|layer:) .*Scaled.* custom_objects"):
        load(path)
    expected = model(IMAGES, training=False).numpy()
    np.testing.assert_allclose(predicted(path, custom_objects=CUSTOM), expected, rtol=1e-5, atol=1e-4)
    with pytest.raises(BadValue) as caught:
        load(path, custom_objects={"Scaled": Scaled})
    assert "leaning" in str(caught.value) and "\n" not in str(caught.value)
    assert keras.utils.get_registered_object("Scaled") is None  # nothing stays known


def test_classes_of_old_files_that_are_given(tmp_path):
    random = np.random.default_rng(0)
    kernel, head = random.normal(0, 0.3, (3, 3, 3, 5)), random.normal(0, 0.3, (5, 7))
    entries = [
        old("Conv2D", "one", filters=5, kernel_size=[3, 3], activation="relu", batch_input_shape=[None, 16, 16, 3]),
        old("Scaled", "scaled", by=3.0),
        old("Activation", "act", activation="leaning"),
        old("GlobalAveragePooling2D", "mean"),
        old("Dense", "head", units=7, activation="linear"),
    ]
    weights = {"one": {"one/k": kernel, "one/b": np.zeros(5)}, "head": {"head/k": head, "head/b": np.zeros(7)}}
    path = write_old(tmp_path / "old.h5", {"class_name": "Sequential", "config": entries}, weights)
    activations = tensorflow.nn.relu(tensorflow.nn.conv2d(IMAGES, kernel.astype(np.float32), 1, "VALID")).numpy()
    expected = 3 * activations.mean((1, 2)) @ head
    np.testing.assert_allclose(predicted(path, custom_objects=CUSTOM), expected, rtol=1e-4, atol=1e-3)


def dropping(name):
    """What the package efficientnet has for a Dropout."""
    return old(name, "drop", rate=0.2, noise_shape=[None, 1, 1, None], seed=None)


def lambda_entry(function, **more):
    code = base64.b64encode(marshal.dumps(function.__code__)).decode()
    cells = None if function.__closure__ is None else [cell.cell_contents for cell in function.__closure__]
    return old("Lambda", "mine", function=[code, function.__defaults__, cells], function_type="lambda", **more)


def old_file(path, entry):
    random = np.random.default_rng(0)
    kernel, head = random.normal(0, 0.3, (3, 3, 3, 5)), random.normal(0, 0.3, (5, 7))
    entries = [
        old("Conv2D", "one", filters=5, kernel_size=[3, 3], activation="relu", batch_input_shape=[None, 16, 16, 3]),
        entry,
        old("GlobalAveragePooling2D", "mean"),
        old("Dense", "head", units=7, activation="linear"),
    ]
    weights = {"one": {"one/k": kernel, "one/b": np.zeros(5)}, "head": {"head/k": head, "head/b": np.zeros(7)}}
    activations = tensorflow.nn.relu(tensorflow.nn.conv2d(IMAGES, kernel.astype(np.float32), 1, "VALID")).numpy()
    return write_old(path, {"class_name": "Sequential", "config": entries}, weights), activations.mean((1, 2)), head


def test_a_dropout_under_another_name(tmp_path):
    path, mean, head = old_file(tmp_path / "net.h5", dropping("FixedDropout"))
    np.testing.assert_allclose(predicted(path), mean @ head, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_is_executed_only_when_trusted(suffix, tmp_path, capsys):
    model = model_of(layers.Lambda(lambda net: net * 2.0, name="mine"))
    path = tmp_path / f"model{suffix}"
    saved(model, path)
    refused = r"the layer 'mine', a Lambda: Python code in the file, .*in memory, (or what .*, )?or, if you trust"
    with pytest.raises(BadValue, match=refused):
        load(path)
    with pytest.raises(BadValue, match=refused):
        load(path, custom_objects={"Scaled": Scaled}, trusted=False)
    expected = model(IMAGES, training=False).numpy()
    np.testing.assert_allclose(predicted(path, trusted=True), expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(predicted(model), expected, rtol=1e-5, atol=1e-4)  # the way out that runs nothing new
    flags = ["layers", str(path), "--preprocessing", "none"]
    assert main(flags) == 2
    assert "(--trusted)" in capsys.readouterr().err
    assert main([*flags, "--trusted"]) == 0


def test_lambdas_of_old_files(tmp_path):
    three = 3.0
    for entry, factor in [
        (lambda_entry(lambda net: net * 2.0), 2),
        (lambda_entry(lambda net, by=5.0: net * by), 5),
        (lambda_entry(lambda net: net * three), 3),
        (lambda_entry(lambda net, by: net * by, arguments={"by": 7.0}), 7),
        (lambda_entry(lambda net: tf.abs(net) + K.epsilon()), 1),  # noqa: F821
        (old("Lambda", "mine", function="leaning", function_type="function"), 1),
    ]:
        path, mean, head = old_file(tmp_path / "net.h5", entry)
        found = predicted(path, trusted=True, custom_objects=CUSTOM)
        np.testing.assert_allclose(found, factor * mean @ head, rtol=1e-4, atol=1e-3)


def test_what_a_lambda_computes_can_be_given(tmp_path):
    """By the layer's name: code of a file is of one version of Python, and need not be trusted then."""

    def spy(net):
        import test_custom_objects

        test_custom_objects.RAN.append(1)
        return net

    of_another_python = old("Lambda", "mine", function=["4wEAAAA=", None, None], function_type="lambda")
    for entry in (lambda_entry(spy), of_another_python, lambda_entry(spy, arguments={"by": 4.0})):
        path, mean, head = old_file(tmp_path / "net.h5", entry)
        for trusted in (False, True):
            found = predicted(path, trusted=trusted, custom_objects={"mine": lambda net, by=4.0: by * net - 1})
            np.testing.assert_allclose(found, (4 * mean - 1) @ head, rtol=1e-4, atol=1e-3)
        for trusted in (False, entry is of_another_python):
            with pytest.raises(BadValue, match=r"custom_objects=\{'mine': lambda x: ...\} \(in Python\)"):
                load(path, trusted=trusted, custom_objects={"other": abs})
    assert not RAN


def test_of_keras_3_what_a_lambda_computes_cannot_be_given(tmp_path):
    path = tmp_path / "model.keras"
    saved(model_of(layers.Lambda(lambda net: net * 2.0, name="mine")), path)
    with pytest.raises(BadValue, match="a Lambda: Python code in the file, .*give the model in memory, or, if you"):
        load(path, custom_objects={"mine": lambda net: net * 2.0})


def test_code_that_is_refused_is_not_run(tmp_path):
    def spy(net):
        import test_custom_objects

        test_custom_objects.RAN.append(1)
        return net

    path, *_ = old_file(tmp_path / "net.h5", lambda_entry(spy))
    with pytest.raises(BadValue, match="a Lambda"):
        load(path)
    assert not RAN


def test_lambdas_that_cannot_be_had(tmp_path):
    broken = old("Lambda", "mine", function=["4wEAAAA=", None, None], function_type="lambda")
    with pytest.raises(BadValue) as caught:
        load(old_file(tmp_path / "net.h5", broken)[0], trusted=True)
    assert "net.h5" in str(caught.value) and "\n" not in str(caught.value)
    unknown = old("Lambda", "mine", function="nobody", function_type="function")
    with pytest.raises(BadValue, match="nobody"):
        load(old_file(tmp_path / "net.h5", unknown)[0], trusted=True)


def test_a_class_that_was_registered_with_its_package(tmp_path):
    @keras.utils.register_keras_serializable(package="theirs")
    class Doubled(layers.Layer):
        def call(self, inputs):
            return inputs * 2

    model = model_of(Doubled())
    saved(model, tmp_path / "model.keras")
    del keras.utils.get_custom_objects()["theirs>Doubled"]
    with pytest.raises(BadValue, match=r"custom_objects=\{'Doubled': Doubled\}"):
        load(tmp_path / "model.keras")
    found = predicted(tmp_path / "model.keras", custom_objects={"Doubled": Doubled})
    np.testing.assert_allclose(found, model(IMAGES, training=False).numpy(), rtol=1e-5, atol=1e-4)


class Touching:
    """What a pickle does when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_weights_as_pickles_are_not_read(tmp_path):
    """Keras 2.12 reads `model.weights.npz` with allow_pickle=True."""
    saved(model_of(), tmp_path / "model.keras")
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array(Touching(tmp_path / "touched"), object))
    with zipfile.ZipFile(tmp_path / "model.keras") as archive, zipfile.ZipFile(tmp_path / "evil.keras", "w") as evil:
        for name in ("config.json", "metadata.json"):
            evil.writestr(name, archive.read(name))
        evil.writestr("model.weights.npz", buffer.getvalue())
    with pytest.raises(BadValue, match=r"evil\.keras does not have its weights as model\.weights\.h5: .* as a pickle"):
        load(tmp_path / "evil.keras")
    assert not (tmp_path / "touched").exists()
