"""Figures 3, 6 and 7 and the layers, on thin networks: the numbers beside them, by a second way."""

import numpy as np
import pytest
import reproduce_figure3
import reproduce_figure6
import reproduce_figure7
import reproduce_layers
from PIL import Image
from scripted import as_script, calmed, checked, close

import slim_models
from gradcam.cli import reproduction
from gradcam.evaluation.datasets.examples import read_examples
from gradcam.explainer import Explainer
from gradcam.pictures.photograph import read_photograph
from slim_models.heads import percent
from slim_models.labels import read_labels

SAMPLES = ("chelsea", "coffee", "rocket")


@pytest.fixture(scope="module")
def calm_script(thin, tmp_path_factory):
    """A thin network in doubt, as a script has it: `.flags`, `.explainer`, `.weights`."""
    with as_script(thin.network.name, calmed(thin), tmp_path_factory.mktemp("weights")) as script:
        yield script


@pytest.fixture
def images(calm_script):
    """The samples as the network is fed them."""
    return np.stack([read_photograph(f"sample:{name}").fitted(calm_script.network.image_size) for name in SAMPLES])


@pytest.fixture
def run(calm_script, tmp_path):
    """Runs a script on the thin network; the numbers of its figure."""

    def run(script, *arguments):
        out = tmp_path / "deeper" / "figure.png"
        assert script.main([*calm_script.flags, "--out", str(out), *arguments]) == out
        return checked(out)

    run.folder = tmp_path / "deeper"
    return run


def of_samples(*names):
    return "--images", *(f"sample:{name}" for name in names)


def test_percentages_do_not_claim_certainty():
    shares = (0, 0.0004, 0.001, 0.5, 0.99949, 0.9996, 1)
    assert [percent(p) for p in shares] == ["<0.1%", "<0.1%", "0.1%", "50.0%", "99.9%", ">99.9%", ">99.9%"]


@pytest.mark.parametrize("data", ["imagenet", "tiny_imagenet"])
def test_the_default_classes_are_known(data):
    figure7 = reproduce_figure7._parser().parse_args([])
    for name in (*figure7.classes, figure7.adversarial_class, *reproduce_figure6.CLASSES):
        read_labels(data).index(name)


class TestFigure3:
    def test_counterfactuals_by_hand(self, run, calm_script, images):
        rows = run(reproduce_figure3, *of_samples("chelsea", "coffee"), "--classes", "3", "7")["rows"]
        assert [(row["image"], row["class"]) for row in rows] == [
            (f"sample:{name}", f"class {target}") for name in ("chelsea", "coffee") for target in (3, 7)
        ]
        layer = calm_script.network.default_layer
        for row, image, target in zip(rows, images[[0, 0, 1, 1]], [3, 7, 3, 7]):
            explanation = calm_script.explainer.explain(image[None], target)
            activations, gradients = explanation.activations[layer][0], explanation.gradients[layer][0]
            signed = activations @ gradients.mean(axis=(0, 1))  # eq. 2 without its ReLU
            close(row["grad_cam"], np.maximum(signed, 0))
            close(row["counterfactual"], np.maximum(-signed, 0))
            assert row["probability"] == pytest.approx(explanation.probabilities[0, target], rel=1e-3)

    def test_an_unknown_class(self, run):
        with pytest.raises(KeyError, match=r"no names.*'unicorn'"):
            run(reproduce_figure3, *of_samples("coffee"), "--classes", "unicorn")
        with pytest.raises(ValueError, match="target 10 is out of range"):
            run(reproduce_figure3, *of_samples("coffee"), "--classes", "10")
        assert not run.folder.exists()


class TestFigure6:
    def classes(self, calm_script, images, rank):
        """The class of that rank, 0 the predicted one, for each image."""
        return [str(order[rank]) for order in np.argsort(-calm_script.explainer.predict(images), axis=1)]

    def test_only_what_is_wrong_is_shown(self, run, calm_script, images, capsys):
        """The first and the last picture are given the class that comes third, the second the predicted one."""
        third, first = (self.classes(calm_script, images, rank) for rank in (2, 0))
        true = [third[0], first[1], third[2]]
        numbers = run(reproduce_figure6, *of_samples(*SAMPLES), "--classes", *true)
        assert (numbers["pictures"], numbers["misclassified"]) == (3, 2)
        assert "2 of 3 pictures are misclassified" in capsys.readouterr().out
        assert [row["image"] for row in numbers["rows"]] == ["sample:chelsea", "sample:rocket"]
        for row, i in zip(numbers["rows"], (0, 2)):
            assert (row["true"], row["rival"], row["misclassified"]) == (f"class {true[i]}", f"class {first[i]}", True)
            for role, target in (("true", true[i]), ("rival", first[i])):
                explanation = calm_script.explainer.explain(images[i][None], int(target))
                close(row[f"cam_{role}"], explanation.cam()[0])
                probability = explanation.probabilities[0, int(target)]
                assert row[f"probability_{role}"] == pytest.approx(probability, rel=1e-3)

    def test_without_a_mistake_the_least_sure_are_shown(self, run, calm_script, images, capsys):
        first, second = (self.classes(calm_script, images, rank) for rank in (0, 1))
        numbers = run(reproduce_figure6, *of_samples(*SAMPLES), "--classes", *first, "--count", "2")
        assert "0 of 3 pictures are misclassified; shown: the least sure" in capsys.readouterr().out
        logits = np.sort(calm_script.explainer.predict(images), axis=1)
        order = np.argsort(logits[:, -1] - logits[:, -2])[:2]
        assert [row["image"] for row in numbers["rows"]] == [f"sample:{SAMPLES[i]}" for i in order]
        assert [row["rival"] for row in numbers["rows"]] == [f"class {second[i]}" for i in order]
        assert not any(row["misclassified"] for row in numbers["rows"])

    def test_of_a_data_set_the_surest_mistakes(self, run, calm_script, tmp_path):
        """Ten pictures, of class 0 says the list; the rows are those that the network is surest are another's."""
        rng = np.random.default_rng(0)
        pictures = rng.integers(0, 256, (10, 3, 3, 3), np.uint8)  # a few large squares each
        pictures = np.kron(pictures, np.ones((1, 24, 24, 1), np.uint8))
        for number, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        (tmp_path / "data.csv").write_text("path,class,boxes\n" + "".join(f"{number}.png,0,\n" for number in range(10)))
        numbers = run(reproduce_figure6, "--data", str(tmp_path / "data.csv"), "--count", "3")
        fed = [read_photograph(str(tmp_path / f"{n}.png")).fitted(calm_script.network.image_size) for n in range(10)]
        probabilities = calm_script.explainer.explain(np.stack(fed)).probabilities
        wrong = [n for n in range(10) if probabilities[n].argmax() != 0]
        assert (numbers["pictures"], numbers["misclassified"], numbers["seed"]) == (10, len(wrong), 0)
        surest = sorted(wrong, key=lambda n: -probabilities[n].max())[:3]
        assert [row["image"] for row in numbers["rows"]] == [f"{n}.png" for n in surest]

    def test_a_random_part_of_a_data_set(self):
        def names(*flags):
            args = reproduce_figure6._parser().parse_args(["--data", "samples", *flags])
            return [example.name for example in reproduce_figure6._from_data(args)]

        assert sorted(names()) == sorted(example.name for example in read_examples("samples"))
        assert len({tuple(names("--seed", str(seed))) for seed in range(5)}) > 1
        assert names("--among", "2", "--seed", "3") == names("--seed", "3")[:2]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ((*of_samples("coffee"), "--classes", "1", "2"), "2 classes for 1 pictures"),
            (("--data", "samples", "--count", "0"), "must be at least 1, not 500 and 0"),
            (("--data", "nowhere"), "there is nothing at nowhere"),
            ((*of_samples("tea"), "--classes", "1"), "no sample 'tea'"),
        ],
    )
    def test_errors(self, run, arguments, words):
        with pytest.raises((ValueError, FileNotFoundError, KeyError), match=words):
            run(reproduce_figure6, *arguments)
        assert not run.folder.exists()


class TestFigure7:
    def test_numbers_are_those_of_the_picture_on_disk(self, run, calm_script, images, capsys):
        arguments = (*of_samples("coffee"), "--classes", "1", "5", "--adversarial-class", "8", "--most", "3")
        numbers = run(reproduce_figure7, *arguments, "--steps", "4", "--probability", "1")
        assert "class 8 did not reach 100.0000%: it stopped at" in capsys.readouterr().out
        assert numbers["asked"] == {"most": 3, "steps": 4, "probability": 1}
        assert not numbers["reached"]
        original = images[1]
        with Image.open(run.folder / "figure_adversarial.png") as file:
            adversarial = np.asarray(file)
        difference = adversarial.astype(int) - original
        assert numbers["l_infinity"] == np.abs(difference).max() <= 3
        assert numbers["l2"] == pytest.approx(np.linalg.norm(difference.ravel()), rel=1e-5)
        assert [row["class"] for row in numbers["classes"]] == ["class 1", "class 5", "class 8"]
        for row, target in zip(numbers["classes"], (1, 5, 8)):
            before, after = (calm_script.explainer.explain(x[None], target) for x in (original, adversarial))
            assert row["probability_before"] == pytest.approx(before.probabilities[0, target], rel=1e-3)
            assert row["probability_after"] == pytest.approx(after.probabilities[0, target], rel=1e-3)
            close(row["cam_before"], before.cam()[0])
            close(row["cam_after"], after.cam()[0])
            maps = before.heatmap().ravel(), after.heatmap().ravel()
            if row["correlation"] is None:
                assert min(map(np.ptp, maps)) == 0
            else:
                centred = [m - m.mean() for m in np.float64(maps)]
                expected = centred[0] @ centred[1] / np.prod([np.linalg.norm(m) for m in centred])
                assert row["correlation"] == pytest.approx(expected, abs=1e-3)
        assert numbers["probability"] == pytest.approx(numbers["classes"][2]["probability_after"], rel=1e-3)
        assert numbers["probability"] >= numbers["classes"][2]["probability_before"]

    def test_an_empty_map_has_no_correlation(self):
        assert reproduce_figure7._correlation(np.zeros((2, 2)), np.eye(2)) is None
        assert reproduce_figure7._correlation(np.eye(2), 3 * np.eye(2)) == pytest.approx(1)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (of_samples("coffee", "chelsea"), "takes one picture here, not 2"),
            ((*of_samples("coffee"), "--classes", "1", "--adversarial-class", "10"), "target 10 is out of range"),
            ((*of_samples("coffee"), "--classes", "1", "--adversarial-class", "8", "--most", "0"), "at least 1"),
        ],
    )
    def test_errors(self, run, arguments, words):
        with pytest.raises(ValueError, match=words):
            run(reproduce_figure7, *arguments)
        assert not run.folder.exists()


LAYERS = {"vgg16": ("conv2_1", "pool3", "conv5_3"), "resnet_v1_50": ("conv1", "block2/unit_1", "block4")}


class TestLayers:
    @pytest.mark.parametrize(
        ("name", "layers"),
        [
            ("efficientnet_lite0", ["conv_stem", "block_2", "block_4", "block_10", "conv_head"]),
            ("vgg16", ["conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"]),
            ("resnet_v1_50", ["conv1", "block1/unit_2", "block2/unit_3", "block3/unit_5", "block4"]),
        ],
    )
    def test_the_last_of_each_size(self, name, layers):
        """64 pixels and their halves: 32, 16, 8, 4 and 2, of a VGG 64 to 4."""
        network = slim_models.build(name, image_size=64, width_divisor=8, num_classes=3)
        found = reproduction.last_of_each_size(network)
        sizes = [network.endpoints[layer].shape.as_list()[1] for layer in found]
        assert (found, sizes) == (layers, [64, 32, 16, 8, 4] if name == "vgg16" else [32, 16, 8, 4, 2])

    def test_each_layer_is_that_of_an_explainer_of_its_own(self, run, calm_script, images, monkeypatch):
        name = calm_script.network.name
        layers = LAYERS[name]
        runs = []
        explain = Explainer.explain
        monkeypatch.setattr(Explainer, "explain", lambda self, *args: runs.append(self) or explain(self, *args))
        second = ["--resnet", name, "--resnet-weights", calm_script.flags[3], "--resnet-layers", layers[-1]]
        samples = of_samples("chelsea", "coffee")
        rows = run(reproduce_layers, *second, *samples, "--classes", "3", "7", "--layers", *layers)["rows"]
        assert len(runs) == 2  # one a network
        assert [(row["image"], row["class"], list(row["cams"])) for row in rows] == [
            (f"sample:{image}", f"class {target}", list(of_network))
            for of_network in (layers, layers[-1:])
            for image in ("chelsea", "coffee")
            for target in (3, 7)
        ]
        network = slim_models.build_for(name, calm_script.weights)
        with Explainer(network, calm_script.weights, layers=layers, rules=()) as fresh:
            explanation = fresh.explain(images[[0, 0, 1, 1]], [3, 7, 3, 7])
        for layer in layers:
            for row, cam in zip(rows, explanation.cam(layer=layer)):
                close(row["cams"][layer], cam)
        for row, again in zip(rows, rows[4:]):
            close(again["cams"][layers[-1]], np.asarray(row["cams"][layers[-1]]))

    def test_an_unknown_layer(self, run, calm_script):
        with pytest.raises(KeyError, match=rf"{calm_script.network.name} has no layer 'conv9_9'; its layers are"):
            run(reproduce_layers, *of_samples("coffee"), "--classes", "3", "--layers", "conv9_9")
        assert not run.folder.exists()
