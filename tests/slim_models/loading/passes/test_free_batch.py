"""Graphs frozen with a fixed batch size, freed where pictures are provably treated one by one."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.free_batch import free_batch
from slim_models.loading.passes.graph import Graph

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(6, 8, 10, 3)).astype(np.float32)
KERNEL = RNG.normal(0, 0.3, (3, 3, 3, 4)).astype(np.float32)
MATRIX = RNG.normal(0, 0.1, (320, 5)).astype(np.float32)


def graph_def_of(network, batch=1):
    with tf.Graph().as_default() as graph:
        tf.identity(network(tf.placeholder(tf.float32, [batch, 8, 10, 3], name="x"), batch or 1), name="y")
        return graph.as_graph_def(add_shapes=True)


def conv(x):
    return tf.nn.relu(tf.nn.conv2d(x, KERNEL, 1, "SAME"))


def plain(x, _):
    return tf.squeeze(tf.reduce_mean(conv(x), [1, 2], keepdims=True), [1, 2])


def flattened(x, batch):
    return tf.reshape(tf.matmul(tf.reshape(conv(x), [batch, 320]), MATRIX), [batch, 5])


def flattened_to_the_rest(x, batch):
    return tf.matmul(tf.reshape(conv(x), [batch, -1]), MATRIX)


def in_int64(x, batch):
    return tf.reshape(plain(x, batch), tf.constant([batch, 4], tf.int64))


def backwards(x, _):
    return plain(tf.reverse(x, [-1, 2]), _)


def by_shape(x, batch):
    return tf.matmul(tf.reshape(conv(x), tf.stack([tf.shape(x)[0], 320])), MATRIX)


def pixel_by_pixel(x, batch):
    y = tf.nn.softmax(tf.reshape(conv(x), [-1, 4]))
    return tf.reduce_mean(tf.reshape(y, [batch, -1, 4]), 1)


def normalised(x, _):
    y = tf.nn.fused_batch_norm(conv(x), *(tf.constant(a, tf.float32) for a in np.ones((4, 4))), is_training=False)[0]
    return tf.reduce_mean(y, [1, 2])


FREE = [
    plain,
    flattened,
    flattened_to_the_rest,
    in_int64,
    backwards,
    by_shape,
    pixel_by_pixel,
    normalised,
]


def run(graph_def, images):
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.placeholder(tf.float32, [None, 8, 10, 3])
        (y,) = tf.import_graph_def(graph_def, {"x:0": fed}, return_elements=["y:0"], name="")
        return session.run(y, {fed: images})


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("network", FREE)
def test_six_pictures_as_by_the_original(network, batch):
    original = graph_def_of(network, batch)
    before = original.SerializeToString(deterministic=True)
    freed = free_batch(Graph(original), "x", "y").graph_def
    assert original.SerializeToString(deterministic=True) == before
    expected = [run(original, images) for images in np.split(IMAGES, 6 // batch)]
    np.testing.assert_allclose(run(freed, IMAGES), np.concatenate(expected), rtol=1e-5, atol=1e-6)
    with tf.Graph().as_default():
        x, y = tf.import_graph_def(freed, return_elements=["x:0", "y:0"])
        assert x.shape.as_list() == [None, 8, 10, 3]
        assert y.shape.as_list() == [None, y.shape[1]]


def test_a_free_batch_stays_itself():
    graph = Graph(graph_def_of(plain, None))
    assert free_batch(graph, "x:0", "y:0") is graph


def test_a_placeholder_that_only_seemed_free():
    """Frozen with `[1, 320]` behind images `[None, ...]`."""
    freed = free_batch(Graph(graph_def_of(flattened, None)), "x", "y").graph_def
    expected = np.concatenate([run(graph_def_of(flattened), image[None]) for image in IMAGES])
    np.testing.assert_allclose(run(freed, IMAGES), expected, rtol=1e-5, atol=1e-6)


def test_an_inner_tensor_as_images():
    """The pictures behind a decoder of one file are fed in its place."""

    def network(x, batch):
        return flattened(tf.expand_dims(x[0], 0, name="one") * 2, batch)

    freed = free_batch(Graph(graph_def_of(network)), "one:0", "y:0").graph_def
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.placeholder(tf.float32, [None, 8, 10, 3])
        (y,) = tf.import_graph_def(freed, {"one:0": fed}, return_elements=["y:0"])
        ours = session.run(y, {fed: IMAGES})
    expected = np.concatenate([run(graph_def_of(network), image[None]) for image in IMAGES])
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def transposed(x, batch):
    """With one picture a Reshape of `[h, w, K, N]` to `[N, ...]` is right; with two it would mix them."""
    return tf.matmul(tf.reshape(tf.transpose(conv(x), (1, 2, 3, 0)), [batch, 320]), MATRIX)


def by_the_batch(x, _):
    arrays = [tf.ones(4), tf.zeros(4)]
    return tf.reduce_mean(tf.nn.fused_batch_norm(conv(x), *arrays, is_training=True)[0] ** 2, [1, 2])


def centred(x, _):
    y = conv(x)
    return tf.reduce_mean(y - 0.5 * tf.reduce_mean(y, 0, keepdims=True), [1, 2])


def without_the_batch(x, _):
    return tf.matmul(tf.reshape(conv(x), [320])[None], MATRIX)


def squeezed(x, _):
    """Squeezes all axes of one element: with one picture, that of the pictures."""
    return tf.squeeze(tf.reduce_mean(conv(x), [1, 2], keepdims=True))


def shifted(x, _):
    return plain(x + tf.roll(x, 1, 0), _)


def from_last_to_first(x, _):
    return plain(x + tf.reverse(x, [0]), _)


@pytest.mark.parametrize(
    "network", [shifted, from_last_to_first, transposed, by_the_batch, centred, without_the_batch, squeezed]
)
def test_what_mixes_pictures_keeps_its_batch(network):
    graph = Graph(graph_def_of(network))
    assert free_batch(graph, "x", "y") is graph


@pytest.mark.parametrize("shape", [None, []])
def test_what_has_no_first_axis_stays_itself(shape):
    with tf.Graph().as_default() as built:
        tf.identity(tf.placeholder(tf.float32, shape, name="x"), name="y")
    graph = Graph(built.as_graph_def())
    assert free_batch(graph, "x", "y") is graph
