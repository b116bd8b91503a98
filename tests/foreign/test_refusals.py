"""What cannot be explained is named as what it is, with what works in its place: one sentence, never a traceback."""

import gzip
import lzma

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import classifier, constant, load, write_pb

from gradcam.cli.main import main
from slim_models.mistakes import BadValue, Mistake


def graph_of(build):
    with tf.Graph().as_default() as graph:
        build(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"))
    return graph.as_graph_def()


def suppressing(images):
    _, logits = classifier(images)
    tf.image.non_max_suppression(tf.zeros([7, 4]), logits[0], 3)


def asking(images):
    classifier(images)
    for name in ("min_size", "factor", "thresholds"):
        tf.placeholder(tf.float32, name=name)


def giving(images):
    _, logits = classifier(images)
    for name in ("detection_boxes", "detection_scores"):
        tf.identity(logits, name=name)


@pytest.mark.parametrize(
    ("build", "evidence"),
    [
        (suppressing, r"NonMaxSuppressionV3 is a NonMaxSuppressionV3|non_max_suppression.* is a NonMaxSuppressionV3"),
        (asking, "it asks for min_size, factor, thresholds"),
        (giving, "it gives detection_boxes, detection_scores"),
    ],
)
def test_a_detector(build, evidence, tmp_path):
    path = write_pb(tmp_path / "faces.pb", graph_of(build))
    with pytest.raises(BadValue, match=rf"faces is a detector \(({evidence})\): it gives boxes"):
        load(path)
    assert load(path, images="input", logits="logits").num_classes == 7  # the part that classifies


CONTENTS = {
    "net.tflite": (b"\x1c\x00\x00\x00TFL3" + bytes(60), "is a TensorFlow Lite model, which has no gradients"),
    "net.onnx": (b"\x08\x07\x12\x07pytorch\x1a\x031.9" + bytes(9), "is an ONNX model, written by pytorch"),
    "net.bin": (b"PK\x03\x04" + bytes(26) + b"net/data.pkl" + bytes(60), "is a PyTorch file"),
    "model.json": (b'{"format": "layers-model", "modelTopology": {}}', "is a TensorFlow.js model: give the SavedModel"),
    "net.zip": (b"PK\x03\x04" + bytes(26) + b"saved_model.pb" + bytes(60), "is a zip archive: unpack it"),
    "net.tar.gz": (
        gzip.compress(b"saved_model.pb"),
        "is a gzip archive: unpack it, and give the folder",
    ),
    "net.tar": (bytes(257) + b"ustar" + bytes(250), "is a tar archive: unpack it"),
    "net.tar.xz": (lzma.compress(b"saved_model.pb"), "is an xz archive: unpack it"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_another_format(name, tmp_path, capsys):
    content, message = CONTENTS[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadValue, match=message):
        load(path)
    with pytest.raises(SystemExit) as error:
        raise SystemExit(main(["explain", "sample:coffee", "--network", str(path), "--out", str(tmp_path / "out")]))
    assert error.value.code == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


def test_a_saved_model_under_another_name(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3])
        tf.saved_model.simple_save(session, str(tmp_path / "saved"), {"x": images}, {"y": classifier(images)[1]})
    path = (tmp_path / "saved" / "saved_model.pb").rename(tmp_path / "frozen.pb")
    with pytest.raises(BadValue, match=r"is not a frozen graph; it is a SavedModel: call it saved_model\.pb"):
        load(path)


def test_weights_without_a_graph(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.Variable(np.zeros(3, np.float32), name="kernel")
        session.run(tf.global_variables_initializer())
        prefix = tf.train.Saver().save(session, str(tmp_path / "model"), write_meta_graph=False)
    for path in (prefix, f"{prefix}.meta", tmp_path):
        with pytest.raises(Mistake, match=r"give the SavedModel|give the \.meta|one checkpoint with its \.meta"):
            load(path)


def test_no_convolutions(tmp_path):
    with tf.Graph().as_default() as graph:
        tf.nn.softmax(tf.matmul(tf.placeholder(tf.float32, [None, 12], name="x"), constant([12, 7])))
    with pytest.raises(BadValue, match=r"its inputs are x:0 .*, and it has no convolutions"):
        load(write_pb(tmp_path / "net.pb", graph.as_graph_def()))
