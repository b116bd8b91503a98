"""The checks of one map: by hand, by a second network with the same random weights, and their words."""

import dataclasses
import json
import re

import calibrate_verdicts
import numpy as np
import pytest
from foreign import classifier, unmarked, write_pb
from scipy import stats

import slim_models
from gradcam import Direction, Opposite, evaluation
from gradcam.cli.main import main
from gradcam.evaluation import USUAL, Checks, check, checking, usual_of, verdicts
from gradcam.evaluation.judging import OF_ALL, Usual
from gradcam.evaluation.sanity import randomized
from gradcam.explainer import Explainer
from gradcam.explanation import Explanation
from gradcam.methods import Method
from gradcam.perturbation.scoring import GREY
from gradcam.strangers import THRESHOLDS
from slim_models.labels import Labels

LAYERS = {  # of the networks behind their default layer: what the file calls them, and their operations
    "vgg16": {
        f"fc{n}/{kind}": f"fc{n}/{operation}/{kind}"
        for n in (6, 7, 8)
        for kind, operation in (("weights", "MatMul"), ("biases", "BiasAdd"))
    },
    "resnet_v1_50": {
        f"resnet_v1_50/logits/{kind}": f"resnet_v1_50/logits/{operation}/{kind}"
        for kind, operation in (("weights", "Conv2D"), ("biases", "BiasAdd"))
    },
}


class TestWeightsBehindALayer:
    def test_they_are_those_of_the_file(self, thin):
        explanation = thin.explainer.explain(thin.images[:1])
        found = explanation.runs.weights_behind(explanation.default_layer)
        names = LAYERS[thin.network.name]
        assert set(found) == set(names.values())
        for in_file, name in names.items():
            np.testing.assert_array_equal(found[name], np.reshape(thin.weights[in_file], found[name].shape))

    def test_with_others_it_is_the_network_that_has_these(self, thin):
        """As if they had been assigned; the session keeps its own."""
        layer = thin.network.default_layer
        explanation = thin.explainer.explain(thin.images, [1, 2, 3])
        learnt = explanation.runs.weights_behind(layer)
        drawn = randomized(learnt, learnt, np.random.default_rng(3))
        found = explanation.runs.with_weights(layer, drawn).arrays(thin.images, explanation.ways)
        names = LAYERS[thin.network.name]
        theirs = {own: np.reshape(drawn[name], np.shape(thin.weights[own])) for own, name in names.items()}
        try:
            slim_models.assign_weights(thin.explainer.session, thin.network, {**thin.weights, **theirs})
            expected = thin.explainer.explain(thin.images, [1, 2, 3])
        finally:
            slim_models.assign_weights(thin.explainer.session, thin.network, thin.weights)
        scale = np.abs(expected.gradients[layer]).max()
        np.testing.assert_allclose(found["gradients"][layer], expected.gradients[layer], atol=1e-5 * scale)
        np.testing.assert_allclose(
            found["logits"], expected.logits, rtol=1e-4, atol=1e-5 * np.abs(expected.logits).max()
        )
        again = thin.explainer.explain(thin.images, [1, 2, 3])
        np.testing.assert_array_equal(again.logits, explanation.logits)

    @pytest.mark.parametrize("whole", ["resnet_v1_50"], indirect=True)
    def test_of_a_lower_layer_they_are_all_that_come_after_it(self, whole):
        with Explainer(whole.network, whole.weights, layers=["block3"], rules=[]) as explainer:
            found = explainer.explain(whole.images[:1]).runs.weights_behind("block3")
        kernels = [
            name for name in whole.weights if re.search(r"(block4/.*conv\d|block4/.*shortcut|logits)/weights", name)
        ]
        assert len([name for name in found if name.endswith("/weights")]) == len(kernels) == 11


@dataclasses.dataclass
class MadeUp:
    """Runs of a network whose class c says how bright the picture's quarter c is; its layer is the picture in 2 x 2."""

    weights: float = 1.0
    say: None = None

    def arrays(self, images, directions):
        quarters = np.asarray(images).reshape(len(images), 2, 4, 2, 4, 3).mean(axis=(2, 4, 5))
        activations = quarters[..., None] * np.eye(4).reshape(1, 2, 2, 4)
        gradients = self.weights * np.broadcast_to(directions[:, None, None], activations.shape)
        logits = self.weights * quarters.reshape(-1, 4) / 255
        arrays = {"logits": logits, "activations": {"a": activations}, "gradients": {"a": gradients}}
        return {**arrays, "signals": {}, "saliency": {}}

    def predict(self, images):
        return self.arrays(images, np.ones((len(images), 4)))["logits"]

    def weights_behind(self, layer):
        return {"a/weights": np.full((2, 2), self.weights)}

    def with_weights(self, layer, weights):
        return MadeUp(-1.0)


def explained(target, runs=None, image=None):
    image = np.full((1, 8, 8, 3), 110.0) if image is None else image
    ways = np.eye(4, dtype=np.float32)[[target]] if isinstance(target, int) else target
    runs = runs or MadeUp()
    options = {"targets": np.array([int(np.abs(ways[0]).argmax())]), "directions": ways, "runs": runs}
    return Explanation(image, **runs.arrays(image, ways), default_layer="a", head="linear", **options)


def bright(quarter):
    image = np.full((1, 2, 4, 2, 4, 3), GREY, np.float32)
    image[0, quarter // 2, :, quarter % 2] = 200
    return image.reshape(1, 8, 8, 3)


class TestNumbers:
    def test_a_good_map_of_a_network_that_can_be_read(self):
        """Quarter 1 is bright, and the map says so: of other weights it is blank, of class 0 it is quarter 0."""
        (found,) = check(explained(1, image=bright(1)))
        assert (found.target, found.share, found.blank) == (1, 0.25, "")
        assert found.weights == 0  # with the sign turned nothing speaks for the class
        assert found.other_class == pytest.approx(
            -1 / 3
        )  # ranks of [0, 1, 0, 0] and [1, 0, 0, 0], or of any other place
        assert found.other != 1
        assert found.noise == pytest.approx(1)
        assert found.said == pytest.approx(200 / 255) and found.said_in_noise == pytest.approx(200 / 255, abs=0.01)
        assert found.beats_chance and found.beats_centre
        assert found.by_map < min(found.at_random)

    def test_a_map_that_depends_on_nothing(self):
        always = Method("always", lambda e, layer: np.repeat([[[0.0, 1], [0, 2]]], len(e), axis=0))
        (found,) = check(explained(0, image=bright(0)), always)
        assert found.weights == found.other_class == found.noise == pytest.approx(1)
        assert not found.beats_chance  # the bright quarter is left to the last

    def test_a_blank_map_says_why_and_is_not_checked(self):
        (found,) = check(explained(np.array([[-1.0, 0, 0, 0]], np.float32)))
        assert "nothing at a speaks for the class" in found.blank
        assert found.share == 0 and found.weights is found.noise is found.by_map is None
        assert not found.beats_chance and not found.beats_centre

    def test_no_other_class_where_all_are_asked_for(self):
        (found,) = check(explained(np.array([[1.0, 2, 3, 4]], np.float32)))
        assert found.other is found.other_class is None

    def test_no_weights_behind_the_last_layer(self):
        runs = MadeUp()
        runs.weights_behind = lambda layer: {}
        assert check(explained(1, runs, bright(1)))[0].weights is None

    def test_arrays_alone_cannot_be_checked(self):
        with pytest.raises(ValueError, match="needs more runs"):
            check(dataclasses.replace(explained(1), runs=None))

    def test_likeness_is_spearmans(self):
        first, second = np.random.default_rng(0).integers(0, 5, (2, 6, 7))
        assert checking.likeness(first, second) == pytest.approx(stats.spearmanr(first.ravel(), second.ravel())[0])
        assert checking.likeness(first, np.ones_like(first)) == 0

    def test_deletions_by_hand(self):
        """The quarter's 16 pixels of 64 go first, in steps of 6.4; what is deleted is as GREY is."""
        (row,) = checking.deletions(explained(1, image=bright(1)), [np.array([[0.0, 1], [0, 0]])])
        grey, counts = np.mean(GREY) / 255, np.array([0, 6, 13, 16, 16, 16, 16, 16, 16, 16, 16])
        assert row == pytest.approx((200 / 255 * (16 - counts) + grey * counts) / 16)

    def test_of_a_network(self, thin):
        """Of a thin network, one by one and together; the likeness to another class's map a second way."""
        explanation = thin.explainer.explain(thin.images[:2], [3, Opposite(4)])
        together = check(explanation, "hires_cam")
        for number, found in enumerate(together):
            (alone,) = check(explanation[number], "hires_cam")
            one, other = (
                [value for value in np.hstack(dataclasses.astuple(of)).tolist() if value not in (None, found.blank)]
                for of in (found, alone)
            )
            assert one == pytest.approx(other, abs=1e-4)
            if not found.blank:
                cams = [explanation.cam("hires_cam")[number]]
                logits = explanation.logits[number].copy()
                logits[[3, 4][number]] = -np.inf
                assert found.other == logits.argmax()
                cams.append(thin.explainer.explain(thin.images[number : number + 1], found.other).cam("hires_cam")[0])
                assert found.other_class == pytest.approx(checking.likeness(*cams), abs=1e-6)

    def test_a_direction_through_a_network(self, thin):
        vector = np.linspace(-1, 1, 10)
        (found,) = check(thin.explainer.explain(thin.images[:1], [Direction(vector)]), "without_relu")
        assert found.other is None and -1 <= found.weights <= 1


USUALLY = Usual(500, (0.3, 0.6), (0.5, 0.8), (0.9, 0.7), 0.8, 0.6)
GOOD = Checks(1, 0.25, "", 0.5, 0.3, 2, 0.5, 0.9, 0.4, 0.1, (0.2, 0.3), 0.2)


@pytest.fixture
def words(monkeypatch):
    def of(checks):
        monkeypatch.setitem(USUAL, "abc", USUALLY)
        monkeypatch.setattr("gradcam.evaluation.judging.check", lambda *arguments: [checks])
        (found,) = verdicts(explained(1), weights="abc", labels=Labels(("",) * 4, ("a", "b", "c", "d")))
        return found

    return of


class TestWords:
    def test_five_lines(self, words):
        found = words(GOOD)
        assert str(found).splitlines() == found.lines() and len(found.lines()) == 5
        assert [line.split()[0] for line in found.lines()] == ["map", "weights", "class", "noise", "deletion"]
        assert "map of c" in found.lines()[2] and "likeness 0.50" in found.lines()[2]
        assert found.whose == "this network" and "80% of maps beat chance, 60% both" in found.lines()[4]

    @pytest.mark.parametrize(
        ("changed", "name", "word"),
        [
            ({}, "weights", "changes as usual"),  # at the limit is within it
            ({"weights": 0.31}, "weights", "changes less than usual"),
            ({"weights": 0.61}, "weights", "hardly changes"),
            ({"weights": None}, "weights", "not checked"),
            ({"other_class": 0.81}, "class", "hardly changes"),
            ({"other_class": None, "other": None}, "class", "not checked"),
            ({}, "noise", "steady"),
            ({"noise": 0.89}, "noise", "less steady than usual"),
            ({"noise": 0.69}, "noise", "not steady"),
            ({}, "deletion", "beats chance and the centre"),
            ({"from_centre": 0.1}, "deletion", "beats chance, not the centre"),
            ({"by_map": 0.25}, "deletion", "does not beat chance"),
            ({"by_map": 0.25, "from_centre": 0.3}, "deletion", "does not beat chance, though the centre"),
        ],
    )
    def test_they_follow_the_numbers(self, words, changed, name, word):
        assert words(dataclasses.replace(GOOD, **changed)).findings[name].word == word

    def test_of_a_blank_map_why(self, words):
        found = words(Checks(1, 0.0, "the gradient is zero", 0.5))
        assert found.lines()[0] == "map       blank: the gradient is zero"
        assert {finding.word for finding in list(found.findings.values())[1:]} == {"not checked"}

    def test_networks_that_are_not_known_are_measured_by_all(self):
        (found,) = verdicts(explained(1, image=bright(1)))
        assert (found.usual, found.whose) == (OF_ALL, "other networks")

    def test_json_has_everything(self, words):
        found = json.loads(json.dumps(words(GOOD).as_json()))
        assert found["verdict"]["weights"] == "changes as usual" and found["checks"]["at_random"] == [0.2, 0.3]
        assert found["usual"]["pictures"] == 500 and found["usual"]["of"] == "this network"


class TestUsual:
    def test_the_quantiles_a_second_way(self):
        rng = np.random.default_rng(0)
        rows = [
            dataclasses.asdict(
                dataclasses.replace(GOOD, weights=a, other_class=b, noise=c, by_map=float(n % 4 > 0) * 0.22)
            )
            for n, (a, b, c) in enumerate(rng.uniform(-1, 1, (201, 3)).tolist())
        ]
        blank = dataclasses.asdict(Checks(1, 0.0, "why", 0.5))
        found = usual_of([*rows, blank])
        ordered = sorted(row["weights"] for row in rows)
        assert found.weights == pytest.approx((ordered[180], ordered[198]), abs=1e-4)
        ordered = sorted(row["noise"] for row in rows)
        assert found.noise == pytest.approx((ordered[20], ordered[2]), abs=1e-4)
        assert (
            found.pictures == 201 and found.beats_chance == 1 and found.beats_both == pytest.approx(51 / 201, abs=1e-4)
        )

    def test_of_a_few_maps_nothing_is_usual(self):
        with pytest.raises(ValueError, match="not 99"):
            usual_of([dataclasses.asdict(GOOD)] * 99)

    def test_it_is_of_the_weights_that_come_along(self):
        """New weights want new numbers: scripts/calibrate_verdicts.py."""
        assert set(USUAL) == {known.weights for known in THRESHOLDS.values()}
        assert OF_ALL.pictures == sum(usual.pictures for usual in USUAL.values())
        for usual in (*USUAL.values(), OF_ALL):
            assert usual.weights[0] < usual.weights[1] < 1 and usual.noise[1] < usual.noise[0] <= 1

    def test_the_calibration_goes_on_where_it_was(self, tmp_path, monkeypatch, capsys):
        """Of 100 pictures, the checks being made up; a second run has nothing left to check."""
        seen = []

        def quick(explanation, method):
            seen.append(len(explanation))
            return [dataclasses.replace(GOOD, target=int(target)) for target in explanation.targets]

        monkeypatch.setattr(calibrate_verdicts, "check", quick)
        examples = evaluation.datasets.read_examples("samples")
        monkeypatch.setattr(calibrate_verdicts, "read_examples", lambda data: (examples * 200)[:200])
        flags = ["--data", "samples", "--limit", "100", "--out", str(tmp_path / "v.json")]
        for _ in range(2):
            calibrate_verdicts.main(flags)
            assert sum(seen) == 100
        found = json.loads((tmp_path / "v.json").read_text())
        assert re.fullmatch("[0-9a-f]{16}", found["weights"]) and len(found["rows"]) == 100
        assert found["usual"]["pictures"] == 100 and found["usual"]["weights"] == [0.3, 0.3]
        assert "beats_chance=1.0" in capsys.readouterr().out


class TestCommandLine:
    def test_five_lines_and_a_file(self, tmp_path, capsys):
        flags = ["--network", "vgg16_tiny", "--write", "overlay", "--out", str(tmp_path)]
        assert main(["explain", "sample:coffee", "--check", "--target", "espresso", "--target=-espresso", *flags]) == 0
        out = capsys.readouterr().out
        assert out.count("check of grad_cam of conv5_3 for 'espresso':") == 1
        assert len(re.findall(r"^    (?:map|weights|class|noise|deletion) ", out, re.MULTILINE)) == 10
        found = json.loads((tmp_path / "coffee.espresso.vgg16_tiny.check.json").read_text())
        assert found["lines"][0].strip() in out
        assert {"weights", "source_sha256", "preprocessing", "versions", "layer"} <= found["provenance"].keys()
        assert re.fullmatch("[0-9a-f]{16}", found["graph"]) and found["found"] == []
        assert found["usual"]["of"] == "this network" and found["protocol"]["noise"] == checking.NOISE
        assert main(["explain", "sample:coffee", "--check", "--target", "espresso", "--skip-existing", *flags]) == 0
        assert "check of" not in capsys.readouterr().out

    def test_somebodys_frozen_graph(self, tmp_path, capsys):
        """Its weights are constants: they are made random too, and it is said how it was opened."""
        graph = unmarked(lambda images: classifier(images / 255 - 0.5))
        path = write_pb(tmp_path / "mine.pb", graph.as_graph_def())
        flags = ["--network", str(path), "--preprocessing", "none", "--image-size", "64", "--layer", "Conv2D"]
        assert main(["explain", "sample:coffee", "--check", "--write", "overlay", *flags, "--out", str(tmp_path)]) == 0
        (file,) = tmp_path.glob("coffee.class_*.check.json")
        found = json.loads(file.read_text())
        assert found["checks"]["weights"] is not None or found["checks"]["blank"]
        assert found["usual"]["of"] == "other networks" and found["found"]
        assert found["lines"][1] in capsys.readouterr().out

    def test_two_graphs_are_told_apart(self, built):
        found = {built(name).network.graph_fingerprint() for name in ("vgg16", "resnet_v1_50")}
        assert len(found) == 2 and built("vgg16").network.graph_fingerprint() in found
