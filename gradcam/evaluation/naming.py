"""Metrics by name, as users ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slim_models.mistakes import BadValue, check_name


def chosen(names: Sequence[str], known: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics of these names, each once.

    Raises:
        KeyError: no such metric.
        ValueError: none at all.
    """
    if not names:
        raise BadValue(f"no metric is asked for; the metrics are {', '.join(known)}")
    for name in names:
        check_name("metric", name, known)
    return tuple(dict.fromkeys(names))
