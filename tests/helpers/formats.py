"""Weight files of other programs, written byte by byte as those programs write them."""

import struct

import h5py
import numpy as np


def write_keras(path, layers, whole_model=False):
    """Keras 1's and 2's HDF5: `{layer name: (kernel, bias)}`; Keras writes layers without weights too."""
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights") if whole_model else file
        group.attrs["layer_names"] = [b"input_1", *(name.encode() for name in layers)]
        group.create_group("input_1").attrs["weight_names"] = np.zeros(0, "S1")
        for name, arrays in layers.items():
            layer = group.create_group(name)
            names = [f"{name}_{kind}_1:0" for kind in "Wb"]
            layer.attrs["weight_names"] = [name.encode() for name in names]
            for weight, array in zip(names, arrays):
                layer[weight] = array
    return path


def write_caffemodel(path, layers, version=2, legacy_shapes=False, double=False):
    """A NetParameter, field by field as in caffe.proto: `{name: (type, blobs)}`, blobs in Caffe's layout.

    A layer reads what the one before makes, the first the data; a third element names other layers that it reads.
    """
    types = {"Concat": 3, "Convolution": 4, "InnerProduct": 14, "ReLU": 18, "Pooling": 17, "PReLU": 99, "Slice": 33}
    message = field(1, b"VGG_ILSVRC_16_layers")
    if version == 1:  # the input's name and its four dimensions, which V1 nets have at their top
        message += field(3, b"data") + b"".join(field(4, size) for size in (10, 3, 224, 224))
    before = "data"
    for name, (kind, blobs, *given) in layers.items():
        bottom, top = (2, 3) if version == 1 else (3, 4)
        content = b"".join(field(bottom, below.encode()) for below in (given[0] if given else [before]))
        content += field(top, name.encode())
        before = name
        blobs = b"".join(field(6 if version == 1 else 7, blob(b, legacy_shapes, double)) for b in blobs)
        if version == 1:
            content += field(4, name.encode()) + field(5, types[kind]) + blobs + fixed32(7, 1.0) + fixed32(8, 0.0)
        else:
            content = field(1, name.encode()) + field(2, kind.encode()) + content + blobs + field(10, 1)
        message += field(2 if version == 1 else 100, content)
    path.write_bytes(message)
    return path


def blob(array, legacy_shape, double):
    """A BlobProto; the old ones have four dimensions, whatever the layer."""
    array = np.asarray(array, "<f8" if double else "<f4")
    data = field(8 if double else 5, array.tobytes())
    if legacy_shape:
        shape = (1,) * (4 - array.ndim) + array.shape
        return b"".join(field(number, size) for number, size in enumerate(shape, start=1)) + data
    return data + field(7, field(1, b"".join(map(varint, array.shape))))


def field(number, value):
    """A number or a length-delimited field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed32(number, value):
    return varint(number << 3 | 5) + struct.pack("<f", value)


def varint(value):
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
