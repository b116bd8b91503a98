"""Directions in the output: by hand, by linearity on networks, on an output that is a map, and on the command line."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from thin import THIN

import gradcam
import slim_models
from gradcam import Difference, Direction, Opposite, Region, targets
from gradcam.cli import main
from gradcam.explainer import Explainer
from gradcam.pictures import read_provenance
from slim_models.labels import Labels, class_index
from slim_models.weights import random_weights

LABELS = Labels(("n1", "n2", "n3"), ("tabby, tabby cat", "tiger cat", "-tag"))


def meant(target):
    return targets.asked(target, lambda word: class_index(word, 3, LABELS))


@pytest.mark.parametrize(
    ("target", "direction", "title", "file"),
    [
        ("tabby", [1, 0, 0], "tabby", "tabby"),
        (Opposite("tabby"), [-1, 0, 0], "not tabby", "not_tabby"),
        ("-tabby", [-1, 0, 0], "not tabby", "not_tabby"),
        ("-1", [0, -1, 0], "not tiger cat", "not_tiger_cat"),
        ("-tag", [0, 0, 1], "-tag", "_tag"),  # a class that is called so
        ("--tag", [0, 0, -1], "not -tag", "not__tag"),
        (Difference("tabby", 1), [1, -1, 0], "tabby rather than tiger cat", "tabby_not_tiger_cat"),
        (
            Difference(0, ("tiger cat", 2)),
            [1, -0.5, -0.5],
            "tabby rather than tiger cat or -tag",
            "tabby_not_tiger_cat_not__tag",
        ),
        (Direction(np.array([0.25, 3, -4])), [0.25, 3, -4], "tiger cat", "tiger_cat"),
    ],
)
def test_directions_by_hand(target, direction, title, file):
    found = meant(target)
    np.testing.assert_array_equal(targets.directions([found], [3]), [direction])
    assert targets.directions([found], [3]).dtype == np.float32
    assert (targets.title(found, LABELS), targets.file_name(found, LABELS)) == (title, file)


def test_a_region_is_a_mask_times_a_class():
    mask = np.array([[True, False], [False, True]])
    (direction,) = targets.directions([meant(Region("tiger cat", mask))], [None, None, 3])
    np.testing.assert_array_equal(direction[..., 1], mask)
    assert not direction[..., [0, 2]].any()
    (everywhere,) = targets.directions([1], [2, 2, 3])
    np.testing.assert_array_equal(everywhere, np.broadcast_to([0, 1, 0], (2, 2, 3)))


@pytest.mark.parametrize(
    ("target", "shape", "message"),
    [
        (Difference("tabby", "tabby"), [3], "class 0 cannot be told from itself"),
        (Difference("tabby", ()), [3], "a difference is between two classes"),
        (Direction(np.ones(4)), [3], r"vector of a target must be \[3\], as the output is, not \[4\]"),
        (Direction(np.zeros(3)), [3], "not zero everywhere"),
        (Direction(np.array([1, np.nan, 0])), [3], "finite numbers"),
        (Direction(np.array(["a", "b", "c"])), [3], "finite numbers, not <U1"),
        (Region(0, np.ones((2, 2))), [3], r"no regions in the output of a classifier, which is \[N, C\]"),
        (Region(0, np.ones((2, 3))), [2, 2, 3], r"mask of a target must be \[2, 2\], as the output is, not \[2, 3\]"),
        (0, [None, 2, 3], r"map of unknown size, \[\?, 2, 3\]: give a Region"),
    ],
)
def test_what_is_no_direction(target, shape, message):
    with pytest.raises(ValueError, match=message):
        targets.directions([meant(target)], shape)


def test_words_of_no_class():
    with pytest.raises(KeyError, match="no class 'lynx'"):
        meant("-lynx")
    with pytest.raises(KeyError, match="no class 'lynx'"):
        meant(Difference("tabby", "lynx"))


class TestOnNetworks:
    def test_what_is_linear_is_linear(self, thin):
        """The gradient of a difference is the difference of the gradients; of the opposite minus it, to the bit."""
        one, two, three = (thin.explainer.explain(thin.images, target) for target in (1, 2, 3))
        opposite = thin.explainer.explain(thin.images, Opposite(1))
        apart = thin.explainer.explain(thin.images, [Difference(1, (2, 3))] * 3)
        layer = thin.network.default_layer
        np.testing.assert_array_equal(opposite.gradients[layer], -one.gradients[layer])
        np.testing.assert_array_equal(opposite.saliency["backprop"], -one.saliency["backprop"])
        for of in (lambda e: e.gradients[layer], lambda e: e.saliency["backprop"]):
            expected = of(one) - (of(two) + of(three)) / 2
            np.testing.assert_allclose(of(apart), expected, rtol=1e-3, atol=1e-5 * abs(expected).max())
        np.testing.assert_array_equal(opposite.cam(), one.cam("counterfactual"))
        assert apart.targets.tolist() == opposite.targets.tolist() == [1, 1, 1]
        np.testing.assert_array_equal(apart.ways[0], [0, 1, -0.5, -0.5, 0, 0, 0, 0, 0, 0])

    def test_a_class_is_its_one_hot_vector(self, thin):
        one = thin.explainer.explain(thin.images, [4, None, 2])
        vectors = [Direction(way) for way in one.ways]
        assert one.ways.argmax(1).tolist() == [4, int(one.logits[1].argmax()), 2]
        for other in (thin.explainer.explain(thin.images, vectors), thin.explainer.explain(thin.images, [4, None, 2])):
            np.testing.assert_array_equal(other.cam(), one.cam())
            np.testing.assert_array_equal(other.targets, one.targets)

    def test_several_targets_of_one_picture_share_its_forward_pass(self, thin):
        asked = ["-3", Difference(1, 2), 5, Direction(np.arange(10.0))]
        shared = thin.explainer.explain_classes(thin.images[0], asked)
        for number, target in enumerate(asked):
            alone = thin.explainer.explain(thin.images[:1], target)
            expected = alone.saliency["guided"][0]
            np.testing.assert_allclose(shared.saliency["guided"][number], expected, atol=1e-4 * abs(expected).max())
            np.testing.assert_array_equal(shared[number].ways, alone.ways)
        assert shared.targets.tolist() == [3, 1, 5, 9]

    def test_an_explanation_can_be_kept(self, thin):
        explanation = thin.explainer.explain(thin.images[:1], Difference(1, 2))
        again = pickle.loads(pickle.dumps(explanation))
        np.testing.assert_array_equal(again.cam(), explanation.cam())
        np.testing.assert_array_equal(again.ways, explanation.ways)
        with pytest.raises(ValueError, match="of arrays alone"):
            again.more_runs()

    def test_a_region_of_a_map(self):
        """A segmentation's output by one convolution; its gradient a second way, by TensorFlow alone."""
        network = slim_models.build("vgg16", image_size=48, **THIN)
        last = network.endpoints["conv4_3"]
        with network.graph.as_default():
            kernel = np.random.default_rng(1).standard_normal((1, 1, last.shape[-1], 4)).astype(np.float32)
            logits = tf.nn.conv2d(tf.nn.avg_pool2d(last, 3, 1, "SAME"), kernel, 1, "SAME")
        maps = dataclasses.replace(network, logits=logits, default_layer="conv4_3")
        images = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3))
        mask = np.zeros(logits.shape[1:3].as_list())
        mask[1:4, 2:] = 1
        with Explainer(maps, random_weights(maps), rules=["backprop"]) as explainer:
            region = explainer.explain(images, Region(3, mask))
            whole = explainer.explain(images, 3)
            predicted = explainer.explain(images)
            with network.graph.as_default():
                wanted = tf.gradients(tf.reduce_sum(logits[..., 3] * mask), [last])[0]
            expected = explainer.session.run(wanted, {network.images: images})
        np.testing.assert_allclose(region.gradients["conv4_3"], expected, atol=1e-6 * abs(expected).max())
        assert abs(region.cam() - whole.cam()).max() > 0.01 * whole.cam().max()
        assert "class 3" in repr(region)
        # Without a target each place is explained for what is predicted there.
        np.testing.assert_array_equal(predicted.ways.argmax(-1), predicted.logits.argmax(-1))
        np.testing.assert_array_equal(predicted.ways.sum(-1), 1)
        counts = [np.bincount(places.ravel(), minlength=4) for places in predicted.logits.argmax(-1)]
        assert [count[target] for count, target in zip(counts, predicted.targets)] == [max(count) for count in counts]


class TestCommandLine:
    FLAGS = ("explain", "sample:coffee", "--network", "vgg16_tiny", "--write", "arrays")

    def test_against_and_opposite(self, tmp_path, capsys):
        out = ["--out", str(tmp_path)]
        assert main([*self.FLAGS, "--target", "espresso", "--against", "teapot", *out]) == 0
        assert main([*self.FLAGS, "--target", "-espresso", *out]) == 0
        capsys.readouterr()
        network = slim_models.open_network("vgg16_tiny")
        images = gradcam.read_photograph("sample:coffee").fitted(network.image_size)[None]
        with Explainer(network) as explainer:
            apart = explainer.explain(images, Difference("espresso", "teapot"))
            opposite = explainer.explain(images, Opposite("espresso"))
        names = {"espresso_not_teapot": apart, "not_espresso": opposite}
        for name, explanation in names.items():
            with np.load(tmp_path / f"coffee.{name}.vgg16_tiny.npz") as saved:
                np.testing.assert_allclose(saved["cam"], explanation.cam()[0], rtol=1e-4, atol=1e-6)
        made = read_provenance(tmp_path / "coffee.espresso_not_teapot.vgg16_tiny.npz")
        index = network.labels.index
        assert (made["target"], made["against"]) == (index("espresso"), [index("teapot")])
        assert made["class"] == "espresso rather than teapot"
        made = read_provenance(tmp_path / "coffee.not_espresso.vgg16_tiny.npz")
        assert (made["opposite"], made["class"]) == (True, "not espresso")

    def test_a_run_goes_on(self, tmp_path, capsys):
        """What is done is found again under its own name, and the table says what was explained."""
        flags = [
            "explain",
            "sample:chelsea",
            *self.FLAGS[1:],
            "--target",
            "espresso",
            "--against",
            "teapot",
            "--out",
            str(tmp_path),
        ]
        assert main(flags) == 0
        table = json.loads((tmp_path / "predictions.vgg16_tiny.json").read_text())
        assert main([*flags, "--skip-existing"]) == 0
        assert "2 of 2 pictures are done already" in capsys.readouterr().out
        again = json.loads((tmp_path / "predictions.vgg16_tiny.json").read_text())
        assert again["pictures"] == table["pictures"]
        assert {entry["class"] for row in table["pictures"] for entry in row["explained"]} == {
            "espresso rather than teapot"
        }

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--against", "teapot"], "--against needs a --target"),
            (["--target", "espresso", "--against", "espresso"], "cannot be told from itself"),
            (["--target", "espresso", "--against", "nothing"], "no class 'nothing'"),
            (["--target=-nothing"], "no class 'nothing'"),
            (["--target", "-nothing"], "no class 'nothing'"),
            (["--target", "--against"], "--target: expected one argument"),
        ],
    )
    def test_mistakes(self, flags, message, capsys):
        assert main([*self.FLAGS, *flags]) == 2
        assert message in capsys.readouterr().err
