"""Networks of several inputs and outputs: each by its own name, the others' values given; numbers are the network's."""

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import classifier, constant, load, write_pb

from gradcam.cli.main import main
from gradcam.explainer import Explainer
from slim_models.mistakes import BadValue, UnknownName

layers = tensorflow.keras.layers
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",  # Keras' own, of NumPy
    "ignore:You are saving your model as an HDF5 file:UserWarning",
)
AGE, PLACE = 30.0, np.array([0.5, -1.0, 2.0], np.float32)


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max() + 1e-12)


def faces():
    """A Keras model of three inputs, one of which it does not use, and two outputs; `features` are its activations."""
    tensorflow.keras.utils.set_random_seed(0)
    face, age, place = (layers.Input(s, name=n) for s, n in (((32, 32, 3), "face"), ((1,), "age"), ((3,), "place")))
    idle = layers.Input((5,), name="idle")
    features = layers.Conv2D(6, 3, strides=2, activation="relu", name="features")(face)
    net = layers.Concatenate()([layers.GlobalAveragePooling2D()(features), age, place])
    net = layers.Dense(9, activation="elu", name="both")(net)
    gender = layers.Dense(2, activation="softmax", name="gender")(net)
    group = layers.Dense(4, activation="softmax", name="group")(layers.GlobalAveragePooling2D()(features))
    return tensorflow.keras.Model([face, age, place, idle], [gender, group])


def others(number=3):
    return [np.full((number, 1), AGE, np.float32), np.tile(PLACE, (number, 1)), np.zeros((number, 5), np.float32)]


def of_faces(model, target):
    """By Keras and a tape alone: probabilities of both outputs, and the gradient of a logit at the activations."""
    inner = model.get_layer
    probabilities = [given.numpy() for given in model([IMAGES, *others()], training=False)]
    with tensorflow.GradientTape() as tape:
        activations = inner("features")(IMAGES)
        tape.watch(activations)
        net = tf.concat([tf.reduce_mean(activations, [1, 2]), *others()[:2]], 1)
        head = inner("gender")
        y = (tf.matmul(inner("both")(net), head.kernel) + head.bias)[:, target]
    return probabilities, tape.gradient(y, activations).numpy()


def as_model(model, folder):
    return model


def as_file(model, folder):
    model.save(folder / "model.h5")
    return folder / "model.h5"


def as_saved_model(model, folder):
    (model.export if hasattr(tensorflow.keras, "ops") else model.save)(str(folder / "saved"))
    return folder / "saved"


def as_session(model, folder):
    """Frozen, in a live graph."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [tensorflow.TensorSpec(i.shape, tf.float32, name=i.name.split(":")[0]) for i in model.inputs]
    function = tensorflow.function(lambda *given: model(given, training=False)).get_concrete_function(*specs)
    graph, frozen = tf.Graph(), convert_variables_to_constants_v2(function).graph.as_graph_def()
    with graph.as_default():
        tf.import_graph_def(frozen, name="")
    return tf.Session(graph=graph)


WAYS = {way.__name__: way for way in (as_model, as_file, as_saved_model, as_session)}
# What an export of several outputs calls them is Keras' affair.
FIRST = {"as_saved_model": "output_0" if hasattr(tensorflow.keras, "ops") else "gender"}


@pytest.fixture(scope="module")
def model():
    return faces()


@pytest.mark.parametrize("way", WAYS)
def test_one_output_with_values_for_other_inputs(way, model, tmp_path):
    given = WAYS[way](model, tmp_path)
    (gender, _), gradient = of_faces(model, 1)
    options = {"feed": {"age": AGE, "place": PLACE}, "logits": FIRST.get(way, "gender")}
    if way == "as_session":
        options["logits"] = "Identity"
        options |= {"layer": next(o.name for o in given.graph.get_operations() if o.type == "Relu")}
    network = load(given, **options)
    assert network.batch_size is None and network.image_size == (32, 32)
    with Explainer(network, rules=("backprop",)) as explainer:
        found = explainer.explain(IMAGES, 1)
        one = explainer.explain(IMAGES[:1], 1)
    close(found.probabilities, gender)
    close(found.gradients[network.default_layer], gradient, 1e-4)
    close(one.gradients[network.default_layer], gradient[:1], 1e-4)


def test_an_output_that_needs_no_other_input_needs_no_values(model):
    with Explainer(load(model, logits="group")) as explainer:
        close(explainer.explain(IMAGES).probabilities, of_faces(model, 0)[0][1])


def test_outputs_and_inputs_are_told_by_the_names_that_can_be_typed(model):
    with pytest.raises(BadValue, match=r"2 outputs could be the logits: gender \(.*\), group \(.*\); give one's name"):
        load(model)
    missing = r"inputs age \(float32 \[\?, 1\]\) and place \(float32 \[\?, 3\]\), .*--feed age=VALUE --feed place=VALUE"
    with pytest.raises(BadValue, match=missing):
        load(model, logits="gender")
    with pytest.raises(BadValue, match=r"the input place \(float32 \[\?, 3\]\), which is no picture: give its value"):
        load(model, logits="gender", feed={"age": 3})
    with pytest.raises(UnknownName, match=r"no tensor 'gendre'; similar: gender.*its inputs and outputs are .*group"):
        load(model, logits="gendre")
    with pytest.raises(UnknownName, match=r"feed: there is no input 'old'; the inputs are face \(.*, age \(.*, place"):
        load(model, logits="gender", feed={"old": 3})
    with pytest.raises(BadValue, match="feed gives a value to face:0, which takes the pictures"):
        load(model, images="face", logits="group", feed={"face": IMAGES[0]})
    with pytest.raises(BadValue, match="'age' and 'age:0' are the same input"):
        load(model, logits="gender", feed={"age": 3, "age:0": 4})


SHAPES = [
    (30, None),
    ([30], None),
    ([[30]], None),
    (np.int64(30), None),
    (True, None),
    ([30, 31], r"the value of age is \[2\], and should be \[1\], as age:0 float32 \[\?, 1\] has it for one picture"),
    ([[30], [31]], r"is \[2, 1\], and should be \[1\]"),
    ([], r"is \[0\], and should be \[1\]"),
    ("old", "age takes float32, not 'old'"),
    (None, "age takes float32, not None"),
    (float("nan"), "age takes float32, which cannot be nan"),
    (1e300, "age takes float32, which cannot be 1e"),
    ([[1], [2, 3]], "the value of age is no array|age takes float32, not"),
    ({"a": 1}, "age takes float32, not"),
    (1 + 2j, "age takes float32, not"),
]


@pytest.mark.parametrize(("value", "message"), SHAPES, ids=[str(value) for value, _ in SHAPES])
def test_values_that_can_be_and_that_cannot(value, message, model):
    feed = {"age": value, "place": [1, 2, 3]}
    if message is None:
        assert load(model, logits="gender", feed=feed).num_classes == 2
    else:
        with pytest.raises(BadValue, match=f"feed: .*{message}"):
            load(model, logits="gender", feed=feed)


TYPES = [
    (tf.int32, [None], 3, 3.0),
    (tf.uint8, [None, 1], 255, 255.0),
    (tf.uint8, [None, 1], 256, "uint8, which cannot be 256"),
    (tf.int32, [None], 3.5, "int32, which cannot be 3.5"),
    (tf.int32, [None], 4.0, 4.0),
    (tf.bool, [], 1, 1.0),
    (tf.bool, [], True, 1.0),
    (tf.bool, [], 2, "bool, which cannot be 2"),
    (tf.float32, [], 0.25, 0.25),
    (tf.float32, None, 0.25, 0.25),
    (tf.float16, [None, 1], 0.5, 0.5),
    (tf.float16, [None, 1], 1e6, "float16, which cannot be 1000000.0"),
    (tf.float64, [1, 1], 7, 7.0),
    (tf.float32, [1], [[8]], 8.0),
    (tf.float32, [2], [1, 1], "[2]"),
    (tf.string, [None], "3", 3.0),
    (tf.string, [None], 3, "n takes text, not 3"),
]


@pytest.mark.parametrize(("kind", "shape", "value", "expected"), TYPES)
@pytest.mark.parametrize("first", ["float32", "uint8", "NCHW"])
def test_types_and_shapes_of_inputs_in_a_frozen_graph(first, kind, shape, value, expected, tmp_path):
    """Whatever a graph takes pictures as, logits are what they were, times what was given."""
    if first != "float32" and kind not in (tf.int32, tf.float64):
        pytest.skip("types of the value are tried once")
    with tf.Graph().as_default() as graph:
        size = [None, 3, 32, 32] if first == "NCHW" else [None, 32, 32, 3]
        images = tf.placeholder(tf.uint8 if first == "uint8" else tf.float32, size, name="x")
        given = tf.placeholder(kind, shape, name="n")
        number = tf.strings.to_number(given) if kind == tf.string else tf.cast(given, tf.float32)
        pixels = tf.transpose(images, [0, 2, 3, 1]) if first == "NCHW" else tf.cast(images, tf.float32)
        _, logits = classifier(pixels)
        number = tf.reshape(number, [-1, 1]) if shape else number
        end = tf.multiply(logits, tf.reshape(tf.reduce_mean(number), []) if shape == [2] else number, name="end")
        path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    if isinstance(expected, str) and expected != "[2]":
        with pytest.raises(BadValue, match=f"feed: .*{expected}"):
            load(path, logits="end", feed={"n": value})
        return
    network = load(path, logits="end", feed={"n": value})
    pictures = np.floor(IMAGES)
    with Explainer(network) as explainer, tf.Session(graph=end.graph) as session:
        fed = pictures.transpose(0, 3, 1, 2) if first == "NCHW" else pictures
        factor = 1.0 if expected == "[2]" else expected
        close(explainer.predict(pictures), factor * session.run(logits, {images: fed}))


def test_a_second_picture():
    """Two towers: which is explained is said by `images`, the other is a constant of as many numbers."""
    with tf.Graph().as_default() as graph:
        pictures = [tf.placeholder(tf.float32, [None, 32, 32, 3], name=name) for name in ("left", "right")]
        ends = [tf.nn.relu(tf.nn.conv2d(net, constant([3, 3, 3, 5], 7), 2, "SAME")) for net in pictures]
        net = tf.concat([tf.reduce_mean(end, [1, 2]) for end in ends], 1)
        logits = tf.matmul(net, constant([10, 4], 8), name="end")
        gradient = tf.gradients(logits[:, 2], ends[0])[0]
    with pytest.raises(BadValue, match="2 inputs could be the pictures: left:0 .*right:0 .*values for others .* feed"):
        load(graph)
    right = IMAGES[0] / 2
    with tf.Session(graph=graph) as session:
        expected = session.run([logits, gradient], {pictures[0]: IMAGES, pictures[1]: np.stack([right] * 3)})
        # Which leaves one that could be the pictures. The gradient of the weights, [10, 4], is of no picture.
        with pytest.raises(BadValue, match="no classifier: no output that depends on left:0"):
            load(session, feed={"right": right})
        network = load(session, feed={"right": right}, logits="end")
        with Explainer(network, rules=()) as explainer:
            found = explainer.explain(IMAGES, 2)
    assert network.default_layer == "Relu"
    close(found.logits, expected[0])
    close(found.gradients["Relu"], expected[1], 1e-4)


def test_a_needed_input_behind_which_no_softmax_is_found(tmp_path):
    """Features beside it are not taken for the logits."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
        age = tf.placeholder(tf.float32, [None, 1], name="age")
        activations, _ = classifier(images)
        net = tf.concat([tf.reduce_mean(activations, [1, 2]), age], 1)
        tf.matmul(net, constant([13, 4], 8), name="end")
        graph_def = tf.graph_util.extract_sub_graph(graph.as_graph_def(), ["end"])
    path = write_pb(tmp_path / "net.pb", graph_def)
    with pytest.raises(BadValue, match=r"the input age \(float32 \[\?, 1\]\)"):
        load(path)
    assert load(path, feed={"age": 3}).num_classes == 4


def test_what_comes_out_of_a_queue_beside_the_pictures_is_given():
    with tf.Graph().as_default() as graph:
        data = tf.data.Dataset.from_tensor_slices((IMAGES, np.ones([3, 8], np.float32))).batch(3)
        images, scales = tf.data.make_initializable_iterator(data).get_next()
        activations = tf.nn.relu(tf.nn.conv2d(images, constant([3, 3, 3, 8]), 2, "SAME"))
        logits = tf.matmul(tf.reduce_mean(activations, [1, 2]) * scales, constant([8, 7]))
        tf.nn.softmax(logits, name="scores")
    scale = np.arange(8) / 4
    with Explainer(load(graph, feed={"IteratorGetNext:1": scale})) as explainer, tf.Session(graph=graph) as session:
        expected = session.run(logits, {images: IMAGES, scales: np.tile(scale, (3, 1))})
        close(explainer.predict(IMAGES), expected)


@pytest.fixture
def two_signatures(tmp_path):
    """A SavedModel of TensorFlow 1 with two ways to run it, which share an input's key."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        found = {}
        for name in ("cats", "dogs"):
            images = tf.placeholder(tf.float32, [None, 32, 32, 3], name=f"{name}_in")
            net = tf.nn.relu(tf.nn.conv2d(images, constant([3, 3, 3, 8], len(found)), 2, "SAME"))
            logits = tf.matmul(tf.reduce_mean(net, [1, 2]), constant([8, 5 + len(found)]), name=f"{name}_logits")
            found[name] = (images, {"scores": tf.nn.softmax(logits), name: logits})
        info = tf.saved_model.build_tensor_info
        signatures = {
            name: tf.saved_model.build_signature_def({"image": info(i)}, {key: info(t) for key, t in o.items()})
            for name, (i, o) in found.items()
        }
        builder = tf.saved_model.Builder(str(tmp_path / "saved"))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()
        expected = {name: session.run(outputs[name], {images: IMAGES}) for name, (images, outputs) in found.items()}
        del graph
    return tmp_path / "saved", expected


@pytest.mark.parametrize(
    ("words", "which"),
    [
        ({"logits": "dogs/scores"}, "dogs"),
        ({"logits": "dogs"}, "dogs"),
        ({"logits": "cats/cats"}, "cats"),
        ({"images": "dogs/image"}, "dogs"),
        ({"images": "cats/image", "logits": "cats"}, "cats"),
        ({"images": "cats_in", "logits": "cats_logits"}, "cats"),
    ],
)
def test_a_signature_of_several(words, which, two_signatures):
    path, expected = two_signatures
    lines = []
    with Explainer(load(path, say=lines.append, **words)) as explainer:
        close(explainer.predict(IMAGES), expected[which])
    word, *_ = [word for word in words.values() if not word.endswith(("_in", "_logits"))] or [None]
    assert word is None or [line for line in lines if line.startswith(f"{word}: ") and "(found: one of" in line]


def test_signatures_that_could_be_either(two_signatures):
    path, _ = two_signatures
    with pytest.raises(BadValue, match=r"2 inputs could be the pictures: cats/image \(cats_in.*dogs/image \(dogs_in"):
        load(path)
    with pytest.raises(UnknownName, match="no tensor 'scores'; similar: .*cats/scores"):
        load(path, images="cats/image", logits="scores")


def test_the_flags(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GRADCAM_WEIGHTS", str(tmp_path))
    path = str(as_saved_model(model, tmp_path))
    first = FIRST["as_saved_model"]
    flags = ["layers", path, "--preprocessing", "none", "--logits-tensor", first]
    assert main([*flags, "--feed", "age=30", "--feed", "place=0.5,-1,2"]) == 0
    assert "15 x 15 x 6  (default)" in capsys.readouterr().out
    for more, message in [
        ([], "which are no pictures: give each a value, the same for every picture, as feed (--feed age=VALUE"),
        (["--feed", "age=thirty", "--feed", "place=1,2,3"], "feed: age takes float32, not 'thirty'"),
        (["--feed", "age=1", "--feed", "age=2"], "--feed gives an input two values: age, age"),
    ]:
        assert main([*flags, *more]) == 2
        assert message in capsys.readouterr().err
    assert main([*flags, "--feed", "age"]) == 2
    assert "'age' is no NAME=VALUE, such as age=3" in capsys.readouterr().err


def test_values_in_words():
    from gradcam.cli.network_flags import fed_value

    assert fed_value("a=3") == ("a", 3)
    assert fed_value("a=-2.5e1") == ("a", -25.0)
    assert fed_value("scope/a:0=1, 2.5,3") == ("scope/a:0", [1, 2.5, 3])
    assert fed_value("a=True") == ("a", True)
    assert fed_value("a=false,true") == ("a", [False, True])
    assert fed_value("a=x=y") == ("a", "x=y")
