"""`gradcam explain`'s work on many pictures: overlapped, and yet as if it were done one after the other."""

import pathlib
import re
import threading
import types

import numpy as np
import pytest
from PIL import Image
from tensorboard_events import events

from gradcam.cli import explain, main
from gradcam.cli.explain import Reports
from gradcam.cli.naming import Naming, names_of
from gradcam.cli.writer import OUTPUTS, Picture, Writer, Written, rules_for
from gradcam.explanation import Explanation
from gradcam.maps import LOOK
from gradcam.pictures import bytes_of, samples, writing
from gradcam.pictures.photograph import read_photograph
from slim_models.mistakes import BadValue, MissingFile

LONG = 30  # seconds after which an event that should have come is given up


@pytest.fixture
def sources(tmp_path):
    """Five photographs, all different, in a folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        pixels = np.roll(samples.chelsea()[::3, ::3], 17 * number, axis=1)[: 60 + 10 * number]
        Image.fromarray(pixels).save(folder / f"p{number}.jpg")
    return sorted(map(str, folder.iterdir()))


def writer_for(thin, out, outputs=("overlay",), methods=("grad_cam",)):
    layer = thin.network.default_layer
    naming = Naming(out, [layer], methods, thin.network.name, usual_layer=layer, pattern="{picture}.{class}")
    return Writer(naming, outputs, LOOK, {})


def named(sources):
    return names_of(sources, {source: pathlib.Path(source).stem for source in sources})


class TestTheSameAsOneAfterTheOther:
    def test_overlays_pixel_by_pixel(self, thin, sources, tmp_path, capsys):
        out = tmp_path / "out"
        assert Reports(thin.explainer, [7, 3], writer_for(thin, out)).write(named(sources), batch=2).failures == []
        for start in range(0, 5, 2):
            photographs = [read_photograph(source) for source in sources[start : start + 2]]
            images = np.stack([photograph.fitted(thin.network.image_size) for photograph in photographs])
            for target in (7, 3):
                for photograph, cam in zip(photographs, thin.explainer.explain(images, target).cam()):
                    with Image.open(out / f"{photograph.name}.class_{target}.overlay.png") as overlay:
                        expected = photograph.overlay(photograph.heatmap(cam))
                        np.testing.assert_array_equal(np.asarray(overlay), expected)
        assert len(list(out.iterdir())) == 10
        assert re.findall(r"(p\d)\.jpg \(", capsys.readouterr().out) == ["p0", "p1", "p2", "p3", "p4"]

    def test_failures_keep_their_order(self, thin, sources, tmp_path, capsys):
        """p1 cannot be read; p2 cannot be written, and leaves its name to nobody; a whole batch cannot be read."""
        pathlib.Path(sources[1]).write_text("no picture")
        out = tmp_path / "out"
        (out / "p2.class_0.overlay.png").mkdir(parents=True)
        lost = [str(tmp_path / "lost-1.jpg"), str(tmp_path / "lost-2.jpg")]
        failures = (
            Reports(thin.explainer, [0], writer_for(thin, out))
            .write(named([*sources[:4], *lost, sources[4]]), batch=2)
            .failures
        )
        assert [source for source, _ in failures] == [sources[1], sources[2], *lost]
        assert [type(error) for _, error in failures] == [BadValue, BadValue, *[MissingFile] * 2]
        assert "p2.class_0.overlay.png (it does not say what it was made of)" in str(failures[1][1])
        assert re.findall(r"(p\d)\.jpg \(", capsys.readouterr().out) == ["p0", "p3", "p4"]


class Made:
    """An 'explainer' of one class whose answers are there at once."""

    labels = None
    network = types.SimpleNamespace(image_size=(8, 8), name="made", default_layer="top")

    def explain(self, images, targets=None):
        ones = {"top": np.ones((len(images), 2, 2, 1), np.float32)}
        none = np.zeros(len(images), np.int64)
        return Explanation(images, np.ones((len(images), 1), np.float32), none, ones, ones, {}, {}, "top")


class Names:
    """A 'writer' that only notes what it is given."""

    keeps_whole = True

    def __init__(self):
        self.names = []

    def picture(self, name, source, photograph):
        return Picture(name, source, {}, photograph.frame.size)

    def write(self, picture, explanation, target, peaks):
        self.names.append(picture.name)
        return Written([], [])


class TestOverlap:
    def test_a_batch_is_read_while_one_is_run_and_one_is_written(self, sources, monkeypatch):
        """Those three wait for each other; they never meet unless they are under way at the same time."""
        meeting = threading.Barrier(3)
        runs = []

        def read(source, fit):
            if "p2" in source:
                meeting.wait(LONG)
            return read_photograph(source, fit)

        class Met(Made):
            def explain(self, images, targets=None):
                runs.append(threading.current_thread())
                if len(runs) == 2:
                    meeting.wait(LONG)
                return super().explain(images)

        class MetNames(Names):
            def write(self, picture, explanation, target, peaks):
                assert threading.current_thread() is threading.main_thread()  # where matplotlib may draw
                written = super().write(picture, explanation, target, peaks)
                if picture.name == "p0":
                    meeting.wait(LONG)
                return written

        monkeypatch.setattr(explain, "read_photograph", read)
        writer = MetNames()
        assert Reports(Met(), [], writer).write(named(sources), batch=1).failures == []
        assert writer.names == ["p0", "p1", "p2", "p3", "p4"]
        assert len(set(runs)) == 1

    def test_reading_is_never_more_than_two_batches_ahead_of_writing(self, sources, monkeypatch):
        read = {source: threading.Event() for source in sources}
        monkeypatch.setattr(explain, "read_photograph", lambda source, _: read[source].set() or read_photograph(source))

        class Patient(Names):
            def write(self, picture, explanation, target, peaks):
                number = int(picture.name[1:])
                for source in sources[number + 1 : number + 3]:
                    assert read[source].wait(LONG)
                for source in sources[number + 3 :]:
                    assert not read[source].wait(0.02)
                return Written([], [])

        Reports(Made(), [], Patient()).write(named(sources), batch=1)

    @pytest.mark.parametrize("whole", [True, False])
    def test_large_photographs_are_few_at_a_time(self, sources, monkeypatch, whole):
        """In all three stages together, by bytes: of which a batch has a third, and a single picture what it takes."""
        weights = {f"p{number}": bytes_of(source) for number, source in enumerate(sources)}
        assert weights["p1"] == 151 * 70 * 3  # as of the fixture
        read, most, batches, held = [], [], [], threading.Lock()

        class Counting(Made):
            def explain(self, images, targets=None):
                batches.append(len(images))
                return super().explain(images)

        class Slow(Names):
            keeps_whole = whole

            def picture(self, name, source, photograph):
                with held:
                    read.append(name)
                    most.append(sum(weights[there] for there in read if there not in self.names))
                return super().picture(name, source, photograph)

            def write(self, picture, explanation, target, peaks):
                threading.Event().wait(0.05)  # so that the others could run ahead
                return super().write(picture, explanation, target, peaks)

        monkeypatch.setattr(Reports, "most_bytes", 2 * max(weights.values()))
        writer = Slow()
        Reports(Counting(), [], writer).write(named(sources), batch=5)
        assert writer.names == list(weights)
        assert batches == ([1] * 5 if whole else [5])  # what is shown small need not be few
        assert max(most) <= Reports.most_bytes if whole else max(most) > Reports.most_bytes

    def test_the_classes_of_a_picture_share_its_forward_pass(self, sources):
        asked = []

        class Counting(Made):
            def explain_classes(self, image, targets):
                asked.append(list(targets))
                return self.explain(np.repeat(image[None], len(targets), axis=0))

        writer = Names()
        Reports(Counting(), [0, 0, 0], writer).write(named(sources[:4]), batch=2)
        assert asked == [[0, 0, 0]] * 4
        assert writer.names == [name for name in ("p0", "p1", "p2", "p3") for _ in range(3)]


class TestErrors:
    @pytest.mark.parametrize("where", ["reading", "running", "writing"])
    def test_what_is_no_mistake_of_the_user_s_reaches_the_caller(self, sources, where, monkeypatch):
        """In the third batch: the first two are done, as they would be one after the other."""

        def fail(stage, happened=True):
            if stage == where and happened:
                raise RuntimeError(f"while {stage}")

        def read(source, fit):
            fail("reading", "p2" in source)
            return read_photograph(source, fit)

        class Failing(Made):
            runs = 0

            def explain(self, images, targets=None):
                self.runs += 1
                fail("running", self.runs == 3)
                return super().explain(images)

        class FailingNames(Names):
            def write(self, picture, explanation, target, peaks):
                fail("writing", picture.name == "p2")
                return super().write(picture, explanation, target, peaks)

        before = set(threading.enumerate())
        monkeypatch.setattr(explain, "read_photograph", read)
        writer = FailingNames()
        with pytest.raises(RuntimeError, match=f"while {where}"):
            Reports(Failing(), [], writer).write(named(sources), batch=1)
        assert writer.names == ["p0", "p1"]
        assert set(threading.enumerate()) <= before

    def test_an_interruption_leaves_no_half_file_and_no_thread(self, thin, sources, tmp_path, monkeypatch):
        """It comes in the middle of the third picture's overlay."""
        begun, before, parts_of = [], set(threading.enumerate()), writing.png

        def interrupted(image, texts):
            begun.append(len(begun))
            parts = list(parts_of(image, texts))
            yield from parts[: len(parts) // 2]
            if len(begun) == 3:
                raise KeyboardInterrupt
            yield from parts[len(parts) // 2 :]

        monkeypatch.setattr(writing, "png", interrupted)
        out = tmp_path / "out"
        with pytest.raises(KeyboardInterrupt):
            Reports(thin.explainer, [1], writer_for(thin, out)).write(named(sources), batch=2)
        assert sorted(path.name for path in out.iterdir()) == [f"p{number}.class_1.overlay.png" for number in range(2)]
        assert set(threading.enumerate()) <= before


class TestOutputs:
    @pytest.mark.parametrize("output", OUTPUTS)
    def test_one_alone_is_the_same_as_among_all(self, thin, sources, tmp_path, output):
        photograph = read_photograph(sources[0])
        explanation = thin.explainer.explain(photograph.fitted(thin.network.image_size)[None], 1)
        for folder, outputs in (("alone", [output]), ("all", list(OUTPUTS))):
            writer = writer_for(thin, tmp_path / folder, outputs)
            writer.write(writer.picture("p", {"source": sources[0]}, photograph), explanation)
        (alone,) = (tmp_path / "alone").iterdir()
        among = tmp_path / "all" / alone.name
        assert len(list((tmp_path / "all").iterdir())) == len(OUTPUTS)
        if alone.suffix == ".png":
            with Image.open(alone) as one, Image.open(among) as other:
                np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        else:
            with np.load(alone) as one, np.load(among) as other:
                assert one.files == other.files
                assert all((one[name] == other[name]).all() for name in one.files)

    def test_nothing_is_computed_that_is_not_written(self, thin, sources, tmp_path):
        """An explanation without saliency is enough for the overlay, a method is called once for one file."""
        photograph = read_photograph(sources[0])
        explanation = thin.explainer.explain(photograph.fitted(thin.network.image_size)[None], 1)
        cams = []
        known = {
            name: getattr(explanation, name)
            for name in ("targets", "logits", "overall", "said_there", "head", "one_output", "none_fits")
        }
        known.update({name: getattr(explanation, name) for name in ("activations", "gradients", "signals")})
        bare = types.SimpleNamespace(**known, cam=lambda *a: cams.append(a) or explanation.cam(*a))
        writer = writer_for(thin, tmp_path)
        writer.write(writer.picture("p", {}, photograph), bare)
        assert len(cams) == 1

    def test_rules(self):
        assert rules_for(["overlay"]) == []
        assert rules_for(["figure"]) == rules_for(["arrays"]) == rules_for(OUTPUTS) == ["guided"]


def test_tensorboard_shows_the_overlays_that_are_in_the_files(tmp_path):
    flags = ["--network", "vgg16_tiny", "--write", "overlay", "--write", "arrays", "--out", str(tmp_path / "out")]
    pictures = ["sample:coffee", "sample:chelsea", "--target", "espresso"]
    assert main(["explain", *pictures, *flags, "--tensorboard", str(tmp_path / "logs"), "--step", "7"]) == 0
    shown, _, _ = events(tmp_path / "logs")
    assert set(shown) == {f"{name}/{name}.espresso.vgg16_tiny" for name in ("coffee", "chelsea")}
    for name in ("coffee", "chelsea"):
        ((step, pixels),) = shown[f"{name}/{name}.espresso.vgg16_tiny"]
        with Image.open(tmp_path / "out" / f"{name}.espresso.vgg16_tiny.overlay.png") as overlay:
            np.testing.assert_array_equal(pixels, np.asarray(overlay))
        assert step == 7
    alone = [*pictures, "--network", "vgg16_tiny", "--write", "arrays", "--out", str(tmp_path / "alone")]
    assert main(["explain", *alone, "--tensorboard", str(tmp_path / "other")]) == 0
    assert {path.suffix for path in (tmp_path / "alone").iterdir()} == {".npz", ".csv", ".json"}
    np.testing.assert_array_equal(
        events(tmp_path / "other")[0]["coffee/coffee.espresso.vgg16_tiny"][0][1].shape, (400, 600, 3)
    )
