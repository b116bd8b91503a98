"""Networks of PyTorch's and Caffe's authors a second time: from their own files' names, without our layers.

Each network is written once, over the operations of TensorFlow (`Tf`) or of PyTorch (`Torch`); both take PyTorch's
layouts of kernels, and say in numbers how far every map is padded.
"""

import numpy as np


class Tf:
    """Plain `tf.nn` on `[N, h, w, K]`."""

    def __init__(self):
        import tensorflow.compat.v1 as tf

        self.tf = tf

    def size(self, net):
        return net.shape[1]

    def conv(self, net, kernel, stride=1, pads=(0, 0), depthwise=False):
        net = self.tf.pad(net, [(0, 0), pads, pads, (0, 0)])
        kernel = np.transpose(kernel, (2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        if depthwise:
            return self.tf.nn.depthwise_conv2d(net, kernel, [1, stride, stride, 1], "VALID")
        return self.tf.nn.conv2d(net, kernel, stride, "VALID")

    def pool(self, net, size, stride, pads=(0, 0)):
        net = self.tf.pad(net, [(0, 0), pads, pads, (0, 0)], constant_values=-1e30)
        return self.tf.nn.max_pool2d(net, size, stride, "VALID")

    def along_channels(self, vector):
        return vector

    def clipped(self, net, most=np.inf):
        return self.tf.nn.relu6(net) if most == 6 else self.tf.nn.relu(net)

    def mean(self, net):
        return self.tf.reduce_mean(net, [1, 2])

    def matrix(self, net, weights, biases):
        return self.tf.matmul(net, weights.T) + biases

    def flat(self, net):
        """In the order channel, height, width."""
        return self.tf.reshape(self.tf.transpose(net, [0, 3, 1, 2]), [-1, np.prod(net.shape[1:].as_list())])

    def run(self, network, images):
        """Logits, and the gradient of every picture's greatest."""
        with self.tf.Graph().as_default(), self.tf.Session() as session:
            inputs = self.tf.placeholder(self.tf.float32, [None, *images.shape[1:]])
            logits = network(self, inputs)
            (gradient,) = self.tf.gradients(self.tf.reduce_max(logits, 1), [inputs])
            return session.run([logits, gradient], {inputs: images})


class Torch:
    """PyTorch on `[N, K, h, w]`."""

    def __init__(self):
        import torch

        self.torch = torch

    def size(self, net):
        return net.shape[2]

    def of(self, array):
        return self.torch.from_numpy(np.array(array, np.float32))

    def conv(self, net, kernel, stride=1, pads=(0, 0), depthwise=False):
        net = self.torch.nn.functional.pad(net, (*pads, *pads))
        groups = len(kernel) if depthwise else 1
        return self.torch.nn.functional.conv2d(net, self.of(kernel), stride=stride, groups=groups)

    def pool(self, net, size, stride, pads=(0, 0)):
        net = self.torch.nn.functional.pad(net, (*pads, *pads), value=-np.inf)
        return self.torch.nn.functional.max_pool2d(net, size, stride)

    def along_channels(self, vector):
        return self.of(vector)[:, None, None]

    def clipped(self, net, most=np.inf):
        return self.torch.nn.functional.relu6(net) if most == 6 else self.torch.relu(net)

    def mean(self, net):
        return net.mean((2, 3))

    def matrix(self, net, weights, biases):
        return net @ self.of(weights).T + self.of(biases)

    def flat(self, net):
        return net.flatten(1)

    def run(self, network, images):
        inputs = self.of(images).permute(0, 3, 1, 2).requires_grad_()
        logits = network(self, inputs)
        logits.max(1).values.sum().backward()
        return logits.detach().numpy(), inputs.grad.permute(0, 2, 3, 1).numpy()


def norm(ops, net, state, name, epsilon):
    gamma, beta, mean, variance = (
        np.asarray(state[f"{name}.{part}"], np.float64) for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + epsilon)
    shift = beta - mean * scale
    return net * ops.along_channels(scale.astype(np.float32)) + ops.along_channels(shift.astype(np.float32))


def same(size, kernel, stride):
    """What TensorFlow's SAME pads before and after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


# (units, kernel, stride) of the stages of EfficientNet-Lite0, whose units others multiply.
LITE_UNITS = {0: (1, 2, 2, 3, 3, 4, 1), 1: (1, 3, 3, 4, 4, 5, 1), 2: (1, 3, 3, 4, 4, 5, 1), 3: (1, 3, 3, 5, 5, 6, 1)}
LITE_UNITS[4] = (1, 4, 4, 6, 6, 8, 1)
LITE_DEPTHS = {
    0: (16, 24, 40, 80, 112, 192, 320),
    1: (16, 24, 40, 80, 112, 192, 320),
    2: (16, 24, 48, 88, 120, 208, 352),
    3: (24, 32, 48, 96, 136, 232, 384),
    4: (24, 32, 56, 112, 160, 272, 448),
}
LITE_KERNELS, LITE_STRIDES = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1)


def lite_blocks(number):
    """Depth before, depth after, kernel, stride of every block, one after the other."""
    depth = 32
    for units, after, kernel, stride in zip(LITE_UNITS[number], LITE_DEPTHS[number], LITE_KERNELS, LITE_STRIDES):
        for unit in range(units):
            yield depth, after, kernel, 1 if unit else stride
            depth = after


def lite(number, state):
    """EfficientNet-Lite over the names of PyTorch's state dict."""

    def conv(ops, net, name, bn, stride=1, relu6=True, depthwise=False):
        kernel = state[f"{name}.weight"]
        pads = same(ops.size(net), kernel.shape[2], stride)
        net = norm(ops, ops.conv(net, kernel, stride, pads, depthwise), state, bn, 1e-3)
        return ops.clipped(net, 6) if relu6 else net

    def network(ops, images):
        net = conv(ops, (images - 127) / 128, "_conv_stem", "_bn0", 2)
        for i, (before, after, _, stride) in enumerate(lite_blocks(number)):
            block, inputs = f"_blocks.{i}", net
            if i:
                net = conv(ops, net, f"{block}._expand_conv", f"{block}._bn0")
            net = conv(ops, net, f"{block}._depthwise_conv", f"{block}._bn1", stride, depthwise=True)
            net = conv(ops, net, f"{block}._project_conv", f"{block}._bn2", relu6=False)
            net = inputs + net if stride == 1 and before == after else net
        net = conv(ops, net, "_conv_head", "_bn1")
        return ops.matrix(ops.mean(net), state["_fc.weight"], state["_fc.bias"])

    return network


def lite_shapes(number, divisor, classes):
    """Name -> shape of a state dict, as many times narrower, depths rounded up."""

    def thin(depth):
        return -(-depth // divisor)

    shapes = {"_conv_stem.weight": (thin(32), 3, 3, 3), **norm_shapes("_bn0", thin(32))}
    for i, (before, after, kernel, _) in enumerate(lite_blocks(number)):
        wide = thin(before) * (6 if i else 1)
        if i:
            shapes |= {f"_blocks.{i}._expand_conv.weight": (wide, thin(before), 1, 1)}
            shapes |= norm_shapes(f"_blocks.{i}._bn0", wide)
        shapes |= {f"_blocks.{i}._depthwise_conv.weight": (wide, 1, kernel, kernel)}
        shapes |= norm_shapes(f"_blocks.{i}._bn1", wide)
        shapes |= {f"_blocks.{i}._project_conv.weight": (thin(after), wide, 1, 1)}
        shapes |= norm_shapes(f"_blocks.{i}._bn2", thin(after))
    shapes |= {"_conv_head.weight": (thin(1280), thin(after), 1, 1), **norm_shapes("_bn1", thin(1280))}
    return shapes | {"_fc.weight": (classes, thin(1280)), "_fc.bias": (classes,)}


def norm_shapes(name, depth):
    shapes = {f"{name}.{part}": (depth,) for part in ("weight", "bias", "running_mean", "running_var")}
    return shapes | {f"{name}.num_batches_tracked": ()}


def drawn(shapes, seed=0):
    """Weights that keep signals of the same size: name -> array."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            arrays[name] = np.array(7, np.int64)
            continue
        gain = 0.1 if len(shape) < 2 else np.sqrt(2 / np.prod(shape[1:]))
        arrays[name] = (gain * rng.standard_normal(shape)).astype(np.float32)
        if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            arrays[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return arrays


MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def torch_prepared(ops, images):
    return (images / 255 - ops.along_channels(MEAN)) / ops.along_channels(STD)


def resnet(units, state, place, prepared=torch_prepared, pool_pads=(1, 1), epsilon=1e-5):
    """ResNet-v1 over the names of torchvision's state dict; `place`: of the stride in a block's first unit."""

    def conv(ops, net, name, bn, stride=1, relu=True):
        kernel = state[f"{name}.weight"]
        pad = kernel.shape[2] // 2
        net = norm(ops, ops.conv(net, kernel, stride, (pad, pad)), state, bn, epsilon)
        return ops.clipped(net) if relu else net

    def network(ops, images):
        net = ops.pool(conv(ops, prepared(ops, images), "conv1", "bn1", 2), 3, 2, pool_pads)
        for block, count in enumerate(units, start=1):
            for unit in range(count):
                name, stride = f"layer{block}.{unit}", 2 if block > 1 and unit == 0 else 1
                strides = {place: stride}
                out = conv(ops, net, f"{name}.conv1", f"{name}.bn1", strides.get("conv1", 1))
                out = conv(ops, out, f"{name}.conv2", f"{name}.bn2", strides.get("conv2", 1))
                out = conv(ops, out, f"{name}.conv3", f"{name}.bn3", relu=False)
                if unit == 0:
                    net = conv(ops, net, f"{name}.downsample.0", f"{name}.downsample.1", stride, relu=False)
                net = ops.clipped(net + out)
        return ops.matrix(ops.mean(net), state["fc.weight"], state["fc.bias"])

    return network


def resnet_shapes(units, divisor, classes):
    """Name -> shape of torchvision's state dict."""
    depth = 64 // divisor
    shapes = {"conv1.weight": (depth, 3, 7, 7), **norm_shapes("bn1", depth)}
    for block, count in enumerate(units, start=1):
        narrow = 64 * 2 ** (block - 1) // divisor
        for unit in range(count):
            name = f"layer{block}.{unit}"
            convs = {
                "conv1": (narrow, depth, 1, 1),
                "conv2": (narrow, narrow, 3, 3),
                "conv3": (4 * narrow, narrow, 1, 1),
            }
            for conv, shape in convs.items():
                shapes |= {f"{name}.{conv}.weight": shape, **norm_shapes(f"{name}.bn{conv[-1]}", shape[0])}
            if unit == 0:
                shapes |= {f"{name}.downsample.0.weight": (4 * narrow, depth, 1, 1)}
                shapes |= norm_shapes(f"{name}.downsample.1", 4 * narrow)
            depth = 4 * narrow
    return shapes | {"fc.weight": (classes, depth), "fc.bias": (classes,)}


def vgg_places(convolutions):
    """Number in torchvision's `features` of every convolution, block by block."""
    place, blocks = 0, []
    for count in convolutions:
        blocks.append([place + 2 * i for i in range(count)])
        place += 2 * count + 1
    return blocks


def vgg(convolutions, state):
    """VGG over the names of torchvision's state dict."""

    def network(ops, images):
        net = torch_prepared(ops, images)
        for block in vgg_places(convolutions):
            for place in block:
                biases = ops.along_channels(state[f"features.{place}.bias"])
                net = ops.clipped(ops.conv(net, state[f"features.{place}.weight"], 1, (1, 1)) + biases)
            net = ops.pool(net, 2, 2)
        net = ops.flat(net)
        for place in (0, 3, 6):
            net = ops.matrix(net, state[f"classifier.{place}.weight"], state[f"classifier.{place}.bias"])
            net = net if place == 6 else ops.clipped(net)
        return net

    return network


def vgg_shapes(convolutions, divisor, classes, side, width):
    """Name -> shape of torchvision's state dict, whose pool5 is `side` x `side` and whose fc6 and fc7 so wide."""
    shapes, depth = {}, 3
    for block, after in zip(vgg_places(convolutions), (64, 128, 256, 512, 512)):
        for place in block:
            shapes |= {
                f"features.{place}.weight": (after // divisor, depth, 3, 3),
                f"features.{place}.bias": (after // divisor,),
            }
            depth = after // divisor
    for place, before, after in ((0, depth * side**2, width), (3, width, width), (6, width, classes)):
        shapes |= {f"classifier.{place}.weight": (after, before), f"classifier.{place}.bias": (after,)}
    return shapes
