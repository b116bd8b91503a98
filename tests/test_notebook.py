"""The notebooks, run as Jupyter runs them: a fresh kernel, in the notebooks' own folder."""

import asyncio
import json
import re
import shutil
import sys
from pathlib import Path

import matplotlib.font_manager  # noqa: F401  (makes its cache, which in a kernel is told on stderr)
import nbclient
import nbformat
import numpy as np
import pytest
from ipykernel.kernelspec import write_kernel_spec
from PIL import Image

from gradcam.pictures import samples

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOK, COMPARISON = FOLDER / "demo.ipynb", FOLDER / "comparison.ipynb"
PICTURES = {"chelsea": "Egyptian cat", "coffee": "espresso", "grace_hopper": "military uniform"}
FIGURES = 8


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a notebook in a copy of the folder, by this Python, out of reach of the user's own Jupyter."""
    write_kernel_spec(tmp_path / "jupyter" / "kernels" / "python3")  # of sys.executable; JUPYTER_PATH comes first
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    folder = tmp_path / "notebooks"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("out", ".ipynb_checkpoints"))

    def execute(notebook):
        client = nbclient.NotebookClient(
            notebook, kernel_name="python3", timeout=300, resources={"metadata": {"path": folder}}
        )
        asyncio.run(client.async_execute())
        return folder

    return execute


def read(path=NOTEBOOK):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(cells):
    return [output for cell in cells for output in cell.outputs]


def printed(cells):
    return "".join(output.text for output in outputs(cells) if output.output_type == "stream")


def figures(cells):
    return [output.data["image/png"] for output in outputs(cells) if "image/png" in output.get("data", ())]


def of_another_network(cells):
    """As the notebook itself says: a VGG16 has layers of other names; None explains what is predicted."""
    (settings,) = (cell for cell in cells if cell.id == "settings")
    layers = re.search(r"of a VGG16: (.*)", settings.source)[1]
    settings.source += f'\nNETWORK, LAYERS, CLASSES = "vgg16_tiny", {layers}, None'
    return cells


def test_it_runs_from_top_to_bottom_and_again_by_another_network(run):
    """Twice in one kernel: every cell is run a second time, after all the others."""
    notebook = read()
    again = of_another_network(read().cells)
    for cell in again:
        cell.id += "-again"
    count = len(code_cells(notebook))
    notebook.cells += again
    notebook.cells.append(nbformat.v4.new_code_cell("import sys; print(sys.executable)"))
    folder = run(notebook)

    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, 2 * count + 2))
    assert not [o for o in outputs(cells) if o.output_type == "error" or o.get("name") == "stderr"]
    assert printed(cells[-1:]).strip() == sys.executable
    first, second = cells[:count], cells[count:-1]
    assert len(figures(first)) == len(figures(second)) == FIGURES
    assert not first[0].outputs  # TensorFlow is imported in silence

    for name, seen in PICTURES.items():
        (top5,) = re.findall(rf"^{name}\n((?:  .+%  .+\n){{5}})", printed(first), re.MULTILINE)
        assert top5.splitlines()[0].endswith(f"%  {seen}")
    assert "default layer conv_head" in printed(first)
    assert "default layer conv5_3" in printed(second)
    for half in (first, second):
        assert printed(half).count("same cam: True") == len(PICTURES)
    check_files(folder / "out")


def check_files(out):
    assert {path.name for path in out.iterdir()} == {
        "figure.png",
        *(f"{name}.{kind}" for name in PICTURES for kind in ("npz", "overlay.png")),
    }
    for name in PICTURES:
        height, width = samples.SAMPLES[name]().shape[:2]
        with np.load(out / f"{name}.npz") as saved:
            arrays = dict(saved)
        assert arrays["heatmap"].shape == (height, width)
        assert arrays["heatmap"].min() >= 0
        assert arrays["heatmap"].max() == 1
        assert arrays["cam"].shape == arrays["activations"].shape[:2]
        assert arrays["guided_grad_cam"].shape == arrays["images"].shape
        with Image.open(out / f"{name}.overlay.png") as overlay:
            assert overlay.size == (width, height)
    with Image.open(out / "figure.png") as figure:
        assert figure.width > 2000  # 300 dpi


def test_the_comparison_runs(run):
    """On the smaller network; what it prints is of five lines a map, and of the definition that it writes down."""
    notebook = read(COMPARISON)
    (settings,) = (cell for cell in notebook.cells if cell.id == "settings")
    settings.source += '\nCLASSES, NETWORK = ["Egyptian cat", "espresso"], "vgg16_tiny"'
    for cell in code_cells(notebook):  # of whose classes there are no other cats
        cell.source = cell.source.replace(
            '"tabby", Difference("tabby", "tiger cat"), Difference("tabby"', "*CLASSES, Difference(CLASSES[0]"
        )
    run(notebook)
    cells = code_cells(notebook)
    assert not [o for o in outputs(cells) if o.output_type == "error" or o.get("name") == "stderr"]
    assert len(figures(cells)) == 2
    assert len(re.findall(r"^  (?:map|weights|class|noise|deletion) ", printed(cells), re.MULTILINE)) == 15
    assert "another definition: grad_cam_plus_plus with the mean of A" in printed(cells)
    for line in re.findall(r"centre of espresso\n((?:  .+\n){5})", printed(cells))[0].splitlines()[1:3]:
        assert "hardly changes: likeness 1.00" in line


@pytest.mark.parametrize("path", [NOTEBOOK, COMPARISON])
def test_it_is_stored_without_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert set(cell.metadata) == set()
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.parametrize("path", [NOTEBOOK, COMPARISON])
def test_its_text_is_stable_and_names_no_machine(path):
    text = path.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
    for cell in read(path).cells:
        assert not re.search(r"(?<![\w.:/])(/|~/|[A-Za-z]:\\)\w", cell.source), cell.source
