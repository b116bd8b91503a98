#!/usr/bin/env python
"""Writes what Caffe itself computes, for `gradcam compare`. Runs inside YOUR Caffe environment.

    python caffe_reference.py deploy.prototxt weights.caffemodel cat.jpg dog.jpg --classes 281 243 \\
        --layer conv5_3 --out reference.npz

Needs pycaffe and NumPy, Python 3.6 or newer; nothing of this project, no TensorFlow, no OpenCV. JPEG, PNG and what
else Pillow reads need Pillow.

A picture is a file that Pillow reads, upright as EXIF says, transparency over white, resized to the net's input if it
is of another size; or an .npy file, uint8 [H, W, 3] or [N, H, W, 3], RGB, of that size. The pixels that the net was fed
are stored, and `gradcam compare` runs the same. The net is fed (pixels - mean) * scale.

In reference.npz, heights before widths before channels, N pictures, K classes each:

    images [N, H, W, 3] uint8, RGB          classes [N, K]
    input [N, H, W, 3], as the net is fed   logits, softmax [N, C]
    LAYER [N, h, w, C], after its ReLU      grad_LAYER [N, K, h, w, C], alpha [N, K, C]
    cam_raw, cam [N, K, h, w]               grad_input, guided_input, deconv_input [N, K, H, W, 3]

Gradients are those of the logit of the class, before the softmax, with respect to the layer and to the
net's own input (in its own order of channels). Guided backprop and deconvnet go through the net layer by
layer: before every ReLU the signal is cut at zero, and the deconvnet leaves out the ReLU's own gate. They are left
out of nets with other activations than ReLU, for which they are not defined.
"""

import argparse
import collections
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import tempfile

import numpy as np

ACTIVATIONS = ("ReLU", "ELU", "Sigmoid", "TanH", "PReLU", "AbsVal", "BNLL", "Swish")
# Beside a ReLU's own gate, what the rules of guided backprop and deconvnet say nothing of.
OTHERS = ("ELU", "Sigmoid", "TanH", "PReLU", "AbsVal", "BNLL", "Exp", "Log", "Threshold", "Swish", "Clip")
AFFINE = ("BatchNorm", "Scale", "Bias")  # between a convolution and its ReLU
WITH_WEIGHTS = ("Convolution", "InnerProduct", "Deconvolution")
# What a process of its own asks Caffe, which ends the process at whatever it cannot take.
PROBE = "import sys, caffe; net = caffe.Net(sys.argv[1], caffe.TEST); net.copy_from(sys.argv[2])"


def main():
    args = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is temporary goes
    os.environ.setdefault("GLOG_minloglevel", "2")  # Caffe prints the whole net otherwise
    check_files(args)
    try:
        import caffe
    except ImportError as error:
        stop(f"this runs inside a Caffe environment, and 'import caffe' failed: {error}")
    caffe.set_mode_cpu()
    net = forced_net(caffe, args.prototxt, args.caffemodel)
    walk = Walk(net, args.logits, args.layer)
    height, width = walk.net.blobs[walk.input].data.shape[2:]
    mean = read_mean(args, height, width)
    print(f"net input {height} x {width}, layer {walk.layer}, logits {walk.logits}")
    if walk.undefined:
        tell(f"no guided_input and deconv_input: they are not defined for {walk.undefined}")
    images = np.concatenate([read_images(path, height, width) for path in args.images])
    arrays = reference(walk, images, mean, args)
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
    result.add_argument(
        "--layer",
        help="a blob, or the layer that makes it (default: the last that all paths to the classifier lead through, "
        "a ReLU's or what joins branches)",
    )
    result.add_argument("--logits", help="the blob before the softmax (default: what the last head's Softmax reads)")
    result.add_argument("--rgb", action="store_true", help="the net takes RGB (default: BGR, as Caffe's own do)")
    result.add_argument(
        "--mean",
        nargs=3,
        type=float,
        metavar=("M0", "M1", "M2"),
        help="subtracted, in the net's order of channels (default: ImageNet's, 103.939 116.779 123.68 for BGR)",
    )
    result.add_argument(
        "--mean-file",
        metavar="FILE",
        help="in place of --mean: .binaryproto or .npy, [3] or [3, H, W] in the net's order; of more the middle",
    )
    result.add_argument("--scale", type=float, default=1.0, help="what the rest is multiplied by (default: 1)")
    result.add_argument("--out", default="reference.npz", help="default: %(default)s")
    return result


def stop(message):
    tell(message)
    sys.exit(2)


def tell(message):
    sys.stderr.write(f"caffe_reference: {message}\n")
    sys.stderr.flush()


def check_files(args):
    """Whatever can be said before Caffe has loaded the net."""
    for path in (args.prototxt, args.caffemodel):
        if not pathlib.Path(path).is_file():
            stop(f"no file {path}")
    for path in args.images:
        if not pathlib.Path(path).is_file():
            stop(f"no picture {path}")
        if not path.endswith(".npy"):
            pillow(path)
    if args.mean_file and not pathlib.Path(args.mean_file).is_file():
        stop(f"no file {args.mean_file}")
    if args.mean and args.mean_file:
        stop("--mean or --mean-file, not both")
    if not args.scale > 0:
        stop(f"--scale must be above 0, not {args.scale}")
    out = pathlib.Path(args.out)
    if out.is_dir():
        stop(f"--out {args.out} is a folder; name the file")
    nearest = next(folder for folder in out.absolute().parents if folder.exists())
    if not nearest.is_dir():
        stop(f"--out {args.out}: {nearest} is no folder")
    if not os.access(str(nearest), os.W_OK):
        stop(f"--out {args.out}: {nearest} cannot be written to")


def pillow(path):
    try:
        from PIL import Image, ImageOps

        return Image, ImageOps
    except ImportError:
        return stop(f"{path}: without Pillow only .npy pictures can be read")


class Walk:
    """A net's layers in order, walked forwards once and backwards under any rule.

    Attributes: net; input, layer, logits: names of blobs; undefined: what guided backprop is not defined for.
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
        shape = list(net.blobs[self.input].data.shape)
        if len(shape) != 4 or shape[1] != 3:
            stop(f"the net's input {self.input!r} is {shape}, not pictures [N, 3, H, W]")
        self.below, self.readers = self.edges()
        self.logits = self.checked_logits(self.blob(logits)) if logits else self.default_logits()
        self.top = self.last_made(self.logits)  # the layer that backward passes begin with
        after = reached([n for n, tops in enumerate(self.tops) if self.input in tops], self.readers)
        self.path = sorted(after & reached([self.top], self.below))  # layers from the input to the logits
        if not self.path:
            stop(f"the logits {self.logits!r} do not depend on the input {self.input!r}")
        self.layer = self.checked_layer(self.blob(layer)) if layer else self.default_layer()
        self.undefined = self.other_nonlinearities()

    def edges(self):
        """Layer -> the layers that it reads, and that read it; an in-place layer makes its blob anew."""
        below, readers, makers = {}, collections.defaultdict(set), {}
        for number, (bottoms, tops) in enumerate(zip(self.bottoms, self.tops)):
            below[number] = {makers[blob] for blob in bottoms if blob in makers}
            for other in below[number]:
                readers[other].add(number)
            makers.update((blob, number) for blob in tops)
        return below, readers

    def blob(self, name):
        """The name of a blob, or the blob that the layer of that name makes."""
        if name in self.net.blobs:
            made = self.last_made(name)
            if made >= 0 and self.types[made] == "Split":
                stop(f"blob {name!r} is one of Caffe's copies of {self.bottoms[made][0]!r}; take that")
            return name
        if name in self.names and self.tops[self.names.index(name)]:
            return self.tops[self.names.index(name)][0]
        return stop(f"no blob or layer {name!r}; the blobs are {', '.join(self.net.blobs)}")

    def default_logits(self):
        """What the softmax reads that depends on most of the net: auxiliary heads branch off before."""
        ends = [n for n in range(len(self.names)) if not self.readers[n] and self.tops[n]]
        heads = [n for n in ends if self.types[n] == "Softmax"] or [n for n in ends if self.types[n] != "Input"]
        heads = heads or [n for n, kind in enumerate(self.types) if kind == "Softmax"]
        if not heads:
            stop("the net has no output; name the logits by --logits")
        sizes = {head: len(reached([head], self.below)) for head in heads}
        most = [head for head in heads if sizes[head] == max(sizes.values())]
        if len(most) > 1:
            stop(f"several outputs could be the logits' ({', '.join(self.names[n] for n in most)}); name --logits")
        head = most[0]
        if self.types[head] not in ("Softmax", "Sigmoid"):
            return self.tops[head][0]
        if self.bottoms[head] == self.tops[head]:
            stop("the softmax overwrites the logits (its top is its bottom): give it a top of its own")
        return self.source(self.bottoms[head][0])

    def source(self, blob):
        """What a blob is Caffe's copy of."""
        made = self.last_made(blob)
        return self.bottoms[made][0] if made >= 0 and self.types[made] == "Split" else blob

    def checked_logits(self, blob):
        made = self.last_made(blob)
        if made >= 0 and self.types[made] in ("Softmax", "Sigmoid", "SoftmaxWithLoss"):
            stop(f"--logits {blob} is what the {self.types[made]} makes; take what it reads, {self.bottoms[made][0]!r}")
        return blob

    def default_layer(self):
        """The last bottleneck before the classifier: all paths from the input to the logits lead through it.

        It is what a ReLU makes, or what joins branches, and is larger than one place.
        """
        weights = [n for n in self.path if self.types[n] in WITH_WEIGHTS]
        found, farthest = [], 0
        for number in self.path:
            readers = [n for n in self.readers[number] if n in self.path]
            joins = self.types[number] in ("Eltwise", "Concat") and len(self.below[number]) > 1
            open_join = joins and not all(self.types[n] in ACTIVATIONS for n in readers)
            candidate = self.types[number] in ACTIVATIONS or open_join
            if candidate and farthest <= number and self.is_map(self.tops[number][0]) and number < max(weights or [0]):
                found.append(self.tops[number][0])
            farthest = max([farthest, *readers])
        return found[-1] if found else stop("the net has no ReLU above a map; name the layer by --layer")

    def is_map(self, blob):
        shape = self.net.blobs[blob].data.shape
        return len(shape) == 4 and shape[2] * shape[3] > 1

    def checked_layer(self, blob):
        """Grad-CAM's activations are maps below the logits, after the ReLU, and so are ours."""
        made, shape = self.last_made(blob), list(self.net.blobs[blob].data.shape)
        if len(shape) != 4 or made not in self.path or made == self.top or self.types[made] == "Input":
            stop(f"Grad-CAM takes maps that a layer below the logits makes; blob {blob!r} is {shape}")
        number = made
        while self.types[number] not in (*ACTIVATIONS, "Pooling"):
            following = [n for n in self.readers[number] if n in self.path]
            if len(following) != 1 or self.types[following[0]] not in (*AFFINE, "ReLU"):
                break
            number = following[0]
            if self.types[number] == "ReLU":
                stop(f"blob {blob!r} is before its ReLU; take --layer {self.tops[number][0]}")
        return blob

    def last_made(self, blob):
        """The number of the layer that gives a blob its final value: in-place layers come last."""
        made = [number for number, tops in enumerate(self.tops) if blob in tops]
        return made[-1] if made else -1

    def other_nonlinearities(self):
        """What on the way to the logits is neither linear nor a plain ReLU, in words; empty if nothing is."""
        found = []
        for number in self.path:
            kind = self.types[number]
            if kind == "ReLU" and self.forward_of(number, -1.0) < 0:
                kind = "ReLU with a negative slope"
            elif kind == "Eltwise" and self.forward_of(number, 2.0, 5.0) == self.forward_of(number, 5.0, 2.0) == 5:
                kind = "Eltwise that takes the larger"
            elif kind not in OTHERS:
                continue
            found.append(kind)
        return ", ".join(f"{kind} ({found.count(kind)})" for kind in sorted(set(found)))

    def forward_of(self, number, *values):
        """What a layer makes of constants, the last one for all bottoms beyond."""
        for place, blob in enumerate(self.bottoms[number]):
            self.net.blobs[blob].data[...] = values[min(place, len(values) - 1)]
        self.net._forward(number, number)
        return float(self.net.blobs[self.tops[number][0]].data.flat[0])

    def forward(self, inputs):
        """One picture, float32 [3, H, W], through the net."""
        self.net.blobs[self.input].data[...] = inputs[np.newaxis]
        self.net.forward()

    def probabilities(self, logits):
        """What the Softmax layer made of the logits; [C]."""
        for kind, bottoms, tops in zip(self.types, self.bottoms, self.tops):
            if kind == "Softmax" and self.source(bottoms[0]) == self.logits:
                return self.net.blobs[tops[0]].data.reshape(-1).copy()
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
        for number in reversed(self.path):
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


def reached(starts, onwards):
    """The numbers of the layers that are reached step by step, the starts among them."""
    found, waiting = set(starts), list(starts)
    while waiting:
        new = onwards[waiting.pop()] - found
        found |= new
        waiting.extend(new)
    return found


def reference(walk, images, mean, args):
    """All arrays of the file, one picture after the other."""
    ordered = images if args.rgb else images[..., ::-1]
    inputs = (ordered.astype(np.float32) - mean) * np.float32(args.scale)
    walk.net.blobs[walk.input].reshape(1, *inputs.transpose(0, 3, 1, 2).shape[1:])  # one at a time
    walk.net.reshape()
    most = walk.net.blobs[walk.logits].data.size
    if not all(0 <= index < most for index in args.classes) or (args.only and not args.classes):
        stop(f"classes are 0 to {most - 1}, not {args.classes}")
    result = collections.OrderedDict((name, []) for name in ("classes", "logits", "softmax", walk.layer))
    for picture, one in enumerate(inputs):
        tell(f"picture {picture + 1} of {len(inputs)}")
        walk.forward(one.transpose(2, 0, 1))
        logits = walk.net.blobs[walk.logits].data.reshape(-1).copy()
        check_logits(walk, logits)
        layer = walk.net.blobs[walk.layer].data.copy()
        classes = list(args.classes) if args.only else [int(logits.argmax()), *args.classes]
        result["classes"].append(classes)
        result["logits"].append(logits)
        result["softmax"].append(walk.probabilities(logits))
        result[walk.layer].append(channels_last(layer)[0])
        explained = []
        for index in classes:
            tell(f"picture {picture + 1} of {len(inputs)}, class {index}")
            explained.append(explain(walk, layer, index))
        for name in explained[0]:
            result.setdefault(name, []).append([arrays[name] for arrays in explained])
    arrays = collections.OrderedDict([("images", images), ("input", inputs)])
    arrays.update((name, np.array(values)) for name, values in result.items())
    return arrays


def check_logits(walk, logits):
    if not np.isfinite(logits).all():
        stop(f"the logits {walk.logits!r} are not finite numbers")
    if np.ptp(logits) == 0:
        stop(f"the logits {walk.logits!r} are all {logits[0]:g}: the net has no weights, or they are another net's")


def explain(walk, layer, target):
    """What the file holds of one picture and class; layer is [1, C, h, w]."""
    gradient, grad_input = walk.backward(target, "backprop")
    # Eq. 1 and 2 of the Grad-CAM paper, in float64: the sums of the gradient nearly cancel.
    alpha = gradient[0].astype(np.float64).mean(axis=(1, 2))
    cam_raw = np.tensordot(alpha, layer[0].astype(np.float64), axes=1)
    arrays = {
        "grad_" + walk.layer: channels_last(gradient)[0],
        "alpha": alpha.astype(np.float32),
        "cam_raw": cam_raw.astype(np.float32),
        "cam": np.maximum(cam_raw, 0).astype(np.float32),
        "grad_input": channels_last(grad_input)[0],
    }
    if not walk.undefined:
        arrays["guided_input"] = channels_last(walk.backward(target, "guided")[1])[0]
        arrays["deconv_input"] = channels_last(walk.backward(target, "deconvnet")[1])[0]
    return arrays


def channels_last(blob):
    return blob.transpose(0, 2, 3, 1)


def forced_net(caffe, prototxt, caffemodel):
    """The net with `force_backward`: a deployed net has no loss, and without it nothing flows backwards.

    Caffe skips layers that the caffemodel does not name, without a word, and ends the process at whatever it
    cannot take: it is asked in a process of its own first.
    """
    text = pathlib.Path(prototxt).read_bytes()  # comments may be in any encoding
    if b"\0" in text:
        stop(f"{prototxt} is no prototxt, which is text; the prototxt comes first, then the caffemodel")
    known = layers_with_weights(caffemodel)
    with tempfile.TemporaryDirectory() as folder:
        forced = pathlib.Path(folder) / "forced.prototxt"
        forced.write_bytes(re.sub(rb"force_backward\s*:\s*\w+", b"", text) + b"\nforce_backward: true\n")
        ask(forced, prototxt, caffemodel)
        net = caffe.Net(str(forced), caffe.TEST)
        missing = [name for name in net.params if name not in known]
        if missing:
            spare = [name for name in known if name not in net.params]
            stop(
                f"{caffemodel} has no weights for {len(missing)} of {len(net.params)} layers of {prototxt} "
                f"({listed(missing)}), which Caffe would leave as they are; "
                f"{'it has others: ' + listed(spare) if spare else 'it has no others'}"
            )
        net.copy_from(caffemodel)
    return net


def listed(names):
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def ask(forced, prototxt, caffemodel):
    """Stops with Caffe's own words if it cannot take the files."""
    command = [sys.executable, "-c", PROBE, str(forced), caffemodel]
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if result.returncode == 0:
        return
    lines = result.stderr.decode("utf-8", "replace").replace(str(forced), prototxt).strip().splitlines()
    said = [line for line in lines if re.match(r"F\d{4} |\[libprotobuf ERROR|\w*(Error|Exception)\b", line)]
    words = "; ".join(re.sub(r"^(F\d{4} |\[)[^\]]*\] ", "", line) for line in said[-2:] or lines[-1:])
    stop(f"Caffe cannot take {prototxt} with {caffemodel}: {words or 'it says nothing'}")


def layers_with_weights(path):
    """The names of the layers of a caffemodel that hold blobs, in their order; of both formats."""
    numbers = {2: (4, 6), 100: (1, 7)}  # NetParameter's field of layers -> numbers of a layer's name and blobs
    found = []
    try:
        with pathlib.Path(path).open("rb") as file:
            for number, _, start, end in fields(file, 0, pathlib.Path(path).stat().st_size):
                if number not in numbers:
                    continue
                name, blobs = "", False
                for part, wire, first, last in fields(file, start, end):
                    blobs = blobs or part == numbers[number][1]
                    if part == numbers[number][0] and wire == 2:
                        file.seek(first)
                        name = file.read(last - first).decode("utf-8", "replace")
                if blobs:
                    found.append(name)
    except ValueError:
        if pathlib.Path(path).read_bytes()[:4] == b"\x89HDF":
            stop(f"{path} is Caffe's HDF5; save the weights as .caffemodel, its usual form")
        stop(f"{path} is no caffemodel; the prototxt comes first, then the caffemodel")
    if not found:
        stop(f"{path} holds no layer with weights")
    return found


def fields(file, start, end):
    """The fields of a protobuf message: number, wire type, where the content starts (of a number: it itself), ends."""
    position = start
    while position < end:
        file.seek(position)
        number, wire = divmod(varint(file), 8)
        if wire not in (0, 1, 2, 5) or not number:
            raise ValueError("no protobuf message")
        value = varint(file) if wire in (0, 2) else {1: 8, 5: 4}[wire]
        first = file.tell()
        position = first + (value if wire else 0)
        if position > end:
            raise ValueError("it ends in the middle of a message")
        yield number, wire, value if wire == 0 else first, position


def varint(file):
    result = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        result |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return result
    raise ValueError("no protobuf message")


def read_mean(args, height, width):
    """What is subtracted, float32 [3] or [height, width, 3], in the net's order of channels."""
    if not args.mean_file:
        default = [123.68, 116.779, 103.939] if args.rgb else [103.939, 116.779, 123.68]
        return np.array(args.mean or default, np.float32)
    path = args.mean_file
    try:
        mean = np.load(path, allow_pickle=False) if path.endswith(".npy") else binaryproto(path)
    except (ValueError, OSError, struct.error) as error:
        return stop(f"{path} cannot be read as a mean: {error}")
    mean = np.asarray(mean, np.float32)
    mean = mean[0] if mean.ndim == 4 and len(mean) == 1 else mean
    if mean.shape in ((3,), (3, 1, 1)):
        return mean.reshape(3)
    if mean.ndim != 3 or mean.shape[0] != 3 or mean.shape[1] < height or mean.shape[2] < width:
        stop(f"{path}: a mean is [3] or [3, H, W], at least {height} x {width}, not {list(mean.shape)}")
    top, left = (mean.shape[1] - height) // 2, (mean.shape[2] - width) // 2  # as Caffe crops in tests
    return mean[:, top : top + height, left : left + width].transpose(1, 2, 0)


def binaryproto(path):
    """The array of a BlobProto, float64."""
    legacy, shape, data = {}, [], []
    with pathlib.Path(path).open("rb") as file:
        for number, wire, first, last in fields(file, 0, pathlib.Path(path).stat().st_size):
            if number <= 4 and wire == 0:
                legacy[number] = first
                continue
            file.seek(first)
            content = file.read(last - first) if wire else b""
            if number in (5, 8):
                data.append(np.frombuffer(content, "<f4" if number == 5 else "<f8").astype(np.float64))
            elif number == 7:
                shape = [size for _, _, size in dimensions(file, first, last)]
    numbers = np.concatenate(data) if data else np.zeros(0)
    return numbers.reshape(shape or [legacy.get(i, 1) for i in (1, 2, 3, 4)])


def dimensions(file, start, end):
    """A BlobShape's, packed or one by one."""
    for number, wire, first, last in list(fields(file, start, end)):
        if wire == 0:
            yield number, wire, first
            continue
        file.seek(first)
        while file.tell() < last:
            yield number, wire, varint(file)


def read_images(path, height, width):
    """uint8 [N, height, width, 3], RGB."""
    try:
        images = np.load(path, allow_pickle=False) if path.endswith(".npy") else read_picture(path)
    except (OSError, ValueError) as error:
        stop(f"{path} cannot be read: {error}")
    if not path.endswith(".npy") and images.shape[:2] != (height, width):
        print(f"{path}: {images.shape[1]} x {images.shape[0]}, resized")
        picture = pillow(path)[0]
        images = np.array(picture.fromarray(images).resize((width, height), picture.BILINEAR))
    images = images[np.newaxis] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, 3) or not len(images):
        stop(f"{path}: pictures are uint8 [N, {height}, {width}, 3], not {images.dtype} {list(images.shape)}")
    return images


def read_picture(path):
    """As a viewer shows it, uint8 [H, W, 3]: upright, 16 bits as 8, transparency over white."""
    image, operations = pillow(path)
    picture = image.open(path)
    if hasattr(operations, "exif_transpose"):  # Pillow 6
        picture = operations.exif_transpose(picture)
    if picture.mode.startswith("I"):  # grey of 16 bits, which Pillow would cut off at 255
        picture = image.fromarray(np.round(np.array(picture, np.float64).clip(0, 65535) / 257).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = image.alpha_composite(white, picture)
    return np.array(picture.convert("RGB"))


def write(path, arrays):
    """The whole file or none."""
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=str(path.parent)) as folder:
            temporary = pathlib.Path(folder) / "reference.npz"
            np.savez_compressed(str(temporary), **arrays)
            temporary.replace(path)
    except OSError as error:
        stop(f"--out {path}: {error}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read what is printed has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
