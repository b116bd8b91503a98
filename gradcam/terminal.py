"""Manners of programs in a terminal: a silent TensorFlow, mistakes told in one line."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator

from slim_models.mistakes import Mistake

# What is told in one line: a user's mistake, and what the system refuses (no permission, a full disk). Anything else is
# an error of this project's, and shows its traceback.
MISTAKES = (Mistake, OSError)
INTERRUPTED = 130  # the exit code of what Ctrl-C ended, by the shells' custom
BROKEN_PIPE = 141


@contextlib.contextmanager
def quiet_tensorflow(quiet: bool = True) -> Iterator[None]:
    """Silences TensorFlow's start-up chatter: for programs, around their first import of it.

    TensorFlow writes to the process's standard error before its own log level is read, so that is
    held back during the context; it is shown after all if the context raises.

    Args:
        quiet: False does nothing.
    """
    if not quiet:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="tensorflow|tf_slim|keras")
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


def run_script(name: str, main: Callable[[], object]) -> None:
    """Runs a script's `main`; a mistake is told in one line and ends the process with 2, Ctrl-C with 130."""
    code = run(name, main)
    if type(code) is int and code:  # some return True
        sys.exit(code)


def run(name: str, main: Callable[[], object], verbose: bool = False) -> object:
    """What a program's `main` returns; or, told in one line, 2 for a mistake and 130 for Ctrl-C.

    Whoever read what it prints may have seen enough (`| head`): then it ends without a word, with 141 as by the
    signal that shells know.

    Args:
        name: of the program, which the line begins with.
        main: the program.
        verbose: shows the traceback of a mistake too.
    """
    try:
        code = main()
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


def _piped_to_nobody() -> int:
    """Makes what is still to be written go nowhere, so that Python's own last flush does not complain."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return BROKEN_PIPE


def message(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())
