"""Metrics beside those of Quantus, captum and PAIR saliency on the same arrays; skipped where these are missing."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).parents[2] / "helpers" / "other_metrics.py"
THEIRS = {
    "quantus": [
        *("Sparseness", "Complexity", "RelevanceMassAccuracy", "RelevanceRankAccuracy", "PixelFlipping", "ROAD"),
        *("FaithfulnessCorrelation", "MaxSensitivity"),
    ],
    "captum": ["infidelity", "infidelity, normalize=True", "sensitivity_max"],
    "saliency": ["XRAI"],
}


@pytest.fixture(scope="module")
def differences():
    """Name of a metric -> the largest difference of its numbers, over the greatest of theirs."""
    result = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize(("library", "name"), [(library, name) for library in THEIRS for name in THEIRS[library]])
def test_our_metric_is_theirs(library, name, request):
    for needed in ("torch", library):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    assert request.getfixturevalue("differences")[name] < 1e-5
