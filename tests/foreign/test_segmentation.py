"""Networks that have classes for every place: named, they are explained all over the picture or in a region."""

import cv2
import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import classifier, constant, load, write_pb

import gradcam
from gradcam.cli import main
from gradcam.explainer import Explainer
from gradcam.pictures import read_provenance
from gradcam.targets import Region

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (2, 32, 48, 3)).astype(np.float32)


def unet(images, classes=4):
    """Down, up, and what was there before: logits for every pixel."""
    first = tf.nn.relu(tf.nn.conv2d(images / 255.0, constant([3, 3, 3, 6]), 1, "SAME"), name="first")
    deep = tf.nn.relu(tf.nn.conv2d(first, constant([3, 3, 6, 8], 1), 2, "SAME"), name="deep")
    up = tf.image.resize_nearest_neighbor(deep, tf.shape(first)[1:3])
    logits = tf.nn.conv2d(tf.concat([up, first], 3), constant([1, 1, 14, classes], 2), 1, "SAME", name="masks")
    return (tf.nn.softmax if classes > 1 else tf.nn.sigmoid)(logits, name="said")


def file_of(folder, shape=(None, 32, 48, 3), **options):
    graph = tf.Graph()
    with graph.as_default():
        unet(tf.placeholder(tf.float32, shape, name="input"), **options)
    return write_pb(folder / "unet.pb", graph.as_graph_def())


def expected(path, layer, weights, images=IMAGES):
    """By TensorFlow alone: logits `[N, h, w, C]`, and Grad-CAM of the sum of `weights` `[h, w, C]` times them."""
    graph_def = tf.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default(), tf.Session() as session:
        logits, a = tf.import_graph_def(graph_def, return_elements=["masks:0", f"{layer}:0"], name="")
        gradient = tf.gradients(tf.reduce_sum(logits * weights), a)[0]
        z, a, g = session.run([logits, a, gradient], {"input:0": images})
    return z, np.maximum((a * g.mean((1, 2), keepdims=True)).sum(-1), 0)


@pytest.mark.parametrize("name", ["masks", "said"])
@pytest.mark.parametrize("shape", [(None, 32, 48, 3), (None, None, None, 3)])
def test_a_class_all_over_the_picture_and_in_a_region(name, shape, tmp_path):
    path = file_of(tmp_path, shape)
    network = load(path, logits=name, layer="deep", image_size=(32, 48))
    assert network.is_segmentation
    assert (network.num_classes, network.logits.shape.as_list()) == (4, [None, 32, 48, 4])
    everywhere, mask = np.zeros((32, 48, 4)), np.zeros((32, 48))
    everywhere[..., 3] = 1
    mask[5:20, 30:] = 1
    with Explainer(network) as explainer:
        whole, part = explainer.explain(IMAGES, 3), explainer.explain(IMAGES, Region(3, mask))
        predicted = explainer.explain(IMAGES)
    z, cam = expected(path, "deep", everywhere)
    np.testing.assert_allclose(whole.logits, z, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(whole.cam(), cam, rtol=1e-4, atol=1e-5 * cam.max())
    _, cam = expected(path, "deep", everywhere * mask[..., None])
    np.testing.assert_allclose(part.cam(), cam, rtol=1e-4, atol=1e-5 * cam.max())
    shares = tensorflow.nn.softmax(z).numpy().mean((1, 2))
    np.testing.assert_allclose(whole.overall, shares, rtol=1e-4)
    np.testing.assert_allclose(whole.said_there, shares[:, 3], rtol=1e-4)
    in_region = tensorflow.nn.softmax(z).numpy()[:, 5:20, 30:, 3].mean((1, 2))
    np.testing.assert_allclose(part.said_there, in_region, rtol=1e-4)
    np.testing.assert_allclose(part.overall, shares, rtol=1e-4)
    most = [np.bincount(one.argmax(-1).ravel()).argmax() for one in z]
    assert predicted.targets.tolist() == most


def test_one_output_for_every_place(tmp_path):
    """As most people's masks: a sigmoid. The other class is what speaks against it."""
    path = file_of(tmp_path, classes=1)
    with Explainer(load(path, logits="said", layer="deep")) as explainer:
        found, other = explainer.explain(IMAGES, 1), explainer.explain(IMAGES, 0)
    z, cam = expected(path, "deep", 1.0)
    np.testing.assert_allclose(found.cam(), cam, rtol=1e-4, atol=1e-5 * cam.max())
    np.testing.assert_allclose(found.overall[:, 1], (1 / (1 + np.exp(-z))).mean((1, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(found.gradients["deep"], -other.gradients["deep"], rtol=1e-5)


def test_a_model_of_keras():
    layers = tensorflow.keras.layers
    images = layers.Input((32, 48, 3))
    net = layers.Conv2D(6, 3, padding="same", activation="relu", name="deep")(images)
    model = tensorflow.keras.Model(images, layers.Conv2D(3, 1, activation="softmax", name="masks")(net))
    with pytest.raises(ValueError, match=r"no classifier.*or of a map \[N, h, w, C\] to explain a class all over"):
        load(model)
    with Explainer(load(model, logits="masks")) as explainer:
        found = explainer.explain(IMAGES, 2)
    np.testing.assert_allclose(found.said, model(IMAGES).numpy(), rtol=1e-4, atol=1e-6)


def test_a_classifier_for_every_place_stays_one(tmp_path):
    """Fully convolutional: of a few places the mean is meant, also where the output is named."""
    graph = tf.Graph()
    with graph.as_default():
        net = tf.placeholder(tf.float32, [None, None, None, 3], name="input")
        for number, channels in enumerate([(3, 6), (6, 8), (8, 8), (8, 8)]):
            net = tf.nn.relu(tf.nn.conv2d(net, constant([3, 3, *channels], number), 2, "SAME"))
        tf.nn.conv2d(net, constant([1, 1, 8, 5], 9), 1, "SAME", name="masks")
    path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    assert not load(path, logits="masks", image_size=64).is_segmentation


def test_a_region_as_a_box_counts_places_by_their_share():
    found = Region.of_box(2, (0.25, 0.5, 0.7, 1.0), (4, 5)).mask
    row = [0, 0.75, 1, 0.5, 0]  # places of a fifth: from 1.25 to 3.5
    np.testing.assert_allclose(found, [[0] * 5, [0] * 5, row, row], atol=1e-9)
    np.testing.assert_array_equal(Region.of_box(2, (0, 0, 1, 1), (3, 2)).mask, np.ones((3, 2)))


@pytest.mark.parametrize("box", [(0.5, 0, 0.5, 1), (0, 0, 1.2, 1), (-0.1, 0, 1, 1), (0, 0.9, 1, 0.1)])
def test_boxes_that_are_none(box):
    with pytest.raises(ValueError, match="a region is left,top,right,bottom, shares of the picture"):
        Region.of_box(0, box, (4, 4))


class TestCommandLine:
    @pytest.fixture
    def explain(self, tmp_path, capsys):
        picture = tmp_path / "street.png"
        cv2.imwrite(str(picture), RNG.integers(0, 256, (64, 96, 3)))
        path = file_of(tmp_path)

        def run(*flags, network=path):
            flags = ["--network", str(network), "--preprocessing", "none", *flags]
            code = main(["explain", str(picture), *flags, "--out", str(tmp_path / "out")])
            return code, capsys.readouterr()

        return run

    def test_files_of_a_region(self, explain, tmp_path):
        code, shown = explain(
            *("--logits-tensor", "said", "--layer", "deep", "--target", "3", "--region", "0.5,0.25,1,0.75"),
            *("--write", "arrays", "--write", "overlay"),
        )
        assert code == 0, shown.err
        (arrays,), (overlay,) = (
            (tmp_path / "out").glob(f"street.class_3_in_a_region.*{end}") for end in ("npz", "png")
        )
        made = read_provenance(arrays)
        assert (made["target"], made["class"], len(made["region"])) == (3, "class 3 in a region", 16)
        assert read_provenance(overlay)["region"] == made["region"]
        weights = np.zeros((32, 48, 4))
        weights[8:24, 24:, 3] = 1
        image = gradcam.read_photograph(str(tmp_path / "street.png")).fitted((32, 48))[None]
        z, cam = expected(tmp_path / "unet.pb", "deep", weights, image)
        with np.load(arrays) as saved:
            np.testing.assert_allclose(saved["cam"], cam[0], rtol=1e-3, atol=1e-4 * cam.max())
        said = tensorflow.nn.softmax(z[0]).numpy()
        assert made["probability"] == pytest.approx(said[8:24, 24:, 3].mean(), rel=1e-4)
        shares = said.mean((0, 1))
        lines = [line.split() for line in shown.out.splitlines() if "%" in line]
        assert [int(line[1]) for line in lines] == np.argsort(-shares).tolist()
        assert lines[0][0] == f"{shares.max():.2%}"

    def test_without_a_target_it_is_the_class_of_most_places(self, explain, tmp_path):
        code, shown = explain("--logits-tensor", "masks", "--write", "arrays")
        assert code == 0, shown.err
        (file,) = (tmp_path / "out").glob("*.npz")
        image = gradcam.read_photograph(str(tmp_path / "street.png")).fitted((32, 48))[None]
        z, _ = expected(tmp_path / "unet.pb", "deep", 1.0, image)
        assert read_provenance(file)["target"] == np.bincount(z.argmax(-1).ravel()).argmax()

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (("--region", "0,0,1,1"), "--region needs a --target"),
            (("--target", "1", "--against", "2", "--region", "0,0,1,1"), "bears no --against"),
            (("--target=-1", "--region", "0,0,1,1"), "--region is of a class, not of what speaks against one"),
            (("--check",), "--check is of classifiers, and unet has classes for every place"),
            (("--method", "finer_cam"), "an output that is a map has one for each place"),
            (("--method", "cnn_fixations"), "CNN-Fixations are of a classifier that takes a picture alone"),
        ],
    )
    def test_mistakes(self, flags, message, explain, tmp_path):
        code, shown = explain("--logits-tensor", "masks", *flags)
        assert code == 2
        assert message in shown.err.splitlines()[-1]
        assert not list((tmp_path / "out").glob("*"))

    def test_a_region_of_a_classifier(self, explain, tmp_path):
        graph = tf.Graph()
        with graph.as_default():
            classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"))
        path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
        code, shown = explain("--target", "1", "--region", "0,0,1,1", network=path)
        assert code == 2
        assert "--region is of a segmentation, and net says one thing of the whole picture" in shown.err

    @pytest.mark.parametrize("text", ["0,0,1", "0.5,0,0.2,1", "a,b,c,d", "0,0,64,64"])
    def test_regions_that_are_none(self, text, explain):
        code, shown = explain("--target", "1", "--region", text)
        assert code == 2
        assert f"{text!r} is no LEFT,TOP,RIGHT,BOTTOM in shares of the picture" in shown.err

    def test_what_is_of_classifiers_alone(self, tmp_path, capsys):
        flags = ["--network", str(file_of(tmp_path)), "--logits-tensor", "masks", "--preprocessing", "none"]
        out = ["--out", str(tmp_path / "table.png")]
        assert main(["evaluate", "faithfulness", "--data", "samples", *flags, *out]) == 2
        assert "unet has classes for every place, and this works on classifiers alone" in capsys.readouterr().err
        assert main(["inspect", *flags[1:]]) == 0
        assert "masks:0  float32 [?, 32, 48, 4]  <- the logits" in capsys.readouterr().out
