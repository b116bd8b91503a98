"""Packages whose names are imported when they are first used.

Who reads a file, works on arrays or asks for help does not wait for TensorFlow.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What makes the names of a package's modules names of the package (PEP 562).

    Type checkers do not follow this: each `__init__` imports the same names under `if TYPE_CHECKING`.

    Args:
        package: `__name__` of the package.
        homes: module -> the names that it has, separated by spaces; a module of another package by its whole name.

    Returns:
        `__getattr__`, `__dir__` and `__all__` of the package.
    """
    home_of = {name: module for module, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = home_of[name]
        value = getattr(importlib.import_module(home if home.startswith("slim_models.") else f"{package}.{home}"), name)
        setattr(sys.modules[package], name, value)  # the next time Python finds it without asking
        return value

    return get, lambda: sorted({*vars(sys.modules[package]), *home_of}), list(home_of)
