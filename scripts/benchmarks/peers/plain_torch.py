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


class _SwitchedRelu(torch.autograd.Function):
    """A ReLU in place, whose backward pass is guided or not as is decided when it runs."""

    guided = False

    @staticmethod
    def forward(ctx, inputs: torch.Tensor) -> torch.Tensor:
        outputs = inputs.relu_()
        ctx.mark_dirty(outputs)
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    def backward(ctx, signal: torch.Tensor) -> torch.Tensor:
        (outputs,) = ctx.saved_tensors
        result = torch.ops.aten.threshold_backward(signal, outputs, 0)
        return result.relu_() if _SwitchedRelu.guided else result


class _Relu(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return _SwitchedRelu.apply(inputs) if inputs.requires_grad else inputs.relu_()


class Peer:
    """See `peers`."""

    fold = True

    def __init__(self, network: str, weights: Mapping[str, np.ndarray], precision: str):
        self.network = torch_networks.build(network, weights, precision, _Relu, self.fold)
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
    _SwitchedRelu.guided = True
    try:
        return torch.autograd.grad(scores, inputs)[0]
    finally:
        _SwitchedRelu.guided = False
