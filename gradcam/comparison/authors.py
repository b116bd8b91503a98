"""Pictures as the paper's authors' Torch code renders them, to compare with its files.

Their classification.lua (github.com/ramprs/grad-cam) writes for a picture and a class

- `classify_gcam_243.png`: the Grad-CAM map in grey; in early versions of their code, in colours;
- `classify_gcam_hm_243.png`: the map in colours;
- `classify_gb_243.png`: guided backprop;
- `classify_gb_gcam_243.png`: guided Grad-CAM, their product;

where 243 is the class counted from 1 (boxer), or a name that the user gave. Every picture is scaled for
display from its smallest to its largest value, so that zero has no fixed grey.
"""

from __future__ import annotations

import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

from gradcam.comparison.agreement import correlation
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from gradcam.pictures import read_image
from slim_models.mistakes import BadValue, MissingFile, MissingPackage

_NAME = re.compile(r"classify_(gb_gcam|gcam_hm|gcam|gb)_(.+)\.png")


class Pair(NamedTuple):
    """One of the authors' pictures beside ours.

    Attributes:
        name: of the file.
        target: the class, from 0.
        theirs, ours: uint8 `[H, W, 3]`, RGB.
        ssim: mean structural similarity (Wang et al. 2004), 1 for equal pictures.
        correlation: Pearson's, of all values.
    """

    name: str
    target: int
    theirs: np.ndarray
    ours: np.ndarray
    ssim: float
    correlation: float


def read_authors(folder: str | os.PathLike) -> dict[str, np.ndarray]:
    """The authors' pictures in a folder: name -> uint8 `[H, W, 3]`, RGB, all of one size.

    Raises:
        FileNotFoundError: there are none.
        ValueError: they are of several sizes, or not square.
    """
    paths = [path for path in sorted(pathlib.Path(folder).glob("classify_*.png")) if _NAME.fullmatch(path.name)]
    if not paths:
        raise MissingFile(f"no pictures of the authors' code (classify_gb_243.png, ...) in {os.fspath(folder)!r}")
    pictures = {path.name: read_image(path) for path in paths}
    sizes = {picture.shape[:2] for picture in pictures.values()}
    if len(sizes) > 1 or len(set(*sizes)) > 1:
        raise BadValue(f"the authors' pictures should be square and of one size, not {sorted(sizes)}")
    return pictures


def compare_authors(pictures: dict[str, np.ndarray], image: np.ndarray, explainer: Explainer) -> list[Pair]:
    """Renders ours as the authors did, and measures how alike they are.

    Args:
        pictures: as `read_authors` gives them.
        image: the photograph that they are of, uint8 `[H, W, 3]`; it is stretched to the network's input.
        explainer: of the network, with the rule `guided`; its default layer is theirs, after conv5_3's ReLU.

    Raises:
        KeyError: a file's class is none of the network's.
        ValueError: the network takes arrays.
        ImportError: scikit-image is not installed.
    """
    fitted = scale(image.astype(np.float64), explainer.network.check_photographs().image_size)[None]
    targets = {name: _target(name, explainer) for name in pictures}
    rendered = {index: render(explainer.explain(fitted, index)) for index in dict.fromkeys(targets.values())}
    return [_pair(name, targets[name], theirs, rendered[targets[name]]) for name, theirs in pictures.items()]


def render(explanation: Explanation) -> dict[str, np.ndarray]:
    """The four pictures of an explanation of one image.

    Returns:
        `gcam`, `gcam_hm`, `gb`, `gb_gcam` -> uint8 `[H, W, 3]`, RGB.
    """
    guided = explanation.saliency["guided"][0]
    # Their map is N times ours (a sum in place of eq. 1's mean), which the scaling for display takes away.
    cam = scale(explanation.cam()[0], guided.shape[:2])
    pictures = {"gcam": np.repeat(cam[..., None], 3, axis=-1), "gcam_hm": jet(stretched(cam)), "gb": guided}
    pictures["gb_gcam"] = guided * cam[..., None]
    return {kind: np.rint(255 * stretched(picture)).astype(np.uint8) for kind, picture in pictures.items()}


def scale(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Torch's `image.scale`: an axis that shrinks is averaged, one that grows is linear from corner to corner.

    Args:
        array: `[H, W]` or `[H, W, 3]`.
        size: (height, width).

    Returns:
        `[height, width]` or `[height, width, 3]`, nowhere beyond the smallest and the largest value of the array.
    """
    rows, columns = (_weights(old, new) for old, new in zip(array.shape, size))
    scaled = np.einsum("yh,xw,hw...->yx...", rows, columns, array, optimize=True)
    # No mean lies beyond what it is of, but rounding makes 255.000000000002 of white, which is no pixel's value.
    return np.clip(scaled, array.min(), array.max())


def _weights(old: int, new: int) -> np.ndarray:
    """How much of each of `old` places goes into each of `new`: `[new, old]`, rows that sum to 1."""
    places = np.arange(old)
    if new > old:
        positions = np.linspace(0, old - 1, new)[:, None]
        return np.maximum(1 - np.abs(positions - places), 0)
    edges = np.linspace(0, old, new + 1)
    shared = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    return np.maximum(shared, 0) * (new / old)


def stretched(array: np.ndarray) -> np.ndarray:
    """Torch's `image.toDisplayTensor`: from the smallest to the largest value -> [0, 1]."""
    moved = array - array.min()
    return moved / moved.max() if moved.max() else moved


def jet(values: np.ndarray) -> np.ndarray:
    """The authors' colours, in four straight pieces: blue, cyan, green, yellow, red.

    Args:
        values: `[H, W]` in [0, 1].

    Returns:
        `[H, W, 3]` in [0, 1].
    """
    corners = [0, 0.25, 0.5, 0.75, 1]
    channels = ([0, 0, 0, 1, 1], [0, 1, 1, 1, 0], [1, 1, 0, 0, 0])
    return np.stack([np.interp(values, corners, channel) for channel in channels], axis=-1)


def _target(name: str, explainer: Explainer) -> int:
    """The class that a file is named after: counted from 1, or a word."""
    match = _NAME.fullmatch(name)
    word = match[2] if match else name
    return explainer.index(int(word) - 1 if word.isdecimal() else word.replace("_", " "))


def _pair(name: str, target: int, theirs: np.ndarray, ours: dict[str, np.ndarray]) -> Pair:
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise MissingPackage("SSIM comes with scikit-image: pip install 'gradcam-tf1[demo]'") from error
    match = _NAME.fullmatch(name)
    kind = match[1] if match else ""
    if kind == "gcam" and np.ptp(theirs.astype(int), axis=-1).max() > 8:
        kind = "gcam_hm"  # an early version
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}  # as Wang et al. have it
    ssim = structural_similarity(theirs, ours[kind], channel_axis=-1, data_range=255, **options)
    return Pair(name, target, theirs, ours[kind], float(ssim), correlation(theirs, ours[kind]))
