"""Class names that lie beside a network's file: taken where their number fits, and said."""

import json

import numpy as np
import pytest
import tensorflow as tf2
import tensorflow.compat.v1 as tf
from foreign import classifier, load, write_pb

from slim_models.labels import labels_for, read_labels
from slim_models.loading.names import names_beside
from slim_models.mistakes import BadValue

NAMES = [f"animal {letter}" for letter in "gfedcba"]


@pytest.fixture
def path(tmp_path):
    with tf.Graph().as_default() as graph:
        classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"))
    return write_pb(tmp_path / "net.pb", graph.as_graph_def())


def opened(path, **options):
    """The network's names, and what was said of them."""
    lines = []
    network = load(path, say=lines.append, **options)
    names = None if network.labels is None else list(network.labels.names)
    return names, [line for line in lines if line.startswith("labels")]


FORMS = {
    "labels.txt": "\n".join(NAMES) + "\n\n",
    "retrained_labels.txt": "\ufeff" + "\r\n".join(NAMES),
    "output_labels.txt": "\n".join(f"{number}:{name}" for number, name in enumerate(NAMES)),
    "class_names.txt": "\n".join(f"{number} {name}" for number, name in enumerate(NAMES)),
    "labels.json": json.dumps(NAMES),
    "classes.json": json.dumps({str(number): name for number, name in reversed(list(enumerate(NAMES)))}),
    "class_names.json": json.dumps({name: number for number, name in enumerate(NAMES)}),
    "class_indices.json": json.dumps({str(number): name for number, name in enumerate(NAMES)}, indent=4),
    "labels_map.txt": json.dumps({str(number): name for number, name in enumerate(NAMES)}),
    "net_labels.txt": "\n".join(NAMES),
    "net.classes.json": json.dumps(NAMES),
}


@pytest.mark.parametrize("name", FORMS)
def test_names_of_every_form(name, path):
    (path.parent / name).write_text(FORMS[name], encoding="utf-8", newline="")
    assert opened(path) == (NAMES, [f"labels: {name} beside it (found: 7 names)"])


def test_those_of_the_files_own_name_come_first(path):
    for name, names in (("labels.txt", sorted(NAMES)), ("other_labels.txt", sorted(NAMES)), ("net_labels.txt", NAMES)):
        (path.parent / name).write_text("\n".join(names))
    assert opened(path) == (NAMES, ["labels: net_labels.txt beside it (found: 7 names)"])


class TestInTheGraph:
    """A graph that says names looks them up in a table, or picks them from a list."""

    @staticmethod
    def file_of(folder, keys, values, predicted=True):
        with tf.Graph().as_default():
            images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="input")
            _, logits = classifier(images)
            numbers = tf.argmax(logits, 1) if predicted else tf.placeholder(tf.int64, [None])
            filled = tf.lookup.KeyValueTensorInitializer(keys(), values)
            tf.lookup.StaticHashTable(filled, "none").lookup(numbers)
            tf.get_variable("step", [])
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                return tf.train.Saver().save(session, str(folder / "model.ckpt"))

    @pytest.mark.parametrize(
        "keys",
        [
            lambda: tf.range(7, dtype=tf.int64),
            lambda: tf.cast(tf.range(0, 7), tf.int64),
            lambda: tf.constant(list(range(7)), tf.int64),
        ],
    )
    def test_they_are_found(self, keys, tmp_path):
        said = "labels: 7 names (found: the table in which the graph looks up what it predicts)"
        assert opened(self.file_of(tmp_path, keys, NAMES)) == (NAMES, [said])

    def test_in_the_order_of_their_numbers(self, tmp_path):
        path = self.file_of(tmp_path, lambda: tf.constant([6, 5, 4, 3, 2, 1, 0], tf.int64), NAMES)
        assert opened(path)[0] == NAMES[::-1]

    @pytest.mark.parametrize(
        "said",
        [
            lambda logits, names: tf.gather(names, tf.argmax(logits, 1)),
            lambda logits, names: tf.gather(tf.identity(names), tf.nn.top_k(tf.nn.softmax(logits), 3).indices),
            lambda logits, names: tf.gather_nd(names, tf.argmax(logits, 1)[:, None]),
            lambda logits, names: names[tf.argmax(logits[0])],
        ],
    )
    def test_a_list_of_which_the_predicted_one_is_picked(self, said, tmp_path):
        with tf.Graph().as_default() as graph:
            _, logits = classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"))
            said(logits, tf.constant(NAMES))
            tf.gather(tf.constant(NAMES[::-1]), tf.placeholder(tf.int32, [None]))  # by what is fed
        path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
        line = "labels: 7 names (found: the table in which the graph looks up what it predicts)"
        assert opened(path, logits="logits") == (NAMES, [line])

    def test_of_one_output_there_are_two(self, tmp_path):
        """As of an Estimator's head of two classes: looked up is whether the only probability is half or more."""
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="input")
            _, logits = classifier(images, classes=1)
            numbers = tf.cast(tf.sigmoid(logits) >= 0.5, tf.int64)
            filled = tf.lookup.KeyValueTensorInitializer(tf.range(2, dtype=tf.int64), ["dog", "cat"])
            tf.lookup.StaticHashTable(filled, "none").lookup(numbers)
            tf.get_variable("step", [])
            session.run(tf.global_variables_initializer())
            path = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        assert opened(path, logits="logits", head="sigmoid")[0] == ["dog", "cat"]

    def test_those_beside_the_file_come_first(self, tmp_path):
        path = self.file_of(tmp_path, lambda: tf.range(7, dtype=tf.int64), list("abcdefg"))
        (tmp_path / "labels.txt").write_text(FORMS["labels.txt"])
        assert opened(path)[0] == NAMES

    @pytest.mark.parametrize(
        ("keys", "values", "predicted"),
        [
            (lambda: tf.range(6, dtype=tf.int64), NAMES[:6], True),  # too few
            (lambda: tf.constant([1, 2, 3, 4, 5, 6, 7], tf.int64), NAMES, True),  # none of the first
            (lambda: tf.range(7, dtype=tf.int64), NAMES, False),  # of something else
        ],
    )
    def test_other_tables_are_none(self, keys, values, predicted, tmp_path):
        assert opened(self.file_of(tmp_path, keys, values, predicted)) == (None, [])


class TestInASavedModel:
    """Of TensorFlow 2, whose tables are filled by one function and asked by another."""

    LINES = (tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE)

    @staticmethod
    def saved(folder, ways):
        """A network that says the names of what it predicts by `ways(its module)`, numbers -> names."""
        kernels = [np.random.default_rng(1).normal(0, 0.3, size) for size in ((3, 3, 3, 8), (8, 7))]
        module = tf2.Module()
        module.kernels = [tf2.Variable(np.float32(kernel)) for kernel in kernels]
        name = ways(module)

        @tf2.function(input_signature=[tf2.TensorSpec([None, 32, 32, 3], tf2.float32, "images")])
        def called(images):
            seen = tf2.nn.relu(tf2.nn.conv2d(images / 127.5 - 1, module.kernels[0], 2, "SAME"))
            logits = tf2.matmul(tf2.reduce_mean(seen, (1, 2)), module.kernels[1])
            return {"logits": logits, "name": name(tf2.argmax(logits, 1))}

        tf2.saved_model.save(module, str(folder), signatures={"serving_default": called})
        return folder

    @staticmethod
    def listed(module):
        module.names = tf2.constant(NAMES)
        return lambda numbers: tf2.gather(module.names, numbers)

    @staticmethod
    def in_a_table(module):
        filled = tf2.lookup.KeyValueTensorInitializer(tf2.range(7, dtype=tf2.int64), NAMES)
        module.table = tf2.lookup.StaticHashTable(filled, "none")
        return module.table.lookup

    @staticmethod
    def of_keras(module):
        module.layer = tf2.keras.layers.StringLookup(vocabulary=NAMES, invert=True, num_oov_indices=0)
        return module.layer

    @pytest.mark.filterwarnings("ignore:elementwise comparison failed:FutureWarning")  # Keras 2's StringLookup, NumPy 1
    @pytest.mark.parametrize("ways", ["listed", "in_a_table", "of_keras"])
    def test_they_are_found(self, ways, tmp_path):
        said = "labels: 7 names (found: the table in which the graph looks up what it predicts)"
        assert opened(self.saved(tmp_path / "saved", getattr(self, ways))) == (NAMES, [said])

    def test_a_vocabulary_of_any_name_among_its_assets(self, tmp_path):
        """Which the graph would read itself; but no graph may read files here."""
        (tmp_path / "animals.txt").write_text("\n".join(NAMES) + "\n")

        def in_a_file(module):
            filled = tf2.lookup.TextFileInitializer(str(tmp_path / "animals.txt"), *self.LINES)
            module.table = tf2.lookup.StaticHashTable(filled, "none")
            return module.table.lookup

        folder = self.saved(tmp_path / "saved", in_a_file)
        assert opened(folder) == (NAMES, ["labels: animals.txt beside it (found: 7 names)"])
        (tmp_path / "labels.txt").write_text("\n".join(sorted(NAMES)))
        assert opened(folder)[0] == sorted(NAMES)


def test_what_is_given_wins(path):
    (path.parent / "labels.txt").write_text(FORMS["labels.txt"])
    assert opened(path, labels=list("abcdefg")) == (list("abcdefg"), [])


@pytest.mark.parametrize(
    ("content", "message"),
    [("a\nb\nc", "3 labels in labels.txt for 7 classes"), ("a\n\nb", "labels.txt:2: the line is empty")],
)
def test_what_does_not_fit_is_said_and_not_taken(content, message, path):
    (path.parent / "labels.txt").write_text(content)
    names, lines = opened(path)
    assert names is None
    assert lines[0].startswith(f"labels: not those in labels.txt beside it ({message}")


def test_files_that_differ(path):
    (path.parent / "labels.txt").write_text(FORMS["labels.txt"])
    (path.parent / "classes.json").write_text(json.dumps(sorted(NAMES)))
    line = "labels: none (labels.txt and classes.json beside it differ; give one of them as labels)"
    assert opened(path) == (None, [line])


def test_numbers_out_of_order_are_names(path):
    (path.parent / "labels.txt").write_text("\n".join(f"{number + 1} {name}" for number, name in enumerate(NAMES)))
    assert opened(path)[0][0] == "1 animal g"


@pytest.mark.parametrize("content", ["{", "{}", "3", '{"a": 1, "b": 2}', "[1, 2]"])
def test_json_that_holds_no_names(content, tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(content)
    with pytest.raises(BadValue, match=r"labels\.json"):
        labels_for(path, 2)


def test_imagenets_names_keep_their_ids(tmp_path):
    imagenet = read_labels("imagenet")
    (tmp_path / "labels.txt").write_text("\n".join(map(imagenet.name, range(1000))), encoding="utf-8")
    found = names_beside(tmp_path / "net.pb", 1001, lambda line: None)
    assert found.wnids == ("", *imagenet.wnids)
    assert found.name(968) == imagenet.name(967)
    (tmp_path / "labels.txt").write_text("\n".join(f"class {number}" for number in range(1000)))
    assert not any(names_beside(tmp_path / "net.pb", 1000, lambda line: None).wnids)


@pytest.mark.parametrize("form", ["{} {}", "{}\t{}", "{}"])
def test_wordnet_ids_as_caffes_lists_have_them(form, tmp_path):
    imagenet = read_labels("imagenet")
    rows = zip(imagenet.wnids, imagenet.names)
    (tmp_path / "synset_words.txt").write_text("\n".join(form.format(*row) for row in rows), encoding="utf-8")
    assert names_beside(tmp_path / "net.pb", 1000, lambda line: None) == imagenet


@pytest.mark.parametrize("place", ["saved", "saved/assets", "."])
def test_in_a_folder_or_beside_it(place, tmp_path):
    (tmp_path / "saved" / "assets").mkdir(parents=True)
    (tmp_path / place / "labels.txt").write_text(FORMS["labels.txt"])
    assert list(names_beside(tmp_path / "saved", 7, lambda line: None).names) == NAMES
