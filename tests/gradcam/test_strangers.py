"""Pictures of none of a network's classes: the rule by hand, its thresholds a second way, and whose they are."""

import json

import calibrate_strangers
import numpy as np
import pytest
from PIL import Image
from scipy import special

import slim_models
from gradcam import strangers
from gradcam.explainer import Explainer
from gradcam.strangers import Known, Thresholds
from slim_models.weights import fingerprint

LOGITS = np.log([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3], [0.04, 0.03, 0.03], [0.07, 0.02, 0.01]])  # they add up to 1 or 0.1


def test_the_log_sum_exp():
    assert strangers.log_sum_exp(LOGITS) == pytest.approx(np.log([1, 1, 0.1, 0.1]))
    large = np.random.default_rng(0).normal(0, 500, (5, 7))
    assert strangers.log_sum_exp(large) == pytest.approx(special.logsumexp(large, axis=1))


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        (Thresholds(0.5, -1), [False, False, True, False]),  # the third is unsure, and of little in all
        (Thresholds(0.8, -1), [False, False, True, True]),
        (Thresholds(0.5, 1), [False, True, True, False]),
        (Thresholds(0.4, 1), [False, False, False, False]),  # at the threshold is not below it
        (Thresholds(0.8, -3), [False, False, False, False]),
    ],
)
def test_both_have_to_be_low(thresholds, expected):
    thresholds = Thresholds(thresholds.probability - 1e-9, thresholds.log_sum_exp)
    assert strangers.none_fits(LOGITS, thresholds).tolist() == expected


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.31])
def test_the_thresholds_are_one_quantile_of_each(rate):
    """Sought the slow way: the first place in both sorted lists below which enough pictures are in both."""
    logits = np.random.default_rng(1).normal(0, 2, (400, 6)) + np.random.default_rng(2).normal(0, 1, (400, 1))
    found = strangers.thresholds_for(logits, rate)
    tops, energies = special.softmax(logits, axis=1).max(axis=1), special.logsumexp(logits, axis=1)
    for place in range(400):
        limits = np.sort(tops)[place], np.sort(energies)[place]
        if ((tops < limits[0]) & (energies < limits[1])).sum() >= int(400 * rate):
            break
    assert found == pytest.approx(limits)
    assert strangers.none_fits(logits, found).sum() - int(400 * rate) in (0, 1)  # the last step may add two


CONTRARY = np.array([[0.0, -9], [9, 9]])  # the surer picture is the one with less evidence: none is low in both


@pytest.mark.parametrize(("logits", "rate"), [(np.eye(10), 0.05), (np.eye(100), 0), (np.eye(100), 1), (CONTRARY, 0.6)])
def test_no_thresholds_for_such_a_rate(logits, rate):
    with pytest.raises(ValueError, match=f"{rate}"):
        strangers.thresholds_for(logits, rate)


@pytest.mark.parametrize("name", strangers.THRESHOLDS)
def test_the_thresholds_are_of_the_weights_that_come_along(name):
    """New weights want new thresholds: scripts/calibrate_strangers.py."""
    network = slim_models.open_network(name)
    known = strangers.THRESHOLDS[name]
    assert fingerprint(network.values.arrays()) == known.weights
    assert network.image_size == (known.side, known.side)
    assert 1 / network.num_classes < known.thresholds.probability < 0.5


def test_all_networks_that_come_along_have_thresholds():
    names = [name for name, entry in slim_models.NETWORKS.items() if name.endswith("_tiny")]
    assert set(strangers.THRESHOLDS) == {*names, slim_models.DEFAULT_NETWORK}


@pytest.mark.parametrize("thin", ["resnet_v1_50"], indirect=True)
def test_other_weights_and_sizes_have_none(thin, monkeypatch):
    """Thresholds of an explainer's own weights are in its explanations, also one by one; others' are not."""
    side, own = thin.network.image_size[0], fingerprint(thin.weights)

    def explained(*known):
        monkeypatch.setitem(strangers.THRESHOLDS, thin.network.name, Known(*known, Thresholds(1.1, np.inf)))
        with Explainer(thin.network, thin.weights, layers=[], rules=[]) as explainer:
            return explainer.explain(thin.images)

    found = explained(own, side)
    assert found.none_fits.tolist() == [True] * 3 and found[1].none_fits.tolist() == [True]
    assert repr(found).count("no class may fit") == 3
    for known in ((own[::-1], side), (own, side + 1)):
        assert explained(*known).none_fits is None
    assert "fit" not in repr(explained(own, side + 1))


def test_the_made_up_pictures_are_all_different():
    pictures = [calibrate_strangers.made_up(kind, n) for kind in calibrate_strangers.MADE_UP for n in range(2)]
    assert all(picture.shape == (224, 224, 3) and picture.dtype == np.uint8 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    assert np.array_equal(calibrate_strangers.made_up("charts", 1), pictures[-1])


def test_the_calibration_of_a_network(tmp_path, monkeypatch, capsys):
    """On the samples: the share of its own pictures is the rate, and each group has logits of its own."""
    monkeypatch.setattr(calibrate_strangers, "COUNT", 2)
    (tmp_path / "none").mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(tmp_path / "none" / f"{name}.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "d.png")
    (tmp_path / "list.csv").write_text("path,class,boxes\nd.png,n01443537,\nd.png,n01440764,\nd.png,tabby,\n")
    sources = ["--data", "samples", "--also", str(tmp_path / "list.csv"), "--none", str(tmp_path / "none")]
    flags = ["--network", "vgg16_tiny", "--rate", "0.5", "--out", str(tmp_path / "s.json")]
    calibrate_strangers.main([*flags, *sources])
    found = json.loads((tmp_path / "s.json").read_text())
    counts = {cell["row"]: cell["count"] for cell in found["cells"]}
    assert counts["its classes"] == 6 and counts["also, its classes"] == 2 and counts["also, other classes"] == 1
    assert counts["of the folder"] == 3 and {counts[kind] for kind in calibrate_strangers.MADE_UP} == {2}
    assert counts["classified right"] + counts["classified wrong"] == 6
    assert found["cells"][0]["value"] == pytest.approx(50, abs=100.001 / 6)  # of six pictures, one more or less
    assert found["weights"] in capsys.readouterr().out


def test_every_kind_is_asked_for_itself(monkeypatch):
    """A kind's pictures are those of that kind, though they are made only when they are wanted."""
    monkeypatch.setattr(calibrate_strangers, "logits_of", lambda explainer, pictures: next(iter(pictures)).pixels)
    found = calibrate_strangers.others(None, None, None)
    for kind, pixels in found.items():
        assert np.array_equal(pixels, calibrate_strangers.made_up(kind, 0)), kind
