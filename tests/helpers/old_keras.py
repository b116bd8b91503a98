"""HDF5 files as Keras 1 and 2 wrote them, made by h5py alone."""

import json

import h5py
import numpy as np


def write_old(path, model, weights, version=b"2.2.4", backend=b"tensorflow"):
    """A whole model.

    Args:
        path: to write to.
        model: its configuration in the old form; None leaves it out, as `save_weights` did.
        weights: layer -> {name of the weight: array}.
        version: of Keras; None as before 1.1, which did not say.
        backend: None as Keras 1 did not say.
    """
    with h5py.File(path, "w") as file:
        if model is not None:
            file.attrs["model_config"] = json.dumps(model).encode()
        group = file if model is None else file.create_group("model_weights")
        for key, value in {"keras_version": version, "backend": backend}.items():
            if value is not None:
                file.attrs[key] = value
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = np.array([key.encode() for key in arrays], "S")
            for key, array in arrays.items():
                layer[key] = array
    return path


def old(class_name, name, inbound=None, **config):
    """A layer's entry; `inbound`: what it is called on, each as `"layer"` or `("layer", call)`, for each call."""
    entry = {"class_name": class_name, "config": {"name": name, "trainable": True, **config}}
    if class_name == "InputLayer":
        del entry["config"]["trainable"]
    if inbound is not None:
        calls = [[(one, 0) if isinstance(one, str) else one for one in call] for call in inbound]
        nodes = [[[layer, call, 0, *(more or [{}])] for layer, call, *more in inner] for inner in calls]
        entry |= {"name": name, "inbound_nodes": nodes}
    return entry


def start(size=32):
    """The input of a functional model."""
    shape = [None, size, size, 3]
    return old("InputLayer", "images", [], batch_input_shape=shape, dtype="float32", sparse=False, ragged=False)


def functional(name, layers, output, class_name="Model", first="images"):
    """A functional model of entries."""
    config = {"name": name, "layers": layers, "input_layers": [[first, 0, 0]], "output_layers": [[output, 0, 0]]}
    return {"class_name": class_name, "config": config}


def values(layer, start=0):
    """A layer's weights by the names that Keras 2 gave them, drawn anew so that statistics are no zeros and ones."""
    random = np.random.default_rng(start + sum(map(ord, layer.name)))
    drawn = [
        random.uniform(0.5, 1.5, weight.shape)
        if weight.shape == layer.weights[0].shape and len(weight.shape) == 1
        else random.normal(0, 0.3, weight.shape)
        for weight in layer.weights
    ]
    if len(drawn) in (3, 4) and drawn[-1].ndim == 1 and drawn[0].ndim == 1:
        drawn[-1] = random.uniform(0.5, 1.5, drawn[-1].shape)  # a batch norm's variance
    layer.set_weights(drawn)
    kinds = [getattr(weight, "path", weight.name).rpartition("/")[2].removesuffix(":0") for weight in layer.weights]
    return {f"{layer.name}/{kind}:0": array for kind, array in zip(kinds, layer.get_weights())}
