"""What is read by a gather, of which TensorFlow gives pieces of a gradient: against products with one-hot matrices."""

import warnings

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim_models

SHAPE = (3, 4, 5)
INDICES = [2, 0, 2, 1]  # one of them twice
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(0, 3, SHAPE)
MATRIX = RNG.normal(0, 1, (5, 5))


def gathered(net, axis):
    return tf.gather(net, INDICES, axis=axis)


def multiplied(net, axis):
    """The same as a product."""
    chosen = tf.one_hot(INDICES, SHAPE[axis], dtype=net.dtype)
    letters = "abc"
    return tf.einsum(f"{letters},z{letters[axis]}->{letters.replace(letters[axis], 'z')}", net, chosen)


def gradients(pick, axis, rule, relu=tf.nn.relu, beside=False, dtype=tf.float64, between=tf.identity):
    """Of a score behind two ReLUs and what picks from the second: at the inputs, and at the second ReLU."""
    with tf.Graph().as_default() as graph, tf.Session() as session, slim_models.marked_relus(graph):
        x = tf.placeholder(dtype, [None, *SHAPE[1:]])
        layer = relu(tf.einsum("abc,cd->abd", relu(x), tf.constant(MATRIX, dtype)))
        picked = pick(between(layer), axis)
        score = tf.reduce_sum(picked * tf.constant(np.random.default_rng(1).normal(size=picked.shape[1:]), dtype))
        score += tf.reduce_sum(layer[:, :2] ** 3) if beside else 0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = slim_models.gradients(score, [x, layer], rule)
        assert all(isinstance(tensor, tf.Tensor) for tensor in found)
        assert [tensor.shape[1:] for tensor in found] == [SHAPE[1:], SHAPE[1:]]
        return [array.astype(np.float64) for array in session.run(found, {x: INPUTS})]


def check(axis, rule, tolerance=1e-12, **options):
    found, expected = (gradients(pick, axis, rule, **options) for pick in (gathered, multiplied))
    for got, want in zip(found, expected):
        assert np.abs(want).max() > 0
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * np.abs(want).max())


@pytest.mark.parametrize("rule", slim_models.RULES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_behind_a_relu(axis, rule):
    check(axis, rule)


@pytest.mark.parametrize("rule", slim_models.RULES)
def test_behind_a_relu6(rule):
    check(0, rule, relu=tf.nn.relu6)


@pytest.mark.parametrize("rule", slim_models.RULES)
def test_beside_another_reader(rule):
    check(0, rule, beside=True)


@pytest.mark.parametrize("rule", slim_models.RULES)
def test_behind_what_passes_the_pieces_on(rule):
    check(0, rule, between=lambda net: tf.negative(tf.concat([net, -net], -1))[..., :5] + 1.0)
    check(0, rule, between=lambda net: tf.identity(-net))


def test_in_half_precision():
    check(0, "guided", dtype=tf.bfloat16, tolerance=0.05)


def test_single_coordinates():
    """gather_nd along the first axis gives pieces too."""
    check(0, "guided")
    (expected, *_), (found, *_) = (
        gradients(pick, 0, "guided") for pick in (multiplied, lambda net, _: tf.gather_nd(net, np.c_[INDICES]))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_images_that_are_gathered_themselves():
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 2])
        score = tf.reduce_sum(tf.gather(images, [1, 1, 0])[:, 1])
        (gradient,) = slim_models.gradients(score, [images], "backprop")
        np.testing.assert_array_equal(session.run(gradient, {images: np.ones((3, 2))}), [[0, 1], [0, 2], [0, 0]])
