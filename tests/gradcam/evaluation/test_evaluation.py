"""Runs over data sets: what is measured, by hand on made-up networks' words; interruption; the scripts of tables."""

import csv
import dataclasses
import json
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import reproduce_faithfulness
import reproduce_pointing
import reproduce_table1
import reproduce_table3
from PIL import Image
from scipy.special import softmax
from thin import SIZES

from gradcam import boxes, maps
from gradcam.cams import grad_cam
from gradcam.evaluation import criteria, faithfulness, localization, pointing, removal
from gradcam.evaluation.datasets.example import Example
from gradcam.evaluation.journal import Journal
from gradcam.evaluation.metrics import rank_correlation
from gradcam.evaluation.running import Batch, evaluate, fingerprint
from gradcam.methods import Method, methods_named
from gradcam.perturbation.occlusion import occlusion_map
from gradcam.pictures.photograph import Frame, Photograph, fit_image
from slim_models.mistakes import UnknownName

SCRIPTS = Path(__file__).parents[3] / "scripts"


class Told:
    """An 'explainer' whose network says what it is told: logits, and for class c a map that is hot at `peaks[c]`."""

    network = types.SimpleNamespace(image_size=(8, 8))

    def __init__(self, logits, peaks):
        self.logits, self.peaks = np.array(logits, np.float32), peaks

    def explain(self, images, targets):
        cams = np.zeros((len(images), 8, 8), np.float32)
        for cam, target in zip(cams, targets):
            y, x, height = self.peaks[int(target)]
            cam[y, x] = height
        return types.SimpleNamespace(logits=self.logits, cams=cams, targets=targets)


def index_of(name):
    if name not in ("zero", "one"):
        raise UnknownName(f"no class {name!r}")
    return ("zero", "one").index(name)


MAPS = {"told": Method("as told", lambda explanation, layer: explanation.cams)}


def batch_of(*targets_and_boxes, size=8):
    pixels = np.zeros((size, size, 3), np.uint8)
    examples = [Example(f"p{i}", t, (box,), lambda: pixels) for i, (t, box) in enumerate(targets_and_boxes)]
    targets = np.array([target for target, _ in targets_and_boxes])
    images = np.zeros((len(targets), 8, 8, 3), np.float32)
    return Batch(examples, [Frame((size, size))] * len(examples), images, targets)


# Class 0's map peaks at (2, 3) with 4, class 1's at (5, 5) with 1.
PEAKS = {0: (2, 3, 4.0), 1: (5, 5, 1.0)}


class TestLocalization:
    BATCH = batch_of((0, (3, 2, 4, 3)), (0, (3, 2, 4, 5)), (1, (5, 5, 6, 6)))
    # Class 0 first; class 0 third; class 1 first.
    LOGITS = ([5, 1, 0, 0, 0, 0, 0], [1, 3, 2, 0, 0, 0, 0], [0, 4, 0, 0, 0, 0, 0])

    def rows(self):
        return localization.Localization(MAPS).rows(Told(self.LOGITS, PEAKS), self.BATCH)

    def test_ranks_and_overlaps(self):
        rows = self.rows()
        assert [row["rank"] for row in rows] == [0, 2, 0]
        assert [row["iou"]["told"] for row in rows] == pytest.approx([1, 1 / 3, 1])
        assert rows[0]["iou"][localization.WHOLE] == pytest.approx(1 / 64)
        centred = boxes.centred((8, 8))
        assert rows[1]["iou"][localization.CENTRED_BOX] == pytest.approx(boxes.iou(centred, (3, 2, 4, 5)))

    def test_errors(self):
        """Made-up rows: right and apart, right and together, fourth and together, sixth and together."""
        baselines = {localization.WHOLE: 1, localization.CENTRED_BOX: 0.5}
        words = ((0, 0.49), (0, 0.5), (3, 0.9), (5, 0.9))
        rows = [{"rank": rank, "iou": {"told": iou, **baselines}} for rank, iou in words]
        table = localization.localization_errors(rows, MAPS)
        values = {title: {column: cell.value for column, cell in cells.items()} for title, cells in table.items()}
        assert values["as told"] == {"top-1": 75, "top-5": 50, "class given": 25}
        assert values[localization.WHOLE] == {"top-1": 50, "top-5": 25, "class given": 0}
        assert values[localization.CENTRED_BOX] == values[localization.WHOLE]  # an IoU of 0.5 itself is right
        errors = localization.classification_errors(rows)
        assert {name: cell.value for name, cell in errors.items()} == {"top-1": 50, "top-5": 25}

    def test_a_picture_without_a_box(self):
        batch = batch_of((0, (3, 2, 4, 3)))
        bare = Batch([Example("bare.jpg", 0, (), None)], batch.frames, batch.images, batch.targets)
        for measure in (localization.Localization(MAPS), pointing.Pointing(MAPS)):
            with pytest.raises(ValueError, match=r"1 of 1 pictures have no box, the first being bare\.jpg"):
                measure.rows(Told([[1, 0]], PEAKS), bare)

    @pytest.mark.parametrize("fit", ["stretch", "crop"])
    def test_a_box_comes_out_in_the_picture_s_own_pixels(self, fit):
        """The hot quarter of a map, at both sizes at which it can be cut."""
        photograph = Photograph("wide", np.zeros((40, 80, 3), np.uint8), fit)
        cam = np.zeros((40, 40), np.float32)
        cam[:20, 20:] = 1
        expected = (40, 0, 80, 20) if fit == "stretch" else (40, 0, 60, 20)
        for resize in localization.RESIZINGS:
            box = localization.BoxProtocol(threshold=0.5, resize=resize).box(photograph.frame, cam, (40, 40))
            assert box == pytest.approx(expected, abs=1), resize

    def test_choices_that_cannot_be(self):
        with pytest.raises(KeyError, match=r"'both'.*picture, network"):
            localization.BoxProtocol(resize="both")
        with pytest.raises(ValueError, match="15"):
            localization.BoxProtocol(threshold=15)
        with pytest.raises(KeyError, match="'most'"):
            localization.BoxProtocol(segment="most")


class TestPointing:
    def test_hits_and_what_the_recall_needs(self):
        told = Told([[5, 1], [1, 5]], PEAKS)
        rows = pointing.Pointing(MAPS, tolerance=0, classes=2).rows(
            told, batch_of((0, (3, 2, 4, 3)), (0, (0, 0, 1, 1)))
        )
        assert [row["hit"] for row in rows] == [{"told": True, "centre": False}, {"told": False, "centre": False}]
        # Peak, whether it is the picture's own class, and whether it points at it: the most probable class first.
        assert rows[0]["predicted"]["told"] == [[4, True, True], [1, False, False]]
        assert rows[1]["predicted"]["told"] == [[1, False, False], [4, True, False]]

    def test_the_tolerance_is_that_of_a_picture_of_224(self):
        batch = batch_of((0, (60, 24, 64, 36)), size=64)  # the peak is at x 28, y 20: 32 to the left, 4 above
        distance = np.hypot(32, 4) * 224 / 64
        for tolerance, expected in ((distance - 1, False), (distance + 1, True)):
            rows = pointing.Pointing(MAPS, tolerance).rows(Told([[1, 0]], PEAKS), batch)
            assert rows[0]["hit"]["told"] is expected

    def test_the_best_threshold(self):
        peaks = np.array([1.0, 2, 3, 4])
        own = np.array([False, False, True, True])
        # Rejecting the two maps of other classes is right, rejecting the third, which points at its class, is not.
        assert 2 < pointing.best_threshold(peaks, own, np.array([False, False, True, True])) <= 3
        assert pointing.best_threshold(peaks, ~own, np.array([True, True, False, False])) <= 1
        assert pointing.best_threshold(peaks, own & False, own & False) > 4  # none is there: all are rejected

    def test_equal_peaks_are_kept_or_rejected_together(self):
        """By hand: at 0 all are kept, 3 right; at 0.5 the four at 0 are rejected, 3 right; at 1 also the fifth, 4."""
        peaks = np.array([0, 0, 0, 0, 0.5, 1])
        own = np.array([0, 0, 1, 1, 0, 1]) > 0
        for order in (np.arange(6), np.arange(6)[::-1]):
            assert pointing.best_threshold(peaks[order], own[order], own[order]) == 1
        one = pointing.best_threshold(peaks.reshape(2, 3), own.reshape(2, 3), own.reshape(2, 3))
        assert one == 1

    def test_recall_chooses_its_threshold_on_the_other_half(self):
        """Even pictures have large peaks for their class, odd ones small: the threshold of one half fails the other."""
        rows = [
            {"predicted": {"told": [[scale * 2, True, True], [scale * 1, False, False]]}} for scale in (100, 1, 100, 1)
        ]
        table = pointing.recalls(rows, MAPS)
        # Even pictures under a threshold of (1, 2]: both kept, one right of two; odd ones, under (100, 200]: both
        # rejected.
        assert table["as told"]["with recall"].value == 50
        assert table["every map rejected"]["with recall"].value == 50
        same = [{"predicted": {"told": [[2, True, True], [1, False, False]]}} for _ in range(4)]
        assert pointing.recalls(same, MAPS)["as told"]["with recall"].value == 100

    def test_torchrays_protocol(self):
        """Class 0 peaks at pixel (2, 3), class 1 at (5, 5): from pixel to pixel, and less than the tolerance."""
        batch = batch_of((0, (4, 2, 6, 3)), (0, (5, 2, 6, 3)), (1, (5, 6, 6, 7)))
        logits = [[1, 0]] * 3
        measure = pointing.Pointing(MAPS, tolerance=2, protocol="torchray")
        rows = measure.rows(Told(logits, PEAKS), batch)
        assert [row["hit"]["told"] for row in rows] == [True, False, True]  # 1, 2 and 1 pixels away
        (table,) = measure.tables(rows, "").values()
        assert table["as told"]["points at the class"].value == 75  # the mean of 1/2 and 1/1
        assert pointing.Pointing(MAPS).tables(rows, "")["pointing game"]["as told"]["points at the class"].value == (
            pytest.approx(200 / 3)
        )
        assert "TorchRay" in measure.remark() and measure.protocol()["protocol"] == "torchray"
        with pytest.raises(KeyError, match=r"'mine'; the protocols are paper, torchray"):
            pointing.Pointing(MAPS, protocol="mine")

    def test_torchrays_pixels_and_the_difficult_ones(self):
        """A mask comes before boxes; of two pictures one is difficult, and the first points past its pixels."""
        batch = batch_of((0, (3, 2, 4, 3)), (1, (5, 5, 6, 6)))
        away = np.zeros((8, 8), bool)
        away[7, 7] = True
        first, second = batch.examples
        first = dataclasses.replace(first, mask=lambda: away, difficult=True)
        second = dataclasses.replace(second, difficult=False)
        batch = dataclasses.replace(batch, examples=[first, second])
        measure = pointing.Pointing(MAPS, 1, protocol="torchray")
        table = measure.tables(measure.rows(Told([[1, 0]] * 2, PEAKS), batch), "")["pointing game"]["as told"]
        assert {column: (cell.value, cell.count) for column, cell in table.items()} == {
            "points at the class": (50, 2),
            "difficult ones": (0, 1),
        }

    def test_recall_of_pictures_with_several_classes(self):
        """Both classes are there, and class 1's map points at its own box; the picture counts once."""
        batch = batch_of((0, (3, 2, 4, 3)), (1, (5, 5, 6, 6)))
        first, second = batch.examples
        first = dataclasses.replace(first, others={"one": second.boxes, "none of ours": ((0, 0, 1, 1),)})
        second = dataclasses.replace(second, others={"zero": first.boxes}, is_first=False)
        told = Told([[5, 1]] * 2, PEAKS)
        told.index = index_of
        rows = pointing.Pointing(MAPS, 0, classes=2).rows(told, dataclasses.replace(batch, examples=[first, second]))
        assert rows[0]["predicted"]["told"] == [[4, True, True], [1, True, True]]
        assert rows[1]["predicted"]["told"] == []
        recall = pointing.recalls(rows * 2, MAPS)["as told"]["with recall"]
        assert (recall.value, recall.count) == (100, 2)

    def test_what_cannot_be(self):
        with pytest.raises(ValueError, match="-1 and 0"):
            pointing.Pointing(MAPS, -1)
        with pytest.raises(ValueError, match="nan and 0"):
            pointing.Pointing(MAPS, float("nan"))


class TestLocalizationMetrics:
    """Of the heat map itself, which is all on one pixel: the paper's box is not asked for."""

    METRICS = ("max_box_acc", "max_box_acc_v2", "energy", "relevance_mass", "relevance_rank")

    def test_by_hand(self, monkeypatch):
        monkeypatch.setattr(localization, "BASELINES", ())
        measure = localization.Localization(MAPS, metrics=self.METRICS)
        batch = batch_of((0, (3, 2, 4, 3)), (0, (0, 2, 4, 3)), (1, (0, 0, 8, 5)))
        rows = measure.rows(Told([[1, 0]] * 3, PEAKS), batch)
        assert all("iou" not in row for row in rows)
        # One pixel of one, one of four, and none; the third's object is more than half of the picture.
        assert [row["max_box_acc"]["told"][1:] for row in rows] == ["3" * 99, "0" * 99, "0" * 99]
        assert [row["relevance_mass"]["told"] for row in rows] == [1, 1, 0]
        assert [row["energy"]["told"] for row in rows] == [1, 1, None]
        # Of as many pixels as the object has: 1 of 1; of 4 that one and a share of the other 60; none of 40 but so.
        expected = [1, (1 + 3 * 3 / 63) / 4, 39 * 40 / 63 / 40]
        assert [row["relevance_rank"]["told"] for row in rows] == pytest.approx(expected)
        tables = measure.tables(rows, "")
        values = {title: cells["as told"]["class given"].value for title, cells in tables.items()}
        assert list(values.values()) == pytest.approx([100 / 3, 100 / 3, 100, 200 / 3, 100 * np.mean(expected)])
        assert "best for these very pictures" in measure.remark()

    def test_baselines_and_blank_maps(self, thin):
        size = thin.network.image_size
        blank = Method("blank", lambda e, layer: np.zeros((len(e), 2, 2)))
        measure = localization.Localization({"blank": blank}, metrics=["relevance_mass", "boxes"])
        box = (0, 0, size[1] / 2, size[0])
        batch = batch_of((0, box), size=size[0])
        batch = dataclasses.replace(batch, images=thin.images[:1])
        (row,) = measure.rows(thin.explainer, batch)
        assert row["relevance_mass"]["blank"] is None and row["relevance_mass"]["centre"] == pytest.approx(
            0.5, abs=0.01
        )
        assert {*row["iou"]} >= {"blank", "random", "centre", "sobel", localization.WHOLE}
        titles = list(measure.tables([row], "net"))
        assert titles == ["classification error", "localisation error", "relevance mass accuracy"]

    def test_unknown_names(self):
        with pytest.raises(KeyError, match=r"no metric 'map'; the metrics are boxes, max_box_acc"):
            localization.Localization(MAPS, metrics=["map"])
        with pytest.raises(ValueError, match="no metric is asked for"):
            faithfulness.Faithfulness(MAPS, [])


class TestFaithfulness:
    def test_the_correlation_is_that_of_the_two_maps(self, thin):
        size = thin.network.image_size
        measure = faithfulness.Faithfulness(methods_named(["grad_cam"]), stride=size[0] // 4)
        frames = [Frame(image.shape[:2]) for image in thin.images]
        targets = np.array([1, 2, 3])
        rows = measure.rows(thin.explainer, Batch([None] * 3, frames, thin.images, targets))
        explanation = thin.explainer.explain(thin.images, targets)
        drops = occlusion_map(thin.explainer.predict, thin.images[1], 2, stride=size[0] // 4)
        heatmap = explanation.heatmap(grad_cam)[1]
        cells = heatmap.reshape(4, size[0] // 4, 4, size[1] // 4).mean(axis=(1, 3))
        expected = rank_correlation(cells, drops)
        found = rows[1]["occlusion"]["grad_cam"]
        if np.isnan(expected):
            assert found is None
        else:
            # Two cells that are nearly level may change places.
            assert found == pytest.approx(expected, abs=0.05)
        order = np.argsort(-explanation.logits[1])
        assert order[rows[1]["rank"]] == 2

    def test_every_metric_by_its_own_formula(self, thin):
        """The numbers of a batch's rows, and those of the formulas on a network's own words, asked for here."""
        names = [name for name in faithfulness.METRICS if name != "occlusion"]
        measure = faithfulness.Faithfulness(methods_named(["grad_cam", "backprop"]), names)
        explainer = thin.explainer
        targets = explainer.predict(thin.images[:2]).argmax(axis=1)
        batch = Batch([None] * 2, [None] * 2, thin.images[:2], targets)
        (_, row) = measure.rows(explainer, batch)
        explanation = explainer.explain(thin.images[:2], targets)
        image = thin.images[1].astype(np.float32)

        def probability(images):
            return softmax(explainer.predict(np.clip(images, 0, 255)), axis=1)[:, targets[1]]

        heatmap = maps.heatmap(methods_named(["backprop"])["backprop"].make(explanation), image.shape[:2])[1]
        grey = np.broadcast_to(np.float32([124, 117, 104]), image.shape)
        order = removal.hottest_first(heatmap)
        seen = probability((grey + heatmap[..., None] * (image - grey))[None])[0]
        own = probability(image[None])[0]
        curve = []
        for count in np.linspace(0, order.size, 51).round().astype(int):
            changed = image.copy().reshape(-1, 3)
            changed[order[:count]] = grey[0, 0]
            curve.append(probability(changed.reshape(1, *image.shape))[0])
        expected = {
            "deletion": (sum(curve) - (curve[0] + curve[-1]) / 2) / 50,
            "average_drop": criteria.average_drop(own, seen),
            "average_gain": criteria.average_gain(own, seen),
            "sparseness": criteria.sparseness(heatmap),
            "complexity": criteria.complexity(heatmap),
        }
        for name, value in expected.items():
            if np.isnan(value):  # nothing to gain of a network that is quite sure
                assert row[name]["backprop"] is None, name
            else:
                assert row[name]["backprop"] == pytest.approx(value, rel=0.01, abs=1e-5), name
        assert [*row] == ["rank", *names]
        for name in names:
            low, high = faithfulness.METRICS[name].bounds
            assert all(value is None or low <= value <= high for value in row[name].values()), name
        assert (
            row["max_sensitivity"]["random"] == row["max_sensitivity"]["centre"] == 0 < row["max_sensitivity"]["sobel"]
        )
        tables = measure.tables([row], "")
        assert len(tables) == len(names) and "deletion, to grey (lower is better)" in tables
        assert not measure.one_scale and faithfulness.Faithfulness(MAPS).one_scale

    def test_probabilities_of_a_linear_head(self, thin):
        linear = types.SimpleNamespace(network=types.SimpleNamespace(head="linear", name="score"))
        with pytest.raises(ValueError, match="deletion is of probabilities, and the head of score is linear"):
            faithfulness.Faithfulness(MAPS, ["sparseness", "deletion"]).rows(linear, None)

    def test_undefined_correlations_do_not_count(self):
        rows = [
            {"rank": r, "occlusion": {"told": c, "random": 0.0, "centre": 0.0, "sobel": 0.0}}
            for r, c in ((0, 0.5), (0, None), (4, 0.1))
        ]
        (table,) = faithfulness.Faithfulness(MAPS).tables(rows, "").values()
        assert list(table) == ["as told", "random", "centre", "Sobel edges"]
        table = table["as told"]
        assert table["all pictures"].value == pytest.approx(0.3)
        assert (table["class predicted"].value, table["class predicted"].count) == (0.5, 1)


@pytest.fixture
def examples(thin):
    size = SIZES[thin.network.name]
    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 255, (7, size, size, 3)).astype(np.uint8)
    return [Example(f"p{i}", i, ((2, 2, size - 2, size - 2),), lambda p=p: p) for i, p in enumerate(pictures)]


def measuring(rows):
    """A measure that is nothing but its rows."""
    return types.SimpleNamespace(rows=rows)


class TestEvaluate:
    @staticmethod
    def logits(explainer, batch):
        return [
            {"logits": row.tolist(), "target": int(t)} for row, t in zip(explainer.predict(batch.images), batch.targets)
        ]

    def test_every_picture_once_in_order(self, thin, examples, tmp_path):
        rows = evaluate(thin.explainer, examples, measuring(self.logits), Journal(tmp_path / "rows", {}), batch=3)
        assert [row["name"] for row in rows] == [f"p{i}" for i in range(7)]
        assert [row["target"] for row in rows] == list(range(7))
        images = np.stack([example.read() for example in examples]).astype(np.float32)
        expected = thin.explainer.predict(images)
        np.testing.assert_allclose(
            [row["logits"] for row in rows], expected, rtol=1e-4, atol=1e-4 * abs(expected).max()
        )

    def test_it_goes_on_where_it_stopped(self, thin, examples, tmp_path):
        whole = evaluate(thin.explainer, examples, measuring(self.logits), Journal(tmp_path / "whole", {}), batch=2)
        seen = []

        def interrupted(explainer, batch):
            if len(seen) == 2:
                raise RuntimeError("power cut")
            seen.append([example.name for example in batch.examples])
            return self.logits(explainer, batch)

        with pytest.raises(RuntimeError, match="power cut"):
            evaluate(thin.explainer, examples, measuring(interrupted), Journal(tmp_path / "rows", {}), batch=2)
        with (tmp_path / "rows").open("a") as file:
            file.write('[{"name": "p4", "logi')  # half a line, as of a process that was killed while it wrote
        seen.append(None)
        rows = evaluate(thin.explainer, examples, measuring(interrupted), Journal(tmp_path / "rows", {}), batch=2)
        assert rows == whole
        assert seen[3:] == [["p4", "p5"], ["p6"]]
        assert (
            evaluate(thin.explainer, examples, None, Journal(tmp_path / "rows", {}), batch=2) == whole
        )  # nothing to do

    def test_rows_of_other_pictures(self, thin, examples, tmp_path):
        evaluate(thin.explainer, examples[:4], measuring(self.logits), Journal(tmp_path / "rows", {}), batch=2)
        for others in (examples[1:], examples[:3]):
            with pytest.raises(ValueError, match="rows of other pictures: begin afresh"):
                evaluate(thin.explainer, others, measuring(self.logits), Journal(tmp_path / "rows", {}), batch=2)

    def test_a_damaged_picture_is_named(self, thin, examples, tmp_path):
        def damaged():
            raise ValueError("it is truncated")

        broken = [*examples[:3], Example("bad.jpg", 0, (), damaged)]
        with pytest.raises(ValueError, match=r"bad\.jpg: it is truncated"):
            evaluate(thin.explainer, broken, measuring(self.logits), Journal(tmp_path / "rows", {}), batch=2)
        assert len(Journal(tmp_path / "rows", {}).rows) == 2  # what came before is kept

    def test_a_damaged_line_is_named(self, thin, examples, tmp_path):
        path = tmp_path / "rows"
        evaluate(thin.explainer, examples, measuring(self.logits), Journal(path, {}), batch=3)
        lines = path.read_text().splitlines()
        for damaged, message in (
            ("[{", r"rows:3: the line is no JSON: .*: begin afresh"),
            ('{"a": 1}', "rows:3: the line holds no rows"),
        ):
            path.write_text("\n".join([*lines[:2], damaged, *lines[3:]]) + "\n")
            with pytest.raises(ValueError, match=message):
                Journal(path, {})
            assert Journal(path, {}, fresh=True).rows == []

    def test_a_batch_of_none(self, thin, examples, tmp_path):
        with pytest.raises(ValueError, match="at least 1 picture, not 0"):
            evaluate(thin.explainer, examples, measuring(self.logits), Journal(tmp_path / "rows", {}), batch=0)


class TestJournal:
    def test_it_appears_with_its_first_batch(self, tmp_path):
        journal = Journal(tmp_path / "folder" / "rows", {"a": 1})
        assert not list(tmp_path.iterdir())
        journal.append([{"x": 1}, {"x": 2}])
        journal.append([{"x": 3}])
        assert (tmp_path / "folder" / "rows").read_text() == '{"a": 1}\n[{"x": 1}, {"x": 2}]\n[{"x": 3}]\n'

    def test_two_runs_at_once_do_not_mix(self, tmp_path):
        first = Journal(tmp_path / "rows", {})
        first.append([{"x": 1}])
        second = Journal(tmp_path / "rows", {})
        second.append([{"x": 2}])
        with pytest.raises(ValueError, match="another run writes to"):
            first.append([{"x": 2}])
        assert Journal(tmp_path / "rows", {}).rows == [{"x": 1}, {"x": 2}]

    def test_the_second_of_two_runs_is_told_before_it_measures_anything(self, thin, examples, tmp_path):
        first = Journal(tmp_path / "rows", {})
        with first.held():
            first.append([{"x": 1}])
            second = Journal(tmp_path / "rows", {})
            with pytest.raises(ValueError, match="another run writes to .*rows too"), second.held():
                pass
            with pytest.raises(ValueError, match="another run writes to"):
                second.append([{"x": 2}])
            first.append([{"x": 3}])
        with pytest.raises(ValueError, match="another run writes to"), second.held():  # it has the rows of before
            pass
        with Journal(tmp_path / "rows", {}).held():
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["rows"]

    def test_processes_on_one_journal_leave_it_whole(self, tmp_path):
        """Each adds what it can; the lines of those that were told nothing are all there, and no other."""
        # Who is refused waits and asks again: how often it is, is chance, and nothing that a journal promises.
        code = (
            "import sys, time; from gradcam.evaluation import Journal\n"
            "added = 0\n"
            "while added < 40:\n"
            "    try:\n"
            "        journal = Journal(sys.argv[1], {})\n"
            "        with journal.held(): journal.append([{'name': sys.argv[2] + str(added), 'x': 'x' * 5000}])\n"
            "        print(sys.argv[2] + str(added))\n"
            "        added += 1\n"
            "    except ValueError as error:\n"
            "        assert 'another run writes to' in str(error)\n"
            "        time.sleep(0.005)\n"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "rows")]
        begun = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in "ab"]
        said = sorted(line for process in begun for line in process.communicate()[0].split())
        assert [process.returncode for process in begun] == [0, 0]
        assert sorted(row["name"] for row in Journal(tmp_path / "rows", {}).rows) == said
        assert len(said) == 80

    def test_half_a_line_of_a_running_process_is_not_cut_off(self, tmp_path):
        Journal(tmp_path / "rows", {}).append([{"x": 1}])
        with (tmp_path / "rows").open("ab") as file:
            file.write(b'[{"x": 2}')
        assert Journal(tmp_path / "rows", {}).rows == [{"x": 1}]
        journal = Journal(tmp_path / "rows", {})
        assert (tmp_path / "rows").read_bytes().endswith(b'[{"x": 2}')
        journal.append([{"x": 3}])
        assert Journal(tmp_path / "rows", {}).rows == [{"x": 1}, {"x": 3}]

    def test_rows_of_another_run_are_refused_and_told(self, tmp_path):
        Journal(tmp_path / "rows", {"network": "a", "fit": "crop"}).append([{"x": 1}])
        with pytest.raises(ValueError, match=r"another run \(network 'a', not 'b'\)"):
            Journal(tmp_path / "rows", {"network": "b", "fit": "crop"})
        assert Journal(tmp_path / "rows", {"network": "a", "fit": "crop"}).rows == [{"x": 1}]
        fresh = Journal(tmp_path / "rows", {"network": "b"}, fresh=True)
        assert fresh.rows == []
        fresh.append([{"x": 2}])
        assert Journal(tmp_path / "rows", {"network": "b"}).rows == [{"x": 2}]

    def test_what_is_no_journal(self, tmp_path):
        for text in ("a,b\n1,2\n", "[1]\n", "\n"):
            (tmp_path / "rows").write_text(text)
            with pytest.raises(ValueError, match="is not the journal of a run"):
                Journal(tmp_path / "rows", {})


def test_weights_have_a_fingerprint():
    weights = {"a": np.arange(3.0), "b": np.zeros((2, 2))}
    assert fingerprint(weights) == fingerprint(dict(reversed(list(weights.items()))))
    assert fingerprint(weights) != fingerprint({**weights, "a": np.arange(1.0, 4)})
    assert fingerprint(weights) != fingerprint({"c": weights["a"], "b": weights["b"]})
    assert fingerprint(weights) != fingerprint({**weights, "b": np.zeros((4, 1))})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A CSV file of 120 pictures of 20 x 30 pixels, one of ten classes each, with a box."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(5)
    rows = ["path,class,boxes"]
    for i in range(120):
        Image.fromarray(rng.integers(0, 255, (20, 30, 3)).astype(np.uint8)).save(folder / f"{i}.png")
        x, y = rng.integers(0, 10, 2)
        rows.append(f"{i}.png,{i % 10},{x} {y} {x + 12} {y + 9}")
    (folder / "data.csv").write_text("\n".join(rows) + "\n")
    return folder / "data.csv"


def cells(out):
    """The numbers that a table's script wrote: (table, row, column) -> value."""
    with out.with_suffix(".csv").open() as file:
        found = {(row["table"], row["row"], row["column"]): float(row["value"]) for row in csv.DictReader(file)}
    numbers = json.loads(out.with_suffix(".json").read_text())
    assert {(c["table"], c["row"], c["column"]): c["value"] for c in numbers["cells"]} == pytest.approx(
        found, rel=1e-5, nan_ok=True
    )
    with Image.open(out) as figure:
        assert figure.width > 1500  # 300 dpi
    return found


class TestScripts:
    def test_table1_is_what_one_gets_picture_by_picture(self, thin_script, data, tmp_path, capsys):
        out = reproduce_table1.main(
            [*thin_script.flags, "--data", str(data), "--limit", "30", "--out", str(tmp_path / "t.png")]
        )
        found = cells(out)
        wrong = {1: 0, 5: 0}
        explainer = thin_script.explainer
        with data.open() as file:
            for row in list(csv.DictReader(file))[:30]:
                pixels = np.asarray(Image.open(data.parent / row["path"]))
                explanation = explainer.explain(
                    fit_image(pixels, thin_script.network.image_size)[None], int(row["class"])
                )
                heatmap = Photograph("", pixels).heatmap(explanation.cam()[0])
                overlap = boxes.iou(boxes.box_of(heatmap), tuple(map(float, row["boxes"].split())))
                order = np.argsort(-explanation.logits[0]).tolist()
                for k in wrong:
                    wrong[k] += not (int(row["class"]) in order[:k] and overlap >= 0.5)
        for k in wrong:
            assert found["localisation error", "Grad-CAM", f"top-{k}"] == pytest.approx(100 * wrong[k] / 30, abs=0.01)
        if thin_script.network.name != "vgg16":
            for column in ("top-1", "top-5", "class given"):
                assert found["localisation error", "CAM", column] == found["localisation error", "Grad-CAM", column]
        printed = capsys.readouterr().out
        weights, layer = thin_script.explainer.fingerprint[:8], thin_script.network.default_layer
        assert f"30 pictures\nweights {weights}, layer {layer}\n" in printed
        assert "56.51 / 46.41" in printed
        assert "largest segment above 15 % of the maximum" in printed

    def test_protocol_flags_reach_the_boxes(self, thin_script, data, tmp_path):
        arguments = [*thin_script.flags, "--data", str(data), "--limit", "20"]
        table = [
            cells(
                reproduce_table1.main([*arguments, "--out", str(tmp_path / f"{i}.png"), "--methods", "grad_cam", *more])
            )
            for i, more in enumerate(([], ["--threshold", "0.9", "--segment", "peak", "--resize", "network"]))
        ]
        key = ("localisation error", "whole picture", "class given")
        assert table[0][key] == table[1][key]
        assert json.loads((tmp_path / "1.json").read_text())["protocol"]["boxes"] == {
            "threshold": 0.9,
            "segment": "peak",
            "resize": "network",
        }
        overlaps = [
            [row["iou"]["grad_cam"] for row in Journal(path, json.loads(path.read_text().splitlines()[0])).rows]
            for path in sorted(tmp_path.glob("*.jsonl"))
        ]
        assert overlaps[0] != overlaps[1]

    def test_the_other_tables(self, thin_script, data, tmp_path):
        shared = [*thin_script.flags, "--data", str(data), "--limit", "8"]
        table3 = cells(reproduce_table3.main([*shared, "--out", str(tmp_path / "3.png")]))
        pointed = cells(reproduce_pointing.main([*shared, "--out", str(tmp_path / "p.png"), "--classes", "2"]))
        faithful = cells(reproduce_faithfulness.main([*shared, "--out", str(tmp_path / "f.png"), "--stride", "16"]))
        if thin_script.network.name != "vgg16":  # no ReLU behind the layer that another rule could change
            errors = [table3["localisation error", row, "class given"] for row in ("Grad-CAM", "guided gradient")]
            assert errors[0] == errors[1]
        assert {row for table, row, _ in pointed if table == "pointing game"} >= {"Grad-CAM", "centre", "backprop"}
        assert ("pointing game with recall", "every map rejected", "with recall") in pointed
        assert all(-1 <= value <= 1 for value in faithful.values() if value == value)

    @pytest.mark.parametrize("thin", ["vgg16"], indirect=True)
    def test_killed_in_the_middle_it_comes_to_the_same_numbers(self, thin_script, data, tmp_path):
        flags = [*thin_script.flags, "--data", str(data), "--batch", "2", "--methods", "grad_cam", "backprop", "--out"]
        command = [sys.executable, SCRIPTS / "reproduce_table1.py", *flags, str(tmp_path / "killed.png")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.time() + 120
        while time.time() < deadline and process.poll() is None:
            rows = [path.read_bytes().count(b"\n") for path in tmp_path.glob("killed.*.jsonl")]
            if rows and rows[0] > 4:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        (path,) = tmp_path.glob("killed.*.jsonl")
        done = path.read_bytes().count(b"\n") - 1
        assert 4 <= done < 60
        assert not (tmp_path / "killed.csv").exists()
        for name in ("killed", "whole"):
            reproduce_table1.main([*flags, str(tmp_path / f"{name}.png")])
        assert cells(tmp_path / "killed.png") == cells(tmp_path / "whole.png")
        (whole,) = tmp_path.glob("whole.*.jsonl")
        assert path.read_bytes() == whole.read_bytes()
        names = [row["name"] for line in path.read_text().splitlines()[1:] for row in json.loads(line)]
        assert len(names) == len(set(names)) == 120

    def test_pictures_without_boxes(self, thin_script, data, tmp_path):
        """Only faithfulness can do without."""
        bare = data.with_name("bare.csv")
        bare.write_text("path,class,boxes\n0.png,0,\n1.png,1,\n")
        shared = [*thin_script.flags, "--data", str(bare), "--methods", "grad_cam", "--out", str(tmp_path / "t.png")]
        for script in (reproduce_table1, reproduce_table3, reproduce_pointing):
            with pytest.raises(ValueError, match=r"2 of 2 pictures have no box, the first being 0\.png"):
                script.main(shared)
        assert not list(tmp_path.iterdir())
        assert reproduce_faithfulness.main([*shared, "--stride", "300"]).exists()
        text = (tmp_path / "t.json").read_text()
        assert "NaN" not in text  # one place has no ranks: null
        assert {cell["value"] for cell in json.loads(text)["cells"]} == {None}

    def test_cam_is_of_the_last_layer_alone(self, thin_script, data, tmp_path):
        layer = list(thin_script.network.endpoints)[-3]
        shared = [*thin_script.flags, "--data", str(data), "--limit", "4", "--layer", layer]
        out = reproduce_table1.main([*shared, "--out", str(tmp_path / "t.png")])
        assert "CAM" not in {row for _, row, _ in cells(out)}
        with pytest.raises(ValueError, match="CAM needs the last layer"):
            reproduce_table1.main([*shared, "--methods", "cam", "--out", str(tmp_path / "u.png")])

    def test_a_finished_run_is_not_measured_again(self, thin_script, data, tmp_path, capsys):
        shared = [*thin_script.flags, "--data", str(data), "--limit", "4", "--methods", "grad_cam"]
        shared += ["--out", str(tmp_path / "t.png")]
        first = cells(reproduce_table1.main(shared))
        assert "4 of 4 pictures are in" not in capsys.readouterr().out
        assert cells(reproduce_table1.main(shared)) == first
        assert "4 of 4 pictures are in" in capsys.readouterr().out
        reproduce_table1.main([*shared, "--threshold", "0.154"])  # which 15 % are not
        assert len(list(tmp_path.glob("*.jsonl"))) == 2

    def test_more_pictures_go_on_from_fewer(self, thin_script, data, tmp_path, capsys):
        """To the last byte what a run from the start comes to: of the run that has most, the whole batches."""
        shared = [*thin_script.flags, "--data", str(data), "--batch", "4", "--methods", "grad_cam", "--out"]
        for limit in ("6", "10", "3"):
            reproduce_table1.main([*shared, str(tmp_path / "t.png"), "--limit", limit])
        (fewer,) = (path for path in tmp_path.glob("t.*.jsonl") if path.read_text().count('"name"') == 10)
        reproduce_table1.main([*shared, str(tmp_path / "t.png"), "--limit", "9", "--threshold", "0.2"])  # another run
        (tmp_path / "t.0.jsonl").write_text("no journal")
        capsys.readouterr()
        more = cells(reproduce_table1.main([*shared, str(tmp_path / "t.png"), "--limit", "14"]))
        assert f"8 of 14 pictures are in {fewer}; --fresh measures them again" in capsys.readouterr().out
        assert more == cells(reproduce_table1.main([*shared, str(tmp_path / "whole.png"), "--limit", "14"]))
        (whole,) = tmp_path.glob("whole.*.jsonl")
        assert (tmp_path / whole.name.replace("whole", "t")).read_bytes() == whole.read_bytes()
        capsys.readouterr()
        reproduce_table1.main([*shared, str(tmp_path / "t.png"), "--limit", "15", "--fresh"])
        assert "pictures are in" not in capsys.readouterr().out

    def test_other_pictures_do_not_go_on_from_these(self, thin_script, data, tmp_path, capsys):
        header, *rows = data.read_text().splitlines()
        other = data.with_name("other.csv")
        for lines in (rows[:4], [*rows[:2], "2.png,2,0 0 1 1", *rows[3:8]]):  # a box of the third is another
            other.write_text("\n".join([header, *lines]) + "\n")
            shared = [*thin_script.flags, "--data", str(other), "--batch", "2", "--methods", "grad_cam"]
            reproduce_table1.main([*shared, "--out", str(tmp_path / "t.png")])
        assert "pictures are in" not in capsys.readouterr().out

    def test_mistakes(self, thin_script, data, tmp_path):
        out = ["--out", str(tmp_path / "t.png")]
        for arguments, error, message in (
            (["--data", str(tmp_path / "none")], FileNotFoundError, "there is nothing at"),
            (["--data", str(data), "--limit", "0"], ValueError, "--limit must be at least 1, not 0"),
            (["--data", str(data), "--limit", "-1"], ValueError, "--limit must be at least 1, not -1"),
            (["--data", str(data), "--batch", "0"], ValueError, "not 0"),
            (["--data", str(data), "--layer", "conv9"], KeyError, "no layer 'conv9'"),
            (["--data", str(data), "--smooth", "inf", "--methods", "backprop"], ValueError, "not inf"),
            (["--data", str(data), "--methods", "gradcam"], KeyError, "no method 'gradcam'"),
            (["--data", str(data), "--threshold", "15"], ValueError, "not 15"),
        ):
            with pytest.raises(error, match=message):
                reproduce_table1.main([*thin_script.flags, *arguments, *out])
        assert not list(tmp_path.iterdir())
