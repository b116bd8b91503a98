"""A user's mistakes: errors whose text is one sentence that names the thing, its value and the choices.

Programs tell them in one line (`gradcam.terminal`); whatever else is raised is an error of the project's own, and shows
its traceback. Each kind is also the built-in error that a caller would expect.
"""

from __future__ import annotations

from collections.abc import Collection

_LONGEST = 2500  # letters: what a damaged file calls its parts can fill pages


class Mistake(Exception):
    """What a user can mend: a name, a value or a file that is not what it should be."""

    def __str__(self) -> str:
        text = str(self.args[0]) if self.args else ""  # a KeyError's own text would be in quotes
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class BadValue(Mistake, ValueError):
    """A value, or what a file holds, that cannot be."""


class UnknownName(Mistake, KeyError):
    """A name that means nothing here."""


class MissingFile(Mistake, FileNotFoundError):
    """A file that is not there."""


class MissingPackage(Mistake, ImportError):
    """A package that is not installed."""


class Unreachable(Mistake, OSError):
    """Something outside, such as a server or another process's file, that cannot be had."""


def check_name(kind: str, name: str, known: Collection[str]) -> None:
    """Raises a KeyError if a name of some kind, such as `"colormap"`, is none of those known."""
    if name not in known:
        raise UnknownName(f"no {kind} {name!r}; the {kind}s are {', '.join(known)}")
