"""Metrics by name, as users ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slim_models.mistakes import BadValue, UnknownName


def chosen(names: Sequence[str], known: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics of these names, each once.

    Raises:
        KeyError: no such metric.
        ValueError: none at all.
    """
    if not names:
        raise BadValue(f"no metric is asked for; the metrics are {', '.join(known)}")
    for name in names:
        if name not in known:
            raise UnknownName(f"no metric {name!r}; the metrics are {', '.join(known)}")
    return tuple(dict.fromkeys(names))
