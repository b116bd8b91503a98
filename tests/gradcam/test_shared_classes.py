"""Classes of one picture: whatever the graph, `explain_classes` says what `explain` says of the picture repeated."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import constant, load, write_pb

import slim_models
from gradcam.explainer import Explainer

SIZE = 16
CLASSES = [2, 0, 2, 5]
IMAGE = np.random.default_rng(0).uniform(0, 255, (SIZE, SIZE, 3)).astype(np.float32)


def conv(net, depth, seed, stride=1):
    return tf.nn.conv2d(net, constant([3, 3, net.shape[-1], depth], seed), stride, "SAME")


def features(images):
    """`[N, 8, 8, 8]`, as all of the graphs below begin."""
    return tf.nn.relu(conv(images / 64.0 - 1.0, 8, 0, 2) + constant([8], 1))


def head(net):
    """`[N, 7]`, as most of them end; not linear, so that what comes back depends on the activations."""
    net = tf.reduce_mean(tf.square(net), [1, 2]) if net.shape.ndims == 4 else net
    return tf.matmul(net, constant([net.shape[-1], 7], 9))


def count(net):
    return tf.shape(net)[0]


def flat(net):
    """`[N, 64, 8]`, the places in a row."""
    return tf.reshape(net, [-1, 64, 8])


# Name -> what becomes of the layer `[N, 8, 8, 8]`: the logits.
SHARED = {}
APART = {}


def graph(table):
    def add(build):
        table[build.__name__] = build
        return build

    return add


@graph(SHARED)
def plain(net):
    return head(tf.nn.relu(conv(net, 8, 2)))


@graph(SHARED)
def dense_layers_behind_a_flattening(net):
    net = tf.reshape(net, [count(net), -1])
    return head(tf.nn.relu(tf.matmul(net, constant([8 * 64, 6], 3))))


@graph(SHARED)
def flattened_by_computed_sizes(net):
    """As tf_slim writes it in TensorFlow 1."""
    sizes = tf.shape(net)
    places = tf.expand_dims(tf.reduce_prod(tf.slice(sizes, [1], [3])), 0)
    net = tf.reshape(net, tf.concat([tf.slice(sizes, [0], [1]), places], 0))
    return head(tf.nn.relu(tf.matmul(net, constant([8 * 64, 6], 3))))


@graph(SHARED)
def batch_norm(net):
    ones = constant([8], 4, 1.0)
    net = tf.nn.fused_batch_norm(net, ones, ones, ones, tf.square(ones), is_training=False)[0]
    return head(tf.nn.relu(net))


@graph(SHARED)
def batch_norm_of_primitives(net):
    ones = constant([8], 4, 1.0)
    return head(tf.nn.relu(tf.nn.batch_normalization(net, ones, tf.square(ones), ones, ones, 1e-3)))


@graph(SHARED)
def max_pool(net):
    return head(tf.nn.max_pool2d(net, 3, 2, "SAME"))


@graph(SHARED)
def inception(net):
    pooled = tf.nn.avg_pool2d(net, 3, 1, "SAME")
    return head(tf.concat([conv(net, 4, 5), conv(pooled, 4, 6)], -1))


@graph(SHARED)
def depthwise(net):
    return head(tf.nn.relu6(tf.nn.depthwise_conv2d(net, constant([3, 3, 8, 1], 7), [1, 1, 1, 1], "SAME")))


@graph(SHARED)
def residual_with_lrn(net):
    return head(tf.nn.relu(net + tf.nn.lrn(conv(net, 8, 2))))


@graph(SHARED)
def max_pool_with_argmax(net):
    """Its positions count through the whole batch, and its gradient reads them."""
    return head(tf.nn.max_pool_with_argmax(net, [1, 2, 2, 1], [1, 2, 2, 1], "SAME", include_batch_in_index=True)[0])


@graph(SHARED)
def max_pool_with_argmax_in_each_picture(net):
    return head(tf.nn.max_pool_with_argmax(net, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")[0])


@graph(SHARED)
def padded_resized_and_sliced(net):
    net = tf.image.resize_bilinear(tf.pad(net, [[0, 0], [1, 1], [0, 0], [0, 0]]), tf.shape(net)[1:3] * 2)
    return head(net[..., ::-1][:, 2:-2])


@graph(SHARED)
def channels_first_and_back(net):
    return head(tf.transpose(tf.square(tf.transpose(net, [0, 3, 1, 2])), [0, 2, 3, 1]))


@graph(SHARED)
def cumsum_over_channels(net):
    return head(tf.cumsum(net, axis=-1))


@graph(SHARED)
def hard_attention(net):
    """Each picture's strongest place alone, by argmax and one_hot."""
    strongest = tf.argmax(tf.reduce_sum(flat(net), -1), axis=1)
    return head(tf.reduce_sum(tf.square(flat(net)) * tf.one_hot(strongest, 64)[..., None], 1))


@graph(SHARED)
def mask(net):
    return head(tf.where(net > 0.5, tf.square(net), 0.1 * net))


@graph(SHARED)
def mask_of_tensorflow_1(net):
    return head(tf.raw_ops.Select(condition=net > 0.5, x=tf.square(net), y=tf.zeros_like(net)))


@graph(SHARED)
def strongest_places(net):
    """top_k, and a gather in each picture."""
    places = tf.nn.top_k(tf.reduce_sum(flat(net), -1), 5).indices
    return head(tf.reduce_mean(tf.square(tf.gather(flat(net), places, batch_dims=1)), 1))


@graph(SHARED)
def l2_normalisation(net):
    return head(tf.nn.l2_normalize(net, -1))


@graph(SHARED)
def softmax_attention(net):
    places = flat(net)
    weights = tf.nn.softmax(tf.matmul(places, places, transpose_b=True) / 8.0)
    return head(tf.reduce_mean(tf.square(tf.matmul(weights, places)), 1))


@graph(SHARED)
def einsum(net):
    weights = tf.nn.softmax(tf.einsum("npc,nqc->npq", flat(net), flat(net)))
    mixed = tf.einsum("npq,nqc,cd->npd", weights, flat(net), constant([8, 6], 4))
    return head(tf.reduce_mean(tf.square(mixed), 1))


@graph(SHARED)
def class_token(net):
    """The same vector before every picture's places, as transformers have it."""
    token = tf.tile(constant([1, 1, 8], 5), [count(net), 1, 1])
    places = tf.concat([token, flat(net)], 1)
    weights = tf.nn.softmax(tf.matmul(places, places, transpose_b=True))
    return head(tf.matmul(weights, places)[:, 0])


@graph(SHARED)
def group_norm(net):
    batch, height, width, _ = tf.unstack(tf.shape(net))
    groups = tf.reshape(net, [batch, height, width, 2, 4])
    mean, variance = tf.nn.moments(groups, [1, 2, 4], keep_dims=True)
    groups = (groups - mean) * tf.rsqrt(variance + 1e-3)
    return head(tf.nn.relu(tf.reshape(groups, tf.shape(net))))


@graph(SHARED)
def split_stacked_and_gathered(net):
    left, right = tf.split(net, 2, axis=2)
    both = tf.stack([left * right, tf.square(right)], axis=1)
    return head(tf.gather(tf.unstack(both, axis=1)[0], [3, 0, 0, 5], axis=-1) + both[:, 1, :, :, 4:])


@graph(SHARED)
def positions_in_a_picture(net):
    """Numbers that no picture changes, added to each."""
    height = tf.shape(net)[1]
    ramp = tf.cast(tf.range(height), tf.float32)[:, None, None] / tf.cast(height, tf.float32)
    return head(net * ramp)


@graph(APART)
def gather_of_batch_rows_behind_a_convolution(net):
    return head(tf.gather(tf.nn.relu(conv(net, 8, 2)), tf.range(count(net))))


@graph(APART)
def gather_of_batch_rows(net):
    return head(tf.nn.relu(conv(tf.gather(net, tf.range(count(net))), 8, 2)))


@graph(APART)
def gather_nd_of_batch_rows(net):
    return head(conv(tf.gather_nd(net, tf.range(count(net))[:, None]), 8, 2))


@graph(APART)
def crops_of_each_picture(net):
    boxes = tf.tile(constant([1, 4], 3) * 0 + [[0.1, 0.2, 0.8, 0.9]], [count(net), 1])
    return head(tf.nn.relu(conv(tf.image.crop_and_resize(net, boxes, tf.range(count(net)), [6, 6]), 8, 2)))


@graph(APART)
def places_by_number_in_the_batch(net):
    """As batches were gathered from before there was batch_dims."""
    places = tf.argmax(tf.reduce_sum(flat(net), -1), axis=1, output_type=tf.int32)
    places += 64 * tf.range(count(net))
    return head(tf.square(tf.gather(tf.reshape(net, [-1, 8]), places)))


@graph(APART)
def batch_axis_moved_and_back(net):
    moved = tf.transpose(net, [1, 0, 2, 3])
    return head(tf.transpose(moved * tf.nn.sigmoid(moved), [1, 0, 2, 3]))


@graph(APART)
def places_and_pictures_in_one_axis(net):
    rows = tf.nn.relu(tf.matmul(tf.reshape(net, [-1, 8]), constant([8, 6], 3)))
    return head(tf.reshape(rows, [-1, 8, 8, 6]))


@graph(APART)
def places_and_pictures_in_one_axis_of_unknown_size(net):
    sizes = tf.shape(net)
    rows = tf.nn.relu(tf.matmul(tf.reshape(net, [-1, sizes[3]]), constant([8, 6], 3)))
    return head(tf.reshape(rows, tf.concat([sizes[:3], [6]], 0)))


@graph(APART)
def dilated(net):
    net = tf.space_to_batch_nd(net, [2, 2], [[0, 0], [0, 0]])
    return head(tf.batch_to_space_nd(tf.nn.relu(conv(net, 8, 2)), [2, 2], [[0, 0], [0, 0]]))


@graph(APART)
def joined_along_the_batch_and_split(net):
    """Two towers in one, as siamese networks have it."""
    both = tf.nn.relu(conv(tf.concat([net, net[:, ::-1]], 0), 8, 2))
    left, right = tf.split(both, 2, axis=0)
    return head(left * right)


@graph(APART)
def mean_of_the_batch(net):
    return head(net - 0.5 * tf.reduce_mean(net, 0, keepdims=True))


@graph(APART)
def batch_norm_of_the_batch(net):
    mean, variance = tf.nn.moments(net, [0, 1, 2])
    return head(tf.nn.relu(tf.nn.batch_normalization(net, mean, variance, None, constant([8], 3), 1e-3)))


@graph(APART)
def cumsum_over_pictures(net):
    return head(tf.cumsum(net, axis=0))


@graph(APART)
def softmax_over_pictures(net):
    return head(net * tf.nn.softmax(net, axis=0))


@graph(APART)
def scaled_by_the_number_of_pictures(net):
    return head(net / tf.cast(count(net), tf.float32))


@graph(APART)
def scaled_by_the_number_of_a_picture(net):
    return head(net * tf.cast(tf.range(1, count(net) + 1), tf.float32)[:, None, None, None])


@graph(APART)
def repeated_along_the_places(net):
    """As often as there are pictures, which is once for one."""
    return head(tf.nn.relu(conv(tf.tile(net, [1, count(net), 1, 1]), 8, 2)))


@graph(APART)
def weights_of_the_first_picture(net):
    """`[1, 8]`, however many pictures there are: a row of one, and no row of others."""
    return head(tf.square(net) * tf.reduce_mean(net, [1, 2])[:1])


@graph(APART)
def pictures_turned_round(net):
    return head(tf.reverse(net, [0]) * net)


@graph(APART)
def a_branch_by_the_number_of_pictures(net):
    factor = tf.cond(count(net) > 1, lambda: tf.constant(2.0), lambda: tf.constant(1.0))
    return head(tf.square(net * factor))


def open_graph(folder, build):
    """A `Network` of it, from a frozen file."""
    graph = tf.Graph()
    with graph.as_default():
        net = tf.identity(features(tf.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="input")), name="layer")
        tf.identity(build(net), name="logits")
    path = write_pb(folder / "net.pb", graph.as_graph_def())
    return load(path, images="input", logits="logits", layer="layer")


def compared(explainer, monkeypatch):
    """The picture's classes are explained both ways; returns how many runs `explain_classes` took."""
    runs, run = [], explainer.session.run
    repeated = explainer.explain(np.stack([IMAGE] * len(CLASSES)), CLASSES).arrays()
    with monkeypatch.context() as context:
        context.setattr(explainer.session, "run", lambda *args: runs.append(args) or run(*args))
        found = explainer.explain_classes(IMAGE, CLASSES).arrays()
    assert found.keys() == repeated.keys()
    for name, expected in repeated.items():
        scale = np.abs(expected).max()
        assert scale > 0, name
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-4 * scale, err_msg=name)
    return len(runs)


@pytest.mark.parametrize("name", [*SHARED, *APART])
def test_it_is_the_picture_repeated(name, tmp_path, monkeypatch):
    network = open_graph(tmp_path, {**SHARED, **APART}[name])
    rules = [rule for rule in slim_models.RULES if not slim_models.refusal(network.logits, [network.images], rule)]
    layer_rules = [rule for rule in rules if rule != "backprop"]
    assert "backprop" in rules
    with Explainer(network, layers=["layer"], rules=rules, layer_rules=layer_rules) as explainer:
        assert compared(explainer, monkeypatch) == (2 if name in SHARED else 1)
