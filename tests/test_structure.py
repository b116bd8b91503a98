"""What the design promises of the code itself: who imports whom, where libraries have their rooms, how small all is."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import slim_models

ROOT = Path(__file__).parent.parent
# Deprecated names of modules, which import what they were moved to and are imported by nobody.
MOVED = {"gradcam.labels", "gradcam.photographs", "gradcam.writing", "slim_models.downloads"}


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for package in ("slim_models", "gradcam") for path in (ROOT / package).rglob("*.py")}
MODULES = {name: path for name, path in MODULES.items() if name not in MOVED}
SCRIPTS = [*(ROOT / "scripts").rglob("*.py")]

# A room is a folder, or a module that lies in none. Room -> the rooms that it may import; what is not here imports
# none. Every room may import what is for all, and its own modules, as long as they go round in no circle.
BACKWARD, NETWORK, BUILDERS, WEIGHTS = (
    f"slim_models.{room}" for room in ("backward", "network", "builders", "weights")
)
FILES, HEADS, LABELS, MEMORY = (f"slim_models.{room}" for room in ("files", "heads", "labels", "memory"))
DOWNLOADING, FETCHING, LOCKS = (f"slim_models.{room}" for room in ("downloading", "fetching", "locks"))
NAMING = "slim_models.naming"
PASSES, LOADING, OPENING = "slim_models.loading.passes", "slim_models.loading", "slim_models.opening"
FOR_ALL = {f"slim_models.{room}" for room in ("graphs", "lazy", "mistakes", "running", "sizes")}
NUMBERS = {"gradcam.cams", "gradcam.maps", "gradcam.boxes"}
CORE = {
    *NUMBERS,
    "gradcam.strangers",
    "gradcam.explanation",
    "gradcam.explainer",
    "gradcam.methods",
    "gradcam.pictures",
    "slim_models",
}
ARROWS = {
    LABELS: {FILES},
    NETWORK: {BACKWARD, LABELS},
    WEIGHTS: {FILES, MEMORY, NETWORK},
    BUILDERS: {FILES, LABELS, BACKWARD, NETWORK, WEIGHTS},
    FILES: {LOCKS},
    DOWNLOADING: {FETCHING, FILES, LOCKS, BUILDERS, WEIGHTS},
    NAMING: {FILES, HEADS, LABELS, BUILDERS, WEIGHTS},
    PASSES: {BACKWARD, WEIGHTS},
    LOADING: {FILES, HEADS, LABELS, BACKWARD, NETWORK, BUILDERS, WEIGHTS, NAMING, PASSES},
    OPENING: {LABELS, NETWORK, BUILDERS, WEIGHTS, NAMING, LOADING},
    "gradcam.maps": {"gradcam.enlarged"},
    "gradcam.pictures": {"gradcam.maps", FILES, WEIGHTS},
    "gradcam.strangers": {HEADS},
    "gradcam.explanation": {"gradcam.cams", "gradcam.maps", "gradcam.strangers", HEADS},
    "gradcam.targets": {LABELS},
    "gradcam.sessions": {"slim_models", WEIGHTS},
    "gradcam.tracing": {"gradcam.fixations", BACKWARD, "slim_models"},
    "gradcam.again": {
        *("gradcam.explanation", "gradcam.fixations", "gradcam.runs", "gradcam.sessions", "gradcam.tracing"),
        "slim_models",
    },
    "gradcam.runs": {"slim_models", MEMORY},
    "gradcam.noise": {"gradcam.cams", "gradcam.perturbation"},
    "gradcam.xrai": {"gradcam.pictures"},
    "gradcam.paths": {"gradcam.noise", "gradcam.perturbation"},
    "gradcam.more_runs": {
        *("gradcam.cams", "gradcam.explanation", "gradcam.fixations", "gradcam.noise", "gradcam.paths"),
        *("gradcam.perturbation", "gradcam.xrai", HEADS),
    },
    "gradcam.methods": {
        *("gradcam.baselines", "gradcam.cams", "gradcam.explanation", "gradcam.maps", "gradcam.more_runs"),
        "gradcam.paths",
    },
    "gradcam.panels": {*NUMBERS, "gradcam.explanation", "gradcam.methods", "gradcam.pictures"},
    "gradcam.figures": {"gradcam.maps", "gradcam.methods", "gradcam.panels", "gradcam.pictures", FILES},
    "gradcam.explainer": {
        *("gradcam.again", "gradcam.explanation", "gradcam.pictures", "gradcam.runs", "gradcam.sessions"),
        *("gradcam.strangers", "gradcam.targets"),
        *("slim_models", LABELS, WEIGHTS),
    },
    "gradcam.adversarial": {"gradcam.explainer", "gradcam.pictures", HEADS},
    "gradcam.comparison": {
        *(*CORE, "gradcam.figures", "gradcam.more_runs", "gradcam.noise", "gradcam.perturbation", "gradcam.targets"),
        *(BACKWARD, BUILDERS, HEADS, NETWORK, WEIGHTS),
    },
    "gradcam.evaluation.datasets": {"gradcam.boxes", "gradcam.pictures", FILES, LABELS, WEIGHTS},
    "gradcam.events": {"gradcam.pictures"},
    "gradcam.training": {
        *(*CORE, "gradcam.events", "gradcam.panels", "gradcam.targets", LABELS, NETWORK),
    },
    "gradcam.cluster": {"gradcam.terminal"},
    "gradcam.evaluation": {
        *(*CORE, "gradcam.baselines", "gradcam.cluster", "gradcam.evaluation.datasets", "gradcam.figures"),
        *("gradcam.perturbation", "gradcam.pipeline", "gradcam.sessions"),
        *(FILES, HEADS, LABELS, LOCKS, NETWORK),
    },
    "gradcam.cli": {
        *(*CORE, "gradcam.comparison", "gradcam.evaluation", "gradcam.evaluation.datasets", "gradcam.figures"),
        *("gradcam.cluster", "gradcam.events", "gradcam.panels", "gradcam.pipeline", "gradcam.targets"),
        "gradcam.terminal",
        *(FILES, HEADS, LABELS, NETWORK, WEIGHTS, DOWNLOADING, NAMING),
    },
}
# The public faces of the packages import whatever they show; python -m gradcam is the command line.
FACES = {"slim_models", "gradcam", "gradcam.__main__"}

# Modules of gradcam that call TensorFlow; what they give is NumPy.
WITH_TENSORFLOW = {
    *("gradcam.explainer", "gradcam.runs", "gradcam.sessions", "gradcam.comparison.influence", "gradcam.events"),
    *("gradcam.training.callback", "gradcam.training.hook"),
}
# Modules that bring TensorFlow when they are imported, beside those of slim_models that are about graphs.
BRING_TENSORFLOW = WITH_TENSORFLOW | {
    "gradcam.again",
    "gradcam.tracing",
    "gradcam.comparison.authors",
    "gradcam.comparison.comparing",
    "gradcam.comparison.conforming",
    "gradcam.comparison.differences",
    "gradcam.comparison.side_by_side",
    "gradcam.comparison.ties",
    "gradcam.comparison.variants",
    "gradcam.cli.commands",
    "gradcam.cli.page",
    "gradcam.cli.reporting",
    "gradcam.cli.reproduction",
    "gradcam.cli.studio",
    "gradcam.training.watching",
}
NUMPY_WEIGHTS = (
    *(
        "archives",
        "bundle",
        "caffe_names",
        "caffemodel",
        "checkpoint",
        "drawn",
        "folding",
        "hdf5",
        "npy",
        "opcodes",
        "placing",
        "protobuf",
        "pytorch",
        "reading",
        "slices",
        "table",
        "tensors",
        "torch_names",
        "values",
        "verify",
        "vgg_names",
    ),
    "writing",
)
WITHOUT_TENSORFLOW = {
    *(module for module in MODULES if module.startswith("gradcam") and module not in BRING_TENSORFLOW | FACES),
    "slim_models",
    "slim_models.fetching",
    "slim_models.files",
    "slim_models.graphs",
    "slim_models.labels",
    "slim_models.lazy",
    "slim_models.locks",
    "slim_models.memory",
    "slim_models.mistakes",
    "slim_models.naming",
    "slim_models.network",
    "slim_models.running",
    "slim_models.sizes",
    "slim_models.downloading",
    "slim_models.backward",
    "slim_models.builders",
    "slim_models.builders.catalogue",
    "slim_models.builders.endpoints",
    "slim_models.loading",
    "slim_models.weights",
    *(f"slim_models.weights.{name}" for name in NUMPY_WEIGHTS),
}


def room_of(module):
    """The folder of a module, or the module itself where it lies in none."""
    folder = module if MODULES[module].stem == "__init__" else module.rpartition(".")[0]
    return module if folder in FACES else folder


def import_statements(path, types=True):
    """All import statements of a file, at its top or inside functions; `types`: also those for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not types:
        tree.body = [n for n in tree.body if not (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))]
    return [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def imported(path, types=True):
    """Names of all modules that a file imports, and of what it imports from them."""
    for node in import_statements(path, types):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        yield from (
            (f"{node.module}." if isinstance(node, ast.ImportFrom) else "") + alias.name for alias in node.names
        )


def modules_imported_by(path, types=True):
    """The modules of both packages that a file imports; a package itself where it is asked for a name."""
    for node in import_statements(path, types):
        for alias in node.names:
            name = alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
            if name in MODULES:
                yield name
            elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
                yield node.module


def users_of(library):
    return {module for module in MODULES if any(name.split(".")[0] == library for name in imported(MODULES[module]))}


@pytest.mark.parametrize("module", sorted(set(MODULES) - FACES))
def test_arrows_between_rooms(module):
    room = room_of(module)
    found = {room_of(name) for name in modules_imported_by(MODULES[module])} - {room} - FOR_ALL
    assert found <= ARROWS.get(room, set()), f"{module} imports {sorted(found - ARROWS.get(room, set()))}"


def test_the_arrows_go_round_in_no_circle():
    below = {room: set(others) for room, others in ARROWS.items()}
    below["slim_models"] = {room for room in below if room.startswith("slim_models.")}
    while below:
        lowest = [room for room, others in below.items() if not others & below.keys()]
        assert lowest, f"a circle among {sorted(below)}"
        for room in lowest:
            del below[room]


def test_modules_of_a_room_import_each_other_in_no_circle():
    modules = [module for module, path in MODULES.items() if path.stem != "__init__"]
    below = {module: set(modules_imported_by(MODULES[module], types=False)) & set(modules) for module in modules}
    while below:
        lowest = [module for module, others in below.items() if not others & below.keys()]
        assert lowest, f"a circle among {sorted(below)}"
        for module in lowest:
            del below[module]


@pytest.mark.parametrize("path", [*MODULES.values(), *SCRIPTS], ids=name_of)
def test_nobody_reaches_past_a_folders_face(path):
    """Outside a folder its names come from its face, `from slim_models.backward import gradients`, or in a module."""
    own = room_of(name_of(path)) if path in MODULES.values() else None
    for node in import_statements(path):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES and MODULES[node.module].stem != "__init__":
            folder = room_of(node.module)
            assert folder in (node.module, own) or path.parent == MODULES[node.module].parent, (
                f"from {node.module} import ...: what others need of it is in {folder}"
            )


@pytest.mark.parametrize("path", [*MODULES.values(), *SCRIPTS], ids=name_of)
def test_private_names_stay_where_they_are(path):
    for node in import_statements(path):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            private = [alias.name for alias in node.names if alias.name.startswith("_") and alias.name != "__version__"]
            assert not private, node.module


def test_no_script_imports_another():
    """What scripts share is in the library, or in a package beside the benchmarks."""
    names = {path.stem for path in SCRIPTS if path.parent.name in ("scripts", "benchmarks")}
    for path in SCRIPTS:
        others = {name.split(".")[0] for name in imported(path)} & names
        assert not others, f"{path.name} imports {others}"


def test_libraries_have_their_rooms():
    assert users_of("tf_slim") == {"slim_models.builders.layers"}
    assert users_of("h5py") == {"slim_models.weights.hdf5", "slim_models.weights.vgg_names"}
    assert users_of("pooch") == {"slim_models.fetching", "slim_models.weights.verify"}
    assert users_of("gradio") == {"gradcam.cli.serving"}
    drawing = {"gradcam.figures", "gradcam.evaluation.charts", "gradcam.comparison.side_by_side"}
    assert users_of("matplotlib") - {"gradcam.pictures.samples"} <= drawing
    assert not [module for module in MODULES if "matplotlib.pyplot" in imported(MODULES[module])]  # it has global state
    calling = {
        module
        for module, path in MODULES.items()
        if module.startswith("gradcam") and any(n.startswith("tensorflow") for n in imported(path, types=False))
    }
    assert calling == WITH_TENSORFLOW
    registering = {"slim_models.backward.rules", "slim_models.builders.fast_layers"}
    assert {m for m, path in MODULES.items() if "RegisterGradient(" in path.read_text()} == registering
    assert [m for m, path in MODULES.items() if "tf.gradients(" in path.read_text()] == ["slim_models.backward.rules"]
    assert [m for m, path in MODULES.items() if "tf.Session(" in path.read_text()] == ["slim_models.running"]
    assert users_of("distributed") <= {"gradcam.cluster.connecting", "gradcam.cluster.working"}


def test_modules_and_functions_are_small():
    for module, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 350, module
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                start = node.body[1].lineno if ast.get_docstring(node) and len(node.body) > 1 else node.body[0].lineno
                assert node.end_lineno - start < 32, f"{module}.{node.name}"


def test_the_citation_is_of_this_version():
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {slim_models.__version__}" in lines and "title: gradcam-tf1" in lines


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
import importlib
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        getattr(module, public)
assert tf.executing_eagerly() and tf.compat.v1.resource_variables_enabled()
assert dict(os.environ) == environment and set(warnings.filters) == set(filters)
assert logging.root.handlers == handlers and logging.getLogger("tensorflow").level == level
"""


def test_importing_sets_nothing_and_prints_nothing():
    modules = sorted(module for module in MODULES if "__main__" not in module)
    command = [sys.executable, "-c", IMPORT_SAFE, *modules]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "imported"
    assert result.stderr.endswith("imported")


LOADED = """
import importlib, os, sys
import h5py, numpy, PIL.Image, tqdm  # what takes longest; TensorFlow does not come with them
for name in sys.argv[1:]:
    if not os.fork():
        importlib.import_module(name)
        os._exit("tensorflow" in sys.modules)
    print(name, os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


@pytest.fixture(scope="module")
def exit_codes():
    """Of processes that import a module each, and nothing else of ours: 0 if TensorFlow did not come with it."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    command = [sys.executable, "-c", LOADED, *sorted(WITHOUT_TENSORFLOW)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return dict(line.split() for line in result.stdout.splitlines())


@pytest.mark.parametrize("module", sorted(WITHOUT_TENSORFLOW))
def test_what_needs_no_tensorflow_does_not_import_it(module, exit_codes):
    assert exit_codes[module] == "0"


@pytest.mark.parametrize("module", sorted(name for name, path in MODULES.items() if path.stem == "__init__"))
def test_a_face_shows_the_same_names_to_python_and_to_type_checkers(module):
    """The names that are imported when they are first used, and those under `if TYPE_CHECKING`."""
    found = __import__(module, fromlist=["__all__"])
    for name in found.__all__:
        assert getattr(found, name) is not None
    for node in ast.parse(MODULES[module].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If):
            shown = {alias.asname for part in node.body for alias in part.names}
            assert shown == set(found.__all__)
    with pytest.raises(AttributeError, match="grad_cam_3d"):
        _ = found.grad_cam_3d
