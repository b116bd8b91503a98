"""Manners of programs in a terminal: a silent TensorFlow, mistakes told in one line."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator

# What a user's mistake raises, here and in slim_models.
MISTAKES = (KeyError, ValueError, OSError, ImportError)


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
    """Runs a script's `main`; a user's mistake is told in one line and ends the process with 2."""
    try:
        main()
    except MISTAKES as error:
        print(f"{name}: {message(error)}", file=sys.stderr)
        sys.exit(2)


def message(error: BaseException) -> str:
    """What an error says, in one line (a KeyError's own text would be in quotes)."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split())
