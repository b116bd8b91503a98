"""scripts/caffe_reference.py on nets of other shapes than VGG16's, on a Caffe made of NumPy, and on wrong files."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from formats import blob, write_caffemodel
from PIL import Image
from prototxt import convolution, layer

from gradcam.pictures import read_image

TESTS = Path(__file__).parents[1]
FAKE = TESTS / "helpers" / "fake_caffe"
SCRIPT = TESTS.parent / "scripts" / "caffe_reference.py"
SIZE, CLASSES = 12, 5
INPUT = 'input: "data" ' + " ".join(f"input_dim: {n}" for n in (2, 3, SIZE, SIZE))
GLOBAL = "pooling_param { pool: AVE global_pooling: true }"
HEAD = [
    layer("pool", "Pooling", "out", "pool", GLOBAL),
    layer("classifier", "InnerProduct", "pool", "classifier", f"inner_product_param {{ num_output: {CLASSES} }}"),
    layer("prob", "Softmax", "classifier", "prob"),
]


def conv(name, below, depth, kernel=3, relu="ReLU", more=""):
    """A convolution and what follows it in place."""
    lines = [layer(name, "Convolution", below, name, convolution(depth, kernel, pad=kernel // 2))]
    return lines + ([layer(f"{name}_relu", relu, name, name, more)] if relu else [])


AUXILIARY = [  # a head that branches off, before the other in the file
    layer("aux_pool", "Pooling", "conv1", "aux_pool", GLOBAL),
    layer("aux", "InnerProduct", "aux_pool", "aux", f"inner_product_param {{ num_output: {CLASSES} }}"),
    layer("aux_prob", "Softmax", "aux", "aux_prob"),
]
NETS = {
    "branches": [
        *conv("conv1", "data", 4),
        *AUXILIARY,
        *conv("a", "conv1", 2, 1),
        *conv("b", "conv1", 3),
        layer("out", "Concat", "a b", "out"),
        *HEAD,
    ],
    "squeeze": [
        *conv("conv1", "data", 4),
        *conv("a", "conv1", 2, 1),
        *conv("b", "conv1", 3),
        layer("fire", "Concat", "a b", "fire"),
        layer("drop", "Dropout", "fire", "fire"),
        *conv("conv10", "fire", CLASSES, 1),
        layer("pool", "Pooling", "conv10", "pool", GLOBAL),
        layer("prob", "Softmax", "pool", "prob"),
    ],
    "residual": [
        *conv("conv1", "data", 4),
        *conv("a", "conv1", 4),
        layer("sum", "Eltwise", "a conv1", "sum"),
        layer("sum_relu", "ReLU", "sum", "sum"),
        *conv("out", "sum", 3, relu=None),
        *HEAD,
    ],
    "norm": [
        *conv("conv1", "data", 4, relu=None),
        layer("bn", "BatchNorm", "conv1", "bn"),
        layer("scale", "Scale", "bn", "scale", "scale_param { bias_term: true }"),
        layer("relu", "ReLU", "scale", "out"),
        *HEAD,
    ],
    "elu": [*conv("out", "data", 4, relu="ELU"), *HEAD],
    "leaky": [*conv("out", "data", 4, more="relu_param { negative_slope: 0.1 }"), *HEAD],
}


@pytest.fixture(scope="module")
def script():
    specification = importlib.util.spec_from_file_location("caffe_reference", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def caffe():
    specification = importlib.util.spec_from_file_location("fake_of_caffe", FAKE / "caffe.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def weights_of(net):
    rng = np.random.default_rng(0)
    kinds = dict(zip(net._layer_names, (made.type for made in net.layers)))
    drawn = {name: [rng.normal(size=blob.shape) for blob in blobs] for name, blobs in net.params.items()}
    positive = {name: [np.abs(array) for array in arrays] for name, arrays in drawn.items()}
    return {name: (kinds[name], (positive if kinds[name] == "BatchNorm" else drawn)[name]) for name in drawn}


@pytest.fixture
def deployed(caffe, tmp_path):
    """Writes a net, its weights and a picture: `deployed(name)` -> the folder."""

    def write(name):
        (tmp_path / "deploy.prototxt").write_text("\n".join([INPUT, *NETS[name]]))
        layers = weights_of(caffe.Net(str(tmp_path / "deploy.prototxt"), caffe.TEST))
        write_caffemodel(tmp_path / "net.caffemodel", layers)
        rng = np.random.default_rng(1)
        np.save(tmp_path / "image.npy", rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8))
        return tmp_path

    return write


@pytest.fixture
def walk(script, caffe, deployed):
    """`walk(net, logits=None, layer=None)` of a net that is loaded and run."""

    def make(name, **options):
        folder = deployed(name)
        forced = (folder / "deploy.prototxt").read_text() + "\nforce_backward: true"
        (folder / "deploy.prototxt").write_text(forced)
        net = caffe.Net(str(folder / "deploy.prototxt"), str(folder / "net.caffemodel"), caffe.TEST)
        result = script.Walk(net, **options)
        net.blobs["data"].reshape(1, 3, SIZE, SIZE)
        net.reshape()
        result.forward(np.load(folder / "image.npy").transpose(2, 0, 1).astype(np.float32))
        return result

    return make


@pytest.mark.parametrize(
    ("name", "expected", "logits"),
    [
        ("branches", "out", "classifier"),
        ("squeeze", "fire", "pool"),
        ("residual", "sum", "classifier"),
        ("norm", "out", "classifier"),
        ("leaky", "out", "classifier"),
    ],
)
def test_the_layer_that_all_paths_lead_through_and_the_head_behind_all(walk, name, expected, logits):
    found = walk(name)
    assert (found.layer, found.logits) == (expected, logits)


def test_gradients_of_a_net_with_branches_and_another_head(walk):
    """A mean and a fully connected layer: at every place the weights over the number of places."""
    found = walk("branches")
    gradient, at_input = found.backward(2, "backprop")
    weights = found.net.params["classifier"][0].data[2] / SIZE**2
    np.testing.assert_allclose(gradient[0], np.broadcast_to(weights[:, None, None], gradient.shape[1:]), rtol=1e-5)
    # The derivative along the gradient itself, by two more forward passes.
    image, step = found.net.blobs["data"].data[0].copy(), 1e-3 * at_input[0] / np.abs(at_input).max()
    values = []
    for sign in (-1, 1):
        found.forward(image + sign * step)
        values.append(found.net.blobs["classifier"].data[0, 2].astype(np.float64))
    assert values[1] - values[0] == pytest.approx(2 * (step * at_input[0]).sum(), rel=0.02)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("norm", {"layer": "conv1"}, "blob 'conv1' is before its ReLU; take --layer out"),
        ("norm", {"layer": "scale"}, "blob 'scale' is before its ReLU; take --layer out"),
        ("branches", {"layer": "data"}, "Grad-CAM takes maps that a layer below the logits makes; blob 'data'"),
        ("branches", {"layer": "aux_pool"}, "a layer below the logits makes; blob 'aux_pool'"),
        ("branches", {"layer": "conv1_conv1_relu_split_0"}, "one of Caffe's copies of 'conv1'; take that"),
        ("branches", {"logits": "prob"}, "--logits prob is what the Softmax makes; take what it reads, 'classifier'"),
        ("branches", {"logits": "none"}, "no blob or layer 'none'; the blobs are data, conv1"),
    ],
)
def test_layers_and_logits_that_are_none(walk, capsys, name, options, message):
    with pytest.raises(SystemExit):
        walk(name, **options)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("name", "kind"), [("elu", "ELU (1)"), ("leaky", "ReLU with a negative slope (1)")])
def test_rules_are_left_out_where_they_are_not_defined(deployed, walk, name, kind):
    assert walk(name, layer="out").undefined == kind
    result = run(deployed(name), "--layer", "out")
    assert result.returncode == 0, result.stderr
    assert f"no guided_input and deconv_input: they are not defined for {kind}" in result.stderr
    with np.load(deployed(name) / "reference.npz") as written:
        assert "grad_input" in written
        assert "guided_input" not in written


def run(folder, *arguments, model="net.caffemodel", images=("image.npy",), prototxt="deploy.prototxt"):
    command = [sys.executable, SCRIPT, prototxt, model, *images, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(FAKE), "TMPDIR": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, env=environment)


def another(folder, change):
    """A caffemodel with other layers."""
    layers = {"conv1": ("Convolution", [np.zeros((4, 3, 3, 3)), np.zeros(4)]), **change}
    write_caffemodel(folder / "other.caffemodel", layers)


WRONG = {
    "other names": (
        lambda f: another(f, {"ip": ("InnerProduct", [np.zeros((5, 5))])}),
        {"model": "other.caffemodel"},
        [],
        r"other.caffemodel has no weights for 4 of 5 layers of deploy.prototxt \(aux, a, b, classifier\), .*others: ip",
    ),
    "no layer": (lambda f: (f / "a").write_bytes(b""), {"model": "a"}, [], "a holds no layer with weights"),
    "no caffemodel": (lambda f: (f / "a").write_bytes(b"\x00\x01"), {"model": "a"}, [], "a is no caffemodel"),
    "HDF5": (
        lambda f: (f / "a.caffemodel.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)),
        {"model": "a.caffemodel.h5"},
        [],
        "a.caffemodel.h5 is Caffe's HDF5; save the weights as .caffemodel",
    ),
    "exchanged": (
        lambda f: None,
        {"model": "deploy.prototxt", "prototxt": "net.caffemodel"},
        [],
        "net.caffemodel is no prototxt, which is text; the prototxt comes first",
    ),
    "other shapes": (
        lambda f: write_caffemodel(f / "b.caffemodel", {"conv1": ("Convolution", [np.zeros((4, 3, 5, 5))])}),
        {"model": "b.caffemodel"},
        [],
        "Caffe cannot take deploy.prototxt with b.caffemodel: Cannot copy param 0 weights from layer 'conv1'; shape",
    ),
    "an unknown layer": (
        lambda f: (f / "c").write_text((f / "deploy.prototxt").read_text().replace('"Concat"', '"Fold"')),
        {"prototxt": "c"},
        [],
        "Caffe cannot take c with net.caffemodel: .*Unknown layer type: Fold",
    ),
    "no prototxt at all": (
        lambda f: (f / "c").write_text("<html>"),
        {"prototxt": "c"},
        [],
        "Caffe cannot take c with net.caffemodel: Error parsing .*Check failed: ReadProtoFromTextFile.* c$",
    ),
    "a folder": (lambda f: (f / "out").mkdir(), {}, ["--out", "out"], "--out out is a folder"),
    "a file on the way": (lambda f: None, {}, ["--out", "image.npy/a.npz"], "image.npy is no folder"),
    "no picture": (lambda f: None, {"images": ("image.npy", "none.png")}, [], "no picture none.png"),
    "no pictures": (
        lambda f: np.save(f / "none.npy", np.zeros((0, SIZE, SIZE, 3), np.uint8)),
        {"images": ("none.npy",)},
        [],
        r"none.npy: pictures are uint8 \[N, 12, 12, 3\], not uint8 \[0, 12, 12, 3\]",
    ),
    "a smaller mean": (
        lambda f: np.save(f / "mean.npy", np.zeros((3, 8, 8))),
        {},
        ["--mean-file", "mean.npy"],
        r"mean.npy: a mean is \[3\] or \[3, H, W\], at least 12 x 12, not \[3, 8, 8\]",
    ),
    "no scale": (lambda f: None, {}, ["--scale", "0"], "--scale must be above 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line_and_leaves_nothing(deployed, case):
    prepare, files, flags, message = WRONG[case]
    folder = deployed("branches")
    prepare(folder)
    before = sorted(folder.rglob("*"))
    result = run(folder, *flags, **files)
    assert result.returncode == 2, result.stderr
    assert re.search(message, result.stderr.strip()), result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


def test_logits_that_are_all_the_same_are_refused(caffe, deployed):
    folder = deployed("branches")
    layers = weights_of(caffe.Net(str(folder / "deploy.prototxt"), caffe.TEST))
    zeros = {name: (kind, [0 * b for b in blobs]) for name, (kind, blobs) in layers.items()}
    write_caffemodel(folder / "net.caffemodel", zeros)
    result = run(folder)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith(
        "the logits 'classifier' are all 0: the net has no weights, or they are another net's"
    )
    assert not (folder / "reference.npz").exists()


def test_a_prototxt_of_old_and_comments_in_latin_1(deployed):
    folder = deployed("squeeze")
    old = "\n".join([INPUT, *NETS["squeeze"]]).replace("layer {", "layers {")
    for today, then in (("Convolution", "CONVOLUTION"), ("Concat", "CONCAT"), ("Dropout", "DROPOUT")):
        old = old.replace(f'"{today}"', then)
    for today, then in (("Pooling", "POOLING"), ("Softmax", "SOFTMAX"), ("ReLU", "RELU")):
        old = old.replace(f'type: "{today}"', f"type: {then}")
    (folder / "deploy.prototxt").write_bytes("# réseau\n".encode("latin-1") + old.encode())
    result = run(folder)
    assert result.returncode == 0, result.stderr
    assert "layer fire, logits pool" in result.stdout
    assert "picture 1 of 1, class" in result.stderr


@pytest.mark.parametrize("form", ["numbers", "npy", "binaryproto", "larger", "picture"])
def test_means_and_scale(deployed, form):
    folder = deployed("branches")
    mean = np.random.default_rng(2).uniform(100, 120, (3, SIZE + 4, SIZE + 2)).astype(np.float32)
    inside = mean[:, 2:-2, 1:-1]  # as Caffe crops
    if form == "numbers":
        inside = np.broadcast_to(np.float32([[[104]], [[117]], [[123]]]), inside.shape)
        flags = ["--mean", 104, 117, 123]
    elif form == "npy":
        inside = np.broadcast_to(mean[:, :1, :1], inside.shape)
        np.save(folder / "mean.npy", mean[:, 0, 0])
        flags = ["--mean-file", "mean.npy"]
    elif form == "larger":
        np.save(folder / "mean.npy", mean[None])
        flags = ["--mean-file", "mean.npy"]
    else:
        written = mean if form == "binaryproto" else inside
        (folder / "mean.binaryproto").write_bytes(blob(written, legacy_shape=form == "binaryproto", double=False))
        flags = ["--mean-file", "mean.binaryproto"]
    result = run(folder, *flags, "--scale", 0.5)
    assert result.returncode == 0, result.stderr
    with np.load(folder / "reference.npz") as file:
        bgr = file["images"][0].astype(np.float64)[..., ::-1]
        np.testing.assert_allclose(file["input"][0], (bgr - inside.transpose(1, 2, 0)) / 2, atol=1e-4)


def test_a_closed_pipe_is_nobodys_mistake(deployed):
    folder = deployed("branches")
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / "a.png")
    environment = {**os.environ, "PYTHONPATH": str(FAKE)}
    command = f"{sys.executable} {SCRIPT} deploy.prototxt net.caffemodel a.png | true"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=folder, env=environment)
    assert "cannot be read" not in result.stderr
    assert "Traceback" not in result.stderr


class TestPictures:
    """Beside the project's own reading, which shows a picture as a viewer does."""

    @pytest.fixture
    def pixels(self):
        return np.random.default_rng(3).integers(0, 256, (6, 9, 3), dtype=np.uint8)

    def check(self, script, path):
        np.testing.assert_array_equal(script.read_picture(str(path)), read_image(path))

    def test_sixteen_bits(self, script, pixels, tmp_path):
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
        self.check(script, tmp_path / "a.png")
        assert (script.read_picture(str(tmp_path / "a.png")) == pixels[..., :1]).all()

    def test_turned_as_exif_says(self, script, pixels, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
        self.check(script, tmp_path / "a.png")
        assert script.read_picture(str(tmp_path / "a.png")).shape == (9, 6, 3)

    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_transparency_is_white(self, script, pixels, tmp_path, mode):
        picture = Image.fromarray(pixels).convert(mode)
        picture.putalpha(Image.fromarray(pixels[..., 1]))
        picture.save(tmp_path / "a.png")
        self.check(script, tmp_path / "a.png")
