"""Keras models in two files, layers in JSON and weights in HDF5: what they say is what the whole model says."""

import json
import zipfile

import numpy as np
import pytest
import tensorflow
from foreign import keras_model, load
from old_keras import old, write_old

import slim_models
from gradcam.cli import main
from gradcam.explainer import Explainer
from slim_models.loading import keras_pairs

layers = tensorflow.keras.layers
THREE = tensorflow.keras.__version__.startswith("3")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 3, (2, 16, 16, 3)).astype(np.float32)
KERNEL, HEAD = RNG.normal(0, 0.3, (3, 3, 3, 5)).astype(np.float32), RNG.normal(0, 0.3, (5, 7)).astype(np.float32)


def old_pair(folder, architecture="model.json", weights="model.h5", version="2.2.4", extra=()):
    """As Keras 2's `to_json` and `save_weights` wrote them."""
    conv = {"filters": 5, "kernel_size": [3, 3], "activation": "relu", "batch_input_shape": [None, 16, 16, 3]}
    entries = [old("Conv2D", "one", **conv), *extra, old("GlobalAveragePooling2D", "mean")]
    config = {"name": "sequential_1", "layers": [*entries, old("Dense", "head", units=7, activation="softmax")]}
    written = {"class_name": "Sequential", "config": config, "keras_version": version, "backend": "tensorflow"}
    (folder / architecture).write_text(json.dumps(written))
    arrays = {"one": {"one/k": KERNEL, "one/b": np.zeros(5)}, "head": {"head/k": HEAD, "head/b": np.zeros(7)}}
    write_old(folder / weights, None, arrays, version.encode())
    return folder / architecture, folder / weights


def expected():
    activations = tensorflow.nn.relu(tensorflow.nn.conv2d(IMAGES, KERNEL, 1, "VALID")).numpy()
    return activations.mean((1, 2)) @ HEAD


def logits(network):
    with Explainer(network, rules=[]) as explainer:
        return explainer.explain(IMAGES).logits


@pytest.mark.parametrize(
    "names", [("fer.json", "fer.h5"), ("model.json", "weights.hdf5"), ("net.json", "net_weights.h5")]
)
def test_either_file_is_the_network(names, tmp_path):
    for path, line in zip(
        old_pair(tmp_path, *names),
        (
            f"weights: {names[1]} (found: beside {names[0]})",
            f"layers of the model: {names[0]} (found: beside {names[1]})",
        ),
    ):
        lines = []
        np.testing.assert_allclose(logits(load(path, say=lines.append)), expected(), rtol=1e-4, atol=1e-5)
        assert lines[0] == line


def test_weights_that_are_elsewhere_are_given(tmp_path):
    (tmp_path / "other").mkdir()
    path, weights = old_pair(tmp_path, weights="other/model.h5")
    with pytest.raises(
        FileNotFoundError, match=r"layers without their weights: put beside it .*model\.h5, or give that"
    ):
        load(path)
    np.testing.assert_allclose(logits(load(path, weights=weights)), expected(), rtol=1e-4, atol=1e-5)
    network = slim_models.open_network(path, weights, preprocessing="none")
    np.testing.assert_allclose(logits(network), expected(), rtol=1e-4, atol=1e-5)
    with pytest.raises(FileNotFoundError, match="nothing"):
        load(path, weights=tmp_path / "nothing.h5")
    (tmp_path / "text.h5").write_text("weights")
    with pytest.raises(ValueError, match=r"text\.h5 is no HDF5 file of weights for the layers in .*model\.json"):
        load(path, weights=tmp_path / "text.h5")


@pytest.mark.skipif(not THREE, reason="files as Keras 3 writes them")
def test_what_keras_3_writes(tmp_path):
    model = keras_model(size=16)
    (tmp_path / "net.json").write_text(model.to_json())
    model.save_weights(str(tmp_path / "net.weights.h5"))
    said = model(IMAGES, training=False).numpy()
    for name in ("net.json", "net.weights.h5"):
        with Explainer(load(tmp_path / name), rules=[]) as explainer:
            np.testing.assert_allclose(explainer.explain(IMAGES).probabilities, said, rtol=1e-4, atol=1e-6)


def test_of_several_the_one_of_the_same_name_is_meant(tmp_path):
    path, _ = old_pair(tmp_path, "second.json", "second.h5")
    (tmp_path / "labels.json").write_text('["cat", "dog"]')
    for name in ("first", "third"):
        (tmp_path / f"{name}.h5").write_bytes((tmp_path / "second.h5").read_bytes())
        (tmp_path / f"{name}.json").write_text(path.read_text())
    np.testing.assert_allclose(logits(load(path)), expected(), rtol=1e-4, atol=1e-5)
    (tmp_path / "second.h5").rename(tmp_path / "best.h5")
    with pytest.raises(
        ValueError, match=r"several files of weights, best\.h5, first\.h5, third\.h5: give one as weights"
    ):
        load(path)
    with pytest.raises(ValueError, match=r"layers of several models, first\.json, second\.json, third\.json: give one"):
        load(tmp_path / "best.h5")


def test_folders_with_much_else(tmp_path, monkeypatch):
    """Weights of every epoch, and annotations of gigabytes, are not opened one by one."""
    path, weights = old_pair(tmp_path)
    (tmp_path / "annotations.json").write_text(f"[{'0, ' * 2**10}0]")
    monkeypatch.setattr(keras_pairs, "_LARGEST", 2**11)
    for epoch in range(30):
        (tmp_path / f"epoch_{epoch}.h5").write_bytes(b"none")
    for one in (path, weights):
        np.testing.assert_allclose(logits(load(one)), expected(), rtol=1e-4, atol=1e-5)
    weights.unlink()
    message = r"several files of weights, epoch_0\.h5, .* and 25 more: give one"
    with pytest.raises(ValueError, match=message):
        load(path)
    with pytest.raises(ValueError, match=r"annotations\.json"):
        load(tmp_path / "annotations.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "model.json"),
        ('["cat", "dog"]', "model.json"),
        ('{"class_name": "Sequential", "config": {"layers": []}}', "model.json"),
        ('{"class_name": "Sequential", "config": {"layers": [{"class_name": "Conv2D"}]}}', "model.json"),
        ('{"class_name": 3, "config": {}}', "model.json"),
    ],
)
def test_what_is_no_model_is_told_in_one_line(text, message, tmp_path):
    path, _ = old_pair(tmp_path)
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_code_is_refused_as_in_a_whole_file(tmp_path):
    code = old("Lambda", "mine", function=["4wEAAAA=", None, None], function_type="lambda")
    path, weights = old_pair(tmp_path, extra=[code])
    for one in (path, weights):
        with pytest.raises(ValueError, match=r"model\.json has the layer 'mine', a Lambda: Python code in the file"):
            load(one)
    twice = {"mine": lambda net: 2 * net}
    np.testing.assert_allclose(logits(load(path, custom_objects=twice)), 2 * expected(), rtol=1e-4, atol=1e-5)


def test_weights_of_another_model(tmp_path):
    path, weights = old_pair(tmp_path)
    write_old(weights, None, {"one": {"one/k": KERNEL, "one/b": np.zeros(5)}}, b"2.2.4")
    with pytest.raises(ValueError, match=r"model\.h5 has weights of other layers than its model"):
        load(path)


CLAIMS = [
    old("Dense", "large", units=20_000_000),
    old("Conv2D", "large", filters=30_000, kernel_size=[60, 60]),
    old("LSTM", "large", units=20_000_000),
    old("Embedding", "large", input_dim=5_000, output_dim=5_000),
    old("MultiHeadAttention", "large", num_heads=2_000_000, key_dim=8),
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda entry: entry["class_name"])
@pytest.mark.parametrize("nested", [False, True])
def test_layers_larger_than_the_weights_are_not_made(claim, nested, tmp_path, monkeypatch):
    """Keras fills the weights of each layer as it makes it, with as many numbers as anybody writes down."""
    if nested:
        claim = {"class_name": "TimeDistributed", "config": {"name": "outer", "layer": claim}}
    for name in ("Dense", "Conv2D", "LSTM", "Embedding", "MultiHeadAttention"):
        layer = getattr(layers, name)
        monkeypatch.setattr(layer, "add_weight", lambda *args, **options: pytest.fail("it is made"), raising=False)
    path, _ = old_pair(tmp_path, extra=[claim])
    with pytest.raises(
        ValueError, match=r"model\.json has the layer 'large' of [\d,]{10,} numbers or more, and there are"
    ):
        load(path)


@pytest.mark.skipif(not THREE, reason="files as Keras 3 writes them")
def test_what_keras_3_says_of_shapes_counts(tmp_path):
    """3,000 units behind 768 numbers: neither is much by itself."""
    whole = tmp_path / "net.keras"
    tensorflow.keras.Sequential([layers.Input((16, 16, 3)), layers.Flatten(), layers.Dense(3, name="large")]).save(
        whole
    )
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].replace(b'"units": 3,', b'"units": 3000,')
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(
        ValueError, match="has the layer 'large' of 2,304,000 numbers or more, and there are 2,307 for all"
    ):
        load(whole)


def test_on_the_command_line(tmp_path, capsys):
    (tmp_path / "other").mkdir()
    path, weights = old_pair(tmp_path, weights="other/model.h5")
    flags = ["--preprocessing", "none", "--out", str(tmp_path / "out"), "--write", "arrays"]
    assert main(["explain", "sample:coffee", "--network", str(path), *flags]) == 2
    assert "layers without their weights" in capsys.readouterr().err
    assert main(["explain", "sample:coffee", "--network", str(path), "--weights", str(weights), *flags]) == 0
    assert len(list((tmp_path / "out").glob("*.npz"))) == 1
    capsys.readouterr()
    assert main(["inspect", str(path), "--preprocessing", "none"]) == 0
    shown = capsys.readouterr().out
    assert "Keras layers alone (JSON)" in shown and "put beside it what model.save_weights wrote" in shown
    weights.rename(tmp_path / "model.h5")
    for name in ("model.json", "model.h5"):
        assert main(["inspect", str(tmp_path / name), "--preprocessing", "none"]) == 0
        shown = capsys.readouterr().out
        assert "Keras layers (JSON) and weights (HDF5): model.json, model.h5 (keras 2.2.4)" in shown
        assert "can be explained" in shown
