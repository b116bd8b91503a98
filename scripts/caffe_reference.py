#!/usr/bin/env python
"""Writes what Caffe itself computes, for `gradcam compare`. Runs inside YOUR Caffe environment.

    python caffe_reference.py deploy.prototxt weights.caffemodel cat.jpg dog.jpg --classes 281 243 \\
        --layer conv5_3 --out reference.npz

Needs pycaffe and NumPy, Python 3.6 or newer; nothing of this project, no TensorFlow, no OpenCV.

A picture is a file that Pillow reads, resized to the net's input if it is of another size, or an .npy
file, uint8 [H, W, 3] or [N, H, W, 3], RGB, of that size. The pixels that the net was fed are stored, and
`gradcam compare` runs the same.

In reference.npz, heights before widths before channels, N pictures, K classes each:

    images [N, H, W, 3] uint8, RGB          classes [N, K]
    input [N, H, W, 3], as the net is fed   logits, softmax [N, C]
    LAYER [N, h, w, C], after its ReLU      grad_LAYER [N, K, h, w, C], alpha [N, K, C]
    cam_raw, cam [N, K, h, w]               grad_input, guided_input, deconv_input [N, K, H, W, 3]

Gradients are those of the logit of the class, before the softmax, with respect to the layer and to the
net's own input (in its own order of channels). Guided backprop and deconvnet go through the net layer by
layer: before every ReLU the signal is cut at zero, and the deconvnet leaves out the ReLU's own gate.
"""

import argparse
import collections
import os
import pathlib
import re
import sys
import tempfile

import numpy as np


def main():
    args = parser().parse_args()
    os.environ.setdefault("GLOG_minloglevel", "2")  # Caffe prints the whole net otherwise
    try:
        import caffe
    except ImportError as error:
        stop(f"this runs inside a Caffe environment, and 'import caffe' failed: {error}")
    caffe.set_mode_cpu()
    try:
        pathlib.Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        stop(f"--out {args.out}: {error}")
    walk = Walk(forced_net(caffe, args.prototxt, args.caffemodel), args.logits, args.layer)
    height, width = walk.net.blobs[walk.input].data.shape[2:]
    print(f"net input {height} x {width}, layer {walk.layer}, logits {walk.logits}")
    arrays = reference(walk, np.concatenate([read_images(path, height, width) for path in args.images]), args)
    write(args.out, arrays)
    for name, array in arrays.items():
        print(f"{name:16s} {array.dtype!s:8s} {list(array.shape)}")
    print(args.out)


def parser():
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("prototxt", help="the net as it is deployed")
    result.add_argument("caffemodel", help="its weights")
    result.add_argument("images", nargs="+", metavar="IMAGE", help="pictures of the net's size")
    result.add_argument(
        "--classes",
        nargs="+",
        type=int,
        default=[],
        metavar="INDEX",
        help="from 0, besides each picture's predicted one",
    )
    result.add_argument("--only", action="store_true", help="without the predicted class")
    result.add_argument("--layer", help="a blob, or the layer that makes it (default: the last ReLU above a map)")
    result.add_argument("--logits", help="the blob before the softmax (default: what the Softmax layer reads)")
    result.add_argument("--rgb", action="store_true", help="the net takes RGB (default: BGR, as Caffe's own do)")
    result.add_argument(
        "--mean",
        nargs=3,
        type=float,
        metavar=("M0", "M1", "M2"),
        help="subtracted, in the net's order of channels (default: ImageNet's, 103.939 116.779 123.68 for BGR)",
    )
    result.add_argument("--out", default="reference.npz", help="default: %(default)s")
    return result


def stop(message):
    sys.stderr.write(f"caffe_reference: {message}\n")
    sys.exit(2)


class Walk:
    """A net's layers in order, walked forwards once and backwards under any rule.

    Attributes: net; input, layer, logits: names of blobs.
    """

    def __init__(self, net, logits=None, layer=None):
        self.net = net
        self.names = list(net._layer_names)
        blobs = list(net._blob_names)
        self.bottoms = [[blobs[i] for i in net._bottom_ids(n)] for n in range(len(self.names))]
        self.tops = [[blobs[i] for i in net._top_ids(n)] for n in range(len(self.names))]
        self.types = [layer.type for layer in net.layers]
        if not net.inputs:
            stop("the net has no input but reads data itself; give the prototxt that is deployed")
        self.input = net.inputs[0]
        self.logits = self.blob(logits) if logits else self.default_logits()
        self.layer = self.blob(layer) if layer else self.default_layer()
        self.check_after_relu(self.layer)
        self.top = self.last_made(self.logits)  # the layer that backward passes begin with
        shape = net.blobs[self.layer].data.shape
        if len(shape) != 4 or not 0 <= self.last_made(self.layer) < self.top:
            stop(f"Grad-CAM takes maps that a layer below the logits makes; blob {self.layer!r} is {list(shape)}")

    def blob(self, name):
        """The name of a blob, or the blob that the layer of that name makes."""
        if name in self.net.blobs:
            return name
        if name in self.names:
            return self.tops[self.names.index(name)][0]
        return stop(f"no blob or layer {name!r}; the blobs are {', '.join(self.net.blobs)}")

    def default_logits(self):
        softmax = self.softmax()
        if softmax is None:
            return self.tops[-1][0]
        if self.bottoms[softmax] == self.tops[softmax]:
            stop("the softmax overwrites the logits (its top is its bottom): give it a top of its own")
        return self.bottoms[softmax][0]

    def softmax(self):
        """The number of the Softmax layer, or None."""
        return self.types.index("Softmax") if "Softmax" in self.types else None

    def default_layer(self):
        """What the last ReLU makes whose map is larger than one place."""
        for kind, tops in reversed(list(zip(self.types, self.tops))):
            shape = self.net.blobs[tops[0]].data.shape if tops else ()
            if kind == "ReLU" and len(shape) == 4 and shape[2] * shape[3] > 1:
                return tops[0]
        return stop("the net has no ReLU above a map; name the layer by --layer")

    def check_after_relu(self, blob):
        """Grad-CAM's activations are those after the ReLU, and so are ours."""
        for kind, bottoms, tops in zip(self.types, self.bottoms, self.tops):
            if kind == "ReLU" and bottoms[0] == blob and tops[0] != blob:
                stop(f"blob {blob!r} is before its ReLU; take --layer {tops[0]}")

    def last_made(self, blob):
        """The number of the layer that gives a blob its final value: in-place layers come last."""
        made = [number for number, tops in enumerate(self.tops) if blob in tops]
        return made[-1] if made else -1

    def forward(self, inputs):
        """One picture, float32 [3, H, W], through the net."""
        self.net.blobs[self.input].data[...] = inputs[np.newaxis]
        self.net.forward()

    def probabilities(self, logits):
        """What the Softmax layer made of the logits; [C]."""
        if self.softmax() is not None:
            return self.net.blobs[self.tops[self.softmax()][0]].data.reshape(-1).copy()
        exponentials = np.exp(logits.astype(np.float64) - logits.max())
        return (exponentials / exponentials.sum()).astype(np.float32)

    def backward(self, target, rule):
        """Gradients of a class's logit with respect to the layer and to the input, [1, ...] each.

        Caffe's blobs hold one diff each, so that the layer's is taken when every layer above it has been
        walked through, and before the layers that made it, an in-place ReLU first, overwrite it.
        """
        for blob in self.net.blobs.values():
            blob.diff[...] = 0
        self.net.blobs[self.logits].diff.reshape(-1)[target] = 1
        made, gradient = self.last_made(self.layer), None
        for number in range(self.top, -1, -1):
            if number == made:
                gradient = self.net.blobs[self.layer].diff.copy()
            self.step_back(number, rule)
        return gradient, self.net.blobs[self.input].diff.copy()

    def step_back(self, number, rule):
        """One layer's backward pass; at a ReLU under the rule (Springenberg et al. 2015, fig. 1)."""
        if self.types[number] == "ReLU" and rule != "backprop":
            bottom, top = self.bottoms[number][0], self.tops[number][0]
            signal = np.maximum(self.net.blobs[top].diff, 0)
            if rule == "deconvnet":  # whatever the forward sign: the layer itself has no say
                self.net.blobs[bottom].diff[...] = signal
                return
            self.net.blobs[top].diff[...] = signal
        self.net._backward(number, number)


def reference(walk, images, args):
    """All arrays of the file, one picture after the other."""
    mean = args.mean or ([123.68, 116.779, 103.939] if args.rgb else [103.939, 116.779, 123.68])
    ordered = images if args.rgb else images[..., ::-1]
    inputs = ordered.astype(np.float32) - np.array(mean, np.float32)
    walk.net.blobs[walk.input].reshape(1, *inputs.transpose(0, 3, 1, 2).shape[1:])  # one at a time
    walk.net.reshape()
    result = collections.OrderedDict((name, []) for name in ("classes", "logits", "softmax", walk.layer))
    for one in inputs:
        walk.forward(one.transpose(2, 0, 1))
        logits = walk.net.blobs[walk.logits].data.reshape(-1).copy()
        layer = walk.net.blobs[walk.layer].data.copy()
        classes = list(args.classes) if args.only else [int(logits.argmax()), *args.classes]
        if not classes or not all(0 <= index < logits.size for index in classes):
            stop(f"classes are 0 to {logits.size - 1}, not {classes}")
        result["classes"].append(classes)
        result["logits"].append(logits)
        result["softmax"].append(walk.probabilities(logits))
        result[walk.layer].append(channels_last(layer)[0])
        explained = [explain(walk, layer, index) for index in classes]
        for name in explained[0]:
            result.setdefault(name, []).append([arrays[name] for arrays in explained])
    arrays = collections.OrderedDict([("images", images), ("input", inputs)])
    arrays.update((name, np.array(values)) for name, values in result.items())
    return arrays


def explain(walk, layer, target):
    """What the file holds of one picture and class; layer is [1, C, h, w]."""
    gradient, grad_input = walk.backward(target, "backprop")
    # Eq. 1 and 2 of the Grad-CAM paper, in float64: the sums of the gradient nearly cancel.
    alpha = gradient[0].astype(np.float64).mean(axis=(1, 2))
    cam_raw = np.tensordot(alpha, layer[0].astype(np.float64), axes=1)
    return {
        "grad_" + walk.layer: channels_last(gradient)[0],
        "alpha": alpha.astype(np.float32),
        "cam_raw": cam_raw.astype(np.float32),
        "cam": np.maximum(cam_raw, 0).astype(np.float32),
        "grad_input": channels_last(grad_input)[0],
        "guided_input": channels_last(walk.backward(target, "guided")[1])[0],
        "deconv_input": channels_last(walk.backward(target, "deconvnet")[1])[0],
    }


def channels_last(blob):
    return blob.transpose(0, 2, 3, 1)


def forced_net(caffe, prototxt, caffemodel):
    """The net with `force_backward`: a deployed net has no loss, and without it nothing flows backwards."""
    for path in (prototxt, caffemodel):
        if not pathlib.Path(path).is_file():
            stop(f"no file {path}")
    text = re.sub(r"force_backward\s*:\s*\w+", "", pathlib.Path(prototxt).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        forced = pathlib.Path(folder) / "forced.prototxt"
        forced.write_text(text + "\nforce_backward: true\n", encoding="utf-8")
        return caffe.Net(str(forced), caffemodel, caffe.TEST)


def read_images(path, height, width):
    """uint8 [N, height, width, 3], RGB."""
    if not pathlib.Path(path).is_file():
        stop(f"no picture {path}")
    try:
        images = np.load(path, allow_pickle=False) if path.endswith(".npy") else read_picture(path, height, width)
    except (OSError, ValueError) as error:
        stop(f"{path} cannot be read: {error}")
    images = images[np.newaxis] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, 3):
        stop(f"{path}: pictures are uint8 [N, {height}, {width}, 3], not {images.dtype} {list(images.shape)}")
    return images


def read_picture(path, height, width):
    try:
        from PIL import Image
    except ImportError:
        stop(f"{path}: without Pillow only .npy pictures can be read")
    picture = Image.open(path).convert("RGB")
    if picture.size != (width, height):
        print(f"{path}: {picture.size[0]} x {picture.size[1]}, resized")
        picture = picture.resize((width, height), Image.BILINEAR)
    return np.array(picture)


def write(path, arrays):
    """The whole file or none."""
    path = pathlib.Path(path)
    with tempfile.TemporaryDirectory(dir=str(path.parent)) as folder:
        temporary = pathlib.Path(folder) / "reference.npz"
        np.savez_compressed(str(temporary), **arrays)
        temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
