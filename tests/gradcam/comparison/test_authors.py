"""Pictures of the paper's authors' Torch code: rendered here from real Caffe's numbers, place by place."""

import re

import numpy as np
import pytest
from PIL import Image
from reference_data import DATA

import slim_models
from gradcam.cli.main import main
from gradcam.comparison import authors
from gradcam.explainer import Explainer
from slim_models.weights import random_weights


def torch_scale(array, new):
    """image.scale of a row: torch/image's generic/image.c, the bilinear way, one number after the other."""
    old = len(array)
    result = np.zeros(new)
    if new > old:
        for i in range(new - 1):
            place = i * (old - 1) / (new - 1)
            whole = int(place)
            result[i] = (1 - (place - whole)) * array[whole] + (place - whole) * array[whole + 1]
        result[new - 1] = array[old - 1]
        return result
    for i in range(new):
        start, stop = i * old / new, (i + 1) * old / new
        total = 0
        for place in range(int(start), min(old, int(np.ceil(stop)))):
            share = min(stop, place + 1) - max(start, place)
            total += share * array[place]
        result[i] = total / (stop - start)
    return result


def torch_scale_map(array, size):
    rows = np.array([torch_scale(row, size[1]) for row in array])
    return np.array([torch_scale(column, size[0]) for column in rows.T]).T


def to_heatmap(values):
    """The authors' utils.to_heatmap, its four branches."""
    colours = np.ones((*values.shape, 3))
    for place in np.ndindex(*values.shape):
        value, colour = values[place], colours[place]
        if value <= 0.25:
            colour[0], colour[1] = 0, 4 * value
        elif value <= 0.5:
            colour[0], colour[2] = 0, 2 - 4 * value
        elif value <= 0.75:
            colour[0], colour[2] = 4 * value - 2, 0
        else:
            colour[1], colour[2] = 4 - 4 * value, 0
    return colours


def to_display(array):
    return (array - array.min()) / (array.max() - array.min())


def save(path, array):
    array = np.repeat(array[..., None], 3, axis=-1) if array.ndim == 2 else array
    Image.fromarray(np.rint(255 * array).astype(np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path):
    """What classification.lua would write, from Caffe's activations, gradients and guided backprop."""
    with np.load(DATA / "caffe_vgg16.npz") as caffe:
        arrays = dict(caffe)
    folder = tmp_path / "authors"
    folder.mkdir()
    for number, target in enumerate(arrays["classes"][0]):
        weights = arrays["grad_relu5_3"][0, number].sum(axis=(0, 1))  # a sum, where the paper's eq. 1 has the mean
        cam = np.maximum((arrays["relu5_3"][0] * weights).sum(axis=-1), 0)
        cam = torch_scale_map(cam, (112, 112))
        save(folder / f"classify_gcam_hm_{target + 1}.png", to_display(to_heatmap(to_display(cam))))
        save(folder / f"classify_gcam_{target + 1}.png", to_display(cam))
        if number == 0:
            guided = arrays["guided_input"][0, 0][..., ::-1]
            save(folder / f"classify_gb_{target + 1}.png", to_display(guided))
            save(folder / f"classify_gb_gcam_{target + 1}.png", to_display(guided * cam[..., None]))
    Image.fromarray(arrays["images"][0]).save(tmp_path / "picture.png")
    network = slim_models.build("vgg16", image_size=112, num_classes=20, width_divisor=8)
    slim_models.write_weights(tmp_path / "vgg16.npy", random_weights(network, 1))
    return folder


def run(folder, *flags, image="picture.png"):
    weights = ["--network", "vgg16", "--weights", folder.parent / "vgg16.npy"]
    arguments = [folder, "--authors", folder.parent / image, *weights, *flags]
    return main(["compare", *map(str, arguments)])


def test_ours_are_theirs(folder, capsys):
    assert run(folder, "--plot", folder.parent / "new" / "figure.png") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: [float(word) for word in line.split()[-2:]] for line in lines if "classify_" in line}
    assert len(rows) == 6
    for ssim, correlation in rows.values():
        assert ssim > 0.9999
        assert correlation > 0.9999
    assert [line.split()[1] for line in lines if line.startswith("classify_gb")] == ["16", "16"]  # from 0
    with Image.open(folder.parent / "new" / "figure.png") as figure:
        assert figure.width > figure.height > 500


def test_what_is_wrong_is_seen(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder.parent)
    (folder / "classify_gcam_17.png").rename(folder / "classify_gcam_5.png")  # another class's
    (folder / "classify_gb_gcam_17.png").rename(folder / "classify_gb_3.png")
    assert run(folder) == 0
    rows = {
        line.split()[0]: float(line.split()[-2]) for line in capsys.readouterr().out.splitlines() if "_" in line[:9]
    }
    assert rows["classify_gcam_5.png"] < 0.9
    assert rows["classify_gb_3.png"] < 0.9
    assert rows["classify_gb_17.png"] > 0.9999
    assert (folder.parent / "out" / "authors.png").is_file()


def test_an_early_versions_coloured_map_and_a_photograph_of_any_size(folder, capsys):
    (folder / "classify_gcam_hm_17.png").replace(folder / "classify_gcam_17.png")
    with Image.open(folder.parent / "picture.png") as picture:
        # Every pixel six times: averaging gives the picture back.
        Image.fromarray(np.asarray(picture).repeat(2, axis=0).repeat(3, axis=1)).save(folder.parent / "large.png")
    assert run(folder, "--plot", folder.parent / "a.png", image="large.png") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("classify")]
    assert len(rows) == 5
    assert all(float(row[-2]) > 0.9999 for row in rows)


@pytest.mark.parametrize("size", [(300, 400), (150, 131)])
@pytest.mark.parametrize("white", [slice(None), slice(10, 60)], ids=["all white", "a white area"])
def test_white_stays_white(folder, size, white):
    """A mean of white pixels is rounded to 255.000000000002, which no network may be fed."""
    photograph = np.full((*size, 3), 30, np.uint8)
    photograph[white] = 255
    network = slim_models.build("vgg16", image_size=112, num_classes=20, width_divisor=8)
    with Explainer(network, folder.parent / "vgg16.npy") as explainer:
        pairs = authors.compare_authors(authors.read_authors(folder), photograph, explainer)
    assert len(pairs) == 6
    assert authors.scale(photograph.astype(np.float64), (112, 112)).max() == 255


@pytest.mark.parametrize("sizes", [((7, 5), (14, 17)), ((14, 14), (224, 224)), ((9, 31), (4, 7)), ((6, 6), (6, 3))])
def test_scaling_is_torchs(sizes):
    (old, new), rng = sizes, np.random.default_rng(0)
    array = rng.normal(size=old)
    np.testing.assert_allclose(authors.scale(array, new), torch_scale_map(array, new), atol=1e-12)
    colours = rng.normal(size=(*old, 3))
    np.testing.assert_allclose(authors.scale(colours, new)[..., 1], torch_scale_map(colours[..., 1], new), atol=1e-12)


def test_colours_are_theirs():
    values = np.linspace(0, 1, 101)[None]
    np.testing.assert_allclose(authors.jet(values), to_heatmap(values), atol=1e-12)


def test_a_constant_picture_is_black_not_nan():
    assert not authors.stretched(np.full((2, 2), 7.0)).any()


MISTAKES = {
    "no pictures": (
        lambda folder: [path.unlink() for path in folder.glob("*.png")],
        "no pictures of the authors' code",
    ),
    "a class of no number": (
        lambda folder: (folder / "classify_gb_17.png").rename(folder / "classify_gb_boxer.png"),
        "give the class 'boxer' by its index",
    ),
    "a class out of range": (
        lambda folder: (folder / "classify_gb_17.png").rename(folder / "classify_gb_21.png"),
        "target 20 is out of range",
    ),
    "two sizes": (
        lambda folder: Image.new("RGB", (20, 20)).save(folder / "classify_gb_1.png"),
        r"square and of one size, not \[\(20, 20\), \(112, 112\)\]",
    ),
    "no photograph": (lambda folder: (folder.parent / "picture.png").unlink(), "picture.png"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line(folder, capsys, case):
    spoil, message = MISTAKES[case]
    spoil(folder)
    assert run(folder, "--plot", folder.parent / "a.png") == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert error.count("\n") == 1
    assert not (folder.parent / "a.png").exists()
