"""Maps that know nothing of the network: by hand."""

import numpy as np

from gradcam.baselines import centre_maps, random_maps, sobel_maps


def test_random_is_uniform_and_the_same_for_all():
    maps = random_maps(2, (100, 120))
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps, random_maps(2, (100, 120)))
    assert abs(maps.mean() - 0.5) < 0.01 and maps.min() >= 0 and maps.max() < 1
    assert abs(np.corrcoef(maps[0].ravel(), random_maps(1, (100, 120), seed=1).ravel())[0, 1]) < 0.05


def test_the_centre_by_hand():
    # Of 3 x 3 the corners are sqrt(2) away, the edges' middles 1.
    middle = 1 - 1 / np.sqrt(2)
    np.testing.assert_allclose(centre_maps(1, (3, 3))[0], [[0, middle, 0], [middle, 1, middle], [0, middle, 0]])
    np.testing.assert_allclose(centre_maps(2, (1, 1)), [[[1]], [[1]]])
    assert centre_maps(1, (4, 6)).argmax() // 6 in (1, 2)


def test_edges_by_hand():
    """A step of 8 from one column to the next: (1 + 2 + 1) * 8 on both sides of it, and nothing elsewhere."""
    images = np.zeros((1, 5, 6, 3))
    images[:, :, 3:] = 8
    expected = np.zeros((5, 6))
    expected[:, 2:4] = 32
    np.testing.assert_array_equal(sobel_maps(images), expected[None])
    np.testing.assert_array_equal(sobel_maps(images.swapaxes(1, 2)), expected.T[None])


def test_edges_are_the_length_of_both_slopes():
    """A second way: the two kernels of Sobel written out."""
    image = np.random.default_rng(0).uniform(0, 255, (1, 7, 8, 2))
    grey = np.pad(image[0].mean(axis=-1), 1, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(grey, (3, 3))
    kernel = np.outer([1, 2, 1], [-1, 0, 1])
    across, down = (np.einsum("ijkl,kl->ij", windows, k) for k in (kernel, kernel.T))
    np.testing.assert_allclose(sobel_maps(image)[0], np.sqrt(across**2 + down**2), rtol=1e-4)
