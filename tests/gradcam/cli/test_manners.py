"""How the command line behaves: its version, its help, mistakes in one line, errors of our own, Ctrl-C."""

import gc
import os
import subprocess
import sys
import warnings

import pytest

import gradcam
import slim_models
from gradcam.cli import main, quick
from gradcam.cli.evaluate import KINDS
from gradcam.cli.main import COMMANDS
from gradcam.cli.writer import OUTPUTS
from gradcam.comparison.references import LAYOUTS
from gradcam.maps import COLORMAPS
from gradcam.methods import REGISTRY
from gradcam.terminal import run_script, without_collecting
from slim_models.labels import LISTS
from slim_models.mistakes import BadValue, MissingFile, MissingPackage, UnknownName, Unreachable

KINDS_OF_MISTAKES = {
    BadValue: ValueError,
    UnknownName: KeyError,
    MissingFile: FileNotFoundError,
    MissingPackage: ImportError,
    Unreachable: OSError,
}
# What a command's help has to name, which is all that its registry has.
REGISTRIES = {
    "explain": [
        *(*REGISTRY, *COLORMAPS, *OUTPUTS, *slim_models.PREPROCESSINGS, *slim_models.PRECISIONS, *LISTS),
        *(f"sample:{name}" for name in gradcam.SAMPLES),
    ],
    "compare": [*LAYOUTS, *slim_models.PREPROCESSINGS, *slim_models.HEADS],
    "download": list(slim_models.SOURCES),
    "layers": list(slim_models.PREPROCESSINGS),
    "evaluate": list(KINDS),
}


@pytest.mark.parametrize(("kind", "builtin"), KINDS_OF_MISTAKES.items())
def test_a_mistake_is_also_what_a_caller_would_catch(kind, builtin):
    mistake = kind("no layer 'conv9'; the layers are 'a' and \"b\"")
    assert isinstance(mistake, builtin)
    assert isinstance(mistake, gradcam.Mistake)
    assert str(mistake) == "no layer 'conv9'; the layers are 'a' and \"b\""


def test_a_sentence_is_never_printed_in_quotes(capsys):
    for arguments in (["explain", "sample:tea"], ["explain", "sample:coffee", "--network", "vgg61"]):
        assert main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("gradcam: no ") and not line.endswith(("'", '"'))


@pytest.mark.parametrize("error", [KeyError("conv5_3"), ValueError("operands could not be broadcast"), TypeError("x")])
def test_an_error_of_our_own_is_no_mistake_of_the_user_s(error, monkeypatch):
    def fails(args):
        raise error

    monkeypatch.setattr(quick, "networks", fails)
    with pytest.raises(type(error)):
        main(["networks"])


def test_what_the_system_refuses_is_told_in_one_line(monkeypatch, capsys):
    def fails(args):
        raise PermissionError(13, "Permission denied", "/out")

    monkeypatch.setattr(quick, "networks", fails)
    assert main(["networks"]) == 2
    assert capsys.readouterr().err == "gradcam: [Errno 13] Permission denied: '/out'\n"


def test_a_warning_is_told_in_one_line_too(monkeypatch, capsys):
    shown = warnings.formatwarning

    def warned(args):  # as Python would; pytest keeps warnings to itself
        sys.stderr.write(warnings.formatwarning(RuntimeWarning("its logits\n  are odd"), RuntimeWarning, "net.py", 7))
        return 0

    monkeypatch.setattr(quick, "networks", warned)
    assert main(["networks"]) == 0
    assert capsys.readouterr().err == "gradcam: warning: its logits are odd\n"
    assert warnings.formatwarning is shown


def test_ctrl_c_is_one_line_and_130(monkeypatch, capsys):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(quick, "networks", interrupted)
    assert main(["networks"]) == 130
    assert capsys.readouterr().err == "gradcam: interrupted\n"
    with pytest.raises(SystemExit) as stop:
        run_script("reproduce_figure1", interrupted)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "reproduce_figure1: interrupted\n"


def test_the_version_has_one_place(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gradcam {slim_models.__version__}\n"
    assert gradcam.__version__ == slim_models.__version__


@pytest.mark.parametrize(("command", "names"), REGISTRIES.items())
def test_help_names_what_the_registries_have(command, names, capsys):
    assert main([command, "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert [name for name in names if name not in printed] == []


@pytest.mark.parametrize(
    "arguments", [["--help"], *([name, "--help"] for name in REGISTRIES), ["evaluate", "pointing", "-h"]]
)
def test_help_does_not_wait_for_tensorflow(arguments):
    code = "import sys, gradcam.cli; gradcam.cli.main(sys.argv[1:]); sys.exit('tensorflow' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, timeout=60)
    assert result.returncode == 0


HELPS = [[], *([name] for name in COMMANDS), *(["evaluate", kind] for kind in KINDS)]


@pytest.mark.parametrize("arguments", [*([*words, "--help"] for words in HELPS), ["--version"], ["networks"]])
def test_what_nobody_reads_ends_without_a_word(arguments, monkeypatch, capfd):
    """As `gradcam --help | head -1`: the reader is gone before the rest is written."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", encoding="utf-8") as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        assert main(arguments) == 141
    assert capfd.readouterr().err == ""


def test_nor_does_a_script_complain(tmp_path):
    (tmp_path / "script.py").write_text(
        "import argparse\nfrom gradcam.terminal import run_script, without_collecting\n"
        "run_script('script', argparse.ArgumentParser(description='x' * 100).parse_args)\n"
    )
    command = [sys.executable, str(tmp_path / "script.py"), "--help"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_process_ends_with_the_words_of_its_exit():
    """Only a code is taken for one."""
    with pytest.raises(SystemExit, match="no such thing"):
        run_script("script", lambda: sys.exit("no such thing"))
    with pytest.raises(SystemExit) as stop:
        run_script("script", lambda: sys.exit(3))
    assert stop.value.code == 3
    assert run_script("script", sys.exit) is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_evaluation_has_its_flags(kind, capsys):
    assert main(["evaluate", kind, "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(flag in printed for flag in ("--data", "--network", "--out", "--methods", "--preprocessing"))


class TestCollecting:
    def test_waits_while_tensorflow_is_imported(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
        try:
            with without_collecting():
                assert not gc.isenabled()
            assert gc.isenabled()
            assert gc.get_freeze_count() > 0
            with pytest.raises(ImportError), without_collecting():
                raise ImportError("no TensorFlow")
            assert gc.isenabled()
        finally:
            gc.unfreeze()

    def test_goes_on_where_tensorflow_is_there(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorflow", None)
        with without_collecting():
            assert gc.isenabled()
        assert gc.get_freeze_count() == 0
