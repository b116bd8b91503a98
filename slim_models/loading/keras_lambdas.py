"""Lambdas of Keras 1's and 2's files: the one place where code of a file is executed, once its user trusts it."""

from __future__ import annotations

import base64
import functools
import marshal
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from slim_models.loading.keras_code import given_by_name
from slim_models.loading.keras_config import IN_MEMORY, name_of
from slim_models.mistakes import BadValue


def function_of(
    entry: Mapping[str, Any], path: Any, keras: Any, given: Mapping[str, Callable[..., Any]] | None = None
) -> Callable[..., Any]:
    """What a Lambda calls: what is given for it, its code, or a function of the user's own by its name.

    Args:
        entry: of the layer in the file.
        path: the file, to be named.
        keras: the installed one.
        given: what Lambdas compute, by their names, in place of their code.

    Raises:
        ValueError: the code is of another Python, or nobody knows the function.
    """
    config = entry["config"]
    arguments = dict(config.get("arguments") or {})
    if given is not None and name_of(entry) in given:
        return functools.partial(given[name_of(entry)], **arguments)
    if config.get("function_type") != "lambda":
        name = config["function"] if isinstance(config.get("function"), str) else "of its Lambda"
        function = keras.utils.get_registered_object(name)
        if function is None:
            raise BadValue(
                f"{path} has the layer {name_of(entry)!r}, which calls the function {name!r}: give it as "
                f"custom_objects={{{name!r}: ...}} (in Python), or {IN_MEMORY}"
            )
        return functools.partial(function, **arguments) if arguments else function
    code, defaults, closure = config["function"]
    try:
        loaded = marshal.loads(base64.b64decode(code))
    except (ValueError, EOFError, TypeError) as error:
        raise BadValue(
            f"{path} has the layer {name_of(entry)!r}, whose code is of another version of Python, or damaged: "
            f"{IN_MEMORY}, {given_by_name(entry)}"
        ) from error
    cells = None if closure is None else tuple(types.CellType(value) for value in closure)
    defaults = None if defaults is None else tuple(defaults)
    function = types.FunctionType(loaded, _names(keras), loaded.co_name, defaults, cells)
    return functools.partial(function, **arguments) if arguments else function


def _names(keras: Any) -> dict[str, Any]:
    """What such code finds under the names that programs have for it."""
    import tensorflow

    return {"tf": tensorflow, "keras": keras, "K": keras.backend, "backend": keras.backend, "np": np, "numpy": np}
