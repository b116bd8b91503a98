"""The search for decisions that fall the other way: it finds them on flat areas too, and ends on any picture."""

import types

import numpy as np
import pytest

import slim_models
from gradcam.comparison.agreement import Agreement, Comparison, Search
from gradcam.comparison.decisions import OfOperation, deciding_operations
from gradcam.comparison.differences import RowsDifference
from gradcam.comparison.influence import Influence
from gradcam.comparison.references import INPUT_GRADIENTS, ordered, quantities
from gradcam.comparison.ties import Ties, adding_up
from gradcam.explainer import Explainer
from slim_models.weights import random_weights

SIZE, TARGET = 64, 3


@pytest.fixture(scope="module", params=["vgg16", "resnet_v1_50"])
def thin(request):
    """`.explainer` of every rule and its `.influence`."""
    network = slim_models.build(request.param, image_size=SIZE, num_classes=5, width_divisor=16)
    weights = random_weights(network, 1)
    with Explainer(network, weights, rules=slim_models.RULES) as explainer:
        yield types.SimpleNamespace(explainer=explainer, influence=Influence(explainer), weights=weights)


def picture(kind):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    waves = np.stack([127 + 100 * np.sin(9 * x + k) * np.cos(7 * y * k + 1) for k in range(3)], axis=-1)
    if kind == "half white":
        waves[:, SIZE // 2 :] = 255
    elif kind == "checked":
        waves = 255.0 * np.repeat(((y * 8).astype(int) + (x * 8).astype(int))[..., None] % 2, 3, axis=-1)
    elif kind == "one colour":
        waves[...] = [250, 10, 120]
    elif kind == "black":
        waves[...] = 0
    elif kind == "noise":
        waves = rng.integers(0, 256, waves.shape)
    return np.clip(waves, 0, 255).astype(np.uint8).astype(np.float32)


PICTURES = ("half white", "checked", "one colour", "black", "noise", "waves")


def rows_of(explainer, explanation, changed, names=tuple(INPUT_GRADIENTS)):
    """Rows as `compare` has them: theirs are those of an explanation with changes."""
    order = explainer.network.input_order
    return [
        Agreement(name, 0, TARGET, ordered(theirs[0], order), ordered(explanation.saliency[rule][0], order), 1e-4)
        for name, rule in INPUT_GRADIENTS.items()
        if name in names and (theirs := changed[rule]) is not None
    ]


def difference_of(explainer, explanation, changed, names=tuple(INPUT_GRADIENTS)):
    parts = {part.name: part for part in quantities(list(INPUT_GRADIENTS), list(explainer.network.endpoints), "", None)}
    activations = {layer: array[:1] for layer, array in explanation.activations.items()}
    return RowsDifference(explainer, rows_of(explainer, explanation, changed, names), parts, activations)


def some_of(ties, count, seed=0):
    numbers = np.random.default_rng(seed).choice(len(ties.found), min(count, len(ties.found)), replace=False)
    return [ties.found[int(number)] for number in numbers]


def test_products_are_those_with_the_steps_that_turning_makes(thin):
    """Of the true gradient the step of one decision is exact to first order: nothing else depends on it."""
    ties = Ties(thin.explainer, picture("half white"), influence=thin.influence)
    base = ties.explain([TARGET], [[]])
    difference = difference_of(thin.explainer, base, {**base.saliency, "guided": None, "deconvnet": None})
    vectors = np.random.default_rng(1).normal(size=(2, SIZE * SIZE * 3)).astype(np.float32)
    images = np.repeat(picture("half white")[None], 2, axis=0)
    feed = {**ties._decided([[], []]), thin.explainer.network.images: images}
    feed[thin.explainer.directions] = np.repeat(ties._direction(TARGET), 2, axis=0)
    products = thin.influence.products(ties.found, feed, difference.pulled_back(vectors))
    numbers = np.random.default_rng(2).choice(len(ties.found), 12, replace=False)
    steps = [
        difference(base, 0) - difference(ties.explain([TARGET], [[ties.found[int(number)]]]), 0) for number in numbers
    ]
    scale = np.abs(vectors @ np.transpose(steps)).max()
    assert scale > 0
    np.testing.assert_allclose(products[:, numbers], vectors @ np.transpose(steps), atol=1e-3 * scale)


@pytest.mark.parametrize("kind", ["half white", "checked", "waves"])
def test_turned_decisions_are_found_among_all_that_could_be(thin, kind):
    ties = Ties(thin.explainer, picture(kind), 5e-6 if kind != "waves" else 3e-4, influence=thin.influence)
    turned = some_of(ties, 6)
    changed = ties.explain([TARGET], [turned])
    base = ties.explain([TARGET], [[]])
    difference = difference_of(thin.explainer, base, changed.saliency)
    found = ties.that_make(difference, TARGET, 1e-4)
    assert np.linalg.norm(difference(ties.explain([TARGET], [found]), 0)) < 1e-4
    assert not ties.spent
    assert len(found) <= len(turned)


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("wrong", ["turned", "noise", "both", "another class"])
def test_it_ends_within_a_bounded_number_of_runs_on_any_picture(thin, kind, wrong):
    """Whatever differs: many decisions, what no decision explains, both."""
    most = 24
    ties = Ties(thin.explainer, picture(kind), influence=thin.influence, most_runs=most)
    before = ties.runs
    base = ties.explain([TARGET], [[]])
    theirs = ties.explain([TARGET + (wrong == "another class")], [some_of(ties, 40) if wrong != "noise" else []])
    rng = np.random.default_rng(3)
    changed = {
        rule: array + 1e-2 * np.abs(array).max() * rng.normal(size=array.shape) * (wrong in ("noise", "both"))
        for rule, array in theirs.saliency.items()
    }
    said = []
    ties._say = said.append
    turned = ties.that_make(difference_of(thin.explainer, base, changed), TARGET, 1e-4)
    assert before < ties.runs <= most + 3
    assert len(turned) <= ties.runs * 4
    assert all("left after" in line for line in said)


def test_the_verdict_says_within_how_many_runs():
    row = Agreement("grad_input", 0, 7, np.array([3.0, 4]), np.array([3, 4.01]), 1e-4)
    text = str(Comparison([row], {0: Search(120, [], 83, True)}))
    assert "picture 0: 120 of its decisions are within rounding of a tie; not explained within 83 runs" in text
    text = str(Comparison([row], {0: Search(120, [], 20, False)}))
    assert "turning them does not take the differences away" in text
    assert "1 of 1 rows fail: grad_input (1)" in text


def test_without_influence_the_nearest_are_tried(thin):
    ties = Ties(thin.explainer, picture("waves"), 1e-4, most_runs=60)
    nearest = [ties.found[int(number)] for number in ties.found.nearest()[:3]]
    base, changed = ties.explain([TARGET], [[]]), ties.explain([TARGET], [nearest])
    difference = difference_of(thin.explainer, base, changed.saliency)
    turned = ties.that_make(difference, TARGET, 1e-4)
    assert np.linalg.norm(difference(ties.explain([TARGET], [turned]), 0)) < 1e-4


def test_what_adds_up():
    """By hand: the first and the third; of two that are alike the one that fits; two that only together fit."""
    steps = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 2], [1.2, 0.2, 0]], np.float32)
    assert adding_up(steps, np.array([1, 0, 2], np.float32)).tolist() == [True, False, True, False]
    against = np.array([[3, 1], [-2, 1]], np.float32)
    assert adding_up(against, np.array([1, 2], np.float32)).tolist() == [True, True]
    assert not adding_up(steps, np.array([-1, -1, -1], np.float32)).any()


def test_all_that_could_win_a_window_are_found(thin):
    """Of a window of equals the first wins; each of the others could."""
    pool = next(op for op in deciding_operations(thin.explainer.network) if op.type == "MaxPool")
    ties = Ties(thin.explainer, picture("one colour"), influence=thin.influence)
    group = next(group for group in ties.found.groups if group.operation is pool)
    assert isinstance(group, OfOperation)
    assert len(group.moves[0].owners) >= len(group.places) > 3 * pool.outputs[0].shape[1] ** 2 / 4
    assert len({(tie.place, tie.value) for tie in (group[i] for i in range(len(group.places)))}) == len(group.places)
