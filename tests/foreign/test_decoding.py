"""Graphs that decode pictures themselves: fed pixels, they say what they say of files."""

import base64
import contextlib
import io

import numpy as np
import PIL.Image
import pytest
import tensorflow.compat.v1 as tf
from foreign import classifier, load

from slim_models.builders.preprocessing import affine
from slim_models.mistakes import BadValue

FILES = {"image/encoded": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}


def pixels_of(file, height=48, width=40):
    """One file as pixels in [0, 1], of its own size."""
    pixels = tf.image.convert_image_dtype(tf.image.decode_jpeg(file, channels=3), tf.float32)
    return tf.image.resize_images(pixels, [height, width])


def inception(file):
    pixels = tf.cast(tf.image.decode_jpeg(file, channels=3), tf.float32)
    return (tf.image.resize_bilinear(tf.expand_dims(pixels, 0), [48, 40]) - 128) * (1 / 128)


def of_each(one):
    return lambda files: tf.map_fn(one, files, dtype=tf.float32)


def caffe(file):
    return tf.reverse(pixels_of(file) * 255 - [123.68, 116.779, 103.939], [2])


def grey(file):
    return tf.image.resize_images(tf.cast(tf.image.decode_png(file, channels=1), tf.float32), [48, 40]) / 255


def of_examples(examples):
    return of_each(pixels_of)(tf.io.parse_example(examples, FILES)["image/encoded"])


def as_example(file):
    features = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[file])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[3])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


SAYS = "found: the graph's decoding"
BY_255 = f"zero_to_one ({SAYS} divides by 255)"
# What takes files -> its shape, what it makes of them, how a file is wrapped, and what is found of preprocessing.
DECODING = {
    "one file, as in Inception": ([], inception, bytes, f"none ({SAYS} leaves pixels as they are)"),
    "a batch, to [0, 1]": (
        [None],
        of_each(pixels_of),
        bytes,
        BY_255,
    ),
    "a batch, as Caffe": (
        [None],
        of_each(caffe),
        bytes,
        f"mean=123.68/116.779/103.939,std=1/1/1,scale=1,order=BGR ({SAYS} subtracts (123.7, 116.8, 103.9))",
    ),
    "scaled behind the loop": (
        [None],
        lambda files: of_each(pixels_of)(files) * 2 - 1,
        bytes,
        BY_255,
    ),
    "base64": (
        [None],
        of_each(lambda text: pixels_of(tf.io.decode_base64(text))),
        base64.urlsafe_b64encode,
        BY_255,
    ),
    "examples": ([None], of_examples, as_example, BY_255),
    "grey": (
        [None],
        lambda files: tf.tile(of_each(grey)(files), [1, 1, 1, 3]),
        bytes,
        BY_255,
    ),
}


def graph_of(build, shape, dtype=tf.string):
    graph = tf.Graph()
    with graph.as_default():
        classifier(build(tf.placeholder(dtype, shape, name="input")))
    return graph


@contextlib.contextmanager
def control_flow(version_2):
    """Loops as TensorFlow 1 wrote them, or as functions."""
    enabled = tf.control_flow_v2_enabled()
    (tf.enable_control_flow_v2 if version_2 else tf.disable_control_flow_v2)()
    yield
    (tf.enable_control_flow_v2 if enabled else tf.disable_control_flow_v2)()


def found_in(graph):
    lines = []
    return load(graph, preprocessing=None, say=lines.append), lines


@pytest.mark.parametrize("control_flow_v2", [False, True])
@pytest.mark.parametrize("name", DECODING)
def test_pixels_give_what_their_file_gives(name, control_flow_v2):
    shape, build, wrapped, said = DECODING[name]
    with control_flow(control_flow_v2):
        graph = graph_of(build, shape)
    picture = np.random.default_rng(0).integers(0, 256, (48, 40, 3)).astype(np.uint8)
    if name == "grey":  # colours would be rounded to whole numbers of grey
        picture = np.repeat(picture[..., :1], 3, axis=2)
    file = io.BytesIO()
    PIL.Image.fromarray(picture).save(file, "PNG")
    content = wrapped(file.getvalue())
    with tf.Session(graph=graph) as session:
        expected = session.run("logits:0", {"input:0": content if shape == [] else [content]})

    network, lines = found_in(graph)
    assert f"preprocessing: {said}" in lines
    assert network.image_size == (48, 40)
    with tf.Session(graph=network.graph) as session:
        logits = session.run(network.logits, {network.images: picture[None].astype(np.float32)})
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def resized(pixels):
    return tf.image.resize_images(tf.cast(pixels, tf.float32), [48, 40]) / 127.5 - 1


@pytest.mark.parametrize("control_flow_v2", [False, True])
@pytest.mark.parametrize("dtype", [tf.uint8, tf.int32])
def test_integers_that_a_loop_makes_ready(dtype, control_flow_v2):
    """As graphs are served, each picture of a batch resized on its own."""
    with control_flow(control_flow_v2):
        graph = graph_of(of_each(resized), [None, None, None, 3], dtype)
    picture = np.random.default_rng(0).integers(0, 256, (1, 48, 40, 3)).astype(dtype.as_numpy_dtype)
    with tf.Session(graph=graph) as session:
        expected = session.run("logits:0", {"input:0": picture})
    network, lines = found_in(graph)
    assert [line for line in lines if line.endswith("(found: what a loop makes of input:0)")]
    assert network.image_size == (48, 40)
    (said,) = (line for line in lines if line.startswith("preprocessing: "))
    assert said.startswith("preprocessing: minus_one_to_one (found: the graph's decoding")
    with tf.Session(graph=network.graph) as session:
        logits = session.run(network.logits, {network.images: picture.astype(np.float32)})
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_integers_that_are_made_floats_before_the_loop_are_the_pictures():
    with control_flow(False):
        graph = graph_of(lambda x: of_each(resized)(tf.cast(x, tf.float32)), [None, 48, 40, 3], tf.uint8)
    _, lines = found_in(graph)
    assert "images: input:0 uint8 [?, 48, 40, 3] (found: the only input that could be pictures)" in lines
    assert not [line for line in lines if "a loop makes" in line]


@pytest.mark.parametrize("shape_is_said", [True, False])
def test_what_python_made_of_pictures_are_the_pictures(shape_is_said, tmp_path):
    """Its code is in no file, and the shape of what it gives only where the graph of a checkpoint says it."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 48, 40, 3], name="input")
        tf.summary.image("seen", tf.numpy_function(lambda x: x, [images], tf.float32, name="beside"))
        made = tf.numpy_function(lambda x: 2 * x, [images], tf.float32, name="augmented")
        made.set_shape([None, 48, 40, 3] if shape_is_said else [None, None, None, 3])
        _, logits = classifier(made)
        tf.get_variable("step", [])
        session.run(tf.global_variables_initializer())
        prefix = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        picture = np.random.default_rng(0).uniform(0, 255, (1, 48, 40, 3)).astype(np.float32)
        expected = session.run(logits, {made: picture})
    lines = []
    network = load(prefix, image_size=(48, 40), say=lines.append)
    assert "images: augmented:0 (found: what Python code that is not in the file makes of input:0)" in lines
    with tf.Session(graph=network.graph) as session:
        logits = session.run(network.logits, {network.images: picture})
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_what_is_no_sum_and_product_of_pixels_has_to_be_told():
    def standardized(file):
        return tf.image.per_image_standardization(pixels_of(file))

    with pytest.raises(BadValue, match="what is done with pixels before the graph cannot be told"):
        found_in(graph_of(of_each(standardized), [None]))


def test_a_size_that_the_picture_decides_is_found_as_ever():
    def alone(file):
        return tf.expand_dims(tf.cast(tf.image.decode_png(file, channels=3), tf.float32) / 255, 0)

    network, lines = found_in(graph_of(alone, []))
    assert network.image_size == (224, 224)
    assert "preprocessing: zero_to_one (found: the graph's decoding divides by 255)" in lines


def test_what_reads_files_is_not_run(tmp_path):
    def reading(name):
        return tf.expand_dims(pixels_of(tf.io.read_file(name)), 0)

    path = tmp_path / "written"

    def writing(content):
        with tf.control_dependencies([tf.io.write_file(str(path), "anything")]):
            return tf.expand_dims(pixels_of(tf.identity(content)), 0)

    for build in (reading, writing):
        with pytest.raises(BadValue, match="cannot be told"):
            found_in(graph_of(build, []))
    assert not path.exists()


def test_what_is_said_is_what_a_user_can_give():
    numbers = affine("mean=1/2/3,std=4,order=BGR")
    assert affine(str(numbers)) == numbers
