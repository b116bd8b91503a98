"""The script that prints differences of methods from a journal."""

import paired_differences
import pytest

from gradcam.evaluation.journal import Journal


@pytest.fixture
def journal(tmp_path):
    cells = [("grad_cam", 0.5, 0.2), ("centre", 0.25, 0.1), ("same", 0.5, 0.2)]
    rows = [{"rank": 0, "deletion": {name: of[i] for name, *of in cells}} for i in range(2)]
    Journal(tmp_path / "run.jsonl", {"network": "some"}).append(rows)
    return str(tmp_path / "run.jsonl")


def test_a_line_a_method(journal, capsys):
    """0.25 and 0.1 less: 0.175 on the mean, a standard error of 0.075, and Student's 12.706 of it for two pictures."""
    text = paired_differences.main([journal])
    assert capsys.readouterr().out == text + "\n"
    assert text.split("\n") == [
        "deletion, less that of grad_cam  mean [95 % interval]       standard errors  pictures",
        "centre                           -0.1750 [-1.1280, 0.7780]  -2.3             2",
        "same                             0.0000 [0.0000, 0.0000]                     2",
    ]


def test_names_that_the_journal_lacks(journal):
    with pytest.raises(KeyError, match="no method 'cam'; the methods are grad_cam, centre, same"):
        paired_differences.main([journal, "--to", "cam"])
    with pytest.raises(KeyError, match="no metric 'insertion'; the metrics are deletion"):
        paired_differences.main([journal, "--metric", "insertion"])


def test_a_run_that_has_only_begun(tmp_path):
    (tmp_path / "run.jsonl").write_text('{"network": "some"}\n[{"rank"')
    with pytest.raises(ValueError, match=r"run\.jsonl has no rows yet"):
        paired_differences.main([str(tmp_path / "run.jsonl")])
