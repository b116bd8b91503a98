"""`gradcam inspect`: what a file is, what was found in it, and what has to be told by hand; whatever the file is."""

import json

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import classifier, keras_model, write_pb, write_saved_model
from thin import SIZES, THIN

import slim_models
from gradcam.cli.main import main
from slim_models.weights import random_weights

PARAMETERS = 3 * 3 * 3 * 8 + 8 + 3 * 3 * 8 * 12 + 12 + 12 * 7  # of `classifier`


def inspected(path, capsys, *flags):
    """What the library says, and the lines that the command prints."""
    capsys.readouterr()
    assert main(["inspect", str(path), *flags]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert len(lines) < 60
    assert lines[-1] and "Traceback" not in printed.out
    return lines


def part(lines, name):
    """The lines of a part, without its name and the indentation, wrapped ones together."""
    starts = [number for number, line in enumerate(lines) if line.startswith(name)]
    found = [lines[starts[0]][15:]] if starts else []
    for line in lines[starts[0] + 1 :] if starts else []:
        if line[:15].strip():
            break
        if line.startswith(" " * 17) and not line.startswith(" " * 18):
            found[-1] += f" {line.strip()}"
        else:
            found.append(line[15:])
    return found


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"))
        return graph


def test_a_frozen_graph_whose_preprocessing_has_to_be_told(graph, tmp_path, capsys):
    path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    (tmp_path / "labels.txt").write_text("\n".join(f"animal {letter}" for letter in "abcdefg"))
    found = slim_models.inspect(path)
    assert found.format == "frozen graph" and found.size == path.stat().st_size
    assert found.versions == {"producer": str(graph.graph_def_versions.producer)}
    assert [(one.name, one.shape, one.dtype, one.chosen) for one in found.inputs] == [
        ("input:0", [None, 32, 32, 3], "float32", True)
    ]
    assert [(one.name, one.shape, one.chosen) for one in found.outputs] == [("logits:0", [None, 7], True)]
    assert [(one.name, one.shape, one.chosen) for one in found.layers] == [
        ("Relu", [None, 16, 16, 8], False),
        ("Relu_1", [None, 16, 16, 12], True),
    ]
    assert (found.head, found.num_classes, found.image_size) == ("softmax", 7, (32, 32))
    assert found.labels == [f"animal {letter}" for letter in "abcdefg"]
    assert found.parameters == PARAMETERS
    assert found.preprocessing is None and found.flags == ["--preprocessing"] and found.guided is None
    assert found.training == []
    lines = inspected(path, capsys)
    assert part(lines, "inputs")[0].startswith("input:0  float32 [?, 32, 32, 3]  <- the pictures, found: ")
    assert part(lines, "layers") == ["Relu    16 x 16 x 8", "Relu_1  16 x 16 x 12  <- the default"]
    names = "7: animal a, animal b, animal c, animal d, animal e, and 2 more"
    assert part(lines, "classes") == [f"{names} (labels.txt beside it, found: 7 names)"]
    verdict = part(lines, "verdict")
    assert verdict[0] == "to be told by hand: --preprocessing"
    for name in ("minus_one_to_one", "zero_to_one", "subtract_mean", "caffe_bgr", "standardized"):
        assert [line for line in verdict if line.startswith(f"with {name} ")]  # each hypothesis and its numbers
        assert name in verdict[-1]


def test_what_is_told_settles_it(graph, tmp_path, capsys):
    path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    lines = inspected(path, capsys, "--preprocessing", "zero_to_one", "--head", "sigmoid")
    assert part(lines, "preprocessing") == ["zero_to_one (as given)"]
    assert part(lines, "head") == ["sigmoid"]
    command = f"gradcam explain PICTURE --network {path} --preprocessing zero_to_one --head sigmoid"
    assert part(lines, "verdict") == ["can be explained:", command]


def test_json_is_the_same(graph, tmp_path, capsys):
    path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    file = tmp_path / "new" / "found.json"
    lines = inspected(path, capsys, "--preprocessing", "none", "--json", str(file))
    assert lines[-1] == str(file)
    assert lines[-2].endswith(f"{path} --preprocessing none")
    read = json.loads(file.read_text())
    assert read["layers"][1] == {"name": "Relu_1", "shape": [None, 16, 16, 12], "dtype": "float32", "chosen": True}
    assert (read["format"], read["parameters"], read["problem"]) == ("frozen graph", PARAMETERS, None)
    assert read["preprocessing"] == "none"
    assert [entry.name for entry in file.parent.iterdir()] == ["found.json"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy
@pytest.mark.parametrize("suffix", [".keras", ".h5", ".model"])
def test_a_keras_model(suffix, tmp_path, capsys):
    model = keras_model()
    written = tmp_path / f"net{'.h5' if suffix == '.model' else suffix}"
    if suffix == ".keras" and not hasattr(tensorflow.keras, "version"):
        pytest.skip("the format of Keras 3")
    model.save(written)
    path = written.rename(tmp_path / f"net{suffix}")
    found = slim_models.inspect(path, preprocessing="none")
    version = getattr(tensorflow.keras, "__version__", "2")
    generation = version.partition(".")[0]
    assert found.format == f"Keras {generation} model ({'.keras' if suffix == '.keras' else 'HDF5'})"
    assert found.versions["keras"].partition(".")[0] == generation
    assert found.parameters == model.count_params()
    assert found.image_size == (32, 32) and found.num_classes == 7 and found.problem is None
    assert [one.dtype for one in found.inputs] == ["float32"]  # variables are no inputs
    assert sum(layer.chosen for layer in found.layers) == 1
    inspected(path, capsys, "--preprocessing", "none")


def test_saved_models(graph, tmp_path, capsys):
    with tf.Session(graph=graph) as session:
        tensor = graph.get_tensor_by_name
        write_saved_model(tmp_path / "first", session, tensor("input:0"), {"p": tensor("probabilities:0")})
    found = slim_models.inspect(tmp_path / "first", preprocessing="none")
    assert found.format == "SavedModel of TensorFlow 1"
    assert found.versions == {"tensorflow": tf.version.VERSION, "tags": "serve"}
    assert [(one.name, one.chosen) for one in found.outputs] == [("logits:0", True), ("probabilities:0", False)]
    module = tensorflow.Module()
    shape = tensorflow.TensorSpec([None, 32, 32, 3], tensorflow.float32)
    net = [tf.constant(np.ones(size, np.float32)) for size in ((3, 3, 3, 8), (8, 7))]

    def call(images):
        return tf.matmul(tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, net[0], 2, "SAME")), [1, 2]), net[1])

    module.call = tensorflow.function(call, input_signature=[shape])
    tensorflow.saved_model.save(module, str(tmp_path / "second"))
    assert slim_models.inspect(tmp_path / "second", preprocessing="none").format == "SavedModel of TensorFlow 2"
    lines = inspected(tmp_path / "second", capsys, "--preprocessing", "none")
    assert part(lines, "format")[0].startswith("SavedModel of TensorFlow 2 (tensorflow ")


def training(folder, meta=True):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
        labels = tf.placeholder(tf.int64, [None], name="y")
        keep = tf.placeholder(tf.float32, [], name="keep_prob")
        kernel = tf.Variable(tf.random.normal([3, 3, 3, 8]), name="kernel")
        weights = tf.Variable(tf.random.normal([8, 7]), name="weights")
        net = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME")), [1, 2])
        logits = tf.matmul(tf.nn.dropout(net, keep_prob=keep), weights, name="logits")
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
        tf.summary.scalar("loss", loss)
        update = tf.train.AdamOptimizer().minimize(loss)
        with tf.control_dependencies([update]):
            tf.train.ExponentialMovingAverage(0.9).apply([kernel, weights])
        session.run([kernel.initializer, weights.initializer])
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(folder / "model.ckpt"), write_meta_graph=meta)


def test_a_training(tmp_path, capsys):
    prefix = training(tmp_path)
    for path in (tmp_path, f"{prefix}.meta", prefix):
        found = slim_models.inspect(path, preprocessing="none")
        assert found.format == "checkpoint (V2) with its graph (.meta)"
        assert found.parameters == 3 * 3 * 3 * 8 + 8 * 7
        assert {one.name: one.chosen for one in found.inputs} == {"x:0": True, "y:0": False, "keep_prob:0": False}
    parts = [part.stat().st_size for part in tmp_path.glob("model.ckpt.*")]
    assert found.size == sum(parts) and len(parts) == 3
    left = part(inspected(tmp_path, capsys, "--preprocessing", "none"), "training")
    for words in ("an optimiser (", "a loss (1 SparseSoftmax", "summaries (1 Scalar", "moving averages of 2 variables"):
        assert [line for line in left if line.startswith(words)], (words, left)
    assert "keep_prob is fed 1.0 (found: it goes into a dropout)" in left


def test_batch_norm_in_training_mode_and_activations_without_a_rule(tmp_path, capsys):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="input")
        ones = tf.ones([3])
        normed = tf.nn.fused_batch_norm(images, ones, ones, is_training=True)[0]
        classifier(normed, relu=tf.nn.elu)
    path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    lines = inspected(path, capsys, "--preprocessing", "none")
    assert [line for line in part(lines, "training") if "is a batch norm in training mode" in line]
    (guided,) = part(lines, "guided")
    assert guided.startswith("not defined: the rule 'guided' is not defined") and "Elu" in guided


ASKED = {
    "--images-tensor": lambda: [classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name=name)) for name in "ab"],
    "--layer": lambda: two_branches(tf.placeholder(tf.float32, [None, 32, 32, 3])),
    "--logits-tensor": lambda: two_heads(tf.placeholder(tf.float32, [None, 32, 32, 3])),
}


def two_branches(images):
    means = [
        tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, tf.ones([3, 3, 3, 4]), 2, "SAME")), [1, 2]) for _ in range(2)
    ]
    tf.nn.softmax(tf.concat(means, 1))


def two_heads(images):
    features = tf.reduce_mean(classifier(images)[0], [1, 2])
    tf.nn.softmax(tf.matmul(features, tf.ones([12, 5])))


@pytest.mark.parametrize("flag", ASKED)
def test_what_has_to_be_told(flag, tmp_path, capsys):
    with tf.Graph().as_default() as graph:
        ASKED[flag]()
    path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    lines = inspected(path, capsys, "--preprocessing", "none")
    assert part(lines, "verdict")[0] == f"to be told by hand: {flag}"
    assert part(lines, "inputs")


def detector():
    classifier(tf.placeholder(tf.float32, [None, 32, 32, 3]))
    for name in ("detection_boxes", "detection_scores"):
        tf.zeros([3], name=name)


def without_convolutions():
    tf.nn.softmax(tf.matmul(tf.placeholder(tf.float32, [None, 12], name="x"), tf.ones([12, 7])))


def graph_bytes(build):
    with tf.Graph().as_default() as graph:
        build()
    return graph.as_graph_def().SerializeToString()


def reading_a_file():
    images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
    scale = tf.strings.to_number(tf.io.read_file("nowhere/scale.txt"), name="scale")
    classifier(images * scale)


REFUSED = {
    "net.tflite": (lambda: b"\x1c\x00\x00\x00TFL3" + bytes(60), "TensorFlow Lite model", "has no gradients"),
    "net.onnx": (lambda: b"\x08\x07\x12\x07pytorch\x1a\x031.9" + bytes(9), "ONNX model", "written by pytorch"),
    "net.pth": (lambda: b"PK\x03\x04" + bytes(26) + b"net/data.pkl" + bytes(60), "PyTorch file", "export it"),
    "net.zip": (lambda: b"PK\x03\x04" + bytes(26) + b"saved_model.pb" + bytes(60), "zip archive", "unpack it"),
    "page.pb": (lambda: b"<!DOCTYPE html><html>", "unknown: an HTML page", "not a frozen graph"),
    "empty.pb": (lambda: b"", "unknown: an empty file", "not a frozen graph"),
    "noise.bin": (lambda: bytes(range(7, 250)), "unknown: of no kind", "not a frozen graph"),
    "cut.h5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(40), "damaged Keras file", "cut.h5"),
    "face.pb": (lambda: graph_bytes(detector), "frozen graph", "face is a detector"),
    "file.pb": (
        lambda: graph_bytes(reading_a_file),
        "frozen graph",
        "runs ReadFile of the type ReadFile, which could touch what is outside of the network",
    ),
    "table.pb": (lambda: graph_bytes(without_convolutions), "frozen graph", "it has no convolutions"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_with_its_reason(name, tmp_path, capsys):
    content, form, reason = REFUSED[name]
    (tmp_path / name).write_bytes(content())
    lines = inspected(tmp_path / name, capsys)
    assert part(lines, "format")[0].startswith(form)
    verdict = " ".join(part(lines, "verdict"))
    assert "cannot be explained as it is" in verdict or name == "table.pb"
    assert reason in verdict


def test_an_empty_folder(tmp_path, capsys):
    lines = inspected(tmp_path, capsys)
    assert part(lines, "format") == ["folder without a network"]


class TestWeights:
    @pytest.fixture
    def weights(self):
        return random_weights(slim_models.build("vgg16", image_size=SIZES["vgg16"], **THIN))

    @pytest.mark.parametrize(("name", "form"), [("a.npy", "(npy)"), ("a.npz", "(npz)"), ("a.ckpt", "(V2)")])
    def test_of_a_network_of_ours(self, name, form, weights, tmp_path, capsys):
        path = tmp_path / name
        if name == "a.npz":  # as it is after training on classes of one's own, the last layer under another name
            weights = {name.replace("fc8", "fc8_mine"): array for name, array in weights.items()}
        slim_models.write_weights(path, weights)
        lines = inspected(path, capsys)
        assert part(lines, "format")[0].endswith(f"weights alone {form}")
        count = sum(array.size for array in weights.values())
        assert part(lines, "size")[0].endswith(f"{count:,} parameters")
        assert part(lines, "verdict")[0] == f"to be told by hand: --network vgg16 --weights {path}"

    def test_of_a_training_without_its_graph(self, tmp_path, capsys):
        path = training(tmp_path, meta=False)
        found = slim_models.inspect(path)
        assert found.format == "checkpoint of weights alone (V2)"
        assert found.parameters == 3 * 3 * 3 * 8 + 8 * 7
        assert found.problem.startswith("weights without a graph, of no network of ours: give")
        lines = inspected(path, capsys)
        assert "2 moving averages in place of the variables" in part(lines, "weights")[0]

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy
    def test_of_keras(self, tmp_path, capsys):
        keras_model().save_weights(tmp_path / "net.weights.h5")
        lines = inspected(tmp_path / "net.weights.h5", capsys)
        assert "weights alone (HDF5)" in part(lines, "format")[0]
        assert part(lines, "verdict")[0] == "cannot be explained as it is:"


def test_ours(capsys):
    lines = inspected("vgg16_tiny", capsys)
    shapes = slim_models.build("vgg16_tiny").weight_shapes()
    assert part(lines, "format") == ["network of ours"]
    assert part(lines, "size")[0].endswith(f"{sum(int(np.prod(shape)) for shape in shapes.values()):,} parameters")
    assert part(lines, "preprocessing")[0].startswith("caffe_bgr (")
    assert part(lines, "layers")[-2:] == ["conv5_3  7 x 7 x 128  <- the default", "pool5    4 x 4 x 128"]
    assert part(lines, "verdict")[0] == "can be explained:"


def test_ours_without_its_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRADCAM_WEIGHTS", raising=False)
    verdict = " ".join(part(inspected("resnet_v1_50", capsys), "verdict"))
    assert "no weights for resnet_v1_50: fetch them with 'gradcam download resnet_v1_50'" in verdict


@pytest.mark.parametrize("flags", [["nothing.pb"], [".", "--head", "hinge"], [".", "--preprocessing", "x"]])
def test_what_cannot_be(flags, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gradcam: ")
