"""What the design promises of the code itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    f"{package}.{path.stem}": path for package in ("slim_models", "gradcam") for path in (ROOT / package).glob("*.py")
}

# Every arrow between rooms of gradcam, and from them to slim_models; all point down this list.
ORDER = [
    "slim_models",
    "labels",
    "cams",
    "ablations",
    "boxes",
    "metrics",
    "estimates",
    "randomization",
    "occlusion",
    "journal",
    "terminal",
    "pipeline",
    "writing",
    "images",
    "fitting",
    "maps",
    "similarity",
    "samples",
    "datasets",
    "labelled",
    "picture_lists",
    "ilsvrc_lists",
    "ilsvrc_xml",
    "ilsvrc",
    "examples",
    "explanation",
    "quantities",
    "references",
    "differences",
    "photographs",
    "sessions",
    "fetches",
    "methods",
    "explainer",
    "adversarial",
    "sanity",
    "evaluation",
    "localization",
    "pointing",
    "faithfulness",
    "ties",
    "comparison",
    "authors",
    "figures",
    "charts",
    "curves",
    "side_by_side",
    "outputs",
    "reports",
    "chosen",
    "listings",
    "commands",
    "flags",
    "cli",
]


def imported(path):
    """Names of all modules that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_of(module):
    return set(imported(MODULES[module]))


def users_of(library):
    return {module for module in MODULES if any(name.split(".")[0] == library for name in imports_of(module))}


def test_slim_models_never_imports_gradcam():
    assert not {module for module in users_of("gradcam") if module.startswith("slim_models")}


def test_arrows_in_gradcam_point_down():
    rooms = [module for module in MODULES if module.startswith("gradcam.") and "__" not in module]
    assert {room.split(".")[1] for room in rooms} <= set(ORDER)
    for room in rooms:
        name = room.split(".")[1]
        below = {n.split(".")[1] for n in imports_of(room) if n.startswith("gradcam.")} & set(ORDER)
        assert all(ORDER.index(other) < ORDER.index(name) for other in below), f"{name} imports {below}"


def test_libraries_have_their_rooms():
    assert users_of("tf_slim") == {"slim_models.layers"}
    assert users_of("h5py") == {"slim_models.keras_hdf5"}
    assert users_of("pooch") == {"slim_models.downloads", "slim_models.hashes"}
    assert {module for module in users_of("matplotlib") if module != "gradcam.samples"} == {"gradcam.figures"}
    assert not [module for module in MODULES if "matplotlib.pyplot" in imports_of(module)]  # it has global state
    assert {module for module in users_of("tensorflow") if module.startswith("gradcam")} == {
        "gradcam.explainer",
        "gradcam.fetches",
        "gradcam.sessions",
    }
    registering = {"slim_models.relu_gradients", "slim_models.layer_gradients"}
    assert {m for m, path in MODULES.items() if "RegisterGradient(" in path.read_text()} == registering
    assert [m for m, path in MODULES.items() if "tf.gradients(" in path.read_text()] == ["slim_models.relu_gradients"]


def test_modules_and_functions_are_small():
    for module, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 170, module
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                start = node.body[1].lineno if ast.get_docstring(node) and len(node.body) > 1 else node.body[0].lineno
                assert node.end_lineno - start < 32, f"{module}.{node.name}"


def test_no_module_trusts_pickles():
    assert not [m for m, path in MODULES.items() if "allow_pickle=True" in path.read_text()]


IMPORT_SAFE = """
import logging, os, sys, warnings
import cv2, matplotlib.figure, PIL.Image, tensorflow as tf, tf_slim, tqdm  # these have ways of their own
environment, filters = dict(os.environ), list(warnings.filters)
handlers, level = list(logging.root.handlers), logging.getLogger("tensorflow").level
sys.stdout.write("imported")
sys.stdout.flush()
sys.stderr.write("imported")
sys.stderr.flush()
import slim_models, gradcam
from gradcam import Explainer, figures, samples, datasets
assert tf.executing_eagerly() and tf.compat.v1.resource_variables_enabled()
assert dict(os.environ) == environment and set(warnings.filters) == set(filters)
assert logging.root.handlers == handlers and logging.getLogger("tensorflow").level == level
"""


def test_importing_sets_nothing_and_prints_nothing():
    result = subprocess.run([sys.executable, "-c", IMPORT_SAFE], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "imported"
    assert result.stderr.endswith("imported")


@pytest.mark.parametrize("library", ["gradcam.cams", "gradcam.maps", "gradcam.images", "gradcam.explanation"])
def test_what_needs_no_tensorflow_does_not_import_it(library):
    code = f"import sys, {library}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_the_contents_of_gradcam_are_all_there():
    import gradcam

    for name in gradcam.__all__:
        assert getattr(gradcam, name) is not None
    with pytest.raises(AttributeError, match="grad_cam_3d"):
        _ = gradcam.grad_cam_3d
