"""The embedded networks do what the README shows, on photographs that are not of their data set."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import keras_model, write_pb, write_saved_model

import slim_models
from gradcam.explainer import Explainer
from gradcam.pictures import samples
from gradcam.pictures.photograph import FITS, fit_image
from slim_models.labels import read_labels

ROOT = Path(__file__).parents[2]
CATS = ["tabby", "Persian cat", "Egyptian cat"]
CLASSES = {"chelsea": CATS, "coffee": ["espresso"]}
NETWORKS = ["resnet_v1_50_tiny", "vgg16_tiny"]


@pytest.fixture(scope="module", params=NETWORKS)
def explainer(request):
    with Explainer(slim_models.build(request.param)) as explainer:
        yield explainer


def fitted(name, fit):
    return fit_image(samples.SAMPLES[name](), (112, 112), fit)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("name", CLASSES)
def test_photographs_are_recognised(explainer, name, fit):
    """The VGG16 sees a cat in the centre of the cat's photograph only at the second look."""
    logits = explainer.explain(fitted(name, fit)[None]).logits[0]
    looks = 2 if (explainer.network.name, name, fit) == ("vgg16_tiny", "chelsea", "crop") else 1
    seen = [explainer.labels.name(index) for index in np.argsort(-logits)[:looks]]
    assert set(seen) & set(CLASSES[name])


@pytest.mark.parametrize("target", [*CATS, "espresso"])
def test_each_classs_map_lies_on_its_own_object(explainer, target):
    """`cat_and_coffee`: the cat is the left half, the cup the right; the VGG16's Persian cat is less sharp."""
    heatmap = explainer.explain(fitted("cat_and_coffee", "stretch")[None], target).heatmap()[0]
    left = heatmap[:, :56].sum() / heatmap.sum()
    least = 0.6 if (explainer.network.name, target) == ("vgg16_tiny", "Persian cat") else 0.8
    assert left > least if target in CATS else left < 0.2


def test_the_files_are_those_that_the_readme_describes():
    readme = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    sums = dict(re.findall(r"\| `(\S+_tiny\.\S+)` \| `([0-9a-f]{64})` \|", readme))
    assert set(sums) == {path.name for path in (ROOT / "weights").glob("*_tiny*")}
    for name, expected in sums.items():
        assert hashlib.sha256((ROOT / "weights" / name).read_bytes()).hexdigest() == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_the_weights_are_finite_and_kernels_in_half_precision(name):
    weights = slim_models.read_weights(slim_models.find_weights(name))
    assert all(np.isfinite(array).all() for array in weights.values())
    assert {array.dtype for name, array in weights.items() if name.endswith("/weights")} == {np.dtype(np.float16)}


def readme_code():
    """README's Python: pictures, and networks of the user's own."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


class Scaled(tensorflow.keras.layers.Layer):
    """A layer of one's own, as README's file has one."""

    def call(self, images):
        return images / 255.0


def unbuilt_model():
    layers = tensorflow.keras.layers
    convolution = layers.Conv2D(4, 3, activation="relu")
    head = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    return tensorflow.keras.Sequential([layers.Rescaling(1 / 255), convolution, *head])


def faces_model():
    layers = tensorflow.keras.layers
    pictures, age = layers.Input((32, 32, 3), name="pictures"), layers.Input((1,), name="age")
    net = layers.Conv2D(4, 3, activation="relu")(Scaled()(pictures))
    net = layers.Concatenate()([layers.GlobalAveragePooling2D()(net), age])
    gender, smile = layers.Dense(2, "softmax", name="gender")(net), layers.Dense(1, "sigmoid", name="smile")(net)
    return tensorflow.keras.Model([pictures, age], [gender, smile])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy
def test_the_readmes_own_networks_load(tmp_path, monkeypatch, capsys):
    """The embedded ResNet as somebody else's, under the names that the README gives its files."""
    monkeypatch.chdir(tmp_path)
    keras_model().save("model.keras")
    faces_model().save("faces.keras")
    graph = tf.Graph()
    with graph.as_default(), tf.Session() as session:
        pictures = tf.placeholder(tf.float32, [None, 112, 112, 3], name="input")
        entry = slim_models.NETWORKS["resnet_v1_50_tiny"]
        probabilities = tf.nn.softmax(
            entry.builder(pictures, num_classes=200, width_divisor=4)[0], name="probabilities"
        )
        weights = slim_models.read_weights(slim_models.find_weights("resnet_v1_50_tiny"))
        initial = {variable.initializer: weights[variable.op.name] for variable in tf.global_variables()}
        session.run(list(initial), {op.inputs[1]: value for op, value in initial.items()})
        tf.train.Saver().save(session, "model.ckpt")
        write_saved_model(tmp_path / "exported", session, pictures, {"probabilities": probabilities})
        graph_def = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["probabilities"])
        write_pb(tmp_path / "frozen.pb", graph_def)
        names = read_labels("tiny_imagenet").names
        (tmp_path / "names.txt").write_text("\n".join(name.split(",")[0] for name in names))
        images = fit_image(samples.coffee(), (112, 112), "crop")[None]
        names = {"session": session, "images": images, "model": unbuilt_model(), "Scaled": Scaled}
        exec(readme_code()[1], names)
    assert names["explanation"].probabilities[0, 193] > 0.5  # espresso
    found = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert found.count("layer") == found.count("preprocessing") == 1  # of the network that was asked to say them


def test_the_readmes_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(readme_code()[0], names)
    assert names["picture"].shape == (400, 600, 3)
    assert names["explanation"].probabilities[0, 967] > 0.5  # espresso
