"""Photographs that come with matplotlib and scikit-image, so that examples need no download."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import cv2
import numpy as np

from gradcam.pictures.images import read_image
from slim_models.mistakes import MissingPackage


def _of_skimage(name: str) -> np.ndarray:
    try:
        import skimage
    except ImportError as error:
        raise MissingPackage(f"{name} comes with scikit-image: pip install 'gradcam-tf1[demo]'") from error
    return read_image(pathlib.Path(skimage.__file__).parent / "data" / name)


def chelsea() -> np.ndarray:
    """A tabby cat's head (Stéfan van der Walt; CC0); uint8 `[300, 451, 3]`, RGB."""
    return _of_skimage("chelsea.png")


def coffee() -> np.ndarray:
    """An espresso on a wooden table (Rachel Michetti; CC0); uint8 `[400, 600, 3]`, RGB."""
    return _of_skimage("coffee.png")


def rocket() -> np.ndarray:
    """A Falcon 9 on its launch pad (SpaceX; CC0); uint8 `[427, 640, 3]`, RGB."""
    return _of_skimage("rocket.jpg")


def grace_hopper() -> np.ndarray:
    """Rear Admiral Grace Hopper in uniform (US Navy; public domain); uint8 `[600, 512, 3]`, RGB."""
    import matplotlib

    return read_image(pathlib.Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")


def cat_and_coffee() -> np.ndarray:
    """The cat and the cup side by side: two classes in one picture; uint8 `[400, 680, 3]`, RGB."""
    cat = cv2.resize(chelsea()[:, 125:380], (340, 400), interpolation=cv2.INTER_CUBIC)
    return np.concatenate([cat, coffee()[:, 150:490]], axis=1)


SAMPLES: dict[str, Callable[[], np.ndarray]] = {
    sample.__name__: sample for sample in (chelsea, coffee, rocket, grace_hopper, cat_and_coffee)
}
