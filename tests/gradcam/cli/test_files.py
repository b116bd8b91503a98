"""The files that `gradcam explain` leaves: what they are called, what they say of themselves, and that none is lost."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import constant, write_pb
from PIL import Image

import slim_models
from gradcam import read_heatmap, read_provenance
from gradcam.cli import explain
from gradcam.cli.main import main
from gradcam.cli.naming import Naming, names_of
from gradcam.cli.writer import Writer
from gradcam.explainer import Explainer
from gradcam.panels import heading
from gradcam.pictures import fit_image, read_photograph
from gradcam.pictures.writing import write_picture
from gradcam.strangers import THRESHOLDS, Known, Thresholds
from slim_models.mistakes import BadValue, UnknownName

RANDOM = np.random.default_rng(0)
# Of the classes' weights on the mean of activations that are all > 0: one speaks against, one not at all, two for.
WEIGHTS = np.stack([-np.ones(12), np.zeros(12), np.arange(12), np.arange(12)[::-1]], axis=1) / 50


NOTHING = "nothing at last speaks for the class by this method: the weighted sum of the activations is nowhere > 0"


def network_file(folder, name="net", weights=WEIGHTS):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 24, 24, 3], name="input") / 255
        net = tf.nn.relu(tf.nn.conv2d(images, constant([3, 3, 3, 8]), 2, "SAME") + 2, name="first")
        net = tf.nn.relu(tf.nn.conv2d(net, tf.abs(constant([3, 3, 8, 12], 2)), 1, "SAME"), name="last")
        tf.nn.softmax(tf.matmul(tf.reduce_mean(net, [1, 2]), tf.constant(weights, tf.float32)))
    return write_pb(folder / f"{name}.pb", graph.as_graph_def())


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return network_file(tmp_path_factory.mktemp("net"))


@pytest.fixture
def pictures(tmp_path):
    """Four photographs, two of one name."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "b.png", "ok.png", "more/ok.png"):
        Image.fromarray(RANDOM.integers(0, 256, (20, 30, 3), np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def run(net, tmp_path, capsys):
    """Runs `gradcam explain` into a folder: the exit code, what is printed, and what is told beside it."""

    def explained(*arguments, network=net, write="overlay", out=tmp_path / "out"):
        flags = ["--network", network, "--preprocessing", "none", "--write", write, "--out", out]
        code = main(["explain", *(str(argument) for argument in (*arguments, *flags))])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return explained


def contents(folder):
    """Name -> bytes of all files."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(files):
    """What the table of predictions says, but for numbers, whose last digits depend on a batch's size."""
    rows = json.loads(files["predictions.net.json"])["pictures"]
    return [(row["source"], [one["index"] for one in row["explained"]], sorted(row["files"])) for row in rows]


def last(err):
    return err.splitlines()[-1]


class TestNames:
    def naming(self, tmp_path, **options):
        return Naming(tmp_path, **{"layers": ["l"], "methods": ["grad_cam"], "network": "efficientnet_lite0",
                                   "usual_layer": "l", **options})  # fmt: skip

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({}, "cat.class_3"),
            ({"layers": ["block3/unit_1"]}, "cat.class_3.block3_unit_1"),
            ({"methods": ["layer_cam"]}, "cat.class_3.layer_cam"),
            ({"network": "vgg16"}, "cat.class_3.vgg16"),
            ({"fit": "crop"}, "cat.class_3.crop"),
            ({"layers": ["l", "m"]}, "cat.class_3.l"),
            ({"labels": slim_models.Labels(("",) * 4, ("a", "b", "c", "tiger cat"))}, "cat.tiger_cat"),
            ({"pattern": "{network}/{picture}-{index}-{layer}-{method}-{fit}-{weights}", "weights": "0a1b"},
             "efficientnet_lite0/cat-3-l-grad_cam-stretch-0a1b"),
        ],
    )  # fmt: skip
    def test_what_is_not_the_default_is_said(self, options, name, tmp_path):
        naming = self.naming(tmp_path, **options)
        assert naming.stem("cat", 3, naming.layers[0], naming.methods[0]) == tmp_path / name

    @pytest.mark.parametrize(
        ("pattern", "kind", "message"),
        [
            ("{image}", UnknownName, r"no field \{image\}; the fields are \{picture\}, \{class\}, \{index\}"),
            ("{class", BadValue, "is no pattern such as"),
            ("{index:03d}", BadValue, "fields have no formats"),
            ("{picture!r}", BadValue, "fields have no formats"),
            ("{}", UnknownName, r"no field \{\}"),
            ("", BadValue, "is no name within --out"),
            ("../{picture}", BadValue, "is no name within --out"),
            ("/tmp/{picture}", BadValue, "is no name within --out"),
            ("{picture}/", BadValue, "is no name within --out"),
            ("{picture}", BadValue, r"several files one name: it needs \{class\}"),
            ("{class}", BadValue, r"it needs \{picture\}"),
        ],
    )
    def test_patterns_that_cannot_be(self, pattern, kind, message, tmp_path):
        with pytest.raises(kind, match=message):
            self.naming(tmp_path, pattern=pattern).check(pictures=2, targets=2)

    def test_pictures_of_one_name_are_numbered(self):
        sources = {"a/ok.jpg": "ok", "b/OK.png": "OK", "c/ok-2.jpg": "ok-2", "d/ok.jpg": "ok"}
        names = names_of([*sources, "a/ok.jpg"], sources)
        assert names == {"a/ok.jpg": "ok", "b/OK.png": "OK-2", "c/ok-2.jpg": "ok-2-2", "d/ok.jpg": "ok-3"}


class TestNothingIsOverwritten:
    def test_runs_that_differ_go_beside(self, run, pictures, tmp_path):
        runs = [
            [],
            ["--layer", "first"],
            ["--method", "layer_cam"],
            ["--fit", "crop"],
            ["--name", "{picture}.{weights}"],
        ]
        before = {}
        for number, flags in enumerate(runs, 1):
            assert run(pictures / "a.png", "--target", 2, *flags)[0] == 0
            now = contents(tmp_path / "out")
            assert len(now) == number
            assert {name: now[name] for name in before} == before
            before = now
        assert {"a.class_2.net.overlay.png", "a.class_2.first.net.overlay.png"} < set(before)

    @pytest.mark.parametrize("write", ["overlay", "figure", "arrays"])
    def test_another_picture_s_or_network_s_file_is_in_the_way(self, run, pictures, tmp_path, write, monkeypatch):
        other = network_file(tmp_path, weights=WEIGHTS + 1)  # of the same name
        assert run(pictures / "ok.png", "--target", 2, write=write)[0] == 0
        before = contents(tmp_path / "out")
        ours = hashlib.sha256((pictures / "ok.png").read_bytes()).hexdigest()
        with monkeypatch.context() as patch:
            patch.setattr(Explainer, "explain", None)  # it is told before anything is computed
            for source, network, words in (
                (pictures / "more/ok.png", None, f"source_sha256 '{ours}', not '"),
                (pictures / "ok.png", other, "weights '"),
            ):
                given = {} if network is None else {"network": network}
                code, _, err = run(source, "--target", 2, write=write, **given)
                assert code == 2
                assert "there already and made otherwise: " in last(err) and "--force" in last(err)
                assert words in last(err)
                assert contents(tmp_path / "out") == before
        assert run(pictures / "more/ok.png", "--target", 2, "--force", write=write)[0] == 0
        assert contents(tmp_path / "out").keys() == before.keys()
        assert contents(tmp_path / "out") != before

    def test_of_a_predicted_class_it_is_told_when_it_is_known(self, run, pictures, tmp_path):
        assert run(pictures / "ok.png")[0] == 0
        before = contents(tmp_path / "out")
        code, _, err = run(pictures / "more/ok.png", pictures / "a.png")
        assert code == 1
        assert "made otherwise" in err and "1 of 2 pictures failed" in last(err)
        assert {name: data for name, data in contents(tmp_path / "out").items() if name in before} == before

    def test_a_file_of_somebody_else_s(self, run, pictures, tmp_path):
        (tmp_path / "out").mkdir()
        path = tmp_path / "out" / "a.class_2.net.overlay.png"
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
        before = contents(tmp_path / "out")
        code, _, err = run(pictures / "a.png", "--target", 2)
        assert code == 2 and f"{path} (it does not say what it was made of)" in last(err)
        assert contents(tmp_path / "out") == before

    def test_the_same_again_is_no_mistake(self, run, pictures, tmp_path):
        for _ in range(2):
            assert run(pictures, "--target", 2)[0] == 0
        assert len(contents(tmp_path / "out")) == 5  # three overlays and two tables


class TestGoingOn:
    @pytest.mark.parametrize("flags", [["--target", 2, "--target", 3], []])
    def test_what_is_there_is_left_out(self, flags, run, pictures, tmp_path, monkeypatch):
        assert run(pictures, "--recursive", *flags, out=tmp_path / "whole")[0] == 0
        assert run(pictures / "a.png", pictures / "more", *flags)[0] == 0  # ok is more/ok here
        (tmp_path / "out" / "ok.class_2.net.overlay.png").unlink(missing_ok=True)
        for path in (tmp_path / "out").glob("ok.*"):
            path.unlink()
        before = contents(tmp_path / "out")
        read = []
        read_photograph = explain.read_photograph
        monkeypatch.setattr(
            explain, "read_photograph", lambda s, *a, **k: read.append(s) or read_photograph(s, *a, **k)
        )
        code, out, _ = run(pictures, "--recursive", *flags, "--skip-existing")
        assert code == 0
        assert "1 of 4 pictures are done already" in out
        assert "3 pictures in " in out and ", 1 done before: the files are in" in out
        assert [source.removeprefix(f"{pictures}/") for source in read] == ["b.png", "more/ok.png", "ok.png"]
        now, whole = contents(tmp_path / "out"), contents(tmp_path / "whole")
        overlays = {name for name in whole if name.endswith(".png")}
        assert {name for name in now if name.endswith(".png")} == overlays
        assert all(now[name] == data for name, data in before.items() if name.startswith("a."))
        for name in overlays:
            with Image.open(tmp_path / "out" / name) as one, Image.open(tmp_path / "whole" / name) as other:
                np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        assert rows_of(now) == rows_of(whole)
        code, out, _ = run(pictures, "--recursive", *flags, "--skip-existing")
        assert code == 0 and "4 of 4 pictures are done already" in out
        assert contents(tmp_path / "out") == now

    def test_a_picture_that_lacks_a_file_or_has_another_s_is_not_left_out(self, run, pictures, tmp_path):
        assert run(pictures / "a.png", "--target", 2)[0] == 0
        code, out, _ = run(pictures / "a.png", "--target", 2, "--write", "arrays", "--skip-existing")
        assert code == 0 and "done already" not in out
        assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".png", ".npz"}
        Image.fromarray(RANDOM.integers(0, 256, (20, 30, 3), np.uint8)).save(pictures / "a.png")  # edited
        code, _, err = run(pictures / "a.png", "--target", 2, "--skip-existing")
        assert code == 2 and "source_sha256" in last(err)

    def test_the_class_that_was_asked_for_is_not_taken_for_the_predicted_one(self, run, pictures, tmp_path):
        assert run(pictures / "a.png", "--target", 0)[0] == 0  # which speaks against everything: never predicted
        code, out, _ = run(pictures / "a.png", "--skip-existing")
        assert code == 0 and "done already" not in out
        assert len(contents(tmp_path / "out")) == 2

    def test_ctrl_c_says_after_how_many_and_leaves_their_table(self, run, pictures, tmp_path, monkeypatch):
        write, written = Writer.write, []

        def interrupted(self, picture, *arguments):
            if len(written) == 2:
                raise KeyboardInterrupt
            written.append(picture.name)
            return write(self, picture, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Writer, "write", interrupted)
            code, _, err = run(pictures, "--recursive", "--batch", 1)
        assert (code, last(err)) == (130, "gradcam: stopped after 2 of 4 pictures")
        table = json.loads((tmp_path / "out" / "predictions.net.json").read_text())
        assert [row["source"] for row in table["pictures"]] == [str(pictures / "a.png"), str(pictures / "b.png")]
        code, out, _ = run(pictures, "--recursive", "--skip-existing")
        assert code == 0 and "2 of 4 pictures are done already" in out and "4/4 " in out


class TestProvenance:
    @pytest.mark.parametrize("write", ["overlay", "figure", "arrays"])
    def test_every_file_says_how_it_was_made(self, write, run, net, pictures, tmp_path):
        flags = ["--target", 3, "--fit", "crop", "--layer", "first", "--method", "hires_cam", "--colormap", "turbo"]
        assert run(pictures / "a.png", *flags, write=write)[0] == 0
        (path,) = (tmp_path / "out").iterdir()
        made = read_provenance(path)
        assert made.pop("size") == [20, 30]
        assert made.pop("predicted")[0].keys() == {"index", "class", "probability"}
        with Image.open(pictures / "a.png") as image:
            pixels = np.asarray(image)[:, 5:25]
        with Explainer(slim_models.load(net, preprocessing="none"), rules=[]) as explainer:
            said = explainer.explain(fit_image(pixels, (24, 24))[None]).probabilities[0, 3]
            weights = explainer.fingerprint
        assert made.pop("probability") == pytest.approx(said, rel=1e-4)
        look = {"colormap": "turbo", "opacity": 0.6, "grey": True, "scale": "own"}
        assert {key: made.pop(key) for key in look if key in made} == ({} if write == "arrays" else look)
        assert made == {
            "network": "net",
            "weights": weights,
            "preprocessing": "none",
            "precision": "float32",
            "layer": "first",
            "method": "hires_cam",
            "target": 3,
            "class": "class 3",
            "fit": "crop",
            "source": str(pictures / "a.png"),
            "source_sha256": hashlib.sha256((pictures / "a.png").read_bytes()).hexdigest(),
            "versions": {"gradcam": slim_models.__version__, "tensorflow": tf.__version__, "numpy": np.__version__},
        }

    def test_other_weights_have_another_hash_and_the_same_the_same(self, net, tmp_path):
        def of(path):
            with Explainer(slim_models.load(path, preprocessing="none"), rules=[]) as explainer:
                return explainer.fingerprint

        (tmp_path / "copy").mkdir()
        assert of(net) == of(network_file(tmp_path / "copy", "copied"))
        changed = WEIGHTS.copy()
        changed[3, 2] += 1e-6
        assert of(net) != of(network_file(tmp_path, weights=changed))

    @pytest.mark.parametrize("resource", [False, True])
    def test_of_variables_it_is_of_their_values(self, resource):
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.placeholder(tf.float32, [None, 24, 24, 3], name="input")
            net = tf.nn.relu(tf.nn.conv2d(images, constant([3, 3, 3, 8]), 2, "SAME"))
            kernel = tf.get_variable("kernel", initializer=constant([8, 4], 1), use_resource=resource)
            unused = tf.get_variable("unused", [3], use_resource=resource)
            tf.matmul(tf.reduce_mean(net, [1, 2]), kernel, name="logits")
            session.run(tf.global_variables_initializer())
            changes = [kernel.assign(tf.reverse(kernel, [0])), kernel.assign_add(tf.ones([8, 4]))]
            changes.append(unused.assign_add([1] * 3))
            network = slim_models.load(session, images="input", logits="logits", preprocessing="none")
            found = []
            for change in (None, *changes):
                if change is not None:
                    session.run(change)
                with Explainer(network, rules=[]) as explainer:
                    found.append(explainer.fingerprint)
        assert len(set(found[:3])) == 3  # other values, and the same in another order
        assert found[3] == found[2]  # what the logits do not depend on

    def test_of_a_network_of_ours_it_is_that_of_its_file(self):
        network = slim_models.open_network("vgg16_tiny")
        with Explainer(network, rules=[]) as explainer:
            made = explainer.provenance()
        weights = slim_models.read_weights(slim_models.find_weights("vgg16_tiny"))
        expected = hashlib.sha256()
        for name in sorted(weights):
            expected.update(f"{name} {weights[name].shape} {weights[name].dtype}".encode() + weights[name].tobytes())
        assert made["weights"] == expected.hexdigest()[:16]
        assert made["preprocessing"] == slim_models.NETWORKS["vgg16_tiny"].preprocessing
        assert explainer.network.in_precision("bfloat16").preprocessing == made["preprocessing"]


class TestPredictions:
    def test_the_table_is_what_the_network_says(self, run, net, pictures, tmp_path):
        assert run(pictures, "--target", 0, "--top", 2)[0] == 0
        out = tmp_path / "out"
        with (out / "predictions.net.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        table = json.loads((out / "predictions.net.json").read_text())
        assert table["provenance"]["network"] == "net"
        with Explainer(slim_models.load(net, preprocessing="none"), rules=[]) as explainer:
            for name, row, entry in zip(("a", "b", "ok"), rows, table["pictures"]):
                image = read_photograph(str(pictures / f"{name}.png")).fitted((24, 24))
                probabilities = explainer.explain(image[None]).probabilities[0]
                first, second = np.argsort(-probabilities)[:2]
                assert [row["index_1"], row["index_2"]] == [str(first), str(second)]
                assert float(row["probability_2"]) == pytest.approx(probabilities[second], rel=1e-4)
                assert (row["class_1"], row["explained"]) == (f"class {first}", "class 0")
                assert row["files"] == f"{name}.class_0.net.overlay.png"
                assert [one["index"] for one in entry["predicted"]] == [first, second]
                assert entry["explained"][0]["probability"] == pytest.approx(probabilities[0], rel=1e-4)
                assert entry["files"] == [row["files"]]
            assert row["none_fits"] == "" and "none_fits" not in entry  # no thresholds are known of such a network
        assert set(rows[0]) == {"source", "explained", "files", "none_fits"} | {
            f"{key}_{place}" for key in ("index", "class", "probability") for place in (1, 2)
        }

    def test_of_which_none_of_the_classes_may_be(self, run, pictures, tmp_path, monkeypatch):
        """Those whose probability is below the threshold, in the table, in each file, and where it goes on."""
        run(pictures, "--recursive", out=tmp_path / "before")
        before = json.loads((tmp_path / "before" / "predictions.net.json").read_text())
        tops = [row["predicted"][0]["probability"] for row in before["pictures"]]
        limits = Thresholds(float(np.mean(sorted(tops)[1:3])), np.inf)
        monkeypatch.setitem(THRESHOLDS, "net", Known(before["provenance"]["weights"], 24, limits))
        printed = run(pictures, "--recursive")[1]
        assert printed.count("none of this network's classes may fit: the highest probability is below ") == 2
        assert ", 2 of which no class may fit: " in last(printed)
        out = tmp_path / "out"
        doubted = [row["none_fits"] for row in json.loads((out / "predictions.net.json").read_text())["pictures"]]
        assert doubted == [top < limits.probability for top in tops] and sum(doubted) == 2
        with (out / "predictions.net.csv").open(newline="") as file:
            assert [row["none_fits"] for row in csv.DictReader(file)] == [str(doubt).lower() for doubt in doubted]
        assert sum(read_provenance(path)["none_fits"] for path in out.glob("*.overlay.png")) == 2
        whole = (out / "predictions.net.json").read_bytes()
        (out / "predictions.net.json").unlink()
        assert "4 of 4 pictures are done already" in run(pictures, "--recursive", "--skip-existing")[1]
        assert (out / "predictions.net.json").read_bytes() == whole

    def test_other_pictures_and_classes_join_it(self, run, pictures, tmp_path):
        run(pictures / "a.png", pictures / "b.png", "--target", 2)
        run(pictures / "b.png", pictures / "ok.png", "--target", 3)
        table = json.loads((tmp_path / "out" / "predictions.net.json").read_text())["pictures"]
        explained = {row["source"][-6:]: [one["index"] for one in row["explained"]] for row in table}
        assert explained == {"/a.png": [2], "/b.png": [2, 3], "ok.png": [3]}
        assert {file for row in table for file in row["files"]} == {p.name for p in (tmp_path / "out").glob("*.png")}

    def test_another_network_s_table_is_in_the_way(self, run, pictures, tmp_path):
        run(pictures, "--target", 2)
        for path in (tmp_path / "out").glob("*.png"):
            path.unlink()
        before = contents(tmp_path / "out")
        other = network_file(tmp_path, weights=WEIGHTS + 1)
        code, _, err = run(pictures, "--target", 2, network=other)
        assert code == 2 and "predictions.net.json" in last(err)
        assert contents(tmp_path / "out") == before

    def test_one_picture_has_none(self, run, pictures, tmp_path):
        assert run(pictures / "a.png")[0] == 0
        assert len(list((tmp_path / "out").iterdir())) == 1


class TestBlankMaps:
    def test_they_are_announced_and_their_files_say_so(self, run, pictures, tmp_path):
        classes = [part for target in range(4) for part in ("--target", target)]
        code, out, _ = run(pictures / "a.png", *classes, "--write", "arrays")
        assert code == 0
        told = [line.strip() for line in out.splitlines() if "is blank" in line]
        assert told == [
            f"the map of 'class 0' at last (grad_cam) is blank: {NOTHING}",
            "the map of 'class 1' at last (grad_cam) is blank: the class's gradient is zero everywhere at last",
        ]
        assert "1 picture in" in out and ", 2 blank maps: " in out
        for target in range(4):
            stem = tmp_path / "out" / f"a.class_{target}.net"
            with np.load(f"{stem}.npz") as arrays:
                assert arrays["cam"].any() == (target > 1)
            for path in (f"{stem}.npz", f"{stem}.overlay.png"):
                assert ("blank" in read_provenance(path)) == (target < 2)

    def test_the_figure_says_so(self, run, pictures, monkeypatch):
        drawn = []
        grid = explain_figures().grid
        monkeypatch.setattr(
            explain_figures(),
            "grid",
            lambda *arguments, **options: drawn.append((arguments[0], options)) or grid(*arguments, **options),
        )
        assert run(pictures / "a.png", "--target", 0, "--target", 2, write="figure")[0] == 0
        (blank, options), (other, options_of_other) = drawn
        headings = [heading(*pair).splitlines()[0] for pair in blank[0]]
        # Everything speaks against class 0, so that guided backprop lets nothing through.
        assert headings == ["original", "guided backprop (blank)", "Grad-CAM (blank)", "guided Grad-CAM (blank)"]
        assert options["remarks"][-1] == f"The map is blank: {NOTHING}."
        assert "blank" not in str([heading(*pair) for pair in other[0]]) + str(options_of_other["remarks"])


def explain_figures():
    from gradcam import figures

    return figures


class TestOverlays:
    def test_classes_that_share_a_scale(self, run, pictures, tmp_path):
        """The weights of class 3 are those of class 2 backwards: the one with the weaker map is never as hot."""
        flags = ["--target", 2, "--target", 3, "--colormap", "gray", "--opacity", 1]
        assert run(pictures / "a.png", *flags, "--write", "overlay", "--write", "arrays", "--scale", "shared")[0] == 0
        stems = [tmp_path / "out" / f"a.class_{target}.net" for target in (2, 3)]
        peaks = []
        for stem in stems:
            with np.load(f"{stem}.npz") as arrays:
                peaks.append(float(arrays["cam"].max()))
        assert max(peaks) > 1.01 * min(peaks)  # by more than two levels of 255
        for stem, peak in zip(stems, peaks):
            with Image.open(f"{stem}.overlay.png") as overlay:
                levels = np.asarray(overlay)[..., 0]
            np.testing.assert_allclose(levels, 255 * read_heatmap(f"{stem}.npz") * peak / max(peaks), atol=1)
            assert read_provenance(f"{stem}.overlay.png")["scale"] == "shared by class 2, class 3"
        code, _, err = run(pictures / "a.png", *flags)
        assert code == 2 and "scale 'shared by class 2, class 3', not 'own'" in last(err)

    def test_without_relu_is_about_0(self, run, pictures, tmp_path):
        """Class 0, of which everything speaks against, is blue where its raised map is least, and nowhere red."""
        flags = ["--target", 0, "--method", "without_relu", "--opacity", 1]
        assert run(pictures / "a.png", *flags, "--write", "overlay", "--write", "arrays")[0] == 0
        stem = tmp_path / "out" / "a.class_0.without_relu.net"
        with Image.open(f"{stem}.overlay.png") as overlay:
            red, _, blue = np.asarray(overlay).astype(int).transpose(2, 0, 1)
        assert (blue > red).all()
        with np.load(f"{stem}.npz") as arrays:
            assert arrays["cam"].min() == 0 < arrays["cam"].max()

    @pytest.mark.parametrize(("form", "word"), [("jpg", "JPEG"), ("webp", "WEBP"), ("png", "PNG")])
    def test_format_and_size(self, form, word, run, pictures, tmp_path):
        flags = ["--target", 2, "--format", form]
        assert run(pictures / "a.png", *flags, "--max-size", 15)[0] == 0
        path = tmp_path / "out" / f"a.class_2.net.overlay.{form}"
        with Image.open(path) as small:
            assert (small.format, small.size) == (word, (15, 10))
            pixels = np.asarray(small.convert("RGB"), float)
        made = read_provenance(path)
        assert (made["network"], made["max_size"], made["size"]) == ("net", 15, [20, 30])
        assert made["source_sha256"] == hashlib.sha256((pictures / "a.png").read_bytes()).hexdigest()
        code, _, err = run(pictures / "a.png", *flags)
        assert code == 2 and "max_size 15, not None" in last(err)
        assert run(pictures / "a.png", "--target", 2, "--name", "whole", "--format", "png")[0] == 0
        with Image.open(tmp_path / "out" / "whole.overlay.png") as whole:
            assert whole.size == (30, 20)
            mean = np.asarray(whole, float).reshape(10, 2, 15, 2, 3).mean((1, 3))  # of the pixels under each
        luma = np.array([0.299, 0.587, 0.114])  # JPEG and WebP keep colours at half the size
        assert np.abs((pixels - mean) @ luma).mean() < (6 if form != "png" else 4)

    @pytest.mark.parametrize("flags", [["--format", "bmp"], ["--max-size", "0"]])
    def test_mistakes(self, flags, run, pictures, tmp_path):
        code, _, err = run(pictures / "a.png", *flags)
        assert code == 2 and err.count("\n") == 1
        assert not (tmp_path / "out").exists()

    def test_what_a_format_does_not_hold(self, tmp_path):
        with pytest.raises(BadValue, match="WEBP has no pictures of 20000 x 1: at most 16383 pixels a side"):
            write_picture(tmp_path / "a.webp", np.zeros((1, 20000, 3), np.uint8))
        with pytest.raises(BadValue, match=r"a.bmp'; its suffix can be png, jpg, webp"):
            write_picture(tmp_path / "a.bmp", np.zeros((1, 2, 3), np.uint8))

    @pytest.mark.parametrize("fit", ["stretch", "crop"])
    def test_the_heat_map_comes_back_from_the_arrays(self, fit, run, pictures, tmp_path):
        assert run(pictures / "a.png", "--target", 2, "--fit", fit, "--name", "a", write="arrays")[0] == 0
        with np.load(tmp_path / "out" / "a.npz") as arrays:
            assert not [name for name in arrays.files if arrays[name].shape[:2] == (20, 30)]  # none of a camera's size
            expected = read_photograph(str(pictures / "a.png"), fit).heatmap(arrays["cam"])
        heatmap = read_heatmap(tmp_path / "out" / "a.npz")
        np.testing.assert_array_equal(heatmap, expected)
        assert heatmap.shape == (20, 30) and heatmap.max() == 1
        assert heatmap[:, :5].any() == (fit == "stretch")
        np.savez(tmp_path / "other.npz", cam=np.ones((2, 2)))
        with pytest.raises(BadValue, match="other.npz does not say"):
            read_heatmap(tmp_path / "other.npz")


class TestManners:
    @pytest.mark.parametrize("below", ["", "/deep/er"])
    def test_out_is_checked_before_anything_is_computed(self, below, run, pictures, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("mine")
        monkeypatch.setattr(slim_models, "open_network", None)
        code, _, err = run(pictures, out=f"{tmp_path}/file{below}")
        assert code == 2
        assert err == f"gradcam: --out {tmp_path}/file{below}: {tmp_path}/file is a file, not a folder\n"

    def test_out_that_cannot_be_written_to(self, run, pictures, tmp_path, monkeypatch):
        (tmp_path / "locked").mkdir()
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may do anything
        code, _, err = run(pictures, out=tmp_path / "locked" / "new")
        assert code == 2 and err.endswith(f"nothing can be written to {tmp_path / 'locked'}\n")
        assert not (tmp_path / "locked" / "new").exists()

    @pytest.mark.parametrize("flags", [["--top", "0"], ["--name", "{image}"], ["--name", "../{picture}"]])
    def test_flags_that_cannot_be(self, flags, run, pictures, tmp_path):
        code, _, err = run(pictures, *flags)
        assert code == 2 and err.startswith(f"gradcam: {flags[0]}") and err.count("\n") == 1
        assert not (tmp_path / "out").exists()

    def test_what_is_printed(self, run, pictures, tmp_path):
        (pictures / "bad.png").write_bytes(b"no picture")
        code, out, err = run(pictures, "--target", 2, "--top", 1)
        assert code == 1
        lines = out.splitlines()
        assert lines[0].startswith("net (weights ") and lines[0].endswith("): grad_cam of last")
        headings = [line for line in lines if " (30 x 20) -> " in line]
        assert [line.split()[:2] for line in headings] == [
            ["1/4", f"{pictures}/a.png"], ["2/4", f"{pictures}/b.png"], ["3/4", f"{pictures}/ok.png"],
        ]  # fmt: skip
        assert headings[0].endswith(f"-> {tmp_path}/out/a.class_2.net.overlay.png")
        assert lines[-1].startswith("3 pictures in ") and f"the files are in {tmp_path / 'out'}, and" in lines[-1]
        assert err.count(f"{pictures}/bad.png") == 1  # once in its line
        assert last(err) == "gradcam: 1 of 4 pictures failed"

    def test_a_broken_pipe_is_quiet(self, net, pictures, tmp_path):
        if os.name != "posix":
            pytest.skip("no pipes of that kind")
        code = "import signal, sys; signal.signal(signal.SIGPIPE, signal.SIG_IGN); "
        code += "from gradcam.cli import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-u", "-c", code, "explain", pictures, "--network", net, "--preprocessing", "none"]
        with subprocess.Popen(
            [str(part) for part in (*command, "--write", "overlay", "--out", tmp_path / "out")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            process.stdout.close()
            told = process.stderr.read().decode()
        assert process.returncode == 141
        assert "Error" not in told and "Traceback" not in told and "Broken" not in told
        assert signal.SIGPIPE
