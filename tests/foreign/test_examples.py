"""Pictures of the user's own that tell which preprocessing a network was trained with."""

import numpy as np
import PIL.Image
import pytest
import tensorflow.compat.v1 as tf
from foreign import load, write_pb

from gradcam.cli import main
from gradcam.pictures import read_classes
from slim_models.mistakes import BadValue, MissingFile, UnknownName

CLASSES = {"dark": 30, "grey": 128, "light": 225}


def net(tmp_path, size=32, centres=(0.1, 0.5, 0.9), sharpness=20.0):
    """Tells how bright a picture in [0, 1] is: of centres c and the mean m of its pixels, it is the nearest."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, size, size, 3], name="input")
        kernel = np.zeros((1, 1, 3, 4), np.float32)
        kernel[..., :2], kernel[..., 2:] = 1 / 3, -1 / 3
        parts = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME"))
        means = tf.reduce_mean(parts, [1, 2])  # the positive part twice, then the negative one
        c = np.array(centres, np.float32)
        weights = np.stack([c, c, -c, -c])  # -(m - c)^2 = 2 m c - c^2 - m^2, of which m^2 is the same for all
        tf.nn.softmax(sharpness * (tf.matmul(means, weights) - c**2), name="probabilities")
    return write_pb(tmp_path / "net.pb", graph.as_graph_def())


def picture(brightness, seed=0, size=(40, 50)):
    noise = np.random.default_rng(seed).normal(0, 4, (*size, 3))
    return np.clip(brightness + noise, 0, 255).astype(np.uint8)


def examples(names=tuple(CLASSES), count=3):
    return [(picture(CLASSES[name], seed), name) for name in names for seed in range(count)]


@pytest.fixture
def folder(tmp_path):
    for name, brightness in CLASSES.items():
        (tmp_path / "mine" / name).mkdir(parents=True)
        for seed in range(2):
            PIL.Image.fromarray(picture(brightness, seed)).save(tmp_path / "mine" / name / f"{seed}.png")
    return tmp_path / "mine"


def found_in(path, **options):
    lines = []
    return load(path, preprocessing=None, say=lines.append, **options), lines


def said(lines, of):
    return [line for line in lines if line.startswith(of)]


def test_they_settle_it_and_name_the_classes(tmp_path):
    network, lines = found_in(net(tmp_path), examples=examples())
    (line,) = said(lines, "preprocessing")
    assert line.startswith("preprocessing: zero_to_one (found by your 9 examples: 100% right, recognised at ")
    assert "; with standardized: 67% right, recognised at " in line
    assert said(lines, "labels: dark, grey, light (guessed: the examples' classes, in order of name")
    assert network.labels.names == ("dark", "grey", "light")
    with tf.Session(graph=network.graph) as session:
        shown = np.stack([np.full((32, 32, 3), value, np.float32) for value in CLASSES.values()])
        assert session.run(network.logits, {network.images: shown}).argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("targets", [("0", "1", "2"), (0, 1, 2)])
def test_classes_by_index(tmp_path, targets):
    given = [(image, targets[list(CLASSES).index(name)]) for image, name in examples()]
    network, lines = found_in(net(tmp_path), examples=given)
    assert said(lines, "preprocessing: zero_to_one") and network.labels is None


def test_classes_by_the_network_s_names(tmp_path):
    names = {"dark": "night", "grey": "dusk", "light": "day"}
    given = [(image, names[name]) for image, name in examples()]
    network, lines = found_in(net(tmp_path), examples=given, labels=["night", "dusk", "day"])
    assert said(lines, "preprocessing: zero_to_one") and network.labels.names == ("night", "dusk", "day")
    with pytest.raises(UnknownName, match="no class 'dark' among 3"):
        found_in(net(tmp_path), examples=examples(), labels=["night", "dusk", "day"])


def test_too_few_classes_without_names(tmp_path):
    with pytest.raises(UnknownName, match=r"examples have 2 classes \(dark, light\) and the network 3, whose names"):
        found_in(net(tmp_path), examples=examples(["dark", "light"]))


def test_what_they_do_not_tell_is_an_error(tmp_path):
    """Dark pictures alone are dark under every scale that is about right."""
    given = [(image, 0) for image, _ in examples(["dark"])]
    with pytest.raises(BadValue, match=r"zero_to_one.* are too close to call with your 3 examples, and more would"):
        found_in(net(tmp_path, sharpness=200.0), examples=given)


def test_classes_in_the_wrong_order(tmp_path):
    given = [(image, {"dark": 1, "grey": 2, "light": 0}[name]) for image, name in examples()]
    with pytest.raises(BadValue, match=r"under no preprocessing it recognises your 9 examples \(at best: \d+% right\)"):
        found_in(net(tmp_path), examples=given)


def test_the_graph_s_own_arithmetic_is_final(tmp_path):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="pixels")
        graph_def = tf.GraphDef()
        graph_def.ParseFromString(net(tmp_path).read_bytes())
        tf.import_graph_def(graph_def, {"input:0": images / 255}, name="")
    path = write_pb(tmp_path / "whole.pb", graph.as_graph_def())
    _, lines = found_in(path, examples=examples())
    assert said(lines, "preprocessing: none (found: the graph divides by 255 itself)")


@pytest.mark.parametrize("bad", [np.zeros((8, 8)), np.zeros((8, 8, 4)), np.zeros((1, 8, 8, 3))])
def test_what_is_no_picture(tmp_path, bad):
    with pytest.raises(BadValue, match=r"an example is a picture \[h, w, 3\] and its class, not an array"):
        found_in(net(tmp_path), examples=[(bad, 0)])


def test_a_picture_of_no_known_class_shows_what_each_choice_makes_of_it(tmp_path):
    with pytest.raises(BadValue, match="cannot be told") as error:
        found_in(net(tmp_path), examples=[(picture(CLASSES["grey"]), None)], labels=list(CLASSES))
    text = str(error.value)
    assert "the likeliest classes of your picture are with none light (" in text
    assert "with zero_to_one grey (" in text and "with minus_one_to_one dark (" in text
    assert text.endswith("(the flag --preprocessing), or pictures whose classes you know (--examples)")


class TestCommandLine:
    def test_a_folder_of_folders(self, tmp_path, folder, capsys):
        source = folder / "grey" / "0.png"
        options = ["--write", "overlay", "--out", str(tmp_path / "out")]
        assert main(["explain", str(source), "--network", str(net(tmp_path)), "--examples", str(folder), *options]) == 0
        captured = capsys.readouterr()
        assert "preprocessing: zero_to_one (found by your 6 examples: 100% right" in captured.err
        assert [path.name[:7] for path in (tmp_path / "out").glob("*.overlay.png")] == ["0.grey."]

    def test_the_message_is_of_the_user_s_picture(self, tmp_path, folder, capsys):
        source = folder / "grey" / "0.png"
        assert main(["explain", str(source), "--network", str(net(tmp_path)), "--out", str(tmp_path / "out")]) == 2
        captured = capsys.readouterr()
        assert "the likeliest classes of your picture are with none 2 (" in captured.err
        assert not (tmp_path / "out").exists()

    def test_no_folders(self, tmp_path, folder, capsys):
        (tmp_path / "empty").mkdir()
        for examples_, reason in ((tmp_path / "empty", "no folders in"), (tmp_path / "not", "no folders in")):
            code = main(["layers", str(net(tmp_path)), "--examples", str(examples_)])
            assert code == 2 and reason in capsys.readouterr().err


def test_as_many_of_each_class(folder):
    assert [of for _, of in read_classes(str(folder))] == ["dark", "dark", "grey", "grey", "light", "light"]
    for number in range(300):
        PIL.Image.fromarray(picture(30, number, (4, 4))).save(folder / "dark" / f"more{number}.png")
    assert [of for _, of in read_classes(str(folder))].count("dark") == 200 // 3
    (folder / "nothing").mkdir()
    with pytest.raises(MissingFile, match="no pictures in"):
        read_classes(str(folder))
