"""TF-Slim's VGG16 and ResNet-v1-50, and EfficientNet-Lite0, as PyTorch modules, with the weights of our files.

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
# EfficientNet-Lite0's stages: units, and of the first of them kernel, stride and expansion.
_LITE0 = ((1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6))
_EPSILON = 1.001e-5  # TensorFlow's fused batch norm takes no less, whatever it is told

Weights = Mapping[str, np.ndarray]
ReluMaker = Callable[[], nn.Module]


class Network(nn.Module):
    """A classifier: `trunk` up to the layer to explain, after its ReLU, and `head` from there to the logits.

    It takes pictures less `mean`, divided by `scale`; if `bgr`, with the channels as Caffe has them.
    """

    def __init__(
        self, trunk: nn.Module, head: nn.Module, bgr: bool = False, mean: tuple[float, ...] = RGB_MEAN, scale: float = 1
    ):
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.bgr, self.mean, self.scale = bgr, np.array(mean, np.float32), np.float32(scale)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.trunk(inputs))

    def inputs(self, images: np.ndarray) -> torch.Tensor:
        """What the network takes, `[N, 3, H, W]`, from RGB `[N, H, W, 3]` in [0, 255]."""
        centred = (images - self.mean) / self.scale
        centred = centred[..., ::-1] if self.bgr else centred
        return torch.from_numpy(np.ascontiguousarray(centred.transpose(0, 3, 1, 2))).to(next(self.parameters()).dtype)

    def to_rgb(self, gradients: torch.Tensor) -> np.ndarray:
        """Gradients by the inputs, `[N, 3, H, W]`, as float32 `[N, H, W, 3]` in RGB."""
        array = gradients.detach().float().numpy().transpose(0, 2, 3, 1) / self.scale
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


class _Block(nn.Sequential):
    """An inverted bottleneck whose output is added to its input."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs) + inputs


def build(
    name: str,
    weights: Weights,
    precision: str = "float32",
    relu: ReluMaker = nn.ReLU,
    fold: bool = False,
    relu6: ReluMaker = nn.ReLU6,
) -> Network:
    """The network of that name, in evaluation mode.

    Args:
        name: `vgg16`, `resnet_v1_50` or `efficientnet_lite0`.
        weights: variable name -> array, as in the files of `slim_models`; of any width.
        precision: `float32` or `bfloat16`, of the weights and so of all the work.
        relu: makes every ReLU.
        fold: multiply the batch norm into the convolutions' weights.
        relu6: makes every ReLU6.

    Raises:
        KeyError: another network.
    """
    builders = {"vgg16": (_vgg16, relu), "resnet_v1_50": (_resnet_v1_50, relu)}
    builders["efficientnet_lite0"] = _efficientnet_lite0, relu6
    if name not in builders:
        raise KeyError(f"no network {name!r} in PyTorch; there are {', '.join(builders)}")
    torch.set_num_threads(THREADS)
    builder, activation = builders[name]
    network = builder(weights, activation).eval()
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
    return Network(trunk, head)


def _efficientnet_lite0(weights: Weights, relu: ReluMaker) -> Network:
    scope = "efficientnet_lite0"
    layers = [*_lite_conv(weights, f"{scope}/conv_stem", 2), relu()]
    number = 0
    for units, size, first_stride, expansion in _LITE0:
        for unit in range(units):
            name, stride = f"{scope}/block_{number}", 1 if unit else first_stride
            expand = [*_lite_conv(weights, f"{name}/expand"), relu()] if expansion > 1 else []
            depthwise = [*_lite_conv(weights, f"{name}/depthwise", stride, size), relu()]
            block = [*expand, *depthwise, *_lite_conv(weights, f"{name}/project")]
            layers.append(_Block(*block) if unit else nn.Sequential(*block))
            number += 1
    layers += [*_lite_conv(weights, f"{scope}/conv_head"), relu()]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), _conv(weights, f"{scope}/logits"), nn.Flatten())
    return Network(nn.Sequential(*layers), head, mean=(127.0,) * 3, scale=128.0)


def _lite_conv(weights: Weights, scope: str, stride: int = 1, size: int = 3) -> list[nn.Module]:
    """A convolution and its batch norm; with a stride, an even size is padded on the far side more, as TensorFlow's."""
    convolution, norm = _conv_norm(weights, scope, stride)
    norm.eps = 1e-3
    if stride == 1:
        return [convolution, norm]
    convolution.padding = (0, 0)
    before = size // 2 - 1
    return [nn.ZeroPad2d((before, before + 1) * 2), convolution, norm]


def _pool() -> nn.Module:
    return nn.MaxPool2d(2, 2, ceil_mode=True)


def _conv(weights: Weights, scope: str, stride: int = 1) -> nn.Conv2d:
    if f"{scope}/weights" in weights:
        kernel, groups = _tensor(weights[f"{scope}/weights"]).permute(3, 2, 0, 1).contiguous(), 1
    else:
        kernel = _tensor(weights[f"{scope}/depthwise_weights"]).permute(2, 3, 0, 1).contiguous()
        groups = len(kernel)
    biases = weights.get(f"{scope}/biases")
    depth, inputs, size, _ = kernel.shape
    options = {"padding": size // 2, "groups": groups, "bias": biases is not None}
    layer = nn.Conv2d(inputs * groups, depth, size, stride, **options, device="meta")
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
            setattr(module, name, type(child)(*layers))  # what adds its input goes on doing so


def _linear(weights: Weights, scope: str) -> nn.Linear:
    matrix = _tensor(weights[f"{scope}/weights"]).T
    layer = nn.Linear(matrix.shape[1], matrix.shape[0], device="meta")  # no values yet: drawing fc6's takes a second
    layer.weight = nn.Parameter(matrix)  # as it lies in the file, without a copy; PyTorch is as fast either way
    layer.bias = nn.Parameter(_tensor(weights[f"{scope}/biases"]))
    return layer


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array if array.flags.writeable else array.copy())
