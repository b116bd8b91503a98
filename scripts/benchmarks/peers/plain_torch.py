"""Grad-CAM and guided backprop as one writes them by hand in PyTorch, without a library, to be fast.

One forward pass of the trunk whatever is asked; for a CAM only the head is differentiated; the true gradient of
the head and the guided one of everything come from the same forward pass; several classes share the trunk; batch
norm is folded into the weights; channels last, which was as fast as channels first or faster wherever measured.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from peers import torch_networks


class _Switched(torch.autograd.Function):
    """A ReLU or ReLU6 in place, whose backward pass is guided or not as is decided when it runs."""

    guided = False

    @staticmethod
    def forward(ctx, inputs: torch.Tensor, most: float | None) -> torch.Tensor:
        outputs = _rectified(inputs, most)
        ctx.mark_dirty(outputs)
        ctx.save_for_backward(outputs)
        ctx.most = most
        return outputs

    @staticmethod
    def backward(ctx, signal: torch.Tensor) -> tuple[torch.Tensor, None]:
        (outputs,) = ctx.saved_tensors
        if ctx.most is None:
            result = torch.ops.aten.threshold_backward(signal, outputs, 0)
        else:
            result = torch.ops.aten.hardtanh_backward(signal, outputs, 0, ctx.most)
        return (result.relu_() if _Switched.guided else result), None


def _rectified(inputs: torch.Tensor, most: float | None) -> torch.Tensor:
    return inputs.relu_() if most is None else torch.nn.functional.hardtanh_(inputs, 0, most)


class _Relu(nn.Module):
    most: float | None = None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return _Switched.apply(inputs, self.most) if inputs.requires_grad else _rectified(inputs, self.most)


class _Relu6(_Relu):
    most = 6.0


class Peer:
    """See `peers`."""

    fold = True

    def __init__(self, network: str, weights: Mapping[str, np.ndarray], precision: str):
        self.network = torch_networks.build(network, weights, precision, _Relu, self.fold, _Relu6)
        self.network.requires_grad_(False).to(memory_format=torch.channels_last)

    def run(self, task: str, images: np.ndarray, targets: np.ndarray | None) -> dict[str, np.ndarray]:
        inputs = self.network.inputs(images).contiguous(memory_format=torch.channels_last)
        result = {}
        inputs.requires_grad_(task in ("guided", "both"))
        activations = self.network.trunk(inputs)  # records nothing unless the inputs' gradient is wanted
        if task == "classes":
            activations = activations.expand(len(targets), -1, -1, -1).clone()
        if task in ("cam", "classes"):
            activations.requires_grad_()
        scores = _scores(self.network.head(activations), targets)
        if task != "guided":
            (gradients,) = torch.autograd.grad(scores, activations, retain_graph=task == "both")
            result["cam"] = _cam(activations.detach(), gradients)
        if task in ("guided", "both"):
            result["guided"] = self.network.to_rgb(_guided(scores, inputs))
        return result


def _scores(logits: torch.Tensor, targets: np.ndarray | None) -> torch.Tensor:
    """The sum of the targets' logits; each depends on its own picture alone."""
    classes = logits.argmax(1) if targets is None else torch.as_tensor(targets)
    return logits.gather(1, classes[:, None]).sum()


def _cam(activations: torch.Tensor, gradients: torch.Tensor) -> np.ndarray:
    weights = gradients.mean((2, 3), keepdim=True)
    return (activations * weights).sum(1).relu().float().numpy()


def _guided(scores: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    _Switched.guided = True
    try:
        return torch.autograd.grad(scores, inputs)[0]
    finally:
        _Switched.guided = False
