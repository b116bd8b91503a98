"""What users could import or call before still works, and says what it is called now."""

import importlib
import sys

import pytest

import slim_models

MOVED = {
    "gradcam.photographs": ("gradcam.pictures", "Photograph expand read_photograph"),
    "gradcam.labels": ("slim_models.labels", "Labels class_index class_indices class_name read_labels"),
    "gradcam.writing": ("gradcam.pictures", "write_npz write_png"),
    "slim_models.downloads": ("slim_models.downloading", "download mirrored"),
}


@pytest.mark.parametrize("module", MOVED)
def test_modules_that_were_moved(module):
    home, names = MOVED[module]
    sys.modules.pop(module, None)
    with pytest.warns(DeprecationWarning, match=f"{module} is {home} now"):
        found = importlib.import_module(module)
    for name in names.split():
        assert getattr(found, name) is getattr(importlib.import_module(home), name)


def test_network_named():
    with pytest.warns(DeprecationWarning, match="open_network"):
        network, weights = slim_models.network_named("vgg16_tiny")
    assert network.labels.name(193) == "espresso"
    slim_models.check_weights(network, weights)


def test_old_paths_of_what_is_still_there():
    """Paths that scripts of users may have; each is now a folder or a module of the same name."""
    from gradcam import boxes, cams, comparison, explainer, evaluation, figures, maps, methods  # noqa: F401, I001
    from gradcam.cli import main  # noqa: F401
    from gradcam.comparison import compare  # noqa: F401
    from slim_models.weights import read_weights  # noqa: F401

    assert figures.TITLES["grad_cam_plus_plus"] == "Grad-CAM++"
