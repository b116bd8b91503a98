"""`gradcam compare`: real Caffe's numbers pass, wrong ones fail, ties are told from errors."""

import re

import numpy as np
import pytest
from PIL import Image
from reference_data import DATA

import gradcam
import slim_models
from gradcam.cli.main import main
from gradcam.comparison.agreement import Agreement
from gradcam.comparison.decisions import deciding_operations, find_ties
from gradcam.comparison.ties import Ties
from gradcam.explainer import Explainer
from slim_models.weights import random_weights

SEEDS = {"vgg16": 1, "resnet_v1_50": 2}
LAYERS = {"vgg16": "relu5_3", "resnet_v1_50": "block4"}


@pytest.fixture(scope="module")
def weights():
    """network name -> the weights that Caffe was given."""
    build = {"image_size": 112, "num_classes": 20, "width_divisor": 8}
    return {name: random_weights(slim_models.build(name, **build), seed) for name, seed in SEEDS.items()}


@pytest.fixture(scope="module")
def explainer(weights):
    """VGG16, every rule."""
    network = slim_models.build("vgg16", image_size=112, num_classes=20, width_divisor=8)
    with Explainer(network, weights["vgg16"], rules=slim_models.RULES) as explainer:
        yield explainer


@pytest.fixture
def caffe():
    """network name -> Caffe's arrays, to be changed by a test."""
    return {name: dict(np.load(DATA / f"caffe_{name}.npz")) for name in SEEDS}


@pytest.mark.parametrize("name", SEEDS)
def test_real_caffe_passes_array_by_array(caffe, weights, name):
    result = gradcam.compare(DATA / f"caffe_{name}.npz", name, weights[name])
    assert result.passed
    assert not result.ties
    counts = {array: sum(row.array == array for row in result.rows) for array in caffe[name]}
    layer = LAYERS[name]
    assert counts == {
        "images": 0,
        "classes": 0,
        "logits": 1,
        layer: 1,
        f"grad_{layer}": 2,
        "cam": 2,
        "grad_input": 1,
        "guided_input": 1,
        "deconv_input": 1,
    }
    assert all(row.relative_l2 < 1e-5 and row.peak_difference < 1e-5 for row in result.rows)
    assert all(row.correlation == pytest.approx(1) for row in result.rows)


@pytest.mark.parametrize("name", SEEDS)
def test_every_kind_of_array_against_its_formula(caffe, weights, name):
    """alpha, cam_raw, softmax, pool5, reduced gradients, in float64 from Caffe's own arrays."""
    arrays, layer = caffe[name], LAYERS[name]
    activations, gradients = arrays[layer].astype(np.float64), arrays[f"grad_{layer}"].astype(np.float64)
    arrays["alpha"] = gradients.mean(axis=(2, 3))
    arrays["cam_raw"] = (activations[:, None] * arrays["alpha"][:, :, None, None]).sum(axis=-1)
    exponentials = np.exp(arrays["logits"].astype(np.float64) - arrays["logits"].max())
    arrays["softmax"] = exponentials / exponentials.sum()
    images = arrays["images"].astype(np.float64)
    mean = [123.68, 116.779, 103.939]
    if name == "vgg16":  # pool5 is a layer; windows at the lower and right edges are narrower
        padded = np.pad(activations, [(0, 0), (0, 1), (0, 1), (0, 0)])
        arrays["pool5"] = padded.reshape(1, 4, 2, 4, 2, -1).max(axis=(2, 4))
        arrays["input"] = (images - mean)[..., ::-1]
    else:
        arrays["pool5"] = activations.mean(axis=(1, 2))
        arrays["input"] = images - mean
    for gradient in ("grad_input", "guided_input", "deconv_input"):
        whole = arrays[gradient].astype(np.float64)
        arrays[f"{gradient}_stride4"] = whole[:, :, 1::4, 2::4]
        sums = [whole.sum(), np.abs(whole).sum(), (whole**2).sum(), whole.min(), whole.max()]
        arrays[f"{gradient}_stats"] = np.array(sums).reshape(1, 1, 5)
    result = gradcam.compare(arrays, name, weights[name])
    assert {row.array for row in result.rows} == arrays.keys() - {"images", "classes"}
    assert all(row.relative_l2 < 2e-5 for row in result.rows), str(result)


@pytest.mark.parametrize("name", SEEDS)
def test_blobs_as_pycaffe_gives_them(caffe, weights, name):
    arrays, layer = caffe[name], LAYERS[name]
    for key in ("images", layer, f"grad_{layer}", "grad_input", "guided_input", "deconv_input"):
        arrays[key] = np.moveaxis(arrays[key], -1, -3)
    images = np.moveaxis(arrays.pop("images"), 1, -1).astype(np.float32) - [123.68, 116.779, 103.939]
    inputs = images[..., ::-1] if name == "vgg16" else images
    arrays["input"] = inputs.transpose(0, 3, 1, 2)
    assert gradcam.compare(arrays, name, weights[name], layout="caffe").passed
    # One class a picture needs no axis of its own.
    one = {key: array[:, 0] for key, array in arrays.items() if array.ndim > 4 or key in ("cam", "classes")}
    one |= {"input": arrays["input"], layer: arrays[layer]}
    result = gradcam.compare(one, name, weights[name], layout="caffe")
    assert result.passed
    assert len(result.rows) == len(one) - 1


def test_sums_and_extremes_are_measured_each_on_its_own_scale(caffe, weights):
    whole = caffe["vgg16"]["guided_input"].astype(np.float64)
    stats = np.array([whole.sum(), np.abs(whole).sum(), (whole**2).sum(), whole.min(), whole.max()])
    for number in range(5):
        wrong = stats.copy()
        wrong[number] *= 1.01
        arrays = {**caffe["vgg16"], "guided_input_stats": wrong.reshape(1, 1, 5)}
        del arrays["guided_input"]
        assert [row.array for row in gradcam.compare(arrays, "vgg16", weights["vgg16"]).rows if not row.passed] == [
            "guided_input_stats"
        ]


def test_what_the_reference_leaves_out_is_told(caffe, weights):
    result = gradcam.compare(caffe["vgg16"], "vgg16", weights["vgg16"])
    assert result.left_out == ["grad_input: 1 of 2", "guided_input: 1 of 2", "deconv_input: 1 of 2"]
    assert "leaves out some pictures or classes of grad_input: 1 of 2" in str(result)


WRONG = {
    "RGB gradients where the net takes BGR": ("grad_input", lambda a: a[..., ::-1], "FAIL"),
    "another sign": ("cam", lambda a: -a, "FAIL"),
    "a sum where a mean belongs": ("cam", lambda a: 49 * a, "FAIL"),
    "guided backprop in place of backprop": ("grad_input", lambda a: np.maximum(a, 0), "FAIL"),
    "one wrong place": ("guided_input", lambda a: a + 0.001 * np.abs(a).max() * (a == a.max()), "pass"),
    "a hundredth of its size": ("deconv_input", lambda a: 1.01 * a, "FAIL"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_fails(caffe, weights, case):
    key, change, expected = WRONG[case]
    arrays = {name: caffe["vgg16"][name] for name in ("images", "classes", "logits", key)}
    arrays[key] = change(arrays[key])
    result = gradcam.compare(arrays, "vgg16", weights["vgg16"], tolerance=1e-3)
    assert next(row.passed for row in result.rows if row.array == key) == (expected == "pass")
    assert all(row.passed for row in result.rows if row.array == "logits")


class TestRows:
    def row(self, ours, theirs, **options):
        ours, theirs = (np.array(a, np.float32) for a in (ours, theirs))
        return Agreement("cam", 0, 7, theirs, ours, options.pop("tolerance", 1e-4), **options)

    def test_measures_by_hand(self):
        row = self.row([3, 4.5, 0], [3, 4, 0])
        assert row.relative_l2 == pytest.approx(0.5 / 5)
        assert row.peak_difference == pytest.approx(0.5 / 4)
        # Deviations from the means, 2.5 and 7/3: their product over their norms.
        a, b = np.array([0.5, 2, -2.5]), np.array([2, 5, -7]) / 3
        assert row.correlation == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)))
        assert not row.passed

    def test_zeros(self):
        assert self.row([0, 0], [0, 0]).passed
        assert np.isnan(self.row([0, 0], [0, 0]).correlation)
        assert self.row([0, 1e-9], [0, 0]).relative_l2 == np.inf

    def test_ties_do_not_hide_what_is_left_or_large(self):
        theirs = [3, 4]
        assert self.row([3, 4.01], theirs, turned=np.array([3, 4])).passed
        assert not self.row([3, 4.01], theirs, turned=np.array([3, 4.005])).passed
        assert self.row([3, 5], theirs, turned=np.array([3, 4])).passed  # 20 %, and all of it explained
        assert not self.row([-3, 4], theirs, turned=np.array([3, 4])).passed  # 120 %


class TestTies:
    """A reference that differs by turned decisions alone: ours, with chosen ReLUs and maxima turned."""

    @pytest.fixture
    def image(self, caffe):
        return caffe["vgg16"]["images"][0]

    def reference(self, explainer, image, classes, turned, rounding):
        ties = Ties(explainer, image, rounding)
        nearest = ties.found.nearest()
        chosen = [ties.found[nearest[i]] for i in turned]
        explanation = ties.explain(classes, [chosen] * len(classes))
        arrays = {"images": image[None], "classes": np.array([classes]), "logits": explanation.logits[:1]}
        for name, rule in (("grad_input", "backprop"), ("guided_input", "guided"), ("deconv_input", "deconvnet")):
            arrays[name] = explanation.saliency[rule][None, ..., ::-1]
        return arrays, chosen

    def test_turned_decisions_are_found_counted_and_pass(self, explainer, image, weights, monkeypatch):
        # The narrow network has few decisions within rounding: more of them with a larger margin.
        monkeypatch.setattr(Ties.__init__, "__defaults__", (5e-5,))
        found = sorted(Ties(explainer, image).found, key=lambda tie: tie.margin)
        assert 8 < len(found) < 200
        kinds = [i for i, tie in enumerate(found) if "MaxPool" in tie.operation][:1]
        relus = [i for i, tie in enumerate(found) if "Relu" in tie.operation][:2]
        arrays, chosen = self.reference(explainer, image, [16, 7], kinds + relus, 5e-5)
        result = gradcam.compare(arrays, "vgg16", weights["vgg16"])
        assert result.passed, str(result)
        search = result.ties[0]
        assert search.found == len(found)
        # None that was not turned; one without a gradient cannot be seen.
        assert search.turned
        assert {tie.place for tie in search.turned} <= {tie.place for tie in chosen}
        assert any(row.by_ties and row.left < 1e-5 < 1e-4 < row.relative_l2 for row in result.rows)
        text = str(result)
        assert (
            f"{search.found} of its decisions are within rounding of a tie; {len(search.turned)} fall the other" in text
        )
        assert all(f"{tie.operation} at {tie.place}" in text for tie in search.turned)
        assert "pass (ties)" in text

    def test_an_error_beside_ties_is_not_excused(self, explainer, image, weights, monkeypatch):
        monkeypatch.setattr(Ties.__init__, "__defaults__", (5e-5,))
        arrays, _ = self.reference(explainer, image, [16], [0, 1, 2, 3], 5e-5)
        arrays["guided_input"] = 1.01 * arrays["guided_input"]
        result = gradcam.compare(arrays, "vgg16", weights["vgg16"])
        assert [row.passed for row in result.rows if row.array == "guided_input"] == [False]
        # A difference that no tie makes: nothing is said to be explained.
        alone = {name: arrays[name] for name in ("images", "classes", "guided_input")}
        with np.load(DATA / "caffe_vgg16.npz") as caffe:
            alone["guided_input"] = 1.01 * caffe["guided_input"]
        result = gradcam.compare(alone, "vgg16", weights["vgg16"])
        assert not result.passed
        assert "turning them does not take the differences away" in str(result)
        assert "fall the other way" not in str(result)

    def test_one_tie_of_two_overlapping_windows_is_one(self, weights):
        network = slim_models.build("resnet_v1_50", image_size=64, width_divisor=8)
        pool = next(op for op in deciding_operations(network) if op.type == "MaxPool")
        maps = np.zeros((1, 32, 32, 8), np.float32)
        maps[0, 7, 8, 0] = maps[0, 8, 8, 0] = 1  # both are in the windows at rows 6 and 8, columns 6 and 8
        ties = find_ties({pool: maps}, 5e-6)
        assert [(tie.place, tie.margin) for tie in ties] == [((8, 8, 0), 0)]

    def test_finding_them_by_hand(self, explainer):
        """Values put where they are close to zero, or to their neighbour, and nowhere else."""
        network = explainer.network
        operations = {op.name: op for op in deciding_operations(network)}
        assert sum(op.type == "Relu" for op in operations.values()) == 15
        assert sum(op.type == "MaxPool" for op in operations.values()) == 5
        relu, pool = operations["fc6/Relu"], operations["pool5/MaxPool"]
        values = np.ones((1, 512), np.float32)
        values[0, 3], values[0, 5] = 4e-6, -4e-6
        maps = np.zeros((1, 7, 7, 64), np.float32)
        maps[..., 0] = np.arange(49).reshape(7, 7)
        maps[0, 2, 4, 0] = maps[0, 3, 5, 0]  # in the window of rows 2, 3 and columns 4, 5; and 6, 6 is alone
        ties = find_ties({relu: values, pool: maps}, 5e-6)
        assert [(tie.operation, tie.place) for tie in ties] == [
            ("fc6/Relu", (3,)),
            ("fc6/Relu", (5,)),
            ("pool5/MaxPool", (3, 5, 0)),
        ]
        assert ties[2].value > maps[0, 2, 4, 0]
        assert ties[2].margin == 0
        assert [tie.value > 0 for tie in ties[:2]] == [False, True]
        assert ties[-1] == ties[2]
        assert ties.nearest()[0] == 2

    def test_explaining_without_turning_changes_nothing(self, explainer, image):
        plain = explainer.explain(image[None], 7)
        fed = Ties(explainer, image, 1e-3).explain([7], [[]])
        for rule in slim_models.RULES:
            np.testing.assert_allclose(fed.saliency[rule], plain.saliency[rule], atol=1e-5 * plain.saliency[rule].max())


MISTAKES = {
    "an unknown array": (
        lambda a: {**a, "cams": a["cam"]},
        [],
        "array 'cams' is unknown here; known are input,",
    ),
    "no pictures": (lambda a: {"cam": a["cam"]}, [], "neither 'images' nor 'input'"),
    "no classes": (lambda a: {"images": a["images"], "cam": a["cam"]}, [], "no array 'classes'"),
    "another size": (
        lambda a: {"images": a["images"][:, :96, :96], "logits": a["logits"]},
        [],
        r"pictures are 96 x 96, but fc6/weights \[1024, 512\] takes a pool5 of 4 x 4, of pictures of 128",
    ),
    "not square": (
        lambda a: {"images": a["images"][:, :, :96]},
        [],
        r"should be square, \[N, H, H, 3\], not \[1, 112, 96",
    ),
    "another shape": (
        lambda a: {**a, "grad_input": np.moveaxis(a["grad_input"], -1, 2)},
        [],
        r"'grad_input' is \[3, 112, 112\] for a picture and class, but the network's is \[112, 112, 3\].*layout",
    ),
    "a layer that is none": (lambda a: a, ["--layer", "conv6"], "vgg16 has no layer 'conv6'"),
    "a layout that is none": (lambda a: a, ["--layout", "NCHW"], "no layout 'NCHW'; the layouts are tensorflow, caffe"),
    "two layers": (
        lambda a: {**a, "grad_conv4_3": np.zeros((1, 2, 14, 14, 64), np.float32)},
        [],
        r"gradients of \['conv4_3', 'conv5_3'\]; --layer says which",
    ),
    "nothing but pictures": (lambda a: {"images": a["images"]}, [], "nothing to compare, but images alone"),
    "a lone number": (lambda a: {**a, "logits": np.array(3.0)}, [], r"'logits' is \[\]; its first axis is the picture"),
    "more pictures than images": (
        lambda a: {**a, "logits": np.repeat(a["logits"], 2, axis=0)},
        [],
        r"'logits' is \[2, 20\]; there are \[1\] \[pictures\]",
    ),
    "an empty array": (lambda a: {**a, "cam": a["cam"][:0]}, [], r"'cam' is \[0, 2, 7, 7\]; there are \[1, 2\]"),
    "words": (lambda a: {**a, "logits": np.array([["a"]])}, [], "'logits' should be finite numbers; it is <U1"),
    "infinity": (lambda a: {**a, "cam": a["cam"] + np.inf}, [], "'cam' should be finite numbers"),
    "no tolerance": (lambda a: a, ["--tolerance", "0"], "the tolerance must be above 0"),
    "a class out of range": (lambda a: {**a, "classes": np.array([[3, 20]])}, [], "target 20 is out of range"),
}


class TestCommand:
    @pytest.fixture
    def files(self, weights, tmp_path):
        slim_models.write_weights(tmp_path / "vgg16.npy", weights["vgg16"])
        slim_models.write_weights(tmp_path / "resnet.ckpt", weights["resnet_v1_50"])
        return tmp_path

    def run(self, *arguments):
        return main(["compare", *(str(argument) for argument in arguments)])

    def test_a_table_and_exit_code_0(self, files, capsys):
        weights = files / "resnet.ckpt"
        assert self.run(DATA / "caffe_resnet_v1_50.npz", "--network", "resnet_v1_50", "--weights", weights) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["array", "picture", "class", "rel.", "L2", "of", "peak", "correlation", "tolerance"]
        assert lines[-1] == "pass"
        assert len(lines) == 3 + 9
        assert all(line.endswith("pass") for line in [*lines[1:10], lines[-1]])

    def test_a_difference_is_exit_code_1(self, files, caffe, capsys):
        np.savez(files / "wrong.npz", **{**caffe["vgg16"], "cam": 2 * caffe["vgg16"]["cam"]})
        assert self.run(files / "wrong.npz", "--network", "vgg16", "--weights", files / "vgg16.npy") == 1
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines if line.endswith("FAIL")] == ["cam", "cam", "FAIL"]

    def test_a_figure(self, files, capsys):
        flags = ["--network", "vgg16", "--weights", files / "vgg16.npy", "--plot"]
        assert self.run(DATA / "caffe_vgg16.npz", *flags, files / "new" / "figure.png") == 0
        with Image.open(files / "new" / "figure.png") as figure:
            assert figure.height > 2 * figure.width  # seven rows of three, and one of the layer
        assert self.run(DATA / "caffe_vgg16.npz", *flags, files / "figure.doc") == 2
        assert "figure.doc" in capsys.readouterr().err

    def test_arrays_of_a_layer_under_another_name(self, files, caffe, capsys):
        arrays = caffe["resnet_v1_50"]
        arrays["last"], arrays["grad_last"] = arrays.pop("block4"), arrays.pop("grad_block4")
        np.savez(files / "renamed.npz", **arrays)
        flags = ["--network", "resnet_v1_50", "--weights", files / "resnet.ckpt"]
        assert self.run(files / "renamed.npz", *flags, "--layer", "block4") == 0
        assert "grad_last" in capsys.readouterr().out
        assert self.run(files / "renamed.npz", *flags) == 2
        assert "--layer says which" in capsys.readouterr().err

    @pytest.mark.parametrize("case", MISTAKES)
    def test_mistakes_are_one_line(self, files, caffe, capsys, case):
        change, flags, message = MISTAKES[case]
        np.savez(files / "a.npz", **change(caffe["vgg16"]))
        assert self.run(files / "a.npz", "--network", "vgg16", "--weights", files / "vgg16.npy", *flags) == 2
        error = capsys.readouterr().err
        assert re.search(message, error), error
        assert error.count("\n") == 1

    @pytest.mark.parametrize(
        ("network", "file", "message"),
        [
            ("resnet_v1_50", "vgg16.npy", r"do not fit resnet_v1_50; they are another network's \(conv1_1, conv1_2"),
            ("vgg16", "resnet.ckpt", r"do not fit vgg16; they are another network's \(resnet_v1_50\)"),
            ("resnet_v1_101", "resnet.ckpt", r"another network's \(resnet_v1_50\)"),
            ("vgg17", "vgg16.npy", "no network 'vgg17'; the networks are vgg16,"),
            (
                "vgg19",
                "vgg16.npy",
                r"do not fit vgg19: 6 missing \(conv3_4/weights, .*; they are those of a VGG16",
            ),
            (
                "mobilenet_v1",
                "vgg16.npy",
                "mobilenet_v1 cannot be compared: its input is not pictures less",
            ),
            ("vgg16", "none.npy", "no weights at .*none.npy"),
        ],
    )
    def test_a_wrong_network_for_the_file(self, files, capsys, network, file, message):
        reference = DATA / "caffe_vgg16.npz"
        assert self.run(reference, "--network", network, "--weights", files / file) == 2
        assert re.search(message, capsys.readouterr().err)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"<!DOCTYPE html><html>", "is not an npz file .* an HTML page, which is what a dead link gives"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
            (DATA.joinpath("caffe_vgg16.npz").read_bytes()[:5000], "is only the first part of an npz file"),
            (None, "no reference at"),
        ],
        ids=["HTML", "LFS", "half", "none"],
    )
    def test_what_is_no_reference(self, files, capsys, content, message):
        if content is not None:
            (files / "a.npz").write_bytes(content)
        assert self.run(files / "a.npz", "--network", "vgg16", "--weights", files / "vgg16.npy") == 2
        assert re.search(message, capsys.readouterr().err)
