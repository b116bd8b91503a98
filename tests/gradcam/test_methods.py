"""The one registry of methods: names, titles, what each needs; and where the formulas are not defined."""

import dataclasses
import pathlib

import numpy as np
import pytest

import gradcam
import slim_models
from gradcam import cams, figures
from gradcam.cams import FORMULAS, formula, grad_cam_plus_plus, layer_cam, xgrad_cam
from gradcam.cli import main
from gradcam.evaluation import METRICS, PLACE_METRICS
from gradcam.explainer import Explainer
from gradcam.methods import FLIP, METHODS, REGISTRY, methods_named, needs, title_of
from gradcam.pictures import read_photograph


@pytest.fixture(scope="module")
def explainer(thin):
    with Explainer(thin.network, thin.weights, **needs(REGISTRY)) as explainer:
        yield explainer


@pytest.fixture(scope="module")
def explanation(thin, explainer):
    return explainer.explain(thin.images, [1, 2, 3])


@pytest.fixture(scope="module")
def made(explanation, few_runs):
    """The maps of every method."""
    return {name: method.make(explanation) for name, method in REGISTRY.items()}


@pytest.mark.parametrize("name", REGISTRY)
def test_every_method_makes_maps_of_its_own(name, thin, explanation, made):
    maps = made[name]
    assert maps.shape[0] == 3 and maps.ndim == 3 and (maps >= 0).all() and np.isfinite(maps).all()
    if thin.network.name == "vgg16":  # a ResNet's gradient is the same everywhere, whatever is done to it
        alike = {name, "layer_cam", "grad_cam_elementwise"} if "layer" in name or "element" in name else {name}
        assert not any(np.array_equal(made[other], maps) for other in REGISTRY if other not in alike)


@pytest.mark.parametrize("name", REGISTRY)
def test_a_batch_is_its_pictures_one_by_one(name, explanation, made, few_runs):
    alone = REGISTRY[name].make(explanation[1])
    # Runs of other batches differ in the last digits, and what adds up hundreds of them in more.
    np.testing.assert_allclose(alone[0], made[name][1], rtol=1e-4, atol=1e-3 * made[name][1].max())


@pytest.mark.parametrize("name", ["grad_cam", "guided_grad_cam", "finer_cam"])
def test_flips_are_the_mean_over_a_picture_and_its_mirror_image(name, thin, explainer, explanation, made):
    """A second way: the mirror image is explained by itself. And flips of a flipped picture are flipped flips."""
    method = methods_named([f"{name}{FLIP}"])[f"{name}{FLIP}"]
    found = method.make(explanation)
    mirrored = explainer.explain(thin.images[:, :, ::-1], [1, 2, 3])
    expected = (made[name] + REGISTRY[name].make(mirrored)[:, :, ::-1]) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())
    np.testing.assert_allclose(method.make(mirrored), found[:, :, ::-1], rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize("name", [name for name, method in REGISTRY.items() if method.runs])
def test_an_explanation_without_its_network_says_so(name, explanation):
    with pytest.raises(ValueError, match="more runs of the network"):
        REGISTRY[name].make(dataclasses.replace(explanation, runs=None))


def test_what_takes_many_runs_is_made_once(thin, explainer, monkeypatch, few_runs):
    explanation = explainer.explain(thin.images[:1], 1)
    slopes, asked = explanation.runs.slopes, []
    monkeypatch.setattr(explanation.runs, "slopes", lambda *arguments: asked.append(1) or slopes(*arguments))
    first, again = (methods_named(["smooth_grad"])["smooth_grad"].make(explanation) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(asked) == 1
    REGISTRY["smooth_grad"].make(explanation[0])  # another explanation
    assert len(asked) == 2


def test_a_closed_explainer_says_so(thin):
    with Explainer(thin.network, thin.weights, rules=()) as closing:
        late = closing.explain(thin.images[:1])
    with pytest.raises(ValueError, match="its Explainer is closed"):
        REGISTRY["finer_cam"].make(late)


def test_every_formula_is_in_the_registry_under_its_name():
    assert {name for name, method in REGISTRY.items() if method.formula} == set(FORMULAS)
    assert all(REGISTRY[name].formula is FORMULAS[name] for name in FORMULAS)
    assert gradcam.METHODS is METHODS
    assert {"grad_cam": "Grad-CAM", "hires_cam": "HiResCAM"}.items() <= figures.TITLES.items()


def test_the_tables_have_every_method_and_metric_once():
    text = (pathlib.Path(__file__).parents[2] / "docs" / "METHODS.md").read_text(encoding="utf-8")
    rows, metrics = (
        [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines() if line.startswith("| `")]
        for part in text.split("\n## Metrics\n")
    )
    assert [row[0].strip("`") for row in metrics] == [*METRICS, *PLACE_METRICS]
    assert all(len(row) == 6 and all(row) for row in metrics)
    assert sorted(row[0].strip("`") for row in rows) == sorted([*REGISTRY, "cam"])
    for name, formula_, source, runs, good_for in rows:
        assert formula_ and source and good_for
        expected = REGISTRY[name.strip("`")].runs if name != "`cam`" else ""
        assert runs.replace("K forward", "one forward a channel") == (expected or "0"), name


def test_a_cam_by_name_is_that_by_function(explanation):
    for name, function in FORMULAS.items():
        np.testing.assert_array_equal(explanation.cam(name), explanation.cam(function))
    np.testing.assert_array_equal(explanation.heatmap("layer_cam"), explanation.heatmap(layer_cam))
    with pytest.raises(KeyError, match=r"no formula 'shap_cam'; the formulas are grad_cam, counterfactual, "):
        explanation.cam("shap_cam")
    with pytest.raises(KeyError, match=r"no method 'shap_cam'; the methods are grad_cam, "):
        methods_named(["shap_cam"])
    assert title_of(formula("xgrad_cam")) == "XGrad-CAM"
    assert title_of(lambda activations, gradients: None) == "<lambda>"


def test_a_layer_is_that_asked_for(thin):
    layers = list(thin.network.endpoints)[:2]
    with Explainer(thin.network, thin.weights, layers=layers, **needs(REGISTRY)) as explainer:
        explanation = explainer.explain(thin.images[:1], 1)
    for name in FORMULAS:
        for layer in layers:
            np.testing.assert_array_equal(REGISTRY[name].make(explanation, layer), explanation.cam(name, layer))


class TestNegativeActivations:
    """A swish gives values down to -0.28; the denominators of eq. 19 and of XGrad-CAM's shares may then vanish."""

    ACTIVATIONS = np.array([1.0, -1.0, 2.0, 3.0]).reshape(1, 2, 2, 1)

    @pytest.mark.parametrize(("function", "title"), [(grad_cam_plus_plus, r"Grad-CAM\+\+"), (xgrad_cam, "XGrad-CAM")])
    def test_what_is_not_defined_is_refused(self, function, title):
        with pytest.raises(ValueError, match=rf"{title} is not defined for activations below 0 \(.* down to -1\)"):
            function(self.ACTIVATIONS, np.ones((1, 2, 2, 1)))
        assert function(np.abs(self.ACTIVATIONS), np.ones((1, 2, 2, 1))).any()
        assert not function(np.zeros((1, 2, 2, 1)), np.ones((1, 2, 2, 1))).any()

    @pytest.mark.parametrize("name", sorted(set(FORMULAS) - {"grad_cam_plus_plus", "xgrad_cam"}))
    def test_all_others_are_defined(self, name):
        assert np.isfinite(cams.formula(name)(self.ACTIVATIONS, np.ones((1, 2, 2, 1)))).all()


class TestExplanation:
    def test_it_has_a_length_and_a_last(self, explanation):
        assert len(explanation) == 3
        np.testing.assert_array_equal(explanation[-1].logits, explanation.logits[2:])
        np.testing.assert_array_equal(explanation[-3].images, explanation.images[:1])
        assert [int(one.targets[0]) for one in explanation] == [1, 2, 3]
        for number in (3, -4):
            with pytest.raises(IndexError, match=f"no image {number} among 3"):
                explanation[number]

    def test_the_head_says_what_logits_become(self, explanation):
        logits = np.array([[0.0, np.log(3.0)], [-800.0, 800.0]])
        of = lambda head: dataclasses.replace(explanation, logits=logits, head=head)  # noqa: E731
        np.testing.assert_allclose(of("softmax").probabilities, [[0.25, 0.75], [0, 1]])
        np.testing.assert_allclose(of("sigmoid").probabilities, [[0.5, 0.75], [0, 1]])
        with pytest.raises(ValueError, match="linear head says no probabilities"):
            _ = of("linear").probabilities


def test_the_command_line_takes_every_method(tmp_path, capsys):
    names = ["guided_backprop", "without_relu", "guided_gradient"]
    flags = [part for name in names for part in ("--method", name)]
    out = ["--write", "arrays", "--write", "figure", "--out", str(tmp_path)]
    assert main(["explain", "sample:coffee", "--target", "espresso", "--network", "vgg16_tiny", *flags, *out]) == 0
    network = slim_models.open_network("vgg16_tiny")
    images = read_photograph("sample:coffee").fitted(network.image_size)[None]
    with Explainer(network, **needs(methods_named(names))) as explainer:
        explanation = explainer.explain(images, "espresso")
    for name in names:
        with np.load(tmp_path / f"coffee.espresso.{name}.vgg16_tiny.npz") as saved:
            expected = REGISTRY[name].make(explanation)[0]
            np.testing.assert_allclose(saved["cam"], expected, rtol=1e-4, atol=1e-5 * expected.max())
        assert (tmp_path / f"coffee.espresso.{name}.vgg16_tiny.figure.png").is_file()
    assert main(["explain", "sample:coffee", "--method", "shap_cam"]) == 2
    assert "no method 'shap_cam'; the methods are grad_cam, " in capsys.readouterr().err
