"""What tells one run from another, and what an earlier one over fewer of the same pictures has measured already."""

from __future__ import annotations

import collections
import contextlib
import glob
import hashlib
import json
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from gradcam.evaluation.journal import Journal, protocol_of, read_journal
from slim_models.mistakes import BadValue


def digest(value: Any) -> str:
    """Eight digits that tell one run from another."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]


def digest_of(values: Iterable[Any]) -> str:
    """`digest` of the list of the values, which is nowhere whole."""
    return _closed(collections.deque(_lists(values), maxlen=1)[0])


def _lists(values: Iterable[Any]) -> Iterator[hashlib._Hash]:
    """The hash of the list, not yet closed, of no value, of the first, of the first two, and so on to all."""
    found, separator = hashlib.sha256(b"["), ""
    yield found
    for value in values:
        found.update(f"{separator}{json.dumps(value)}".encode())
        separator = ", "
        yield found


def _closed(found: hashlib._Hash) -> str:
    whole = found.copy()
    whole.update(b"]")
    return whole.hexdigest()[:8]


def take_over(journal: Journal, pictures: Iterable[Any], batch: int) -> pathlib.Path | None:
    """Fills a new journal with the rows of a run, beside it, that differs only in having fewer of the same pictures.

    Of several, the one with most rows. A last batch that was smaller than the others is left out, for its pictures
    come in a batch with others now.

    Args:
        journal: of a run that has measured nothing yet.
        pictures: what tells each of its pictures from others, in their order: what `digest` makes its protocol's
            "pictures" of.
        batch: how many pictures a whole batch has.

    Returns:
        Where the rows come from; None if there is no such run.

    Raises:
        ValueError: another run writes to the journal.
    """
    beside = dict(_beside(journal))
    firsts = map(_closed, _lists(pictures)) if beside else ()
    of_fewer = [beside[one] for one in firsts if one in beside]
    most = max(filter(None, map(_opened, of_fewer)), key=len, default=None)
    if most is None:
        return None
    with journal.held():
        for rows in most.batches():
            if len(rows) == batch:
                journal.append(rows)
    return most.path if len(journal) else None


def _beside(journal: Journal) -> Iterator[tuple[str, pathlib.Path]]:
    """The journals of the same figure that differ from this one in their pictures alone: their digests and paths."""
    figure = journal.path.name.rsplit(".", 2)[0]
    for path in journal.path.parent.glob(f"{glob.escape(figure)}.*.jsonl"):
        with contextlib.suppress(BadValue), path.open("rb") as file:
            head = protocol_of(file.readline(), path)
            pictures = head.get("pictures")
            if isinstance(pictures, str) and journal.protocol == {**head, "pictures": journal.protocol["pictures"]}:
                yield pictures, path


def _opened(path: pathlib.Path) -> Journal | None:
    """A journal; None if it is damaged, which its own run will say."""
    with contextlib.suppress(BadValue):
        return read_journal(path)
    return None
