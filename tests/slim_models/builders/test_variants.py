"""The variant of a network that a file of weights belongs to."""

import numpy as np
import pytest
from PIL import Image

import slim_models
from gradcam.cli.main import main
from slim_models.weights import random_weights

VARIANT = {"num_classes": 7, "width_divisor": 16}


@pytest.mark.parametrize(
    ("name", "size"), [("vgg16", 64), ("vgg16", 224), ("vgg19", 64), ("resnet_v1_50", 224), ("mobilenet_v1", 224)]
)
def test_classes_width_and_where_it_matters_the_size_come_from_the_weights(name, size):
    weights = random_weights(slim_models.build(name, image_size=size, **VARIANT))
    network = slim_models.build_for(name, weights)
    slim_models.check_weights(network, weights)
    assert (network.num_classes, network.image_size) == (7, (size, size))
    assert slim_models.build_for(name, weights, image_size=size).image_size == (size, size)


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_fully_connected_layers_of_another_width(name):
    weights = random_weights(slim_models.build(name, image_size=96, num_classes=20, width_divisor=8, fc_width=128))
    assert weights["fc7/weights"].shape == (128, 128)
    network = slim_models.build_for(name, weights)
    slim_models.check_weights(network, weights)
    assert network.image_size == (96, 96)


def test_a_size_that_the_weights_do_not_take():
    weights = random_weights(slim_models.build("vgg16", image_size=64, **VARIANT))
    assert slim_models.build_for("vgg16", weights, image_size=50).image_size == (50, 50)  # pool5 is 2 x 2, too
    with pytest.raises(ValueError, match=r"pictures are 224 x 224, but fc6/weights \[128, 256\] takes .* of 64 x 64"):
        slim_models.build_for("vgg16", weights, image_size=224)


@pytest.mark.parametrize(
    ("name", "other", "message"),
    [
        ("vgg16", "resnet_v1_50", r"; they are another network's \(resnet_v1_50\)"),
        ("resnet_v1_50", "vgg16", r"; they are another network's \(conv1_1, conv1_2, "),
        ("mobilenet_v1", "resnet_v1_50", r"; they are another network's \(resnet_v1_50\)"),
        ("vgg16", "mobilenet_v1", r"; they are another network's \(MobilenetV1\)"),
        ("vgg16", "vgg19", r": 6 unexpected \(conv3_4/weights, .*; they are those of a VGG19"),
        ("vgg19", "vgg16", r": 6 missing \(conv3_4/weights, .*; they are those of a VGG16"),
    ],
)
def test_another_networks_weights_are_left_to_the_check(name, other, message):
    weights = random_weights(slim_models.build(other, **VARIANT))
    with pytest.raises(ValueError, match=f"do not fit {name}{message}"):
        slim_models.check_weights(slim_models.build_for(name, weights), weights)


def test_weights_of_ones_own_classes_explain_pictures_without_further_flags(tmp_path, capsys):
    weights = random_weights(slim_models.build("vgg16", image_size=64, **VARIANT))
    slim_models.write_weights(tmp_path / "mine.npy", weights)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)).save(tmp_path / "noise.png")
    flags = ["--network", "vgg16", "--weights", str(tmp_path / "mine.npy"), "--target", "6", "--out", str(tmp_path)]
    assert main(["explain", str(tmp_path / "noise.png"), *flags]) == 0
    assert "class 6 *" in capsys.readouterr().out
    with np.load(tmp_path / "noise.class_6.vgg16.npz") as arrays:
        assert arrays["logits"].shape == (7,)


class TestOddWeights:
    """Files that are no network's: an error that says what does not fit, not one of Python's."""

    @pytest.mark.parametrize(
        "arrays",
        [
            {"fc8/biases": np.float32(3)},
            {"conv1_1/weights": np.zeros((3, 3, 3, 0), np.float32)},
            {"fc6/weights": np.zeros((), np.float32), "conv5_3/biases": np.zeros(0, np.float32)},
            {"fc6/weights": np.zeros((0, 0), np.float32), "conv5_3/biases": np.zeros(64, np.float32)},
            {"fc6/biases": np.zeros((), np.float32), "logits/biases": np.zeros(0, np.float32)},
            {},
        ],
    )
    def test_the_ordinary_network_is_built_and_the_weights_do_not_fit(self, arrays):
        for name in ("vgg16", "resnet_v1_50"):
            network = slim_models.build_for(name, arrays, 64)
            with pytest.raises(ValueError, match=f"the weights do not fit {name}"):
                slim_models.check_weights(network, arrays)

    @pytest.mark.parametrize("value", [0, -1, 2.5, "8", (32,), True, np.True_])
    @pytest.mark.parametrize("option", ["image_size", "num_classes", "width_divisor", "fc_width"])
    def test_sizes_that_cannot_be(self, option, value):
        with pytest.raises(ValueError, match=f"{option} must be a positive whole number( of pixels.*)?, not "):
            slim_models.build("vgg16", **{option: value})

    def test_an_image_size_of_nothing(self):
        with pytest.raises(ValueError, match="image_size must be a positive whole number of pixels, .*, not 0"):
            slim_models.build_for("vgg16", {}, 0)
