"""Reference outputs of another program, such as Caffe: files of arrays, and their layout."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gradcam.cams import grad_cam
from gradcam.explanation import Explanation
from slim_models.builders import RGB_MEAN
from slim_models.mistakes import BadValue, MissingFile, UnknownName
from slim_models.weights import read_npz, resnet_layer

LAYOUTS = ("tensorflow", "caffe")
# Gradients with respect to the network's own input -> the rule of its ReLUs.
INPUT_GRADIENTS = {"grad_input": "backprop", "guided_input": "guided", "deconv_input": "deconvnet"}
_OF_THE_LAYER = ("alpha", "cam_raw", "cam")
_OF_THE_PICTURE = ("input", "logits", "softmax", "pool5")
_NOT_COMPARED = ("images", "classes", "seed")
_BLOBS = {"data": "input", "fc8": "logits", "prob": "softmax"}  # what they are called in Caffe's nets


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """What another program computed.

    Attributes:
        images: `[N, H, W, 3]`, RGB in [0, 255].
        classes: int `[N, K]`; K is 0 if it names none.
        arrays: name -> array as in the file, with the axis of classes where a quantity has one.
        layout: `"tensorflow"`, channels last, or `"caffe"`, channels before height and width.
    """

    images: np.ndarray
    classes: np.ndarray
    arrays: Mapping[str, np.ndarray]
    layout: str

    def of(self, quantity: Quantity, picture: int, number: int) -> np.ndarray | None:
        """The array of one picture and class in TensorFlow's layout; None if the reference leaves it out."""
        array = np.asarray(self.arrays[quantity.name])
        one_class = self.arrays["classes"].ndim == 1 if "classes" in self.arrays else False
        if quantity.per_class and one_class:
            array = array[:, None]
        index = (picture, number) if quantity.per_class else (picture,)
        if array.ndim < len(index):
            raise BadValue(f"the reference's {quantity.name!r} is {list(array.shape)}; its first axis is the picture")
        known = self.classes.shape if quantity.per_class else self.classes.shape[:1]
        if not array[:1].size or any(size > most for size, most in zip(array.shape, known)):
            axes = "[pictures, classes]" if quantity.per_class else "[pictures]"
            raise BadValue(f"the reference's {quantity.name!r} is {list(array.shape)}; there are {list(known)} {axes}")
        if any(i >= size for i, size in zip(index, array.shape)):
            return None
        array = array[index]
        if quantity.kind in ("logits", "softmax", "pool5", "alpha"):
            return array.reshape(-1)
        spatial = quantity.kind in ("input", "activations", "gradients", "saliency")
        caffe = self.layout == "caffe" and spatial and array.ndim == 3
        return np.moveaxis(array, 0, -1) if caffe else array


def read_reference(source: str | os.PathLike | Mapping[str, np.ndarray], layout: str, input_order: str) -> Reference:
    """Reads a reference.

    Args:
        source: an npz file, or its arrays by name.
        layout: one of `LAYOUTS`.
        input_order: `"BGR"` or `"RGB"`, in case there is only `input` and no `images`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no npz of plain arrays, no pictures in it, or no classes for its gradients.
    """
    check_layout(layout)
    arrays = dict(source) if isinstance(source, Mapping) else _read(pathlib.Path(source))
    for name, array in arrays.items():
        if np.asarray(array).dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise BadValue(f"the reference's {name!r} should be finite numbers; it is {array.dtype} {array.shape}")
    images = pictures_of(arrays, input_order)
    classes = np.asarray(arrays.get("classes", np.zeros((len(images), 0), np.int64)))
    if classes.dtype.kind not in "iu" or classes.ndim not in (1, 2) or len(classes) != len(images):
        raise BadValue(f"'classes' should be whole numbers [{len(images)}, K], not {classes.dtype} {classes.shape}")
    return Reference(images, classes.reshape(len(images), -1), arrays, layout)


def check_layout(layout: str) -> None:
    """Raises a ValueError if there is no such layout."""
    if layout not in LAYOUTS:
        raise BadValue(f"no layout {layout!r}; the layouts are {', '.join(LAYOUTS)}")


def pictures_of(arrays: Mapping[str, np.ndarray], input_order: str) -> np.ndarray:
    """The pictures of a reference, `[N, H, H, 3]`, RGB in [0, 255]; arguments and errors as of `read_reference`."""
    if "images" in arrays:
        images = channels_last(np.asarray(arrays["images"]))
    elif given := {"input", "data"} & arrays.keys():
        images = channels_last(np.asarray(arrays[given.pop()]))
        images = np.clip(ordered(images, input_order) + np.array(RGB_MEAN, np.float32), 0, 255)
    else:
        raise BadValue(f"the reference has neither 'images' nor 'input', but {', '.join(arrays) or 'nothing'}")
    if not len(images):
        raise BadValue("the reference has no pictures: N is 0")
    return images


def channels_last(images: np.ndarray) -> np.ndarray:
    """Pictures `[N, H, H, 3]`, or `[N, 3, H, H]`, as the former.

    Raises:
        ValueError: they are neither.
    """
    if images.ndim == 4 and images.shape[1] == 3 != images.shape[3]:
        images = np.moveaxis(images, 1, -1)
    if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise BadValue(f"the reference's pictures should be square, [N, H, H, 3], not {list(images.shape)}")
    return images


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise MissingFile(f"no reference at {path}")
    return read_npz(path)


# What a large map was reduced to: every fourth place, or five numbers.
_REDUCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda array: array,
    "_stride4": lambda array: array[1::4, 2::4],
    "_stats": lambda v: np.array([v.sum(), np.abs(v).sum(), np.square(v).sum(), v.min(), v.max()]),
}


def scales_of_stats(stats: np.ndarray) -> np.ndarray:
    """What each of the five numbers is measured against: sums against the sum of magnitudes, extremes of the peak."""
    peak = np.abs(stats[3:]).max()
    return np.maximum([stats[1], stats[1], stats[2], peak, peak], np.finfo(np.float64).tiny)


def network_inputs(images: np.ndarray, input_order: str) -> np.ndarray:
    """What Caffe is fed: RGB in [0, 255] -> less the mean, in the network's own order of channels."""
    return ordered(images.astype(np.float32) - np.array(RGB_MEAN, np.float32), input_order)


def ordered(images: np.ndarray, input_order: str) -> np.ndarray:
    """Channels from RGB to the order `"BGR"` or `"RGB"`, or back."""
    return images[..., ::-1] if input_order == "BGR" else images


@dataclasses.dataclass(frozen=True)
class Quantity:
    """What an array of a reference is.

    Attributes:
        name: as in the file.
        kind: `logits`, `softmax`, `input`, `pool5`, `activations`, `gradients`, `alpha`, `cam_raw`, `cam` or
            `saliency`.
        key: the layer, or the rule of a saliency.
        reduction: `""`, `"_stride4"` or `"_stats"`.
    """

    name: str
    kind: str
    key: str = ""
    reduction: str = ""

    @property
    def per_class(self) -> bool:
        """Whether there is one for each class, not one a picture."""
        return self.kind in ("gradients", "saliency", *_OF_THE_LAYER)

    def of(self, explanation: Explanation, number: int, input_order: str) -> np.ndarray:
        """Ours: of entry `number` of the explanation, as the reference has it.

        Args:
            explanation: with the layer and the rule.
            number: of the entry.
            input_order: `"BGR"` or `"RGB"`, the network's own input, which its gradients speak of.
        """
        e, layer = explanation[number], self.key
        if self.kind == "saliency":
            return _REDUCTIONS[self.reduction](ordered(e.saliency[self.key][0], input_order))
        values: dict[str, Callable[[], np.ndarray]] = {
            "logits": lambda: e.logits,
            "softmax": lambda: e.probabilities,
            "input": lambda: network_inputs(e.images, input_order),
            "pool5": lambda: e.activations[layer].mean(axis=(1, 2)),
            "activations": lambda: e.activations[layer],
            "gradients": lambda: e.gradients[layer],
            "alpha": lambda: e.gradients[layer].mean(axis=(1, 2), dtype=np.float64),
            "cam_raw": lambda: np.einsum("nhwk,nk->nhw", e.activations[layer], e.gradients[layer].mean(axis=(1, 2))),
            "cam": lambda: grad_cam(e.activations[layer], e.gradients[layer]),
        }
        return values[self.kind]()[0]


def quantities(names: Sequence[str], endpoints: Sequence[str], default_layer: str, layer: str | None) -> list[Quantity]:
    """What the arrays of a reference are.

    Args:
        names: of the arrays; those that are not outputs (`images`, `classes`, `seed`) are passed over.
        endpoints: the network's layers. Caffe's `relu5_3` is `conv5_3`, which is after its ReLU here, and its ResNet's
            `res4f` is `block3/unit_6`.
        default_layer: which layer `alpha` and `cam` are of, unless the reference has the gradient of
            exactly one.
        layer: that layer, and which one an array that is named as no layer is; None where that is clear.

    Raises:
        KeyError: a name that means nothing here.
        ValueError: gradients of several layers, so that `cam` could be of any.
    """

    def endpoint(name: str) -> str | None:
        known = [n for n in (name, name.replace("relu", "conv", 1), resnet_layer(name)) if n in endpoints]
        return known[0] if known else None

    plain = [name for name in names if name not in _NOT_COMPARED]
    of_gradients = {e for name in plain if name.startswith("grad_") and (e := endpoint(name.removeprefix("grad_")))}
    if layer is None and len(of_gradients) > 1 and set(plain) & set(_OF_THE_LAYER):
        raise BadValue(f"the reference has gradients of {sorted(of_gradients)}; --layer says which one its cam is of")
    target = layer or next(iter(of_gradients), default_layer)
    return [_quantity(name, endpoint, target, layer, default_layer) for name in plain]


def _quantity(
    name: str, endpoint: Callable[[str], str | None], target: str, layer: str | None, default: str
) -> Quantity:
    for suffix in ("_stride4", "_stats", ""):
        if name.endswith(suffix) and (stem := name.removesuffix(suffix)) in INPUT_GRADIENTS:
            return Quantity(name, "saliency", INPUT_GRADIENTS[stem], suffix)
    if name in _OF_THE_LAYER:
        return Quantity(name, name, target)
    stem = name.removeprefix("grad_")
    found = endpoint(stem)
    if found is None and _BLOBS.get(name, name) in _OF_THE_PICTURE:
        return Quantity(name, _BLOBS.get(name, name), default)
    if found is None and layer is None:
        known = [*_OF_THE_PICTURE, *_OF_THE_LAYER, *INPUT_GRADIENTS, "a layer", "grad_ and a layer"]
        raise UnknownName(
            f"the reference's array {name!r} is unknown here; known are {', '.join(known)} and, not compared, "
            f"{', '.join(_NOT_COMPARED)}; if it is a layer under another name, --layer says which"
        )
    return Quantity(name, "gradients" if stem != name else "activations", found or target)
