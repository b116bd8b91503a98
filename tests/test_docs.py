"""README and the pages of docs/: their commands, their Python and their links are those of the project."""

import re
import shlex
from pathlib import Path

import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import keras_model, write_pb, write_saved_model

import slim_models
from gradcam.cli.evaluate import KINDS
from gradcam.cli.main import COMMANDS, _parser, main
from gradcam.pictures import fit_image, samples
from slim_models.labels import read_labels

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "own").glob("*.md"))]
OF_FORMATS = ("index", "frozen_graph", "saved_model", "checkpoint", "keras", "session")


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    """The code in a page's fences of a language; of none: commands."""
    fences = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [code for word, code in fences if word == language]


def joined(block):
    """The lines of a block, those that a backslash breaks in one."""
    return block.replace("\\\n", " ").splitlines()


def commands(page):
    """The lines of a page's fences that call a program of the project, as words; `&&` is between two."""
    parts = [part for block in blocks(page, "") for line in joined(block) for part in line.split("&&")]
    parts = [part for part in parts if part.split()[:1] in (["gradcam"], ["python"])]
    return [shlex.split(part, comments=True) for part in parts]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_its_commands_are_commands(page, capsys):
    """Their flags are known, their scripts are there."""
    for program, *words in commands(page):
        if program == "python":
            assert words[0] == "-m" or (ROOT / words[0]).exists(), words
        elif "..." not in words:
            try:
                _parser(words[0]).parse_args(words)
            except SystemExit:
                pytest.fail(f"gradcam {shlex.join(words)}: {capsys.readouterr().err}")


def test_flags_that_pages_speak_of_are_flags(capsys):
    known = set(re.findall(r"--[a-z][\w-]+", "".join(page.read_text() for page in (ROOT / "scripts").rglob("*.py"))))
    for command in COMMANDS:
        for kind in KINDS if command == "evaluate" else [""]:
            assert main([command, *filter(None, [kind]), "--help"]) == 0
            known |= set(re.findall(r"--[a-z][\w-]+", capsys.readouterr().out))
    foreign = {"--check", "--dist", "--numprocesses", "--help"}  # of ruff and pytest
    for page in PAGES[:1] + [page for page in PAGES if page.stem.islower()]:  # the others speak of other programs' too
        spoken = re.findall(r"(?<![\w-])--[a-z][\w-]+", page.read_text(encoding="utf-8"))
        assert set(spoken) - known - foreign == set(), page


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_its_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], link


def test_commands_on_samples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ran = [words[1:] for words in commands(ROOT / "docs" / "index.md") if any("sample:" in word for word in words)]
    assert len(ran) == 2
    for words in ran:
        assert main(words) == 0
    assert (tmp_path / "out" / "cat_and_coffee.espresso.figure.png").exists()


def test_the_page_on_python_shows_the_readmes_program():
    """Which is run as a program of its own, and by the test of the embedded networks."""
    (of_readme,) = blocks(ROOT / "README.md", "python")
    assert of_readme in blocks(ROOT / "docs" / "python.md", "python")


class Scaled(tensorflow.keras.layers.Layer):
    """A layer of one's own, as the file of faces has one."""

    def call(self, images):
        return images / 255.0


def unbuilt_model():
    layers = tensorflow.keras.layers
    convolution = layers.Conv2D(4, 3, activation="relu")
    head = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    return tensorflow.keras.Sequential([layers.Rescaling(1 / 255), convolution, *head])


def faces_model():
    layers = tensorflow.keras.layers
    pictures, age = layers.Input((32, 32, 3), name="pictures"), layers.Input((1,), name="age")
    net = layers.Conv2D(4, 3, activation="relu")(Scaled()(pictures))
    net = layers.Concatenate()([layers.GlobalAveragePooling2D()(net), age])
    gender, smile = layers.Dense(2, "softmax", name="gender")(net), layers.Dense(1, "sigmoid", name="smile")(net)
    return tensorflow.keras.Model([pictures, age], [gender, smile])


@pytest.fixture(scope="module")
def own_networks(tmp_path_factory):
    """The embedded ResNet as somebody else's, under the names that the pages give its files; and names in the code."""
    folder = tmp_path_factory.mktemp("own")
    keras_model().save(folder / "model.keras")
    faces_model().save(folder / "faces.keras")
    model, graph = (
        unbuilt_model(),
        tf.Graph(),
    )  # where a graph is the default one Keras 2 makes layers of its older kind
    with graph.as_default(), tf.Session() as session:
        pictures = tf.placeholder(tf.float32, [None, 112, 112, 3], name="input")
        entry = slim_models.NETWORKS["resnet_v1_50_tiny"]
        probabilities = tf.nn.softmax(
            entry.builder(pictures, num_classes=200, width_divisor=4)[0], name="probabilities"
        )
        weights = slim_models.read_weights(slim_models.find_weights("resnet_v1_50_tiny"))
        initial = {variable.initializer: weights[variable.op.name] for variable in tf.global_variables()}
        session.run(list(initial), {op.inputs[1]: value for op, value in initial.items()})
        tf.train.Saver().save(session, str(folder / "model.ckpt"))
        write_saved_model(folder / "exported", session, pictures, {"probabilities": probabilities})
        graph_def = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["probabilities"])
        write_pb(folder / "frozen.pb", graph_def)
        names = read_labels("tiny_imagenet").names
        (folder / "names.txt").write_text("\n".join(name.split(",")[0] for name in names))
        images = fit_image(samples.coffee(), (112, 112), "crop")[None]
        yield folder, {"session": session, "images": images, "model": model, "Scaled": Scaled}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, of NumPy
@pytest.mark.parametrize("page", OF_FORMATS)
def test_networks_of_ones_own_open_as_the_pages_say(page, own_networks, monkeypatch, capsys):
    folder, names = own_networks
    monkeypatch.chdir(folder)
    names = dict(names)
    for block in blocks(ROOT / "docs" / "own" / f"{page}.md", "python"):
        exec(block, names)
    if "explanation" in names:
        assert names["explanation"].probabilities[0, 193] > 0.5  # espresso
    said = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    if page in ("index", "frozen_graph"):
        assert said.count("layer") == said.count("preprocessing") == 1  # of the network that was asked to say them
