"""Manners of programs in a terminal: a silent TensorFlow, mistakes told in one line."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import os
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from slim_models.mistakes import Mistake

# What is told in one line: a user's mistake, and what the system refuses (no permission, a full disk). Anything else is
# an error of this project's, and shows its traceback.
MISTAKES = (Mistake, OSError)
INTERRUPTED = 130  # the exit code of what Ctrl-C ended, by the shells' custom
BROKEN_PIPE = 141


def quiet_tensorflow(quiet: bool = True) -> contextlib.AbstractContextManager[None]:
    """Silences TensorFlow's start-up chatter, for programs and notebooks.

        gradcam.quiet_tensorflow()

    It is called before TensorFlow is imported, which `from gradcam import Explainer` does; `import gradcam` does not.
    TensorFlow writes to the process's standard error before its own log level is read, so that is held back while it
    is imported, whenever that is; it is shown after all if the import fails.

    Args:
        quiet: False does nothing.

    Returns:
        A context that holds standard error back too, for those who import other chatterers in it.
    """
    if not quiet:
        return contextlib.nullcontext()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="tensorflow|tf_slim|keras")
    if "tensorflow" not in sys.modules and not any(isinstance(finder, _Held) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Held())
    return _held_back()


class _Held(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds TensorFlow as Python does, and loads it with standard error held back; once."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        assert module.__spec__ is not None  # it has just been made of it
        module.__spec__.loader = module.__loader__ = self._loader  # whoever asks later finds what is always there
        with _held_back():
            self._loader.exec_module(module)


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """Imports TensorFlow without Python's garbage collector, for programs that do so in this context; once.

    The collector looks again and again through the million objects that importing makes, and finds nothing: a quarter
    of the import, and later a fifth of a second whenever it looks through all. What is there at the end of the context
    is never looked through again.
    """
    if "tensorflow" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Holds back what the process writes to its standard error; it is shown after all if the context raises."""
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(shown, held.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)


class Parser(argparse.ArgumentParser):
    """Fails like anything that prints if nobody reads its help: argparse itself keeps a broken pipe to itself."""

    def print_help(self, file: Any = None) -> None:
        """Prints the help, by default to the standard output."""
        (sys.stdout if file is None else file).write(self.format_help())


def run_script(name: str, main: Callable[[], object]) -> None:
    """Runs a script's `main`; a mistake is told in one line and ends the process with 2, Ctrl-C with 130."""
    code = run(name, main)
    if type(code) is int and code:  # some return True
        sys.exit(code)


def run(name: str, main: Callable[[], object], verbose: bool = False) -> object:
    """What a program's `main` returns, or the code that it exits with; or, told in one line, 2 for a mistake and 130
    for Ctrl-C. Warnings are told in one line too.

    Whoever read what it prints may have seen enough (`| head`): then it ends without a word, with 141 as by the
    signal that shells know.

    Args:
        name: of the program, which the line begins with.
        main: the program.
        verbose: shows the traceback of a mistake too.
    """
    try:
        try:
            with _warnings_in_a_line(name):
                code = main()
        except SystemExit as stop:  # argparse's, of --help, --version or flags that it does not know
            if isinstance(stop.code, str):
                raise
            code = stop.code or 0
        if sys.stdout is not None:
            sys.stdout.flush()  # while a broken pipe can be told from an error of Python's own
        return code
    except KeyboardInterrupt as stop:
        print(f"{name}: {message(stop) or 'interrupted'}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return _piped_to_nobody()
    except MISTAKES as error:
        if verbose:
            traceback.print_exc()
        print(f"{name}: {message(error)}", file=sys.stderr)
        return 2


@contextlib.contextmanager
def _warnings_in_a_line(name: str) -> Iterator[None]:
    """Shows warnings as mistakes are, without the place in our code that gives them."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda warning, *place, **line: f"{name}: warning: {message(warning)}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def _piped_to_nobody() -> int:
    """Makes what is still to be written go nowhere, so that Python's own last flush does not complain."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return BROKEN_PIPE


def message(error: BaseException | str) -> str:
    """What an error or a warning says, in one line."""
    return " ".join(str(error).split())
