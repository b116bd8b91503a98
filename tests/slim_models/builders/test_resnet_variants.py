"""The three ResNet-v1s that take weights of the same shapes, and torchvision's VGGs: each a second way."""

import formats
import numpy as np
import pytest
import second_way
import tensorflow.compat.v1 as tf
from torch_files import state_dict, write_old, write_zip

import slim_models
from gradcam.cli.main import main
from gradcam.explainer import Explainer
from slim_models.weights import random_weights

pytestmark = pytest.mark.filterwarnings("ignore:CUDA initialization")  # PyTorch's, where there is no GPU
UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CLASSES, DIVISOR = 7, 8
SHIFTED = np.float32([123.68, 116.779, 103.939])


def pictures(size, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (2, size, size, 3)).astype(np.float32)


def explained(network, images):
    with Explainer(network, rules=("backprop",)) as explainer:
        explanation = explainer.explain(images)
    return explanation.logits, explanation.saliency["backprop"]


def assert_same_numbers(ours, theirs):
    for mine, other in zip(ours, theirs):
        np.testing.assert_allclose(mine, other, atol=1e-4 * np.abs(other).max())


def resnet_state(layers, seed=0):
    state = second_way.drawn(second_way.resnet_shapes(UNITS[layers], DIVISOR, CLASSES), seed)
    for name in state:  # the sums of so many units stay small
        if name.endswith("bn3.weight"):
            state[name] = state[name] * np.float32(0.3)
    state["layer1.0.bn1.running_var"][:3] = 1e-6  # where a little more of epsilon is seen
    return state


def vgg_state(layers, side):
    return second_way.drawn(second_way.vgg_shapes(CONVOLUTIONS[layers], DIVISOR, CLASSES, side, 20))


@pytest.fixture(params=["Tf", "Torch"])
def ops(request):
    if request.param == "Torch":
        pytest.importorskip("torch")
    return getattr(second_way, request.param)()


@pytest.mark.parametrize(("layers", "size"), [(50, 64), (50, 75), (101, 33)])
def test_torchvisions_resnets(tmp_path, ops, layers, size):
    """Also of odd sizes, where one pixel more on either side of a max pool is another map."""
    state, images = resnet_state(layers), pictures(size)
    path = write_zip(tmp_path / "a.pth", state_dict({f"module.{name}": array for name, array in state.items()}))
    network = slim_models.open_network(f"resnet_v1_5_{layers}", path, image_size=size)
    theirs = ops.run(second_way.resnet(UNITS[layers], state, "conv2"), images)
    assert_same_numbers(explained(network, images), theirs)


def caffe_prepared(ops, images):
    assert isinstance(ops, second_way.Tf)
    return (images - SHIFTED)[..., ::-1]


def caffe_layers(state, layers):
    """A caffemodel's layers, as He et al.'s prototxt names them, and the state that they are of.

    The statistics are sums over a factor, and the first convolution of ResNet-50 has biases, which batch norm takes
    up again.
    """
    rng = np.random.default_rng(5)
    found = {}

    def add(conv, norm, theirs, bn):
        factor = np.float32(rng.uniform(0.5, 2000))
        mean, variance = (state[f"{bn}.{part}"] for part in ("running_mean", "running_var"))
        kernel = [state[f"{theirs}.weight"]]
        if theirs == "conv1" and layers == 50:
            kernel.append(np.float32(rng.standard_normal(len(mean))))
            mean = mean + kernel[1]
        found[conv] = ("Convolution", kernel)
        found[f"bn{norm}"] = ("BatchNorm", [mean * factor, variance * factor, np.array([factor])])
        found[f"scale{norm}"] = ("Scale", [state[f"{bn}.weight"], state[f"{bn}.bias"]])

    add("conv1", "_conv1", "conv1", "bn1")
    for block, count in enumerate(UNITS[layers], start=1):
        for unit in range(count):
            letter = "abcdef"[unit] if count < 7 and not (layers == 101 and block == 2) else f"b{unit}" if unit else "a"
            name, theirs = f"{block + 1}{letter}_branch", f"layer{block}.{unit}"
            if unit == 0:
                add(f"res{name}1", f"{name}1", f"{theirs}.downsample.0", f"{theirs}.downsample.1")
            for i, part in enumerate("abc", start=1):
                add(f"res{name}2{part}", f"{name}2{part}", f"{theirs}.conv{i}", f"{theirs}.bn{i}")
    found["fc1000"] = ("InnerProduct", [state["fc.weight"], state["fc.bias"]])
    return found


@pytest.mark.parametrize(("layers", "size", "pads"), [(50, 64, (0, 1)), (50, 73, (0, 0)), (101, 36, (0, 1))])
def test_the_authors_resnets(tmp_path, layers, size, pads):
    """Caffe pads the first max pool on the right and below alone, and only if a window is not whole there."""
    state, images = resnet_state(layers), pictures(size)
    path = formats.write_caffemodel(tmp_path / "a.caffemodel", caffe_layers(state, layers))
    network = slim_models.open_network(f"resnet_v1_{layers}_caffe", path, image_size=size)
    second = second_way.resnet(UNITS[layers], state, "conv1", caffe_prepared, pads)
    assert_same_numbers(explained(network, images), second_way.Tf().run(second, images))


def test_batch_norm_without_sums(tmp_path):
    """Caffe takes statistics for zero whose factor is zero."""
    layers = caffe_layers(resnet_state(50), 50)
    _, (mean, variance, _) = layers["bn2a_branch1"]
    layers["bn2a_branch1"] = ("BatchNorm", [mean, variance, np.zeros(1)])
    weights = slim_models.read_weights(formats.write_caffemodel(tmp_path / "a.caffemodel", layers))
    norm = "resnet_v1_50_caffe/block1/unit_1/bottleneck_v1/shortcut/BatchNorm"
    assert not weights[f"{norm}/moving_mean"].any()
    np.testing.assert_allclose(weights[f"{norm}/moving_variance"], 1e-5 - 1.001e-5)  # ours adds 1.001e-5


@pytest.mark.parametrize(
    ("layers", "name", "size"), [(16, "vgg16", 64), (16, "vgg16_torchvision", 75), (19, "vgg19", 64)]
)
def test_torchvisions_vggs(tmp_path, ops, layers, name, size):
    """Under Caffe's network's name too: what the file is of decides what the network is fed."""
    state, images = vgg_state(layers, side=2), pictures(size)
    network = slim_models.open_network(name, write_old(tmp_path / "a.pth", state_dict(state)), image_size=size)
    assert (network.name, network.input_order) == (f"vgg{layers}_torchvision", "RGB")
    assert_same_numbers(explained(network, images), ops.run(second_way.vgg(CONVOLUTIONS[layers], state), images))


def test_a_size_that_torchvisions_vgg_does_not_take(tmp_path):
    path = write_old(tmp_path / "a.pth", state_dict(vgg_state(16, side=2)))
    assert slim_models.open_network("vgg16", path).image_size == (64, 64)
    with pytest.raises(ValueError, match="pictures are 50 x 50, but fc6/weights .* takes a pool5 of 2 x 2"):
        slim_models.open_network("vgg16", path, image_size=50)  # Caffe's VGG16 would


NAMES = ("resnet_v1_50", "resnet_v1_50_caffe", "resnet_v1_5_50")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each variant, in the form that whoever trained it publishes."""
    folder, state = tmp_path_factory.mktemp("variants"), resnet_state(50)
    network = slim_models.build("resnet_v1_50", width_divisor=DIVISOR, num_classes=CLASSES)
    slim_models.write_weights(folder / "slim.ckpt", random_weights(network))
    return {
        "resnet_v1_50": folder / "slim.ckpt",
        "resnet_v1_50_caffe": formats.write_caffemodel(folder / "a.caffemodel", caffe_layers(state, 50)),
        "resnet_v1_5_50": write_zip(folder / "a.pth", state_dict(state)),
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", [*NAMES, "vgg16"])
def test_a_file_of_one_variant_in_another_is_one_clear_line(files, name, other, tmp_path, capsys):
    if name == other:
        network = slim_models.open_network(name, files[name])
        slim_models.check_weights(network, network.values.arrays())
        return
    assert (
        main(["explain", "sample:coffee", "--network", other, "--weights", str(files[name]), "--out", str(tmp_path)])
        == 2
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"gradcam: the weights do not fit {other}; they are another network's ({name})"


def test_the_variants_shrink_their_maps_in_different_places():
    heights = {}
    for name in NAMES:
        endpoints = slim_models.build(name, width_divisor=DIVISOR, image_size=64).endpoints
        heights[name] = [endpoints[f"block2/unit_{unit}"].shape[1] for unit in (1, 4)]
        assert endpoints["block4"].shape.as_list()[1:] == [2, 2, 2048 // DIVISOR]
    assert heights == {"resnet_v1_50": [8, 4], "resnet_v1_50_caffe": [8, 8], "resnet_v1_5_50": [8, 8]}


@pytest.mark.parametrize("name", NAMES)
def test_past_the_output_stride_kernels_are_dilated(name):
    """Every second place of the dilated map is the strided network's, whichever convolution has the stride."""
    entry = slim_models.NETWORKS[name]
    images = pictures(65)
    ends = {}
    for output_stride in (32, 8):
        with tf.Graph().as_default(), tf.Session() as session:
            options = {"num_classes": CLASSES, "width_divisor": DIVISOR, "units": (2, 2, 2, 1)}
            _, endpoints = entry.builder(tf.constant(images), **options, output_stride=output_stride)
            values, feed = np.random.default_rng(0), {}
            for variable in tf.global_variables():
                if variable.op.name.endswith("/weights"):
                    value = values.standard_normal(variable.shape) / np.sqrt(np.prod(variable.shape[:-1].as_list()))
                    feed[variable.initializer.inputs[1]] = value
            session.run(tf.global_variables_initializer(), feed)
            ends[output_stride] = session.run(endpoints["block4"])
    np.testing.assert_allclose(ends[8][:, ::4, ::4], ends[32], rtol=1e-3, atol=1e-4 * ends[32].max())


@pytest.mark.parametrize("name", ["resnet_v1_50_caffe", "resnet_v1_5_50"])
def test_every_rule_and_half_the_digits(name, files):
    network, images = slim_models.open_network(name, files[name], image_size=64), pictures(64)
    with Explainer(network, rules=slim_models.RULES) as explainer:
        explanation = explainer.explain(images)
        (together,) = explainer.explain_classes(images[0], [int(explanation.targets[0])]).saliency["guided"]
    np.testing.assert_allclose(together, explanation.saliency["guided"][0], atol=1e-4 * np.abs(together).max())
    assert len({explanation.saliency[rule].tobytes() for rule in slim_models.RULES}) == len(slim_models.RULES)
    with Explainer(network.in_precision("bfloat16"), rules=()) as explainer:
        half = explainer.explain(images).logits
    np.testing.assert_allclose(half, explanation.logits, atol=0.1 * np.abs(half).max())
