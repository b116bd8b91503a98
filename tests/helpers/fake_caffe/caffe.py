"""As much of pycaffe as scripts/caffe_reference.py touches, in NumPy, for tests without Caffe.

What matters is what trips up a program that walks through Caffe's layers: in-place layers overwrite
their blob, a blob with several consumers is split into copies, nothing flows backwards unless the net
says `force_backward`, and a layer's backward pass overwrites its bottoms' diffs. Weights come from an
npz file `{layer/number: array}` in place of a caffemodel. Runs on Python 3.6.
"""

import pathlib
import re
from collections import OrderedDict

import numpy as np

TEST = 1
__version__ = "fake"


def set_mode_cpu():
    pass


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
    def __init__(self, prototxt, weights, phase):
        assert phase == TEST
        self._net = parse(pathlib.Path(prototxt).read_text())
        with np.load(weights) as arrays:
            self._weights = dict(arrays)
        self._forced = self._net.get("force_backward") == ["true"]
        self.blobs = OrderedDict()
        self.layers, self._layer_names, self._bottoms, self._tops = [], [], [], []
        shapes = [[int(size) for size in self._net["input_dim"]]] if "input_dim" in self._net else []
        self.inputs = list(self._net.get("input", []))
        for name, shape in zip(self.inputs, shapes):
            self.blobs[name] = Blob(np.zeros(shape))
        for layer in split_shared(self._net["layer"]):
            name, kind = layer["name"][0], layer["type"][0]
            if kind == "Input":
                shape = [int(size) for size in layer["input_param"][0]["shape"][0]["dim"]]
                self.blobs[layer["top"][0]] = Blob(np.zeros(shape))
                self.inputs.append(layer["top"][0])
            blobs = [self._weights[key] for key in sorted(self._weights) if key.rpartition("/")[0] == name]
            self.layers.append(LAYERS[kind](kind, layer, blobs))
            self._layer_names.append(name)
            self._bottoms.append(layer.get("bottom", []))
            self._tops.append(layer["top"])
        self.reshape()

    @property
    def _blob_names(self):
        return list(self.blobs)

    def _bottom_ids(self, number):
        return [self._blob_names.index(name) for name in self._bottoms[number]]

    def _top_ids(self, number):
        return [self._blob_names.index(name) for name in self._tops[number]]

    def reshape(self):
        for name in self.inputs:
            self.blobs[name].data[...] = 1
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


class Layer:
    def __init__(self, kind, parameters, blobs):
        self.type, self.parameters, self.blobs = kind, parameters, blobs

    def option(self, group, name, default):
        return self.parameters.get(group, [{}])[0].get(name, [default])[0]

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


class Convolution(Layer):
    def forward(self, bottoms):
        self.pad, self.stride, self.size = (
            int(self.option("convolution_param", name, default))
            for name, default in (("pad", 0), ("stride", 1), ("kernel_size", 1))
        )
        pad = (self.pad, self.pad)
        self.padded = np.pad(bottoms[0], [(0, 0), (0, 0), pad, pad], mode="constant")
        result = 0
        for i, j in np.ndindex(self.size, self.size):
            result = result + np.einsum("nihw,oi->nohw", self.window(self.padded, i, j), self.blobs[0][:, :, i, j])
        return [result + self.blobs[1].reshape(1, -1, 1, 1) if len(self.blobs) > 1 else result]

    def window(self, padded, i, j):
        height, width = (side - self.size + 1 for side in padded.shape[2:])
        return padded[:, :, i : i + height : self.stride, j : j + width : self.stride]

    def backward(self, tops):
        diff = np.zeros_like(self.padded)
        for i, j in np.ndindex(self.size, self.size):
            self.window(diff, i, j)[...] += np.einsum("nohw,oi->nihw", tops[0], self.blobs[0][:, :, i, j])
        height, width = (side - self.pad for side in diff.shape[2:])
        return [diff[:, :, self.pad : height, self.pad : width]]


class InnerProduct(Layer):
    def forward(self, bottoms):
        self.shape = bottoms[0].shape
        return [bottoms[0].reshape(len(bottoms[0]), -1).dot(self.blobs[0].T) + self.blobs[1]]

    def backward(self, tops):
        return [tops[0].dot(self.blobs[0]).reshape(self.shape)]


class ReLU(Layer):
    def forward(self, bottoms):
        self.open = bottoms[0] > 0
        return [np.maximum(bottoms[0], 0)]

    def backward(self, tops):
        return [tops[0] * self.open]


class Pooling(Layer):
    """Maximum, output size rounded up, the first of equals; or the mean of the whole map."""

    def forward(self, bottoms):
        self.shape = bottoms[0].shape
        if self.option("pooling_param", "pool", "MAX") == "AVE":
            return [bottoms[0].mean(axis=(2, 3), keepdims=True)]
        size, stride = (int(self.option("pooling_param", name, 1)) for name in ("kernel_size", "stride"))
        round_up = self.option("pooling_param", "round_mode", "CEIL") == "CEIL"
        extra = stride - 1 if round_up else 0
        sides = [(side - size + extra) // stride + 1 for side in self.shape[2:]]
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
        np.add.at(diff, (n, c, self.places[0], self.places[1]), tops[0])
        return [diff]


class BatchNorm(Layer):
    """By the stored statistics: blobs are mean, variance and the factor that both are to be divided by."""

    def forward(self, bottoms):
        factor = self.blobs[2].item()
        mean, variance = (blob.reshape(1, -1, 1, 1) / factor for blob in self.blobs[:2])
        self.deviation = np.sqrt(variance + float(self.option("batch_norm_param", "eps", 1e-5)))
        return [(bottoms[0] - mean) / self.deviation]

    def backward(self, tops):
        return [tops[0] / self.deviation]


class Scale(Layer):
    def forward(self, bottoms):
        self.gamma, beta = (blob.reshape(1, -1, 1, 1) for blob in self.blobs)
        return [bottoms[0] * self.gamma + beta]

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
    for kind in (Input, Split, Convolution, InnerProduct, ReLU, Pooling, BatchNorm, Scale, Eltwise, Softmax)
}
LAYERS["Dropout"] = Layer
