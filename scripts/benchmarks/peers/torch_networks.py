"""TF-Slim's VGG16 and ResNet-v1-50 as PyTorch modules, with the weights of our files.

Laid out as the libraries want networks: every ReLU is a module of its own, and the layer to explain is the
output of the module `trunk`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

THREADS = 2
RGB_MEAN = (123.68, 116.779, 103.939)
_VGG16 = (2, 2, 3, 3, 3)  # convolutions of each block
_RESNET_50 = ((3, 2), (4, 2), (6, 2), (3, 1))  # units of each block, and the stride of the last of them
_EPSILON = 1.001e-5  # TensorFlow's fused batch norm takes no less, whatever it is told

Weights = Mapping[str, np.ndarray]
ReluMaker = Callable[[], nn.Module]


class Network(nn.Module):
    """A classifier: `trunk` up to the layer to explain, after its ReLU, and `head` from there to the logits."""

    def __init__(self, trunk: nn.Module, head: nn.Module, bgr: bool):
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.bgr = bgr  # whether the channels come as Caffe has them

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.trunk(inputs))

    def inputs(self, images: np.ndarray) -> torch.Tensor:
        """What the network takes, `[N, 3, H, W]`, from RGB `[N, H, W, 3]` in [0, 255]."""
        centred = images - np.array(RGB_MEAN, np.float32)
        centred = centred[..., ::-1] if self.bgr else centred
        return torch.from_numpy(np.ascontiguousarray(centred.transpose(0, 3, 1, 2))).to(next(self.parameters()).dtype)

    def to_rgb(self, gradients: torch.Tensor) -> np.ndarray:
        """Gradients by the inputs, `[N, 3, H, W]`, as float32 `[N, H, W, 3]` in RGB."""
        array = gradients.detach().float().numpy().transpose(0, 2, 3, 1)
        return array[..., ::-1] if self.bgr else array


class _Flatten(nn.Module):
    """`[N, K, h, w]` -> `[N, h * w * K]`, in the order that the rows of our fc6 have: height, width, channel."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.permute(0, 2, 3, 1).flatten(1)


class _Unit(nn.Module):
    """A bottleneck unit: 1x1, 3x3 with the stride, 1x1, beside the shortcut."""

    def __init__(self, weights: Weights, scope: str, stride: int, relu: ReluMaker):
        super().__init__()
        self.residual = nn.Sequential(
            *_conv_norm(weights, f"{scope}/conv1"),
            relu(),
            *_conv_norm(weights, f"{scope}/conv2", stride),
            relu(),
            *_conv_norm(weights, f"{scope}/conv3"),
        )
        if f"{scope}/shortcut/weights" in weights:
            self.shortcut: nn.Module = nn.Sequential(*_conv_norm(weights, f"{scope}/shortcut", stride))
        else:
            self.shortcut = nn.Identity() if stride == 1 else nn.MaxPool2d(1, stride)
        self.relu = relu()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = self.residual(inputs)
        outputs += self.shortcut(inputs)
        return self.relu(outputs)


def build(
    name: str, weights: Weights, precision: str = "float32", relu: ReluMaker = nn.ReLU, fold: bool = False
) -> Network:
    """The network of that name, in evaluation mode.

    Args:
        name: `vgg16` or `resnet_v1_50`.
        weights: variable name -> array, as in the files of `slim_models`; of any width.
        precision: `float32` or `bfloat16`, of the weights and so of all the work.
        relu: makes every ReLU.
        fold: multiply the batch norm into the convolutions' weights.

    Raises:
        KeyError: another network.
    """
    builders = {"vgg16": _vgg16, "resnet_v1_50": _resnet_v1_50}
    if name not in builders:
        raise KeyError(f"no network {name!r} in PyTorch; there are {', '.join(builders)}")
    torch.set_num_threads(THREADS)
    network = builders[name](weights, relu).eval()
    if fold:
        _fold(network)
    return network.to(getattr(torch, precision))


def _vgg16(weights: Weights, relu: ReluMaker) -> Network:
    blocks = []
    for number, count in enumerate(_VGG16, start=1):
        names = [f"conv{number}_{i}" for i in range(1, count + 1)]
        blocks.append(nn.Sequential(*[nn.Sequential(_conv(weights, name), relu()) for name in names]))
    trunk = [module for block in blocks for module in (block, _pool())][:-1]  # the last pool is the head's
    fc6, fc7, fc8 = (_linear(weights, name) for name in ("fc6", "fc7", "fc8"))
    head = nn.Sequential(_pool(), _Flatten(), fc6, relu(), fc7, relu(), fc8)
    return Network(nn.Sequential(*trunk), head, bgr=True)


def _resnet_v1_50(weights: Weights, relu: ReluMaker) -> Network:
    scope = "resnet_v1_50"
    # TensorFlow pads an even size on the far side alone, which is what rounding up does.
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    blocks = []
    for number, (count, last_stride) in enumerate(_RESNET_50, start=1):
        names = [f"{scope}/block{number}/unit_{i}/bottleneck_v1" for i in range(1, count + 1)]
        strides = [1] * (count - 1) + [last_stride]  # slim's networks stride in the last unit, not in the first
        blocks.append(nn.Sequential(*[_Unit(weights, name, stride, relu) for name, stride in zip(names, strides)]))
    trunk = nn.Sequential(*_conv_norm(weights, f"{scope}/conv1", 2), relu(), pool, *blocks)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), _conv(weights, f"{scope}/logits"), nn.Flatten())
    return Network(trunk, head, bgr=False)


def _pool() -> nn.Module:
    return nn.MaxPool2d(2, 2, ceil_mode=True)


def _conv(weights: Weights, scope: str, stride: int = 1) -> nn.Conv2d:
    kernel = _tensor(weights[f"{scope}/weights"]).permute(3, 2, 0, 1).contiguous()
    biases = weights.get(f"{scope}/biases")
    depth, inputs, size, _ = kernel.shape
    layer = nn.Conv2d(inputs, depth, size, stride, padding=size // 2, bias=biases is not None, device="meta")
    layer.weight = nn.Parameter(kernel)
    if biases is not None:
        layer.bias = nn.Parameter(_tensor(biases))
    return layer


def _conv_norm(weights: Weights, scope: str, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """A convolution without biases, and its batch norm by the stored statistics."""
    gamma, beta, mean, variance = (
        _tensor(weights[f"{scope}/BatchNorm/{name}"]) for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    norm = nn.BatchNorm2d(len(gamma), eps=_EPSILON)
    norm.weight, norm.bias = nn.Parameter(gamma), nn.Parameter(beta)
    norm.running_mean, norm.running_var = mean, variance
    return _conv(weights, scope, stride), norm


def _fold(module: nn.Module) -> None:
    """Replaces every convolution with a batch norm behind it by one with biases that does the work of both."""
    for name, child in module.named_children():
        _fold(child)
        if isinstance(child, nn.Sequential):
            layers: list[nn.Module] = []
            for layer in child:
                if isinstance(layer, nn.BatchNorm2d):
                    layer = fuse_conv_bn_eval(layers.pop(), layer)
                layers.append(layer)
            setattr(module, name, nn.Sequential(*layers))


def _linear(weights: Weights, scope: str) -> nn.Linear:
    matrix = _tensor(weights[f"{scope}/weights"]).T
    layer = nn.Linear(matrix.shape[1], matrix.shape[0], device="meta")  # no values yet: drawing fc6's takes a second
    layer.weight = nn.Parameter(matrix)  # as it lies in the file, without a copy; PyTorch is as fast either way
    layer.bias = nn.Parameter(_tensor(weights[f"{scope}/biases"]))
    return layer


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array if array.flags.writeable else array.copy())
