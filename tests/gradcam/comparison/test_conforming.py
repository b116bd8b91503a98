"""Which method a map is: of other libraries' arrays, which were made by them, and of our own."""

import json
import pathlib

import conformance
import numpy as np
import pytest
from reference_data import DATA

from gradcam.cli.main import main
from gradcam.comparison import Candidates, conforming, explained, identify
from gradcam.comparison.defining import Definition
from gradcam.comparison.definitions import DEFINITIONS
from gradcam.methods import REGISTRY

DOCS = pathlib.Path(__file__).parents[3] / "docs" / "CONFORMANCE.md"


@pytest.fixture(scope="module")
def one():
    with explained() as one:
        yield one


@pytest.fixture(scope="module")
def candidates(one):
    return Candidates(one)


@pytest.fixture(scope="module")
def theirs():
    """`LIBRARY/THEIR NAME/OUR METHOD` -> the map, of all libraries."""
    found = {}
    for family in conformance.FAMILIES:
        with np.load(DATA / f"conformance_{family}.npz") as arrays:
            found |= {name: arrays[name] for name in arrays.files if name != "versions"}
    return found


class TestTheDocumentation:
    @pytest.fixture
    def documented(self):
        lines = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "`" in line]

    def test_says_what_the_arrays_are(self, documented, theirs):
        """Verdict and definition of each library's map; not of random methods, which take long."""
        random = {definition.method for definition in DEFINITIONS if definition.again is not None}
        assert len(documented) == len(theirs)
        told = [row[:5] for row in documented if row[2].strip("`") not in random]
        assert [row[:5] for row in conformance.rows(DATA, but=random)] == told

    def test_the_arrays_are_small(self):
        for family in conformance.FAMILIES:
            assert (DATA / f"conformance_{family}.npz").stat().st_size < 1e6


def test_the_definition_that_a_library_has_is_found_among_all(candidates, theirs):
    """Without being told which method it is meant to be."""
    wanted = {
        "grad-cam/XGradCAM/xgrad_cam": "",
        "torchcam/GradCAMpp/grad_cam_plus_plus": "with g^2 in place of alpha",
        "tf-keras-vis/GradcamPlusPlus/grad_cam_plus_plus": "with alphas that add up to 1",
        "xplique/GradCAMPP/grad_cam_plus_plus": "with the mean of A in place of its sum",
        "xplique/GuidedBackprop/guided_backprop": "",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conforming, "DEFINITIONS", [d for d in DEFINITIONS if d.again is None])
        for name, says in wanted.items():
            match = identify(theirs[name], candidates)
            assert (match.definition.method, match.definition.says) == (name.split("/")[2], says)
            assert match.agrees


def test_ours_is_ours(one, candidates):
    match = identify(one.cam("hires_cam"), candidates, "hires_cam")
    assert match.verdict == "agrees" and match.likeness.difference < 1e-6
    match = identify(7 * one.cam("hires_cam")[0] + 1, candidates, "hires_cam")
    assert match.verdict == "agrees after an affine map or resizing"
    match = identify(np.random.default_rng(0).random((8, 8)), candidates, "hires_cam")
    assert str(match).startswith("computes something else: hires_cam; largest difference ")


def test_random_methods_agree_within_what_two_seeds_differ_by(one):
    """A made-up method: of noise of a tenth. Another draw of it agrees, and no map that has nothing to do with it."""
    base = np.float64(one.cam()[0] / one.cam().max())

    def drawn(seed):
        return lambda _: base + np.random.default_rng(seed).uniform(0, 0.1, base.shape)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conforming, "DEFINITIONS", [Definition("grad_cam", "", drawn(0), drawn(1))])
        assert identify(drawn(2)(one), Candidates(one)).verdict == "agrees but for random numbers"
        assert identify(base[::-1, ::-1], Candidates(one)).verdict == "computes something else"


def test_every_definition_is_of_a_method():
    assert {definition.method for definition in DEFINITIONS} <= set(REGISTRY)
    assert len({(definition.method, definition.says) for definition in DEFINITIONS}) == len(DEFINITIONS)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones(5), r"\[h, w\] or \[H, W, 3\], not \[5\]"),
        (np.full((8, 8), np.nan), "finite"),
        (np.array("text"), "finite numbers"),
        (np.ones((5, 5, 4)), r"no method makes maps \[5, 5, 4\]"),
    ],
)
def test_what_is_no_map(candidates, array, words, monkeypatch):
    monkeypatch.setattr(conforming, "DEFINITIONS", DEFINITIONS[:3])
    with pytest.raises(ValueError, match=words):
        identify(array, candidates)


class TestCommandLine:
    def test_a_reference_and_maps_made_of_it(self, tmp_path, monkeypatch, capsys):
        """Grad-CAM by hand, of the arrays that the reference holds; what is no map is said to be none."""
        monkeypatch.setattr(conforming, "DEFINITIONS", [d for d in DEFINITIONS if d.method == "grad_cam"])
        assert main(["conformance", "--reference", str(tmp_path / "r.npz")]) == 0
        with np.load(tmp_path / "r.npz") as reference:
            found = {name: reference[name] for name in reference.files}
        about = json.loads(str(found["provenance"]))
        assert about["target"] == 3 and about["layer"] == "conv4_3 after its ReLU"
        assert found["image"].shape == (64, 64, 3) and found["weights/conv1_1/weights"].shape == (3, 3, 3, 4)
        weights = found["gradients"].mean(axis=(0, 1))
        signed = found["activations"] @ weights
        np.savez(tmp_path / "my.npz", mine=np.maximum(signed, 0), other=signed, list=np.ones(3))
        capsys.readouterr()
        assert main(["conformance", str(tmp_path / "my.npz")]) == 0
        lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
        assert lines["mine"].strip().startswith("agrees: grad_cam; largest difference")
        assert lines["other"].strip().startswith("another definition: grad_cam without its ReLU")
        assert "must be [h, w]" in lines["list"]

    @pytest.mark.parametrize(
        ("words", "said"),
        [([], "give MY.npz"), (["gone.npz"], "no maps at gone.npz"), ([__file__], "is not an npz file")],
    )
    def test_mistakes_are_one_line(self, words, said, capsys):
        assert main(["conformance", *words]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("gradcam: ") and said in error

    def test_an_empty_file(self, tmp_path, capsys):
        np.savez(tmp_path / "empty.npz")
        assert main(["conformance", str(tmp_path / "empty.npz")]) == 2
        assert "holds no maps" in capsys.readouterr().err
