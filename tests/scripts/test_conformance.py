"""The table of who agrees with whom: of a few stored maps, and of libraries that are installed."""

import importlib.util
import json
import sys

import conformance
import numpy as np
import pytest
from reference_data import DATA

from gradcam.comparison import Candidates, explained, identify


def test_the_table_of_maps_that_are_there(tmp_path, capsys):
    wanted = {"torch": ["torchcam/GradCAMpp/grad_cam_plus_plus"], "keras": ["xplique/GradCAM/grad_cam"]}
    for family, names in wanted.items():
        with np.load(DATA / f"conformance_{family}.npz") as arrays:
            np.savez(tmp_path / f"conformance_{family}.npz", **{name: arrays[name] for name in ["versions", *names]})
    out = conformance.main(["--made", "--arrays", str(tmp_path), "--out", str(tmp_path / "table.md")])
    lines = out.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4 and lines[0].startswith("| library | theirs | ours | verdict |")
    assert lines[2].startswith(
        "| torchcam 0.5.0 | `GradCAMpp` | `grad_cam_plus_plus` | another definition | with g^2 in"
    )
    assert "| agrees after an affine map or resizing | enlarged, bicubic as TensorFlow's |" in lines[3]
    assert lines[2] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("family", "needed", "name"),
    [
        ("torch", ["torch", "captum"], "captum/GuidedBackprop/guided_backprop"),
        ("keras", ["tf_keras_vis"], "tf-keras-vis/Gradcam/grad_cam"),
    ],
)
def test_a_library_that_is_here_still_makes_them(family, needed, name, tmp_path, monkeypatch):
    for module in needed:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install -r scripts/benchmark-requirements.txt")
    monkeypatch.setattr(conformance, "FAMILIES", (family,))
    conformance.make(sys.executable, tmp_path)
    with np.load(tmp_path / f"conformance_{family}.npz") as arrays, explained() as one:
        assert name.split("/")[0] in json.loads(str(arrays["versions"]))
        assert identify(arrays[name], Candidates(one), name.split("/")[2]).agrees
