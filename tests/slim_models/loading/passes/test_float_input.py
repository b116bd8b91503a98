"""Inputs that are no float32: integers, halves, doubles and encoded pictures."""

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow.compat.v1 as tf

from slim_models.loading.decoding import after_decoding
from slim_models.loading.passes.float_input import float_input
from slim_models.loading.passes.graph import Graph

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3))
KERNEL = np.random.default_rng(1).normal(0, 0.01, (3, 3, 3, 4)).astype(np.float32)


def graph_def_of(dtype, network, shape=(None, 6, 8, 3)):
    with tf.Graph().as_default() as graph:
        tf.identity(network(tf.placeholder(dtype, shape, name="x")), name="y")
        return graph.as_graph_def(add_shapes=True)


def layers(images, dtype=tf.float32):
    """Positive gradients, by every pixel."""
    y = tf.nn.conv2d(images, tf.constant(np.abs(KERNEL), dtype), 1, "SAME")
    return tf.reduce_mean(tf.nn.softplus(y), [1, 2])


def run(graph_def, images):
    with tf.Graph().as_default(), tf.Session() as session:
        (y,) = tf.import_graph_def(graph_def, name="", return_elements=["y:0"])
        return session.run(y, {"x:0": images})


def run_with_gradient(graph_def, images):
    """The loader's way: another placeholder in place of the graph's."""
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.placeholder(tf.float32, [None, *images.shape[1:]])
        (y,) = tf.import_graph_def(graph_def, {"x:0": fed}, return_elements=["y:0"], name="")
        return session.run([y, tf.gradients(y[:, 0], fed)[0]], {fed: images})


def plain(x):
    return layers(tf.cast(x, tf.float32) / 255)


def moved(x):
    """The operations that pictures in integers meet, some with other integers."""
    x = tf.reverse(tf.transpose(x, (0, 2, 1, 3)), [-1])
    x = tf.concat([x, tf.zeros_like(x[:, :1])], 1)
    x = tf.pad(tf.pad(x, [[0, 0], [1, 0], [0, 1], [0, 0]]), [[0, 0], [1, 0], [0, 1], [0, 0]], constant_values=7)
    x = tf.stack(tf.unstack(tf.squeeze(tf.expand_dims(x, 0), [0]), axis=3)[::-1], axis=3)
    a, b = tf.split(tf.reshape(tf.identity(x), [-1, 11, 8, 3]), [5, 6], axis=1)
    x = tf.gather(tf.tile(tf.concat([b, a], 1), [1, 1, 2, 1]), [2, 1, 0], axis=3)
    sizes = tf.cast(tf.shape(x)[1:3], tf.float32)
    x = tf.minimum(tf.maximum(x, tf.cast(3, x.dtype)), tf.cast(250, x.dtype))
    return layers(tf.cast(x, tf.float32) / 255) + tf.reduce_sum(sizes) / 100


def resized(x):
    x = tf.image.resize_nearest_neighbor(x, [9, 11])
    return layers(tf.image.resize_bilinear(x, [5, 7]) / 255)


def through_other_integers(x):
    x = tf.cast(tf.cast(x, tf.int32) * 2 - 17, tf.int64)
    return layers(tf.cast(tf.where(x > -100, x, -x), tf.float32) / 255)


@pytest.mark.parametrize("dtype", [tf.uint8, tf.int32])
@pytest.mark.parametrize("network", [plain, moved, resized, through_other_integers])
def test_integers_as_float32_with_true_gradients(dtype, network):
    """The gradient, beside differences of the network itself: a Cast, and what only moves pixels, has the same."""
    original = graph_def_of(dtype, network)
    before = original.SerializeToString(deterministic=True)
    made = float_input(Graph(original), "x").graph_def
    assert original.SerializeToString(deterministic=True) == before
    y, gradient = run_with_gradient(made, PIXELS.astype(np.float32))
    np.testing.assert_allclose(y, run(original, PIXELS), rtol=1e-6)
    changed = np.clip(PIXELS + np.random.default_rng(2).integers(-3, 4, PIXELS.shape), 0, 255)
    expected = (run(made, changed + 0.0) - y)[:, 0].astype(np.float64)
    np.testing.assert_allclose((gradient * (changed - PIXELS)).sum((1, 2, 3)), expected, rtol=0.03, atol=1e-5)
    assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_other_floats_come_from_a_cast(dtype):
    original = graph_def_of(dtype, lambda x: tf.cast(layers(x / 255, dtype), tf.float32))
    made = float_input(Graph(original), "x:0").graph_def
    y, gradient = run_with_gradient(made, PIXELS.astype(np.float32))
    np.testing.assert_allclose(y, run(original, PIXELS), rtol=1e-6)
    _, expected = run_with_gradient(graph_def_of(tf.float32, lambda x: layers(x / 255)), PIXELS.astype(np.float32))
    np.testing.assert_allclose(gradient, expected, rtol=0.05, atol=0.02 * np.abs(expected).max())


def test_float32_stays_itself():
    graph = Graph(graph_def_of(tf.float32, layers))
    assert float_input(graph, "x:0") is graph


def test_an_inner_tensor_becomes_the_placeholder():
    """The pixels that a decoder makes, without a batch."""
    with tf.Graph().as_default() as graph:
        pixels = tf.image.decode_jpeg(tf.placeholder(tf.string, [], name="file"), channels=3, name="x")
        tf.identity(layers(tf.cast(pixels, tf.float32)[None] / 255), name="y")
        graph_def = graph.as_graph_def()
    made = float_input(Graph(graph_def), "x").graph_def
    with tf.Graph().as_default(), tf.Session() as session:
        x, y = tf.import_graph_def(made, return_elements=["x:0", "y:0"])
        assert (x.dtype, x.op.type, x.shape.as_list()) == (tf.float32, "Placeholder", [None, None, 3])
        ours = session.run(y, {x: PIXELS[0]})
    np.testing.assert_allclose(ours, run(graph_def_of(tf.uint8, plain), PIXELS[:1]), rtol=1e-6)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda x: layers(tf.cast(tf.floordiv(x, 2, name="half"), tf.float32)), "'half', a FloorDiv, .* images="),
        (lambda x: layers(tf.cast(tf.bitwise.invert(x, name="not"), tf.float32)), "'not', a Invert, "),
        (lambda x: layers(tf.cast(tf.add(x, x, name="twice"), tf.float32)), "'twice', a AddV2, "),
        (lambda x: layers(tf.cast(tf.cast(x, tf.bool, name="any"), tf.float32)), "'any', a Cast, "),
        (lambda x: layers(tf.gather(tf.range(256.0), tf.cast(x, tf.int32), name="table")), "'table', a GatherV2, "),
    ],
)
def test_what_has_no_counterpart_is_refused(network, message):
    """uint8's sum wraps around at 256; a table has integers for indices."""
    with pytest.raises(ValueError, match=f"x:0 is not float, and {message}"):
        float_input(Graph(graph_def_of(tf.uint8, network)), "x")


def test_strings_and_one_of_several_outputs_are_refused():
    with pytest.raises(ValueError, match="x:0 is of type string, which has no gradients"):
        float_input(Graph(graph_def_of(tf.string, tf.identity)), "x")
    split = graph_def_of(tf.uint8, lambda x: plain(tf.split(x, 2, axis=2, name="two")[0]))
    with pytest.raises(ValueError, match="two:0 is of type uint8 and one of 2 outputs"):
        float_input(Graph(split), "two:0")


def encoded():
    file = io.BytesIO()
    PIL.Image.fromarray(PIXELS[0].astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_after_decoding_as_in_inception():
    """The nodes of classify_image_graph_def.pb; fed there, the network gives what the file gives."""

    def network(contents):
        pixels = tf.cast(tf.image.decode_png(contents, channels=3), tf.float32)
        resized = tf.image.resize_bilinear(tf.expand_dims(pixels, 0), [5, 7], name="ResizeBilinear")
        return layers((resized - 128) * (1 / 128))

    graph_def = graph_def_of(tf.string, network, ())
    found = after_decoding(Graph(graph_def), "x:0")
    assert found == "ResizeBilinear:0"
    with tf.Graph().as_default(), tf.Session() as session:
        pixels, y = tf.import_graph_def(graph_def, name="", return_elements=[found, "y:0"])
        expected, values = session.run([y, pixels], {"x:0": encoded()})
        np.testing.assert_array_equal(session.run(y, {pixels: values}), expected)


def test_after_decoding_without_a_known_size():
    def network(contents):
        return layers(
            tf.expand_dims(
                tf.cast(tf.image.decode_image(contents, 3, expand_animations=False), tf.float32), 0, name="batch"
            )
        )

    assert after_decoding(Graph(graph_def_of(tf.string, network, ())), "x:0") == "batch:0"


def test_after_decoding_behind_the_loop_over_a_batch():
    def network(contents):
        def one(file):
            return tf.image.resize_images(tf.image.decode_png(file, channels=3)[None], [5, 7])[0]

        pixels = tf.map_fn(one, contents, dtype=tf.float32)
        return layers(tf.identity(pixels, name="pixels"))

    with tf.Graph().as_default():
        tf.disable_control_flow_v2()
        graph_def = graph_def_of(tf.string, network, [None])
    found = after_decoding(Graph(graph_def), "x:0")
    with tf.Graph().as_default(), tf.Session() as session:
        (pixels,) = tf.import_graph_def(graph_def, name="", return_elements=[found])
        assert "TensorArray" in pixels.op.type
        assert session.run(pixels, {"x:0": [encoded()] * 2}).shape == (2, 5, 7, 3)


def test_nothing_after_decoding():
    assert after_decoding(Graph(graph_def_of(tf.string, tf.strings.length)), "x:0") is None
