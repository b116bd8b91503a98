"""JPEGs of any size, as a camera would make them."""

from __future__ import annotations

import pathlib

import cv2
import numpy as np
from PIL import Image

from gradcam.pictures import SAMPLES
from slim_models.mistakes import BadValue


def parse_size(text: str) -> tuple[int, int]:
    """`"500x375"` -> (375, 500): height and width."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise BadValue(f"--size must be like 500x375, not {text!r}")
    return int(height), int(width)


def make_photographs(folder: pathlib.Path, count: int, size: tuple[int, int], seed: int) -> list[str]:
    """JPEGs that are all different: parts of the sample photographs with the noise of a camera."""
    rng = np.random.default_rng(seed)
    originals = [sample() for sample in SAMPLES.values()]
    paths = []
    for number in range(count):
        original = originals[number % len(originals)]
        share = rng.uniform(0.7, 1)
        height, width = (int(share * side) for side in original.shape[:2])
        top, left = (rng.integers(whole - part + 1) for whole, part in zip(original.shape, (height, width)))
        part = original[top : top + height, left : left + width]
        pixels = cv2.resize(part, size[::-1], interpolation=cv2.INTER_LINEAR) + rng.normal(0, 4, (*size, 3))
        paths.append(str(folder / f"{number:04d}.jpg"))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths
