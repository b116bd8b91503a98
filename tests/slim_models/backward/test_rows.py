"""Which tensors are proved to be a row a picture: what is proved is true, and what is not true is not proved."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from slim_models.backward.rows import one_row_a_picture

PICTURES = np.random.default_rng(0).uniform(-1, 1, (4, 4, 6, 3)).astype(np.float32)
TABLE = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)


def batch(x):
    return tf.shape(x)[0]


def flat(x):
    return tf.reshape(x, [-1, 24, 3])


def wide(x):
    """Integers in [0, 6), `[N, 4, 3]`."""
    return tf.argmax(x, axis=2, output_type=tf.int32)


def in_branch(x):
    return tf.cond(batch(x) > 1, lambda: 2.0 * x, lambda: x)


def norm(x, training):
    ones = tf.ones([3])
    statistics = {} if training else {"mean": ones, "variance": ones}
    return tf.nn.fused_batch_norm(x, ones, ones, is_training=training, **statistics)


PROVED = {
    "the images": lambda x: x,
    "arithmetic": lambda x: (x * TABLE[0] + 1.0) / tf.ones([1, 4, 1, 3]) - tf.exp(x),
    "a kernel": lambda x: tf.nn.conv2d(x, tf.ones([3, 3, 3, 2]), 2, "SAME"),
    "a random kernel, stored": lambda x: tf.nn.conv2d(x, tf.get_variable("kernel", [3, 3, 3, 2]), 2, "SAME"),
    "channels first": lambda x: tf.nn.bias_add(tf.transpose(x, [0, 3, 1, 2]), tf.ones([3]), "NCHW"),
    "a stored norm": lambda x: norm(x, training=False)[0],
    "positions in a picture": lambda x: tf.argmax(flat(x), axis=1),
    "a sum over places": lambda x: tf.reduce_sum(x, [1, -2]),
    "a cumulative sum over places": lambda x: tf.cumsum(x, 1, exclusive=True, reverse=True),
    "a turn": lambda x: tf.reverse(x, [1, -1]),
    "a reshape to known sizes": lambda x: tf.reshape(x, [-1, 6, 12]),
    "a reshape to N and known sizes": lambda x: tf.reshape(x, [batch(x), 6, -1]),
    "a reshape by sizes": lambda x: tf.reshape(x, tf.concat([tf.shape(x)[:1], [6], tf.shape(x)[1:2], [3]], 0)),
    "a product of sizes": lambda x: tf.reshape(x, [batch(x), tf.shape(x)[1] * tf.shape(x)[2], 3]),
    "products with a matrix": lambda x: tf.matmul(tf.reshape(x, [-1, 72]), tf.ones([72, 5])),
    "products with one for each": lambda x: tf.matmul(flat(x), flat(x), transpose_a=True),
    "products with one for all": lambda x: (
        tf.matmul(tf.ones([1, 5, 24]), flat(x)) + tf.matmul(flat(x)[:, :5], TABLE[:3])
    ),
    "letters": lambda x: tf.einsum("nhwc,cd,nhwe->nde", x, TABLE[:3], x),
    "slices": lambda x: x[:, 1:3, ::-1][..., tf.newaxis, 0] + x[:, 0, tf.newaxis, :, :1],
    "a slice of TensorFlow's": lambda x: tf.slice(x, [0, 1, 1, 0], [-1, 2, 3, 1]),
    "splits and joins": lambda x: tf.concat(tf.split(x, [2, 4], axis=2)[::-1] + tf.split(x, 2, axis=-3)[:0], 2),
    "stacks": lambda x: tf.stack(tf.unstack(x, axis=1), axis=-1),
    "axes of one": lambda x: tf.squeeze(tf.expand_dims(tf.expand_dims(x, 1), -1), [1, -1]),
    "paddings": lambda x: tf.pad(
        tf.pad(x, [[0, 0], [1, 1], [0, 2], [0, 0]], constant_values=3.0), [[0, 0]] * 4, "REFLECT"
    ),
    "places gathered": lambda x: tf.gather(x, [1, 0, 0], axis=2),
    "places of each": lambda x: tf.gather(flat(x), tf.nn.top_k(flat(x)[..., 0], 3).indices, batch_dims=1),
    "rows of a table": lambda x: tf.gather(TABLE, wide(x)),
    "one of each": lambda x: tf.one_hot(wide(x), 6, axis=1),
    "chosen": lambda x: tf.where(x > 0, x, tf.zeros_like(x)) + tf.where_v2(x > 0, x, 1.0),
    "chosen rows": lambda x: tf.where(x[:, 0, 0, 0] > 0, x, -x),
    "the same for each, tiled": lambda x: tf.tile(tf.ones([1, 3]), [batch(x), 2]),
    "the same for each, broadcast": lambda x: tf.broadcast_to(TABLE[0], tf.shape(x)),
    "the same for each, filled": lambda x: tf.fill([batch(x), 3], 2.0) + tf.ones(tf.shape(x)[:2])[:, :1],
    "tiled along places": lambda x: tf.tile(x, [1, 2, 1, 1]),
    "sizes of a picture": lambda x: x * tf.cast(tf.range(tf.shape(x)[3]), tf.float32),
    "resized": lambda x: tf.image.resize_bilinear(x, 2 * tf.shape(x)[1:3]),
    "copies": lambda x: tf.raw_ops.IdentityN(input=[x, tf.ones([2])])[0],
    "a softmax": lambda x: tf.nn.softmax(tf.nn.log_softmax(x)),
    "the strongest": lambda x: tf.nn.top_k(x, 2).values,
    "pooled": lambda x: tf.nn.max_pool_with_argmax(x, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")[0],
    "depth and space": lambda x: tf.nn.depth_to_space(tf.nn.space_to_depth(x, 2), 2),
    "whether all": lambda x: tf.reduce_all(x > 0, axis=[1, 2]),
}
NOT_PROVED = {
    "their number": lambda x: batch(x),
    "their sizes": lambda x: tf.shape(x),
    "their numbers": lambda x: tf.range(batch(x)),
    "other pictures": lambda x: tf.gather(x, tf.range(batch(x))[::-1]),
    "pictures by constants": lambda x: tf.gather(x, [0, 1]),
    "positions in the batch": lambda x: tf.nn.max_pool_with_argmax(
        x, [1, 2, 2, 1], [1, 2, 2, 1], "SAME", include_batch_in_index=True
    )[1],
    "which picture": lambda x: tf.argmax(x, axis=0),
    "which picture, from the last axis": lambda x: tf.argmax(x, axis=-4),
    "a sum of the batch": lambda x: tf.reduce_sum(x, [0], keepdims=True),
    "a sum of everything": lambda x: tf.reduce_mean(x),
    "a mean taken off": lambda x: x - tf.reduce_mean(x, 0),
    "a cumulative sum": lambda x: tf.cumsum(x),
    "a cumulative sum, from the last axis": lambda x: tf.cumsum(x, axis=-4),
    "sorted": lambda x: tf.nn.top_k(x[:, 0, 0, 0], batch(x)).values,
    "a softmax of the batch": lambda x: tf.nn.softmax(x[:, 0, 0, 0]),
    "a norm in training": lambda x: norm(x, training=True)[0],
    "statistics of a stored norm": lambda x: norm(x, training=False)[1],
    "turned": lambda x: tf.reverse(x, [0]),
    "turned, by a slice": lambda x: x[::-1],
    "the first": lambda x: x[:1],
    "all but the first": lambda x: x[1:],
    "the first, without its axis": lambda x: x[0],
    "a new first axis": lambda x: x[tf.newaxis],
    "an ellipsis of no axes": lambda x: x[..., 0, :, :, :],
    "a slice of TensorFlow's": lambda x: tf.slice(x, [1, 0, 0, 0], [-1, 2, 2, 2]),
    "transposed": lambda x: tf.transpose(x, [1, 0, 2, 3]),
    "transposed and back": lambda x: tf.transpose(tf.transpose(x, [1, 0, 2, 3]), [1, 0, 2, 3]),
    "places in the batch's axis": lambda x: tf.reshape(x, [-1, 3]),
    "places in the batch's axis, of unknown number": lambda x: tf.reshape(x, tf.concat([[-1], tf.shape(x)[3:]], 0)),
    "one picture alone": lambda x: tf.reshape(x[:, 0, 0, 0][:1], []),
    "a product with a picture's number": lambda x: tf.reshape(x, [batch(x), batch(x), -1]),
    "blocks": lambda x: tf.space_to_batch_nd(x, [2, 2], [[0, 0], [0, 0]]),
    "squeezed of what is one": lambda x: tf.squeeze(x[:, :1]),
    "an axis before": lambda x: tf.expand_dims(x, 0),
    "an axis before, from the last": lambda x: tf.expand_dims(x, -5),
    "stacked before": lambda x: tf.stack([x, x]),
    "joined": lambda x: tf.concat([x, x], 0),
    "joined, from the last": lambda x: tf.concat([x, x], -4),
    "split": lambda x: tf.split(x, 2, axis=0)[0],
    "padded": lambda x: tf.pad(x, [[1, 0], [0, 0], [0, 0], [0, 0]]),
    "tiled": lambda x: tf.tile(x, [2, 1, 1, 1]),
    "tiled by their number": lambda x: tf.tile(x, [1, batch(x), 1, 1]),
    "broadcast before": lambda x: tf.broadcast_to(x[:, :1], [batch(x), batch(x), 4, 6, 3]),
    "filled with their number": lambda x: tf.fill([batch(x), 3], batch(x)),
    "two axes of their number": lambda x: tf.ones([batch(x), batch(x)]),
    "scaled by their number": lambda x: x / tf.cast(batch(x), tf.float32),
    "scaled by each one's number": lambda x: x * tf.cast(tf.range(batch(x)), tf.float32)[:, None, None, None],
    "rows against places": lambda x: (
        tf.reduce_sum(x, [1, 2])[:, :1] + tf.transpose(x, [0, 3, 1, 2])[..., :1, :1][:, :1]
    ),
    "numbers for each of four pictures": lambda x: x * np.ones([4, 1, 1, 1], np.float32),
    "numbers of more axes": lambda x: x * np.ones([2, 1, 1, 1, 1], np.float32),
    "a condition for each of four pictures": lambda x: tf.where(tf.constant([True] * 4), x, -x),
    "a table of rows for each": lambda x: tf.gather(tf.ones([4, 6]), wide(x)[..., 0], batch_dims=1),
    "rows of another rank": lambda x: tf.matmul(tf.reshape(x, [-1, 72]), tf.ones([2, 72, 5])),
    "a gram matrix of the batch": lambda x: tf.matmul(
        tf.reshape(x, [-1, 72]), tf.reshape(x, [-1, 72]), transpose_a=True
    ),
    "pairs of pictures": lambda x: tf.einsum("nhwc,mhwc->nm", x, x),
    "letters that are summed over": lambda x: tf.einsum("nhwc->c", x),
    "crops": lambda x: tf.image.crop_and_resize(x, tf.ones([batch(x), 4]), tf.range(batch(x)), [2, 2]),
    "masked": lambda x: tf.boolean_mask(x, x[:, 0, 0, 0] > 0),
    "one of each, before": lambda x: tf.one_hot(wide(x), 6, axis=0),
    "noise": lambda x: x + tf.random_uniform([1, 4, 6, 3]),
    "noise for each": lambda x: x * tf.random_uniform(tf.shape(x)),
    "a branch by their number": in_branch,
    "a branch of constants": lambda x: x * tf.cond(batch(x) > 1, lambda: tf.constant(2.0), lambda: tf.constant(1.0)),
    "a loop": lambda x: tf.while_loop(lambda i, _: i < 2, lambda i, x: (i + 1, 2 * x), [0, x])[1],
    "what is computed elsewhere": lambda x: tf.py_func(lambda a: a, [x], tf.float32),
    "what is asked for": lambda x: x * tf.placeholder(tf.float32, []),
}


def proof(build):
    """The graph's images and result, and whether it is proved."""
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, 4, 6, 3])
        result = tf.convert_to_tensor(build(x))
        return x, result, one_row_a_picture(x, [result])(result)


@pytest.mark.parametrize("name", PROVED)
def test_what_is_proved_is_true(name):
    x, result, proved = proof(PROVED[name])
    assert proved
    with tf.Session(graph=x.graph) as session:
        with x.graph.as_default():
            session.run(tf.global_variables_initializer())
        together = session.run(result, {x: PICTURES})
        assert len(together) == len(PICTURES)
        for picture, row in zip(PICTURES, together):
            np.testing.assert_allclose(session.run(result, {x: picture[None]})[0], row, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NOT_PROVED)
def test_what_may_not_be_true_is_not_proved(name):
    assert not proof(NOT_PROVED[name])[2]


def test_what_is_before_a_tensor_is_proved_with_it():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, 4, 6, 3])
        hidden = tf.nn.relu(x)
        rows = tf.reshape(hidden, [-1, 3])
        back = tf.reshape(rows, [-1, 72])
        beside = tf.nn.relu(x)
        is_rows = one_row_a_picture(x, [back])
    assert [is_rows(tensor) for tensor in (x, hidden, rows, back, beside)] == [True, True, False, False, False]
