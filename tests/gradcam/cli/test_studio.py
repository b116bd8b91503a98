"""What the page of `gradcam serve` shows, without the page: the numbers and pictures are those of an `Explainer`."""

import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import classifier, load, unmarked, write_pb
from PIL import Image

import slim_models
from gradcam.cli import page, serving, studio as rooms
from gradcam.cli.main import main
from gradcam.cli.studio import Studio, Wanted
from gradcam.explainer import Explainer
from gradcam.maps import LOOK
from gradcam.pictures import read_photograph, read_provenance, samples
from slim_models.mistakes import BadValue, MissingPackage, UnknownName, Unreachable

NAME = "vgg16_tiny"  # of the embedded ones it is built in a third of the time


@pytest.fixture(scope="module")
def studio():
    with Studio({NAME: lambda: slim_models.open_network(NAME), "none": lambda: slim_models.open_network("no.pb")}) as s:
        yield s


@pytest.fixture(scope="module")
def explainer():
    with Explainer(slim_models.open_network(NAME)) as explainer:
        yield explainer


def test_the_choices_are_the_network_s(studio):
    choices = studio.choices(NAME)
    assert len(choices.classes) == 200
    assert choices.classes[193] == ("espresso (193)", "193")
    assert (choices.layers[0], choices.layer) == ("conv1_1", "conv5_3")


def test_pictures_table_and_numbers_are_those_of_an_explainer(studio, explainer):
    photograph = read_photograph("sample:cat_and_coffee", "crop")
    image = photograph.fitted(explainer.network.image_size)
    expected = explainer.explain_classes(image, ["tabby", "espresso"])
    look = LOOK._replace(colormap="jet")
    shown = studio.explain(Wanted("sample:cat_and_coffee", NAME, ("tabby", "193"), fit="crop"), look)
    assert shown.columns == 4
    titles = [title.split("\n")[0] for _, title in shown.pictures]
    parts = ["original", "guided backprop", "Grad-CAM", "guided Grad-CAM"]
    assert titles == [f"{name}: {part}" for name in ("tabby", "espresso") for part in parts]
    for row, cam in enumerate(expected.cam()):
        overlay = shown.pictures[4 * row + 2][0]
        assert np.abs(overlay.astype(int) - photograph.overlay_of(cam, look)).max() <= 2
    order = np.argsort(-expected.probabilities[0])[:5]
    assert [index for index, *_ in shown.table] == list(order)
    np.testing.assert_allclose([said for *_, said in shown.table], expected.probabilities[0][order], rtol=1e-4)
    for file, cam, name in zip(shown.files, expected.cam(), ("tabby", "espresso")):
        with np.load(file) as arrays:
            np.testing.assert_allclose(arrays["cam"], cam, rtol=1e-4, atol=1e-4 * cam.max())
        made = read_provenance(file)
        assert (made["class"], made["source"], made["fit"]) == (name, "sample:cat_and_coffee", "crop")


def test_without_a_class_it_is_the_predicted_one(studio, explainer):
    photograph = read_photograph("sample:coffee")
    predicted = int(explainer.explain(photograph.fitted(112)[None]).targets[0])
    shown = studio.explain(Wanted("sample:coffee", NAME))
    assert read_provenance(shown.files[0])["target"] == predicted == shown.table[0][0]


def test_other_colours_need_no_other_run(studio, monkeypatch):
    wanted = Wanted("sample:coffee", NAME, ("espresso",), "conv4_3", "layer_cam")
    before = studio.explain(wanted)
    monkeypatch.setattr(Explainer, "explain_classes", None)
    after = studio.explain(wanted, LOOK._replace(colormap="gray"))
    assert (before.pictures[0][0] == after.pictures[0][0]).all()
    assert (before.pictures[2][0] != after.pictures[2][0]).any()


def test_an_opposite_and_a_method_of_more_runs(studio, few_runs):
    shown = studio.explain(Wanted("sample:chelsea", NAME, ("-espresso",), method="faster_score_cam"))
    assert [title.split("\n")[0] for _, title in shown.pictures] == [
        f"not espresso: {part}" for part in ("original", "guided backprop", "Faster Score-CAM")
    ]


def test_a_network_of_anybody_s_without_names_or_guided_backprop(tmp_path):
    with unmarked(lambda images: classifier(images, tf.nn.swish)).as_default() as graph:
        path = write_pb(tmp_path / "mine.pb", graph.as_graph_def())
    with Studio({"mine": lambda: load(path)}) as one:
        choices = one.choices("mine")
        assert choices.classes[3] == ("class 3", "3")
        assert choices.layer in choices.layers
        shown = one.explain(Wanted("sample:coffee", "mine", ("3", "5"), choices.layer))
        assert shown.columns == 2
        assert [text.split("\n")[0] for _, text in shown.pictures[2:]] == ["class 5: original", "class 5: Grad-CAM"]
        with pytest.raises(ValueError, match="guided"):
            one.explain(Wanted("sample:coffee", "mine", ("3",), method="guided_backprop"))


def test_a_blank_map_is_told():
    """Of a class whose weights are all zero."""
    weights = dict(slim_models.read_weights(slim_models.find_weights(NAME)))
    (name,) = (name for name in weights if name.endswith("fc8/weights"))
    weights[name] = weights[name] * (np.arange(200) != 0)
    with Studio({"without": lambda: slim_models.open_network(NAME, weights)}) as one:
        shown = one.explain(Wanted("sample:rocket", "without", ("goldfish",)))
    assert "(blank)" in shown.pictures[2][1]
    assert shown.remarks[-1].startswith("the map of 'goldfish' at conv5_3 (grad_cam) is blank: the class's gradient")


def test_an_upload_is_called_by_its_name(studio, tmp_path):
    Image.fromarray(samples.chelsea()).save(tmp_path / "my cat.png")
    shown = studio.explain(Wanted(str(tmp_path / "my cat.png"), NAME, ("tabby",)))
    assert Path(shown.files[0]).name == f"my cat.tabby.{NAME}.npz"
    assert read_provenance(shown.files[0])["source"] == "my cat.png"


@pytest.mark.parametrize(
    ("wanted", "kind", "said"),
    [
        (Wanted("none.png", NAME), FileNotFoundError, "no picture at none.png"),
        (Wanted("sample:coffee", NAME, ("qwertz",)), UnknownName, "no class 'qwertz' among the 200"),
        (Wanted("sample:coffee", NAME, tuple(map(str, range(11)))), BadValue, "at most 10 classes at once, not 11"),
        (Wanted("sample:coffee", NAME, (), "conv9"), UnknownName, "has no layer 'conv9'"),
        (Wanted("sample:coffee", NAME, (), None, "score"), UnknownName, "no method 'score'"),
        (Wanted("sample:coffee", "vgg61"), UnknownName, "no network 'vgg61'; the networks are vgg16_tiny, none"),
        (Wanted("sample:coffee", "none"), UnknownName, "there is no file of that name"),
    ],
)
def test_mistakes_are_told_and_the_studio_goes_on(studio, wanted, kind, said):
    with pytest.raises(kind, match=said):
        studio.explain(wanted)
    assert studio.explain(Wanted("sample:coffee", NAME)).files


def test_one_run_at_a_time(studio, monkeypatch):
    running, most, explain = [], [], Explainer.explain

    def watched(self, *arguments, **options):
        running.append(1)
        most.append(len(running))
        threading.Event().wait(0.02)
        try:
            return explain(self, *arguments, **options)
        finally:
            running.pop()

    monkeypatch.setattr(Explainer, "explain", watched)
    wanted = [Wanted(f"sample:{name}", NAME, fit="crop") for name in ("chelsea", "coffee", "rocket", "grace_hopper")]
    threads = [threading.Thread(target=studio.explain, args=[one]) for one in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * len(wanted)


def test_few_sessions_stay_open_and_what_is_closed_can_still_be_drawn(studio, monkeypatch):
    closed, close = [], Explainer.close
    monkeypatch.setattr(Explainer, "close", lambda self: (closed.append(self), close(self)))
    first = Wanted("sample:coffee", NAME, ("espresso",), "conv3_3", "grad_cam")
    studio.explain(first)
    monkeypatch.setattr(rooms, "_OPEN", 1)
    studio.explain(first._replace(layer="conv4_1"))
    assert closed
    assert studio.explain(first, LOOK._replace(colormap="hot")).files


def test_its_files_go_with_it():
    with Studio({NAME: lambda: slim_models.open_network(NAME)}) as one:
        (file,) = one.explain(Wanted("sample:coffee", NAME)).files
        assert Path(file).exists()
        one.explain(Wanted("sample:chelsea", NAME))
        assert not Path(file).exists()
        folder = Path(file).parent
    assert not folder.exists()


def test_errors_of_the_project_s_own_are_told_apart(capsys):
    def broken():
        raise TypeError("<b>bug</b>")

    assert page._told(broken, 7) == (7, "**TypeError: &lt;b&gt;bug&lt;/b&gt;** (the terminal says where)")
    assert "in broken" in capsys.readouterr().err

    def missing():
        raise BadValue("/tmp/x/a<b.png is empty")

    assert page._told(missing, 7, "/tmp/x/a<b.png") == (7, "**a&lt;b.png is empty**")


class TestServe:
    """What `gradcam serve` says before there is a page."""

    def test_a_port_that_is_taken(self):
        with serving.socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(Unreachable, match=f"cannot listen at 127.0.0.1, port {port}: .*in use"):
                serving.check_address("127.0.0.1", port)
        serving.check_address("127.0.0.1", port)

    @pytest.mark.parametrize("port", [0, -1, 65536])
    def test_no_port(self, port):
        with pytest.raises(BadValue, match=f"--port must be from 1 to 65535, not {port}"):
            serving.check_address("127.0.0.1", port)

    def test_an_address_that_is_none(self):
        with pytest.raises(Unreachable, match=r"cannot listen at 192\.0\.2\.1, port 7860"):
            serving.check_address("192.0.2.1", 7860)

    def test_without_gradio(self, monkeypatch, capsys):
        monkeypatch.setattr(serving.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(MissingPackage):
            serving.check_gradio()
        assert main(["serve", "--network", NAME]) == 2
        assert capsys.readouterr().err == "gradcam: gradcam serve needs gradio: pip install 'gradcam-tf1[web]'\n"

    def test_mistakes_of_flags(self, capsys):
        assert main(["serve", "--network", "vgg61"]) == 2
        assert "no network 'vgg61'" in capsys.readouterr().err
        assert main(["serve", "--max-upload", "0"]) == 2
        assert "--max-upload must be more than 0, not 0" in capsys.readouterr().err

    def test_the_network_that_is_asked_for_comes_first(self):
        parser = serving.argparse.ArgumentParser()
        serving.add_serve_flags(parser)
        networks = serving._networks(parser.parse_args(["--network", NAME]))
        assert next(iter(networks)) == NAME
        assert {"resnet_v1_50_tiny", NAME} <= networks.keys()
        assert "vgg19" not in networks  # whose weights are not here
        assert networks[NAME]() is networks[NAME]()
