"""Reference outputs of another program, such as Caffe: files of arrays, and their layout."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from gradcam.quantities import Quantity, ordered
from slim_models.preprocessing import RGB_MEAN
from slim_models.weights import read_npz

LAYOUTS = ("tensorflow", "caffe")


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
            raise ValueError(f"the reference's {quantity.name!r} is {list(array.shape)}; its first axis is the picture")
        known = self.classes.shape if quantity.per_class else self.classes.shape[:1]
        if not array[:1].size or any(size > most for size, most in zip(array.shape, known)):
            axes = "[pictures, classes]" if quantity.per_class else "[pictures]"
            raise ValueError(
                f"the reference's {quantity.name!r} is {list(array.shape)}; there are {list(known)} {axes}"
            )
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
    if layout not in LAYOUTS:
        raise ValueError(f"no layout {layout!r}; the layouts are {', '.join(LAYOUTS)}")
    arrays = dict(source) if isinstance(source, Mapping) else _read(pathlib.Path(source))
    for name, array in arrays.items():
        if np.asarray(array).dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ValueError(f"the reference's {name!r} should be finite numbers; it is {array.dtype} {array.shape}")
    images = pictures_of(arrays, input_order)
    classes = np.asarray(arrays.get("classes", np.zeros((len(images), 0), np.int64)))
    if classes.dtype.kind not in "iu" or classes.ndim not in (1, 2) or len(classes) != len(images):
        raise ValueError(f"'classes' should be whole numbers [{len(images)}, K], not {classes.dtype} {classes.shape}")
    return Reference(images, classes.reshape(len(images), -1), arrays, layout)


def pictures_of(arrays: Mapping[str, np.ndarray], input_order: str) -> np.ndarray:
    """The pictures of a reference, `[N, H, H, 3]`, RGB in [0, 255]; arguments and errors as of `read_reference`."""
    if "images" in arrays:
        images = _channels_last(np.asarray(arrays["images"]))
    elif given := {"input", "data"} & arrays.keys():
        images = _channels_last(np.asarray(arrays[given.pop()]))
        images = np.clip(ordered(images, input_order) + np.array(RGB_MEAN, np.float32), 0, 255)
    else:
        raise ValueError(f"the reference has neither 'images' nor 'input', but {', '.join(arrays) or 'nothing'}")
    if not len(images):
        raise ValueError("the reference has no pictures: N is 0")
    return images


def _channels_last(images: np.ndarray) -> np.ndarray:
    if images.ndim == 4 and images.shape[1] == 3 != images.shape[3]:
        images = np.moveaxis(images, 1, -1)
    if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise ValueError(f"the reference's pictures should be square, [N, H, H, 3], not {list(images.shape)}")
    return images


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise FileNotFoundError(f"no reference at {path}")
    return read_npz(path)
