"""How far our methods are from captum's and pytorch-grad-cam's on one small network: JSON on the last line.

A program of its own: PyTorch and TensorFlow do not bear each other in one process.
"""

import importlib.util
import json
import warnings

import numpy as np
import torch

from gradcam.cams import grad_cam, grad_cam_elementwise, hires_cam, layer_cam, positive_sum, xgrad_cam
from gradcam.paths import gradient_times_input, integrated_gradients
from gradcam.perturbation import ablation_weights, score_cam_weights
from gradcam.perturbation.scoring import GREY

TARGET = 2
IMAGE = np.random.default_rng(0).uniform(0, 255, (9, 11, 3)).astype(np.float32)
FORMULAS = {
    "GradCAM": grad_cam,
    "XGradCAM": xgrad_cam,
    "HiResCAM": hires_cam,
    "LayerCAM": layer_cam,
    "GradCAMElementWise": grad_cam_elementwise,
}


def small_network():
    """Two convolutions and a head that flattens maps; the layer's are of the picture's size, so that none resizes."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(6, 8, 3, padding=1)]
    head = [torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, *head, torch.nn.Linear(8 * 4 * 5, 5)).eval()


def prepared(images):
    """As the network takes them: `[n, 3, H, W]`, less the mean colour, in hundreds."""
    return torch.from_numpy((np.asarray(images, np.float32) - np.float32(GREY)) / 100).permute(0, 3, 1, 2)


def to_numpy(tensor):
    return tensor.detach().permute(0, 2, 3, 1).numpy()


def between_0_and_1(cam):
    return (cam - cam.min()) / (cam.max() - cam.min())


def from_pytorch_grad_cam(network):
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def theirs(name):
        with getattr(pytorch_grad_cam, name)(model=network, target_layers=[network[3]]) as cam:
            return cam(input_tensor=prepared(IMAGE[None]), targets=[ClassifierOutputTarget(TARGET)])[0]

    def onwards(activations):
        return network[4:](torch.from_numpy(activations).permute(0, 3, 1, 2))[:, TARGET].detach().numpy()

    inner = network[:4](prepared(IMAGE[None])).detach().requires_grad_()
    network[4:](inner)[0, TARGET].backward()
    activations, gradients = to_numpy(inner), to_numpy(inner.grad)
    ours = {name: formula(activations, gradients) for name, formula in FORMULAS.items()}
    through = score_cam_weights(lambda x: network(prepared(x))[:, TARGET].detach().numpy(), IMAGE, activations[0])
    own = float(onwards(activations)[0])
    # Theirs divides by the score, which turns the weights round where it is negative.
    without = ablation_weights(onwards, activations[0], own) * np.sign(own)
    ours |= {"ScoreCAM": positive_sum(activations, through[None])}
    ours |= {"AblationCAM": positive_sum(activations, without[None])}
    return {name: float(abs(between_0_and_1(cam[0]) - theirs(name)).max()) for name, cam in ours.items()}


def from_captum(network):
    from captum.attr import InputXGradient, IntegratedGradients

    def gradient(images):
        """With respect to what the network takes, which the pictures are here."""
        inputs = torch.from_numpy(np.asarray(images, np.float32)).permute(0, 3, 1, 2).requires_grad_()
        network(inputs)[:, TARGET].sum().backward()
        return to_numpy(inputs.grad)

    inputs = prepared(IMAGE[None])
    images, options = to_numpy(inputs), {"n_steps": 20, "method": "riemann_middle"}
    pairs = {
        "IntegratedGradients": (
            integrated_gradients(gradient, images[0], 0.25, steps=20)[None],
            IntegratedGradients(network).attribute(inputs, baselines=0.25, target=TARGET, **options),
        ),
        "InputXGradient": (
            gradient_times_input(gradient(images), images),
            InputXGradient(network).attribute(inputs.clone().requires_grad_(), target=TARGET),
        ),
    }
    return {name: float(abs(a - to_numpy(b)).max() / abs(to_numpy(b)).max()) for name, (a, b) in pairs.items()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    differences = {}
    for library, compare in (("pytorch_grad_cam", from_pytorch_grad_cam), ("captum", from_captum)):
        if importlib.util.find_spec(library):
            differences |= compare(small_network())
    print(json.dumps(differences))
