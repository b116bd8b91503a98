"""VGG16 with batch norm, as it is trained, and the plain VGG16 that folding makes of it."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from train_tiny import export, fold_batch_norm

import slim_models
from slim_models.builders import layers
from slim_models.builders.vgg import vgg16
from slim_models.weights import EPSILON

THIN = {"num_classes": 7, "width_divisor": 16}


def test_by_hand():
    """gamma / sqrt(variance + epsilon) is 3 / 2 and 1 / 1, channel by channel."""
    weights = {
        "a/weights": np.array([[2.0, 4.0]], np.float32),
        "a/BatchNorm/gamma": np.array([3.0, 1.0]),
        "a/BatchNorm/beta": np.array([0.5, 0.0]),
        "a/BatchNorm/moving_mean": np.array([10.0, -1.0]),
        "a/BatchNorm/moving_variance": np.array([4.0, 1.0]) - EPSILON,
        "b/weights": np.array([[1.0]], np.float32),
        "b/biases": np.array([5.0], np.float32),
    }
    folded = fold_batch_norm(weights)
    assert set(folded) == {"a/weights", "a/biases", "b/weights", "b/biases"}
    np.testing.assert_allclose(folded["a/weights"], [[3.0, 4.0]])
    np.testing.assert_allclose(folded["a/biases"], [-14.5, 1.0])
    assert folded["b/weights"] == 1
    assert folded["b/biases"] == 5
    assert {array.dtype for array in folded.values()} == {np.dtype(np.float32)}


def test_what_is_kept_of_the_weights_before(tmp_path):
    """A quarter of the plain layer 2 x + 8, and three of 4 x - 4, which is what folding makes of 2 * (2 x - 2)."""
    statistics = {"gamma": 2.0, "beta": 0.0, "moving_mean": 2.0, "moving_variance": 1 - EPSILON}
    trained = {f"a/BatchNorm/{part}": np.array([value]) for part, value in statistics.items()}
    trained["a/weights"] = np.array([[2.0]], np.float32)
    before = {"a/weights": np.array([[2.0]], np.float16), "a/biases": np.array([8.0], np.float32)}
    export(trained, tmp_path / "some.npy", before, 0.25)
    found = slim_models.read_weights(tmp_path / "some.npy")
    assert (found["a/weights"].item(), found["a/biases"].item()) == (0.75 * 4 + 0.25 * 2, 0.75 * -4 + 0.25 * 8)


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (3, 48, 48, 3)).astype(np.float32)


def random_statistics(shapes):
    rng = np.random.default_rng(0)
    draw = {
        "weights": lambda shape: rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape),
        "gamma": lambda shape: rng.uniform(0.5, 1.5, shape),
        "moving_variance": lambda shape: rng.uniform(0.2, 3, shape),
    }
    other = lambda shape: rng.normal(0, 0.3, shape)  # noqa: E731
    return {name: draw.get(name.split("/")[-1], other)(shape).astype(np.float32) for name, shape in shapes.items()}


def run_with(weights, images, **options):
    """Logits and every endpoint of a thin VGG16, and the names of its variables."""
    with tf.Graph().as_default(), tf.Session() as session:
        logits, endpoints = vgg16(tf.constant(images), **THIN, **options)
        for variable in tf.global_variables():
            session.run(variable.initializer, {variable.initializer.inputs[1]: weights[variable.op.name]})
        return session.run({**endpoints, "logits": logits}), {v.op.name for v in tf.global_variables()}


def shapes_with_batch_norm(images):
    with tf.Graph().as_default():
        vgg16(tf.constant(images), **THIN, batch_norm=True)
        return {variable.op.name: tuple(variable.shape.as_list()) for variable in tf.global_variables()}


def test_the_plain_network_computes_the_same(images):
    weights = random_statistics(shapes_with_batch_norm(images))
    normalised, _ = run_with(weights, images, batch_norm=True)
    plain, names = run_with(fold_batch_norm(weights), images)
    assert names == set(fold_batch_norm(weights))
    assert np.ptp(normalised["logits"], axis=0).max() > 0.1  # the pictures do make a difference
    for name in normalised:
        scale = np.abs(normalised[name]).max()
        np.testing.assert_allclose(plain[name] / scale, normalised[name] / scale, atol=1e-5, err_msg=name)


def test_every_layer_but_the_last_has_batch_norm_in_place_of_biases(images):
    names = set(shapes_with_batch_norm(images))
    plain = set(slim_models.build("vgg16", width_divisor=16).variables())
    normalised = [name.removesuffix("/biases") for name in plain - {"fc8/biases"} if name.endswith("/biases")]
    assert len(normalised) == 15
    parts = [f"BatchNorm/{part}" for part in ("beta", "gamma", "moving_mean", "moving_variance")]
    expected = {f"{layer}/{part}" for layer in normalised for part in ["weights", *parts]}
    assert names == expected | {"fc8/weights", "fc8/biases"}


@pytest.mark.parametrize("size", [32, 48, 64])
def test_images_of_any_size_share_one_fc6(size):
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, None, None, 3])
        vgg16(images, **THIN, pool5_size=2)
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    assert shapes["fc6/weights"] == [2 * 2 * 32, 256]


def test_a_pool5_of_the_size_asked_for_is_left_alone(images):
    weights = fold_batch_norm(random_statistics(shapes_with_batch_norm(images)))
    plain, _ = run_with(weights, images)
    resized, _ = run_with(weights, images, pool5_size=2)  # 48 pixels give 2 x 2
    np.testing.assert_allclose(resized["logits"], plain["logits"], rtol=1e-6)


def test_only_training_uses_the_batch_and_dropout(images):
    with tf.Graph().as_default():
        options = {"batch_norm": True, "dropout": 0.5}
        training, _ = vgg16(tf.constant(images), **THIN, **options, training=True)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        assert len(updates) == 2 * 15
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            stored, _ = vgg16(tf.constant(images), **THIN, **options)
        assert tf.get_collection(tf.GraphKeys.UPDATE_OPS) == updates
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            first, second = (session.run([training, stored]) for _ in range(2))
    assert not np.array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_batch_norm_of_vectors_is_that_of_images():
    vectors = np.random.default_rng(0).normal(3, 2, (6, 5)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        outputs = layers.batch_norm(tf.constant(vectors), training=True)
        session.run(tf.global_variables_initializer())
        result = session.run(outputs)
    expected = (vectors - vectors.mean(0)) / np.sqrt(vectors.var(0) + EPSILON)
    np.testing.assert_allclose(result, expected, atol=1e-5)
