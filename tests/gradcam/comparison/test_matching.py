"""Maps that are the same but for a scale, a reduction or an enlargement: enlargements beside those of libraries."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from skimage import transform

from gradcam.comparison.matching import REDUCTIONS, RESIZINGS, likeness, resized

SMALL = np.random.default_rng(0).uniform(-1, 2, (5, 7))
SIGNED = np.random.default_rng(1).normal(size=(6, 8, 3))
SIZE, FOURFOLD = (23, 31), (20, 28)


def by_tensorflow(method, size=SIZE):
    return np.asarray(tf.image.resize(np.float32(SMALL)[..., None], size, method))[..., 0]


def by_opencv(method):
    return cv2.resize(SMALL, SIZE[::-1], interpolation=method)


LIBRARIES = {
    "bilinear": [lambda: by_opencv(cv2.INTER_LINEAR), lambda: by_tensorflow("bilinear")],
    "bilinear with corners on corners": [lambda: ndimage.zoom(SMALL, np.divide(SIZE, SMALL.shape), order=1)],
    "bilinear with mirrored edges": [lambda: transform.resize(SMALL, SIZE, order=1)],
    # Its kernel is a table, which is exact at such places.
    "bicubic as TensorFlow's": [lambda: by_tensorflow("bicubic", FOURFOLD)],
    "bicubic as OpenCV's and PyTorch's": [lambda: by_opencv(cv2.INTER_CUBIC)],
    "nearest": [lambda: by_tensorflow("nearest")],
}


@pytest.mark.parametrize("name", RESIZINGS)
def test_enlargements_are_the_libraries_own(name):
    for library in LIBRARIES[name]:
        expected = library()
        np.testing.assert_allclose(resized(SMALL, expected.shape, name), expected, atol=2e-5)
    found = likeness(3 * LIBRARIES[name][0]() - 1, SMALL)
    assert found.how == f"enlarged, {name}" and found.fitted and found.difference < 1e-5


def test_nothing_is_done_to_what_is_the_same():
    found = likeness(SMALL, SMALL)
    assert (found.how, found.fitted, found.difference, found.rank) == ("", False, 0, pytest.approx(1))
    assert likeness(SIGNED + 1e-5, SIGNED).difference == pytest.approx(1e-5 / np.abs(SIGNED + 1e-5).max())


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name):
    assert likeness(REDUCTIONS[name](SIGNED), SIGNED).how == name
    assert likeness(np.abs(SIGNED), SIGNED).how == "absolute values"


def test_a_map_is_never_turned_round_to_fit():
    found = likeness(-SMALL, SMALL)
    assert found.difference > 0.3 and found.correlation == pytest.approx(-1)


def test_numbers_by_hand():
    """Of [0, 1, 2, 4] beside [0, 1, 4, 2]: 2 of the peak 4; 8 of 8.75 by products; the ranks 0 1 2 3, 0 1 3 2."""
    found = likeness(np.array([[0.0, 1, 2, 4]]), np.array([[0.0, 1, 4, 2]]))
    assert found.correlation == pytest.approx((17 - 4 * 1.75**2) / (21 - 4 * 1.75**2))
    assert found.rank == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_shapes_that_have_nothing_to_do_with_each_other():
    with pytest.raises(ValueError, match=r"\[4, 4\] cannot be held against one of \[6, 8, 3\]"):
        likeness(np.ones((4, 4)), SIGNED)
