"""Methods beside those of captum and pytorch-grad-cam on the same small network; skipped where these are missing."""

import numpy as np
import pytest

from gradcam.cams import checked, grad_cam, grad_cam_elementwise, hires_cam, layer_cam, positive_sum, xgrad_cam
from gradcam.paths import gradient_times_input, integrated_gradients
from gradcam.perturbation import ablation_weights, score_cam_weights
from gradcam.perturbation.scoring import GREY

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # of these libraries, about GPUs and each other
TARGET = 2


@pytest.fixture(scope="module")
def network():
    """Two convolutions, a mean and a matrix; its maps are of the picture's size, so that nobody resizes anything."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(6, 8, 3, padding=1)]
    # An area of it is flattened after a second ReLU, so that the gradient differs from place to place.
    head = [torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, *head, torch.nn.Linear(8 * 4 * 5, 5)).eval()


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).uniform(0, 255, (9, 11, 3)).astype(np.float32)


def prepared(images):
    """As the network takes them: `[n, 3, H, W]`, less the mean colour, in hundreds."""
    return torch.from_numpy((np.asarray(images, np.float32) - np.float32(GREY)) / 100).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def score(network):
    return lambda images: network(prepared(images))[:, TARGET].detach().numpy()


@pytest.fixture(scope="module")
def at_layer(network, image):
    """Activations after the ReLU behind the second convolution, and their gradients: `[1, h, w, K]`."""
    activations = network[:4](prepared(image[None])).detach().requires_grad_()
    network[4:](activations)[0, TARGET].backward()
    return [tensor.detach().permute(0, 2, 3, 1).numpy() for tensor in (activations, activations.grad)]


@pytest.fixture(scope="module")
def theirs(network, image):
    """The map of a method of pytorch-grad-cam, by its class's name: `[h, w]` from 0 to 1."""
    library = pytest.importorskip("pytorch_grad_cam")
    targets = [pytest.importorskip("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget(TARGET)]

    def made(name):
        with getattr(library, name)(model=network, target_layers=[network[3]]) as cam:
            return cam(input_tensor=prepared(image[None]), targets=targets)[0]

    return made


def between_0_and_1(cam):
    return (cam - cam.min()) / (cam.max() - cam.min())


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (grad_cam, "GradCAM"),
        (xgrad_cam, "XGradCAM"),
        (hires_cam, "HiResCAM"),
        (layer_cam, "LayerCAM"),
        (grad_cam_elementwise, "GradCAMElementWise"),
    ],
)
def test_formulas(method, name, at_layer, theirs):
    np.testing.assert_allclose(between_0_and_1(method(*at_layer)[0]), theirs(name), atol=1e-4)


def test_score_cam(at_layer, theirs, score, image):
    weights = score_cam_weights(score, image, at_layer[0][0])
    cam = positive_sum(at_layer[0], weights[None])[0]
    np.testing.assert_allclose(between_0_and_1(cam), theirs("ScoreCAM"), atol=1e-4)


def test_ablation_cam(at_layer, theirs, network):
    def of_activations(activations):
        return network[4:](torch.from_numpy(activations).permute(0, 3, 1, 2))[:, TARGET].detach().numpy()

    activations, _ = checked(*at_layer)
    own = float(of_activations(activations)[0])
    # Theirs divides by the score, which turns the weights round where it is negative.
    weights = ablation_weights(of_activations, activations[0], own) * np.sign(own)
    cam = positive_sum(activations, weights[None])[0]
    np.testing.assert_allclose(between_0_and_1(cam), theirs("AblationCAM"), atol=1e-4)


@pytest.fixture(scope="module")
def attr():
    return pytest.importorskip("captum.attr")


@pytest.fixture(scope="module")
def gradient(network):
    def of(images):
        """With respect to what the network takes, which the pictures are here."""
        inputs = torch.from_numpy(np.asarray(images, np.float32)).permute(0, 3, 1, 2).requires_grad_()
        network(inputs)[:, TARGET].sum().backward()
        return inputs.grad.permute(0, 2, 3, 1).numpy()

    return of


def test_integrated_gradients(attr, network, gradient, image):
    inputs = prepared(image[None])
    expected = attr.IntegratedGradients(network).attribute(
        inputs, baselines=0.25, target=TARGET, n_steps=20, method="riemann_middle"
    )
    found = integrated_gradients(gradient, inputs[0].permute(1, 2, 0).numpy(), 0.25, steps=20)
    np.testing.assert_allclose(found, expected[0].permute(1, 2, 0).numpy(), atol=1e-5 * float(expected.abs().max()))


def test_gradient_times_input(attr, network, gradient, image):
    inputs = prepared(image[None])
    expected = attr.InputXGradient(network).attribute(inputs.clone().requires_grad_(), target=TARGET)
    images = inputs.permute(0, 2, 3, 1).numpy()
    found = gradient_times_input(gradient(images), images)
    np.testing.assert_allclose(found, expected.detach().permute(0, 2, 3, 1).numpy(), atol=1e-6)
