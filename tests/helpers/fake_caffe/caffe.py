"""As much of pycaffe as scripts/caffe_reference.py touches, in NumPy, for tests without Caffe.

What matters is what trips up a program that walks through Caffe's layers: in-place layers overwrite
their blob, a blob with several consumers is split into copies, nothing flows backwards unless the net
says `force_backward`, and a layer's backward pass overwrites its bottoms' diffs. So are its habits: old prototxts are
upgraded (`layers` to `layer`, `input` to a layer of that name), layers that a caffemodel does not name keep what they
were filled with, without a word, comments may be in any encoding, and what it cannot take ends the process.
Runs on Python 3.6.
"""

import os
import pathlib
import re
import sys
from collections import OrderedDict

import numpy as np

TEST = 1
__version__ = "fake"
V1_TYPES = {
    "CONCAT": "Concat",
    "CONVOLUTION": "Convolution",
    "DROPOUT": "Dropout",
    "ELTWISE": "Eltwise",
    "INNER_PRODUCT": "InnerProduct",
    "POOLING": "Pooling",
    "RELU": "ReLU",
    "SOFTMAX": "Softmax",
}


def set_mode_cpu():
    pass


def fatal(place, message):
    """What glog's CHECK does: a line, and the end of the process."""
    sys.stderr.write(f"F1126 12:00:00.000000     1 {place}] {message}\n*** Check failure stack trace: ***\n")
    sys.stderr.flush()
    os._exit(134)


class Blob:
    def __init__(self, data):
        self.data = np.asarray(data, np.float32)
        self.diff = np.zeros_like(self.data)

    @property
    def shape(self):
        return self.data.shape

    def reshape(self, *shape):
        self.__init__(np.zeros(shape))


class Net:
    def __init__(self, prototxt, *arguments):
        assert arguments[-1] == TEST
        if not pathlib.Path(prototxt).is_file():
            raise RuntimeError(f"Could not open file {prototxt}")
        self._net = upgraded(read_prototxt(prototxt))
        self._forced = self._net.get("force_backward") == ["true"]
        self.blobs, self.params, self.inputs = OrderedDict(), OrderedDict(), []
        self.layers, self._layer_names, self._bottoms, self._tops = [], [], [], []
        for layer in split_shared(self._net["layer"]):
            name, kind = layer["name"][0], layer["type"][0]
            if kind not in LAYERS:
                fatal("layer_factory.hpp:81", f"Check failed: Unknown layer type: {kind}")
            if kind == "Input":
                shapes = input_shapes(layer)
                count = shapes[0][0]
                for top, shape in zip(layer["top"], shapes):
                    self.blobs[top] = Blob(np.zeros((1, *shape[1:])))  # one of the batch tells all shapes
                    self.inputs.append(top)
            bottoms = layer.get("bottom", [])
            made = LAYERS[kind](kind, layer, [self.blobs[name].shape for name in bottoms])
            if made.blobs:
                self.params[name] = made.blobs
            self.layers.append(made)
            self._layer_names.append(name)
            self._bottoms.append(bottoms)
            self._tops.append(layer.get("top", []))
            self._forward(len(self.layers) - 1, len(self.layers) - 1)
        for blob in self.blobs.values():
            blob.reshape(count, *blob.shape[1:])
        if len(arguments) == 2:
            self.copy_from(arguments[0])

    def copy_from(self, path):
        """By the names of the layers: what is named on one side only stays as it is."""
        try:
            message = decoded(pathlib.Path(path).read_bytes())
        except (IndexError, ValueError):
            fatal("upgrade_proto.cpp:95", "Check failed: ReadProtoFromBinaryFile(param_file, param) " + str(path))
        for number, (name_field, blobs_field) in ((2, (4, 6)), (100, (1, 7))):
            for layer in map(decoded, message.get(number, [])):
                name = layer[name_field][0].decode()
                blobs = [blob_of(decoded(content)) for content in layer.get(blobs_field, [])]
                for i, (mine, theirs) in enumerate(zip(self.params.get(name, []), blobs)):
                    if mine.data.size != theirs.size or [s for s in mine.shape if s > 1] != [
                        s for s in theirs.shape if s > 1
                    ]:
                        text = f"Cannot copy param {i} weights from layer '{name}'; shape mismatch."
                        fatal("net.cpp:757", text)
                    mine.data[...] = theirs.reshape(mine.shape)

    @property
    def _blob_names(self):
        return list(self.blobs)

    def _bottom_ids(self, number):
        return [self._blob_names.index(name) for name in self._bottoms[number]]

    def _top_ids(self, number):
        return [self._blob_names.index(name) for name in self._tops[number]]

    def reshape(self):
        self._forward(0, len(self.layers) - 1)

    def forward(self):
        self._forward(0, len(self.layers) - 1)

    def _forward(self, start, end):
        for layer, bottoms, tops in list(zip(self.layers, self._bottoms, self._tops))[start : end + 1]:
            outputs = layer.forward([self.blobs[name].data.copy() for name in bottoms])
            for name, output in zip(tops, outputs):
                if name in self.blobs and self.blobs[name].shape == output.shape:
                    self.blobs[name].data[...] = output
                else:
                    self.blobs[name] = Blob(output)

    def _backward(self, start, end):
        for number in range(start, end - 1, -1) if self._forced else ():
            tops = [self.blobs[name].diff.copy() for name in self._tops[number]]
            bottoms = self.layers[number].backward(tops)
            for name, diff in zip(self._bottoms[number], bottoms):
                self.blobs[name].diff[...] = diff


def split_shared(layers):
    """Caffe's InsertSplits: a blob that several layers read is read through a copy for each."""
    readers = {}
    versions = {}
    for number, layer in enumerate(layers):
        for position, name in enumerate(layer.get("bottom", [])):
            readers.setdefault((name, versions.get(name, -1)), []).append((number, position))
        for name in layer["top"]:
            versions[name] = number
    result = []
    for number, layer in enumerate(layers):
        result.append(layer)
        for name in layer["top"]:
            places = readers.get((name, number), [])
            if len(places) < 2:
                continue
            copies = ["{}_{}_split_{}".format(name, layer["name"][0], i) for i in range(len(places))]
            result.append({"name": [copies[0][:-2]], "type": ["Split"], "bottom": [name], "top": copies})
            for copy, (reader, position) in zip(copies, places):
                layers[reader]["bottom"][position] = copy
    return result


def read_prototxt(path):
    """Bytes that are no text in comments are none of protobuf's business."""
    text = pathlib.Path(path).read_bytes().decode("latin-1")
    if re.sub(r'"[^"]*"|#.*|[\w.+{}:\s-]', "", text):
        sys.stderr.write("[libprotobuf ERROR google/protobuf/text_format.cc:274] Error parsing text-format ")
        sys.stderr.write("caffe.NetParameter: 1:1: Expected identifier.\n")
        fatal("upgrade_proto.cpp:88", "Check failed: ReadProtoFromTextFile(param_file, param) " + str(path))
    return parse(text)


def parse(text):
    """A text-format protobuf message: field -> list of its values."""
    tokens = iter(re.findall(r'"[^"]*"|[{}]|[^\s{}:]+', re.sub("#.*", "", text)))

    def message():
        fields = {}
        for name in tokens:
            if name == "}":
                break
            value = next(tokens)
            fields.setdefault(name, []).append(message() if value == "{" else value.strip('"'))
        return fields

    return message()


def upgraded(net):
    """The net as of today: layers of 2014, and inputs that are no layers."""
    layers = net.get("layer", []) + [
        dict(layer, type=[V1_TYPES.get(layer["type"][0], layer["type"][0])]) for layer in net.get("layers", [])
    ]
    if "input" in net:
        sizes = [int(size) for size in net.get("input_dim", [])]
        shapes = [{"dim": sizes[i : i + 4]} for i in range(0, len(sizes), 4)] or net["input_shape"]
        given = {"name": ["input"], "type": ["Input"], "top": net["input"], "input_param": [{"shape": shapes}]}
        layers = [given, *layers]
    return dict(net, layer=layers)


def input_shapes(layer):
    return [[int(size) for size in shape["dim"]] for shape in layer["input_param"][0]["shape"]]


def decoded(content):
    """A binary protobuf message: number -> list of numbers and of bytes."""
    fields, place = {}, 0

    def varint():
        nonlocal place
        result = shift = 0
        while True:
            byte = content[place]
            place += 1
            result |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return result

    while place < len(content):
        number, wire = divmod(varint(), 8)
        if wire not in (0, 1, 2, 5) or not number:
            raise ValueError
        value = varint() if wire in (0, 2) else {1: 8, 5: 4}[wire]
        if wire:
            value, place = content[place : place + value], place + value
        if place > len(content):
            raise ValueError
        fields.setdefault(number, []).append(value)
    return fields


def blob_of(fields):
    """The array of a BlobProto."""
    data = np.frombuffer(fields[5][0], "<f4") if 5 in fields else np.frombuffer(fields[8][0], "<f8")
    if 7 not in fields:
        return data.reshape([fields.get(number, [1])[0] for number in (1, 2, 3, 4)])
    (packed,) = decoded(fields[7][0]).get(1, [b""])
    return data.reshape(list(decoded(b"".join(b"\x08" + bytes(part) for part in varints(packed))).get(1, [])))


def varints(content):
    """The numbers of a packed field, each as its bytes."""
    part = []
    for byte in content:
        part.append(byte)
        if byte < 128:
            yield part
            part = []


class Layer:
    def __init__(self, kind, parameters, shapes):
        self.type, self.parameters = kind, parameters
        self.blobs = [Blob(np.full(shape, value)) for shape, value in self.fillers(*shapes)]

    def fillers(self, *shapes):
        """Shape and value of each blob, before weights are copied."""
        return []

    def option(self, group, name, default):
        return self.parameters.get(group, [{}])[0].get(name, [default])[0]

    def number(self, group, name, default):
        return int(self.option(group, name, default))

    def with_biases(self, group, shape):
        return [(shape, 0)] + ([(shape[:1], 0)] if self.option(group, "bias_term", "true") == "true" else [])

    def forward(self, bottoms):
        return bottoms

    def backward(self, tops):
        return tops


class Input(Layer):
    def forward(self, bottoms):
        return []


class Split(Layer):
    def forward(self, bottoms):
        return [bottoms[0].copy() for _ in self.parameters["top"]]

    def backward(self, tops):
        return [sum(tops)]


class Concat(Layer):
    def forward(self, bottoms):
        self.ends = np.cumsum([bottom.shape[1] for bottom in bottoms])[:-1]
        return [np.concatenate(bottoms, axis=1)]

    def backward(self, tops):
        return np.split(tops[0], self.ends, axis=1)


class Convolution(Layer):
    def fillers(self, shape):
        depth, size = (self.number("convolution_param", name, 1) for name in ("num_output", "kernel_size"))
        return self.with_biases("convolution_param", (depth, shape[1], size, size))

    def forward(self, bottoms):
        self.pad, self.stride, self.size = (
            int(self.option("convolution_param", name, default))
            for name, default in (("pad", 0), ("stride", 1), ("kernel_size", 1))
        )
        pad = (self.pad, self.pad)
        self.padded = np.pad(bottoms[0], [(0, 0), (0, 0), pad, pad], mode="constant")
        result = 0
        for i, j in np.ndindex(self.size, self.size):
            result = result + np.einsum("nihw,oi->nohw", self.window(self.padded, i, j), self.blobs[0].data[:, :, i, j])
        return [result + self.blobs[1].data.reshape(1, -1, 1, 1) if len(self.blobs) > 1 else result]

    def window(self, padded, i, j):
        height, width = (side - self.size + 1 for side in padded.shape[2:])
        return padded[:, :, i : i + height : self.stride, j : j + width : self.stride]

    def backward(self, tops):
        diff = np.zeros_like(self.padded)
        for i, j in np.ndindex(self.size, self.size):
            self.window(diff, i, j)[...] += np.einsum("nohw,oi->nihw", tops[0], self.blobs[0].data[:, :, i, j])
        height, width = (side - self.pad for side in diff.shape[2:])
        return [diff[:, :, self.pad : height, self.pad : width]]


class InnerProduct(Layer):
    def fillers(self, shape):
        depth = self.number("inner_product_param", "num_output", 1)
        return self.with_biases("inner_product_param", (depth, int(np.prod(shape[1:]))))

    def forward(self, bottoms):
        self.shape = bottoms[0].shape
        result = bottoms[0].reshape(len(bottoms[0]), -1).dot(self.blobs[0].data.T)
        return [result + self.blobs[1].data if len(self.blobs) > 1 else result]

    def backward(self, tops):
        return [tops[0].dot(self.blobs[0].data).reshape(self.shape)]


class ReLU(Layer):
    def forward(self, bottoms):
        slope = float(self.option("relu_param", "negative_slope", 0))
        self.slopes = np.where(bottoms[0] > 0, 1, slope)
        return [bottoms[0] * self.slopes]

    def backward(self, tops):
        return [tops[0] * self.slopes]


class ELU(Layer):
    def forward(self, bottoms):
        self.slopes = np.where(bottoms[0] > 0, 1, np.exp(np.minimum(bottoms[0], 0)))
        return [np.where(bottoms[0] > 0, bottoms[0], self.slopes - 1)]

    def backward(self, tops):
        return [tops[0] * self.slopes]


class Pooling(Layer):
    """Maximum, output size rounded up, the first of equals; or the mean of the whole map."""

    def forward(self, bottoms):
        self.shape = bottoms[0].shape
        if self.option("pooling_param", "pool", "MAX") == "AVE":
            return [bottoms[0].mean(axis=(2, 3), keepdims=True)]
        size, stride = (int(self.option("pooling_param", name, 1)) for name in ("kernel_size", "stride"))
        pad = self.number("pooling_param", "pad", 0)
        padding = [(0, 0), (0, 0), (pad, pad), (pad, pad)]
        bottoms = [np.pad(bottoms[0], padding, mode="constant", constant_values=-np.inf)]
        self.pad, shape = pad, bottoms[0].shape
        round_up = self.option("pooling_param", "round_mode", "CEIL") == "CEIL"
        extra = stride - 1 if round_up else 0
        sides = [(side - size + extra) // stride + 1 for side in shape[2:]]
        self.places = np.zeros((2, *self.shape[:2], *sides), int)
        result = np.zeros((*self.shape[:2], *sides), np.float32)
        for y, x in np.ndindex(*sides):
            window = bottoms[0][:, :, y * stride : y * stride + size, x * stride : x * stride + size]
            flat = window.reshape((*self.shape[:2], -1))
            best = flat.argmax(axis=-1)
            self.places[0, :, :, y, x] = y * stride + best // window.shape[3]
            self.places[1, :, :, y, x] = x * stride + best % window.shape[3]
            result[:, :, y, x] = flat.max(axis=-1)
        return [result]

    def backward(self, tops):
        diff = np.zeros(self.shape, np.float32)
        if self.option("pooling_param", "pool", "MAX") == "AVE":
            return [diff + tops[0] / np.prod(self.shape[2:])]
        n, c = np.indices(tops[0].shape)[:2]
        np.add.at(diff, (n, c, self.places[0] - self.pad, self.places[1] - self.pad), tops[0])
        return [diff]


class BatchNorm(Layer):
    """By the stored statistics: blobs are mean, variance and the factor that both are to be divided by."""

    def fillers(self, shape):
        return [((shape[1],), 0), ((shape[1],), 0), ((1,), 0)]

    def forward(self, bottoms):
        factor = self.blobs[2].data.item()
        scale = 1 / factor if factor else 0
        mean, variance = (blob.data.reshape(1, -1, 1, 1) * scale for blob in self.blobs[:2])
        self.deviation = np.sqrt(variance + float(self.option("batch_norm_param", "eps", 1e-5)))
        return [(bottoms[0] - mean) / self.deviation]

    def backward(self, tops):
        return [tops[0] / self.deviation]


class Scale(Layer):
    def fillers(self, shape):
        return [((shape[1],), 1)] + [((shape[1],), 0)] * (self.option("scale_param", "bias_term", "false") == "true")

    def forward(self, bottoms):
        self.gamma, *beta = (blob.data.reshape(1, -1, 1, 1) for blob in self.blobs)
        return [bottoms[0] * self.gamma + sum(beta)]

    def backward(self, tops):
        return [tops[0] * self.gamma]


class Eltwise(Layer):
    def forward(self, bottoms):
        return [sum(bottoms)]

    def backward(self, tops):
        return [tops[0]] * len(self.parameters["bottom"])


class Softmax(Layer):
    def forward(self, bottoms):
        exponentials = np.exp(bottoms[0] - bottoms[0].max(axis=1, keepdims=True))
        return [exponentials / exponentials.sum(axis=1, keepdims=True)]

    def backward(self, tops):
        raise AssertionError("the gradient of the softmax is not wanted")


LAYERS = {
    kind.__name__: kind
    for kind in (
        *(Input, Split, Concat, Convolution, InnerProduct, ReLU, ELU, Pooling, BatchNorm, Scale, Eltwise, Softmax),
    )
}
LAYERS["Dropout"] = Layer
