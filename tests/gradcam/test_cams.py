"""Every CAM by hand on 2 x 2 maps of two channels, and the properties that hold for all."""

import numpy as np
import pytest
import tensorflow as tf

from gradcam.cams import (
    counterfactual,
    eigen_cam,
    eigen_grad_cam,
    grad_cam,
    grad_cam_elementwise,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
    xgrad_cam,
)
from gradcam.methods import METHODS

# One image; the places are (0, 0), (0, 1), (1, 0), (1, 1).
A1, A2 = [[1, 0], [2, 1]], [[0, 4], [1, 0]]
G1, G2 = [[1, 1], [2, 0]], [[-1, -2], [1, 0]]
ACTIVATIONS = np.array([A1, A2], np.float64).transpose(1, 2, 0)[None]
GRADIENTS = np.array([G1, G2], np.float64).transpose(1, 2, 0)[None]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # alpha = (4/4, -2/4) = (1, -1/2): A1 - A2/2 = (1, -2, 3/2, 1), and the ReLU closes the second.
        (grad_cam, [[1, 0], [1.5, 1]]),
        # alpha = (-1, 1/2): only the second place is left.
        (counterfactual, [[0, 2], [0, 0]]),
        # Sums of A: 4 and 5. Channel 1, g = 1, 1, 2, 0: g^2 / (2 g^2 + 4 g^3) = 1/6, 1/6, 1/10, -;
        # w1 = 1/6 + 1/6 + 2/10 = 8/15. Channel 2, only g = 1 is positive: 1 / (2 + 5); w2 = 1/7.
        (grad_cam_plus_plus, [[8 / 15, 4 / 7], [16 / 15 + 1 / 7, 8 / 15]]),
        # sum A g / sum A: (1 + 0 + 4 + 0) / 4 = 5/4 and (0 - 8 + 1 + 0) / 5 = -7/5.
        (xgrad_cam, [[1.25, 0], [2.5 - 1.4, 1.25]]),
        # A g summed over channels: 1 + 0, 0 - 8, 4 + 1, 0.
        (hires_cam, [[1, 0], [5, 0]]),
        # The same with negative gradients left out: 1, 0, 5, 0; see the next test for the difference.
        (layer_cam, [[1, 0], [5, 0]]),
    ],
)
def test_by_hand(method, expected):
    np.testing.assert_allclose(method(ACTIVATIONS, GRADIENTS), [expected], rtol=1e-12)


class TestPrincipalComponents:
    def test_by_hand(self):
        """Two channels that are 1 and 2 times one map: the first component has the length sqrt(5) of (1, 2)."""
        one = np.array([[3.0, 0], [1, 2]])
        activations = np.stack([one, 2 * one], axis=-1)[None]
        expected = np.sqrt(5) * one
        np.testing.assert_allclose(eigen_cam(activations, 0 * activations)[0], expected, atol=1e-12)
        # Times gradients of 1 and -1 it is (1, -2) times the map, whose sum is below 0: so is the component.
        assert not eigen_grad_cam(activations, activations[..., :1] ** 0 * [1, -1]).any()
        found = eigen_grad_cam(activations, activations[..., :1] ** 0 * [1, 1])[0]
        np.testing.assert_allclose(found, expected, atol=1e-12)

    @pytest.mark.parametrize("shape", [(2, 3, 4, 30), (2, 7, 6, 5)])
    def test_they_are_those_of_a_singular_value_decomposition(self, shape):
        rng = np.random.default_rng(0)
        activations, gradients = np.maximum(rng.standard_normal(shape), 0), rng.standard_normal(shape)
        for method, arrays in ((eigen_cam, activations), (eigen_grad_cam, activations * gradients)):
            for found, array in zip(method(activations, gradients), arrays):
                flat = array.reshape(-1, shape[-1])
                expected = flat @ np.linalg.svd(flat, full_matrices=False)[2][0]
                expected *= np.sign(expected @ flat.sum(axis=1))
                np.testing.assert_allclose(found.ravel(), np.maximum(expected, 0), atol=1e-9)

    def test_after_a_relu_eigen_cam_is_nowhere_cut(self):
        """Perron and Frobenius: the first component of what is >= 0 is so too."""
        rng = np.random.default_rng(1)
        activations = np.maximum(rng.standard_normal((3, 5, 4, 7)), 0)
        found = eigen_cam(activations, np.full_like(activations, np.pi))
        assert (found[activations.any(axis=-1)] > 0).all()
        assert not eigen_cam(0 * activations, activations).any()


def test_element_wise_keeps_what_two_signs_make_positive():
    activations, gradients = np.array([3.0, -1, 2]).reshape(1, 1, 1, 3), np.array([1.0, -2, -5]).reshape(1, 1, 1, 3)
    assert grad_cam_elementwise(activations, gradients) == 5  # 3 + 2, and not the 10 that speak against it
    np.testing.assert_allclose(grad_cam_elementwise(ACTIVATIONS, GRADIENTS), layer_cam(ACTIVATIONS, GRADIENTS))


def test_layer_cam_leaves_a_negative_channel_out_where_hires_cam_subtracts_it():
    activations, gradients = np.array([3.0, 1]).reshape(1, 1, 1, 2), np.array([1.0, -2]).reshape(1, 1, 1, 2)
    assert hires_cam(activations, gradients) == 1
    assert layer_cam(activations, gradients) == 3


def test_grad_cam_plus_plus_is_equation_19_as_printed():
    """Literally: squares, cubes and the double sum, in float64, place by place."""
    rng = np.random.default_rng(0)
    activations, gradients = np.maximum(rng.standard_normal((2, 3, 4, 5)), 0), rng.standard_normal((2, 3, 4, 5))
    expected = np.zeros((2, 3, 4))
    for n in range(2):
        for k in range(5):
            weight = 0.0
            for i in range(3):
                for j in range(4):
                    g = gradients[n, i, j, k]
                    alpha = g**2 / (2 * g**2 + sum(a * g**3 for a in activations[n, :, :, k].ravel()))
                    weight += alpha * max(g, 0)
            expected[n] += weight * activations[n, :, :, k]
    np.testing.assert_allclose(grad_cam_plus_plus(activations, gradients), np.maximum(expected, 0))


def test_grad_cam_is_cam_where_the_head_is_an_average_and_one_matrix():
    """Paper, sec. 3.1: y = W mean(A), so d y^c / d A_ij = W_c / Z, and Grad-CAM = CAM (Zhou 2016) / Z."""
    rng = np.random.default_rng(0)
    activations, weights = rng.random((2, 4, 4, 6)), rng.standard_normal(6)
    gradients = np.broadcast_to(weights / 16, activations.shape)
    cam = np.maximum(activations @ weights, 0)
    np.testing.assert_allclose(grad_cam(activations, gradients), cam / 16)


@pytest.fixture(params=METHODS.values(), ids=METHODS)
def method(request):
    return request.param


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    shape = (3, 5, 4, 7)
    return np.maximum(rng.standard_normal(shape), 0).astype(np.float32), rng.standard_normal(shape).astype(np.float32)


def test_a_batch_is_its_images_one_by_one(method, arrays):
    activations, gradients = arrays
    single = [method(activations[i : i + 1], gradients[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(method(activations, gradients), single, rtol=1e-5)


def test_the_order_of_channels_does_not_matter(method, arrays):
    activations, gradients = arrays
    order = np.random.default_rng(1).permutation(7)
    np.testing.assert_allclose(
        method(activations[..., order], gradients[..., order]), method(activations, gradients), rtol=1e-4, atol=1e-5
    )


def test_zero_gradients_give_a_zero_map_and_no_warning(method, arrays):
    activations, _ = arrays
    np.testing.assert_array_equal(method(activations, np.zeros_like(activations)), np.zeros((3, 5, 4)))


def test_silent_channels_give_a_zero_map_and_no_warning(method, arrays):
    _, gradients = arrays
    np.testing.assert_array_equal(method(np.zeros_like(gradients), gradients), np.zeros((3, 5, 4)))


def test_maps_are_never_negative_and_inputs_unchanged(method, arrays):
    activations, gradients = arrays
    before = activations.copy(), gradients.copy()
    cam = method(activations, gradients)
    assert cam.shape == (3, 5, 4)
    assert (cam >= 0).all()
    assert (cam > 0).any()
    np.testing.assert_array_equal(before, (activations, gradients))


class TestForeignArrays:
    def test_half_precision_does_not_overflow_in_the_sums(self, method):
        shape = (1, 56, 56, 2)
        activations, gradients = np.full(shape, 30, np.float16), np.ones(shape, np.float16)
        expected = method(activations.astype(np.float64), gradients.astype(np.float64))
        np.testing.assert_allclose(method(activations, gradients), expected, rtol=1e-4)

    def test_whole_numbers(self, method):
        activations, gradients = ACTIVATIONS.astype(int), GRADIENTS.astype(int)
        np.testing.assert_allclose(method(activations, gradients), method(ACTIVATIONS, GRADIENTS), rtol=1e-6)

    def test_lists_and_tensors(self, method):
        expected = method(ACTIVATIONS, GRADIENTS)
        np.testing.assert_allclose(method(ACTIVATIONS.tolist(), GRADIENTS.tolist()), expected)
        np.testing.assert_allclose(method(tf.constant(ACTIVATIONS), tf.constant(GRADIENTS)), expected)


def test_wrong_shapes_are_named(method):
    with pytest.raises(ValueError, match=r"\[3, 5, 4\].*\[3, 5, 4\]"):
        method(np.zeros((3, 5, 4)), np.zeros((3, 5, 4)))
    with pytest.raises(ValueError, match=r"\[1, 2, 2, 3\].*\[1, 2, 2, 4\]"):
        method(np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 2, 4)))
