"""Caffe nets as text, and weights as Caffe has them, of the networks that the tests know."""

import numpy as np

DEPTHS = (64, 128, 256, 512, 512)
UNITS = ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1))  # depth, units, stride of the last


def vgg(size, classes, divisor, in_place=True, counts=(2, 2, 3, 3, 3)):
    """ksimonyan's VGG_ILSVRC_16_layers_deploy: in-place ReLUs, as published, or tops of their own.

    VGG_ILSVRC_19_layers_deploy has other counts of convolutions.
    """
    lines = ['input: "data"', *(f"input_dim: {n}" for n in (10, 3, size, size))]
    below = "data"
    for block, (depth, count) in enumerate(zip(DEPTHS, counts), start=1):
        for i in range(1, count + 1):
            name = f"conv{block}_{i}"
            lines.append(layer(name, "Convolution", below, name, convolution(depth // divisor, 3, pad=1)))
            below = name if in_place else f"relu{block}_{i}"
            lines.append(layer(f"relu{block}_{i}", "ReLU", name, below))
        lines.append(layer(f"pool{block}", "Pooling", below, f"pool{block}", max_pool(2, 2)))
        below = f"pool{block}"
    for name, depth in (("fc6", 4096 // divisor), ("fc7", 4096 // divisor), ("fc8", classes)):
        lines.append(layer(name, "InnerProduct", below, name, f"inner_product_param {{ num_output: {depth} }}"))
        below = name
        if name != "fc8":
            below = name if in_place else f"relu{name[2]}"
            lines.append(layer(f"relu{name[2]}", "ReLU", name, below))
            lines.append(layer(f"drop{name[2]}", "Dropout", below, below))
    lines.append(layer("prob", "Softmax", "fc8", "prob"))
    return "\n".join(lines)


def resnet_v1_50(size, classes, divisor):
    """TF-Slim's resnet_v1_50: everything in place that can be, blobs that several layers read."""
    lines = [
        f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {dims(1, 3, size, size)} }} }} }}',
        *normalised("conv1", "data", 64 // divisor, 7, stride=2, pad=3),
        layer("conv1/relu", "ReLU", "conv1", "conv1"),
        layer("pool1", "Pooling", "conv1", "pool1", max_pool(3, 2)),
    ]
    below, width = "pool1", 64 // divisor
    for block, (depth, count, last) in enumerate(UNITS, start=1):
        depth //= divisor
        for unit in range(1, count + 1):
            stride = last if unit == count else 1
            name = f"block{block}/unit_{unit}"
            shortcut = below
            if width != 4 * depth:
                shortcut = f"{name}/shortcut"
                lines += normalised(shortcut, below, 4 * depth, 1, stride=stride)
            elif stride > 1:
                shortcut = f"{name}/shortcut"
                lines.append(layer(shortcut, "Pooling", below, shortcut, max_pool(1, stride, "round_mode: FLOOR")))
            inner = below
            for i, kernel in enumerate((1, 3), start=1):
                here = f"{name}/conv{i}"
                lines += normalised(here, inner, depth, kernel, stride=stride if i == 2 else 1, pad=kernel // 2)
                lines.append(layer(f"{here}/relu", "ReLU", here, here))
                inner = here
            lines += normalised(f"{name}/conv3", inner, 4 * depth, 1)
            top = "block4" if (block, unit) == (4, count) else name
            lines.append(layer(f"{name}/sum", "Eltwise", f"{name}/conv3 {shortcut}", top))
            lines.append(layer(f"{name}/relu", "ReLU", top, top))
            below, width = top, 4 * depth
    lines.append(layer("pool5", "Pooling", below, "pool5", "pooling_param { pool: AVE global_pooling: true }"))
    lines.append(layer("logits", "Convolution", "pool5", "logits", convolution(classes, 1)))
    lines.append(layer("prob", "Softmax", "logits", "prob"))
    return "\n".join(lines)


def normalised(name, bottom, depth, kernel, stride=1, pad=0):
    """A convolution, batch norm and scale, the last two in place."""
    yield layer(name, "Convolution", bottom, name, convolution(depth, kernel, stride, pad, "bias_term: false"))
    yield layer(f"{name}/bn", "BatchNorm", name, name, "batch_norm_param { use_global_stats: true eps: 0.00001 }")
    yield layer(f"{name}/scale", "Scale", name, name, "scale_param { bias_term: true }")


def layer(name, kind, bottoms, top, parameters=""):
    bottoms = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{top}" {parameters} }}'


def convolution(depth, kernel, stride=1, pad=0, more=""):
    return f"convolution_param {{ num_output: {depth} kernel_size: {kernel} stride: {stride} pad: {pad} {more} }}"


def max_pool(kernel, stride, more=""):
    return f"pooling_param {{ pool: MAX kernel_size: {kernel} stride: {stride} {more} }}"


def dims(*sizes):
    return " ".join(f"dim: {size}" for size in sizes)


def caffe_layers(weights):
    """The same as `write_caffemodel` takes them: `{Caffe layer: (type, [blobs])}`, and a layer without any."""

    def kind(name):
        kinds = {"fc": "InnerProduct", "bn": "BatchNorm", "scale": "Scale"}
        return kinds.get(name.rpartition("/")[2], kinds.get(name[:2], "Convolution"))

    return {"relu": ("ReLU", []), **{name: (kind(name), blobs) for name, blobs in caffe_blobs(weights).items()}}


def caffe_blobs(weights):
    """`{variable name: array}` of ours -> `{Caffe layer: [blobs]}` in Caffe's layout: VGG16 or ResNet."""
    layers = {}
    for name, array in weights.items():
        if name.endswith("/weights"):
            layer_name = name.rpartition("/")[0].replace("resnet_v1_50/", "").replace("/bottleneck_v1", "")
            layers[layer_name] = [array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T]
            if f"{name[:-8]}/biases" in weights:
                layers[layer_name].append(weights[f"{name[:-8]}/biases"])
            norm = f"{name[:-8]}/BatchNorm/"
            if f"{norm}gamma" in weights:
                one = np.ones(1, np.float32)
                layers[f"{layer_name}/bn"] = [weights[f"{norm}moving_mean"], weights[f"{norm}moving_variance"], one]
                layers[f"{layer_name}/scale"] = [weights[f"{norm}gamma"], weights[f"{norm}beta"]]
    if "fc6" in layers:  # ours takes pool5 in the order height, width, channel; Caffe in channel, height, width
        rows = weights["fc6/weights"]
        channels = weights["conv5_3/biases"].size
        side = round((len(rows) / channels) ** 0.5)
        by_place = rows.reshape(side, side, channels, -1)
        layers["fc6"][0] = np.stack([by_place[..., i].transpose(2, 0, 1).ravel() for i in range(rows.shape[1])])
    return layers
