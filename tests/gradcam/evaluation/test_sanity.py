"""The sanity checks of Adebayo et al.: which weights become random, how alike maps are, and the run of both."""

import json
import sys
import types

import numpy as np
import pytest
import reproduce_sanity
from PIL import Image

import slim_models
from gradcam.evaluation import sanity, similarity_curves
from gradcam.evaluation.metrics import MEASURES, SIZE, similarities
from gradcam.evaluation.sanity import KINDS, cascading, independent, parameter_layers, randomized
from gradcam.methods import Method, methods_named
from slim_models.weights import random_weights

pytest.importorskip("skimage")

VGG16_LAYERS = ["fc8", "fc7", "fc6"] + [
    f"conv{block}_{i}" for block, count in ((5, 3), (4, 3), (3, 3), (2, 2), (1, 2)) for i in range(count, 0, -1)
]
RESNET_LAYERS = [
    "logits",
    *(f"block{block}/unit_{i}" for block, count in ((4, 3), (3, 6), (2, 4), (1, 3)) for i in range(count, 0, -1)),
    "conv1",
]
NORM = ("beta", "gamma", "moving_mean", "moving_variance")


def changed(before, after):
    """Names of the arrays that differ in any bit."""
    assert set(before) == set(after)
    return {name for name in before if not np.array_equal(before[name], after[name])}


class TestLayers:
    def test_from_the_logits_down(self, whole):
        layers = parameter_layers(whole.network.variables())
        assert list(layers) == (VGG16_LAYERS if whole.network.name == "vgg16" else RESNET_LAYERS)
        names = [name for of_layer in layers.values() for name in of_layer]
        assert sorted(names) == sorted(whole.network.variables())  # every variable in one layer

    def test_what_a_layer_holds(self):
        vgg16 = parameter_layers(slim_models.build("vgg16", image_size=32, width_divisor=64).variables())
        assert set(vgg16["conv3_2"]) == {"conv3_2/weights", "conv3_2/biases"}
        resnet = parameter_layers(slim_models.build("resnet_v1_50", image_size=64, width_divisor=64).variables())
        unit = "resnet_v1_50/block2/unit_1/bottleneck_v1"
        convolutions = [f"{unit}/{name}" for name in ("shortcut", "conv1", "conv2", "conv3")]
        assert set(resnet["block2/unit_1"]) == {
            *(f"{scope}/weights" for scope in convolutions),
            *(f"{scope}/BatchNorm/{name}" for scope in convolutions for name in NORM),
        }
        assert set(resnet["logits"]) == {"resnet_v1_50/logits/weights", "resnet_v1_50/logits/biases"}
        assert set(resnet["conv1"]) == {
            "resnet_v1_50/conv1/weights",
            *(f"resnet_v1_50/conv1/BatchNorm/{name}" for name in NORM),
        }

    @pytest.mark.parametrize(
        ("names", "layers"),
        [
            (["a/weights", "a/biases", "b/weights"], {"b": ["b/weights"], "a": ["a/weights", "a/biases"]}),
            (["net/a/weights", "net/b/weights"], {"b": ["net/b/weights"], "a": ["net/a/weights"]}),
            (["only/weights", "only/biases"], {"only": ["only/weights", "only/biases"]}),
            (["bare"], {"bare": ["bare"]}),
            ([], {}),
        ],
    )
    def test_other_networks(self, names, layers):
        assert list(parameter_layers(names).items()) == list(layers.items())


class TestRandomized:
    def test_scales_stay_and_what_was_learnt_goes(self):
        rng = np.random.default_rng(0)
        weights = {
            "a/weights": rng.uniform(2, 5, (3, 3, 40, 50)).astype(np.float16),
            "a/biases": np.arange(1, 9, dtype=np.float32),
            "b/BatchNorm/gamma": np.arange(10, dtype=np.float32),
            "b/BatchNorm/beta": np.ones(10, np.float32),
            "b/BatchNorm/moving_mean": np.ones(10, np.float32),
            "b/BatchNorm/moving_variance": np.arange(10, dtype=np.float32) ** 2,
        }
        kept = {name: array.copy() for name, array in weights.items()}
        new = randomized(weights, weights, rng)
        assert not changed(kept, weights)  # those given are as they were
        assert {name: (a.shape, a.dtype) for name, a in new.items()} == {n: (a.shape, a.dtype) for n, a in kept.items()}
        kernel = new["a/weights"].astype(np.float64)
        deviation = kept["a/weights"].astype(np.float64).std()  # sqrt(3) / 2, of a uniform distribution 3 wide
        assert kernel.std() == pytest.approx(deviation, rel=0.02)  # 18,000 draws: four standard errors
        assert kernel.mean() == pytest.approx(0, abs=0.03)
        assert abs(np.corrcoef(kernel.ravel(), kept["a/weights"].ravel())[0, 1]) < 0.03
        for name in ("a/biases", "b/BatchNorm/beta", "b/BatchNorm/moving_mean"):
            assert not new[name].any()
        gamma, variance = new["b/BatchNorm/gamma"], new["b/BatchNorm/moving_variance"]
        assert sorted(gamma) == list(range(10))
        assert list(gamma) != list(range(10))
        np.testing.assert_array_equal(variance, gamma**2)  # a channel's two numbers went together

    def test_only_what_is_named(self):
        weights = {"a/weights": np.ones((2, 2)), "b/weights": np.eye(2), "global_step": np.array(7)}
        new = randomized(weights, ["b/weights"], np.random.default_rng(0))
        assert changed(weights, new) == {"b/weights"}
        assert new["a/weights"] is weights["a/weights"]
        with pytest.raises(KeyError, match="c/weights"):
            randomized(weights, ["c/weights"], np.random.default_rng(0))

    def test_every_step_is_a_network_that_sees_the_pictures(self, thin):
        """Offsets that stayed would leave nothing of the pictures behind the random layers; overflow, no numbers."""
        layers = parameter_layers(thin.network.variables())
        *_, (_, weights) = cascading(thin.weights, layers, np.random.default_rng(0))
        try:
            slim_models.assign_weights(thin.explainer.session, thin.network, weights)
            images = thin.images * np.array([1, 0.5, 0.1], np.float32)[:, None, None, None]
            activations = thin.explainer.explain(images, 0).activations[thin.network.default_layer]
        finally:
            slim_models.assign_weights(thin.explainer.session, thin.network, thin.weights)
        assert np.isfinite(activations).all()
        assert activations.std(axis=0).mean() > 0.1 * activations.mean()


class TestSteps:
    def test_cascading_goes_down_and_keeps_what_was_drawn(self, thin):
        layers = parameter_layers(thin.network.variables())
        trained = {name: np.array(array) for name, array in thin.weights.items()}
        done, before = set(), trained
        for expected, (layer, weights) in zip(layers, cascading(thin.weights, layers, np.random.default_rng(3))):
            assert layer == expected
            assert changed(before, weights) <= set(layers[layer])  # earlier draws stay
            done |= set(layers[layer])
            assert changed(trained, weights) <= done  # the rest is trained, to the bit
            kernels = {name for name in done if name.endswith("/weights")}
            assert kernels <= changed(trained, weights)
            before = weights
        assert done == set(trained)
        assert not changed(trained, thin.weights)

    def test_independent_changes_one_layer(self, thin):
        layers = parameter_layers(thin.network.variables())
        trained = {name: np.array(array) for name, array in thin.weights.items()}
        steps = list(independent(thin.weights, layers, np.random.default_rng(3)))
        assert [layer for layer, _ in steps] == list(layers)
        for layer, weights in steps:
            kernels = {name for name in layers[layer] if name.endswith("/weights")}
            assert kernels <= changed(trained, weights) <= set(layers[layer])
        assert not changed(trained, thin.weights)

    def test_both_draw_the_same_values(self, thin):
        layers = parameter_layers(thin.network.variables())
        *_, (_, all_random) = cascading(thin.weights, layers, np.random.default_rng(5))
        for layer, weights in independent(thin.weights, layers, np.random.default_rng(5)):
            for name in layers[layer]:
                np.testing.assert_array_equal(weights[name], all_random[name])


def smooth_map(seed):
    """A map of the size at which maps are compared."""
    coarse = np.random.default_rng(seed).uniform(0, 1, (7, 7))
    return np.asarray(Image.fromarray((255 * coarse).astype(np.uint8)).resize(SIZE, Image.Resampling.BICUBIC), float)


def ssim_by_windows(first, second):
    """Wang et al. 2004, eq. 13, from its means, variances and covariance, window by window."""
    windows = [np.lib.stride_tricks.sliding_window_view(m / m.max(), (7, 7)).reshape(-1, 49) for m in (first, second)]
    x, y = windows
    mean_x, mean_y = x.mean(axis=1), y.mean(axis=1)
    covariance = ((x - mean_x[:, None]) * (y - mean_y[:, None])).sum(axis=1) / 48
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (top / ((mean_x**2 + mean_y**2 + c1) * (x.var(axis=1, ddof=1) + y.var(axis=1, ddof=1) + c2))).mean()


class TestSimilarities:
    def test_equal_maps(self):
        first = smooth_map(0)
        assert similarities(first, first) == pytest.approx(dict.fromkeys(MEASURES, 1))
        assert similarities(first, 1e-6 * first) == pytest.approx(dict.fromkeys(MEASURES, 1), abs=1e-4)  # no scale

    def test_opposite_ranks(self):
        first = smooth_map(0)
        values = similarities(first, first.max() - first)
        assert values["spearman"] == pytest.approx(-1)
        assert values["ssim"] < 0.5
        # Gradients without a sign: a negative has the same orientations, of the same strengths once scaled.
        assert values["hog"] > 0.99

    def test_ranks_of_a_map_as_it_is(self):
        """1 2 3 4 against 1 3 2 4: 1 - 6 * (0 + 1 + 1 + 0) / (4 * 15) = 0.8."""
        values = similarities(np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 3], [2, 4]]))
        assert values["spearman"] == pytest.approx(0.8)

    def test_ssim_is_its_formula(self):
        for seed in (1, 2):
            first, second = smooth_map(0), smooth_map(seed)
            assert similarities(first, second)["ssim"] == pytest.approx(ssim_by_windows(first, second), abs=1e-5)

    def test_unlike_maps_are_less_alike_than_shifted_ones(self):
        first = smooth_map(0)
        near, far = similarities(first, np.roll(first, 3, axis=1)), similarities(first, smooth_map(1))
        assert all(far[measure] < near[measure] < 1 for measure in MEASURES)

    def test_hog_sees_directions(self):
        """Stripes across and stripes along have no orientation in common: the one's bins are the other's empty ones."""
        stripes = np.tile(0.5 + 0.5 * np.sin(np.arange(SIZE[1]) * np.pi / 7), (SIZE[0], 1))
        assert similarities(stripes, np.roll(stripes, 7, axis=1))["hog"] > 0.9  # light for dark
        assert similarities(stripes, stripes.T)["hog"] < 0

    @pytest.mark.parametrize("constant", [0.0, 3.0])
    def test_constant_maps_have_no_likeness(self, constant):
        for pair in ((np.full(SIZE, constant), smooth_map(0)), (smooth_map(0), np.full(SIZE, constant))):
            assert all(np.isnan(value) for value in similarities(*pair).values())

    def test_what_is_no_pair_of_maps(self):
        with pytest.raises(ValueError, match=r"one shape, not \[2, 2\] and \[2, 3\]"):
            similarities(np.ones((2, 2)), np.ones((2, 3)))
        with pytest.raises(ValueError, match=r"\[1, 2, 2\]"):
            similarities(np.ones((1, 2, 2)), np.ones((1, 2, 2)))
        with pytest.raises(ValueError, match="finite and >= 0"):
            similarities(smooth_map(0), -smooth_map(0))

    @pytest.mark.parametrize("missing", ["skimage.metrics", "skimage.feature"])
    def test_without_scikit_image(self, missing, monkeypatch):
        monkeypatch.setitem(sys.modules, missing, None)
        with pytest.raises(ImportError, match=r"scikit-image: pip install 'gradcam-tf1\[demo\]'"):
            similarities(smooth_map(0), smooth_map(1))


def edges(explanation, layer):
    """An edge detector: a 'method' that knows no network."""
    grey = explanation.images.mean(axis=-1)
    return np.hypot(*np.gradient(grey, axis=(1, 2)))


def last_activations(explanation, layer):
    return explanation.activations[explanation.default_layer].mean(axis=-1)


WITHOUT_NETWORK = {"edges": Method("edges", edges)}


class TestRandomizationTest:
    @pytest.mark.parametrize("kind", KINDS)
    def test_an_edge_detector_does_not_mind(self, thin, kind):
        rows = sanity.randomization_test(
            thin.explainer, thin.weights, thin.images[:2], None, WITHOUT_NETWORK, kind=kind
        )
        assert [(row["kind"], row["layer"]) for row in rows] == [
            (kind, layer) for layer in parameter_layers(thin.network.variables())
        ]
        for row in rows:
            assert [row[measure] for measure in MEASURES] == pytest.approx([1, 1, 1])

    def test_activations_know_only_the_layers_below(self, thin):
        """Maps of the last layer's activations are the same, whatever is random above it."""
        layers = parameter_layers(thin.network.variables())
        top = ["logits"] if "logits" in layers else ["fc8", "fc7", "fc6"]
        some = {name: layers[name] for name in [*top, "conv1" if "conv1" in layers else "conv1_1"]}
        methods = {"activations": Method("activations", last_activations), **methods_named(["backprop"])}
        seen = {}
        rows = sanity.randomization_test(
            thin.explainer,
            thin.weights,
            thin.images,
            None,
            methods,
            layers=some,
            kind="independent",
            watch=seen.__setitem__,
        )
        trained = sanity.heatmaps(thin.explainer.explain(thin.images), methods)
        for row in rows:
            above = row["layer"] in top
            if row["method"] == "activations":
                same = np.allclose(seen[row["layer"]]["activations"], trained["activations"], atol=1e-5)
                assert same == above
                assert (row["spearman"] == pytest.approx(1)) == above
            else:
                assert row["spearman"] < 0.95  # the gradient passes through all of them

    def test_a_row_is_the_mean_of_its_pictures(self, whole):
        methods = methods_named(["grad_cam", "guided_backprop"])
        layers = dict(list(parameter_layers(whole.network.variables()).items())[:1])
        watched = []
        rows = sanity.randomization_test(
            whole.explainer,
            whole.weights,
            whole.images,
            [1, 2, 3],
            methods,
            layers=layers,
            watch=lambda layer, maps: watched.append((layer, maps)),
        )
        ((layer, maps),) = watched
        assert [row["method"] for row in rows] == list(methods)
        trained = sanity.heatmaps(whole.explainer.explain(whole.images, [1, 2, 3]), methods)
        for row in rows:
            assert row["layer"] == layer == next(iter(layers))
            for n in range(len(whole.images)):
                expected = similarities(trained[row["method"]][n], maps[row["method"]][n])
                assert {m: row["pictures"][m][n] for m in MEASURES} == pytest.approx(expected, nan_ok=True)
            for measure in MEASURES:
                assert row[measure] == pytest.approx(np.nanmean(row["pictures"][measure]))

    def test_the_seed_decides(self, thin):
        methods = methods_named(["backprop"])
        layers = dict(list(parameter_layers(thin.network.variables()).items())[:1])

        def run(seed):
            (row,) = sanity.randomization_test(
                thin.explainer, thin.weights, thin.images[:1], 0, methods, layers=layers, seed=seed
            )
            return [row[measure] for measure in MEASURES]

        assert run(0) == pytest.approx(run(0), abs=1e-4)
        assert run(0) != pytest.approx(run(1), abs=1e-2)

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_weights_come_back_even_after_a_mistake(self, thin, kind):
        calls = []

        def fails_in_the_third_step(explanation, layer):
            calls.append(explanation.logits)
            if len(calls) == 4:  # the first is of the trained network
                raise RuntimeError("no more maps")
            return edges(explanation, layer)

        with pytest.raises(RuntimeError, match="no more maps"):
            sanity.randomization_test(
                thin.explainer,
                thin.weights,
                thin.images,
                None,
                {"fails": Method("fails", fails_in_the_third_step)},
                kind=kind,
            )
        assert not np.allclose(calls[3], calls[0], rtol=0.1)  # it was another network at the time
        assert not changed(thin.weights, thin.explainer.session.run(thin.network.variables()))

    def test_no_such_kind(self, thin):
        with pytest.raises(KeyError, match=r"'random'.*cascading, independent"):
            sanity.randomization_test(thin.explainer, thin.weights, thin.images, None, WITHOUT_NETWORK, kind="random")


class TestUnrelated:
    def test_pairs_of_pictures(self):
        maps = np.stack([smooth_map(0), smooth_map(1), np.zeros(SIZE)])
        (row,) = sanity.unrelated({"some": maps})
        assert (row["kind"], row["layer"], row["method"]) == ("unrelated", "", "some")
        expected = similarities(maps[0], maps[1])
        for measure in MEASURES:
            assert row[measure] == expected[measure]  # the blank map has no likeness to take part with
            assert [np.isnan(value) for value in row["pictures"][measure]] == [False, True, True]

    def test_one_picture_has_no_other(self):
        (row,) = sanity.unrelated({"some": smooth_map(0)[None]})
        assert all(np.isnan(row[measure]) and row["pictures"][measure] == [] for measure in MEASURES)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The script, run on a thin VGG16: `.numbers` of its JSON, and its `.path`."""
    folder = tmp_path_factory.mktemp("sanity")
    network = slim_models.build("vgg16", image_size=48, width_divisor=8, num_classes=10)
    slim_models.write_weights(folder / "vgg16.npy", random_weights(network))
    arguments = ["--network", "vgg16", "--weights", str(folder / "vgg16.npy"), "--out", str(folder / "sanity.png")]
    arguments += ["--images", "sample:chelsea", "sample:rocket", "--classes", "3", "7", "--seed", "4"]
    path = reproduce_sanity.main([*arguments, "--methods", "grad_cam", "guided_backprop"])
    return types.SimpleNamespace(path=path, numbers=json.loads(path.with_suffix(".json").read_text()))


class TestScript:
    def test_the_numbers(self, script):
        numbers = script.numbers
        assert numbers["network"] == "vgg16"
        assert numbers["seed"] == 4
        assert numbers["images"] == ["sample:chelsea", "sample:rocket"]
        assert numbers["layers"] == VGG16_LAYERS
        assert len(numbers["classes"]) == len(numbers["probabilities"]) == 2
        expected = [(k, layer, m) for k in KINDS for layer in VGG16_LAYERS for m in ("grad_cam", "guided_backprop")]
        expected += [("unrelated", "", "grad_cam"), ("unrelated", "", "guided_backprop")]
        assert [(row["kind"], row["layer"], row["method"]) for row in numbers["rows"]] == expected
        for row in numbers["rows"]:
            for measure in MEASURES:
                known = [value for value in row["pictures"][measure] if value is not None]
                assert len(row["pictures"][measure]) == (1 if row["kind"] == "unrelated" else 2)
                assert row[measure] == (pytest.approx(np.mean(known), abs=1e-5) if known else None)
                assert all(-1 <= value <= 1 for value in known)

    def test_the_pictures(self, script):
        with Image.open(script.path) as curves, Image.open(script.path.with_name("sanity_maps.png")) as maps:
            assert curves.width > 2000  # 7.5 inches at 300 dpi
            assert maps.width > 2000
            assert maps.height > 500

    def test_a_method_that_is_none(self, tmp_path, capsys):
        with pytest.raises(SystemExit) as stop:
            reproduce_sanity.main(["--methods", "some_method", "--out", str(tmp_path / "sanity.png")])
        assert stop.value.code == 2
        assert "some_method" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())


class TestCurves:
    ROWS = tuple(
        {"kind": kind, "layer": layer, "method": "m", "pictures": dict.fromkeys(MEASURES, pictures)}
        | dict.fromkeys(MEASURES, mean)
        for kind, layer, mean, pictures in (
            ("cascading", "top", 0.5, [0.2, float("nan"), 0.8]),
            ("cascading", "bottom", float("nan"), [float("nan")] * 3),
            ("independent", "top", 0.5, [0.5, 0.5, 0.5]),
            ("independent", "bottom", 0.75, [0.5, 0.75, 1.0]),
            ("unrelated", "", 0.2, [0.1, 0.3]),
        )
    )

    def test_means_with_their_spread_over_the_pictures_on_one_scale(self):
        figure = similarity_curves(self.ROWS, {"m": "the method"}, "title", "Of a network.")
        top, bottom = figure.subfigs
        assert len(top.axes) == len(MEASURES) and len({axis.get_ylim() for axis in top.axes}) == 1
        axis = top.axes[0]
        curves = {line.get_label(): line.get_ydata() for line in axis.get_lines()}
        np.testing.assert_array_equal(curves["cascading"], [1, 0.5, np.nan])
        np.testing.assert_array_equal(curves["independent"], [1, 0.5, 0.75])
        bands = [band.get_paths() for band in axis.collections]
        # From 1 at the trained network to 0.2 and 0.8 at the top layer; where all maps are blank there is no band.
        assert bands[0][0].get_extents().extents.tolist() == [0, 0.2, 1, 1]
        assert bands[1][0].get_extents().extents.tolist() == [0, 0.5, 2, 1]
        assert [text.get_text() for text in axis.get_xticklabels()] == ["trained", "top", "bottom"]
        assert [text.get_text() for text in bottom.legends[0].get_texts()] == [
            "maps of different pictures",
            "cascading",
            "independent",
        ]
        words = bottom.get_supxlabel()
        assert "means of n = 3 pictures" in words and words.endswith("Of a network.")
