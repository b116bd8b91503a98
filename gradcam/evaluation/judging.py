"""The checks of a map in words, and the numbers that are usual, by which the words are chosen."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradcam.evaluation.checking import NOISE, PROTOCOL, Checks, check
from gradcam.evaluation.journal import Row
from gradcam.explanation import Explanation
from gradcam.methods import Method
from slim_models.heads import in_words
from slim_models.labels import Labels, class_name
from slim_models.mistakes import BadValue


class Usual(NamedTuple):
    """What is usual of the checks, by those of many validation pictures.

    Attributes:
        pictures: how many, whose map was not blank.
        weights: what 90 % and 99 % of the likenesses are at most.
        other_class: the same.
        noise: what 90 % and 99 % are at least.
        beats_chance: of how many pictures in 1 the map does.
        beats_both: beats chance and the centre.
    """

    pictures: int
    weights: tuple[float, float]
    other_class: tuple[float, float]
    noise: tuple[float, float]
    beats_chance: float
    beats_both: float


def _widest(several: Sequence[Usual]) -> Usual:
    """What is usual of any of several networks: the widest limits, and the least shares."""
    return Usual(
        sum(one.pictures for one in several),
        _each(max, [one.weights for one in several]),
        _each(max, [one.other_class for one in several]),
        _each(min, [one.noise for one in several]),
        min(one.beats_chance for one in several),
        min(one.beats_both for one in several),
    )


def _each(choose: Callable[[Iterable[float]], float], limits: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return choose(first for first, _ in limits), choose(second for _, second in limits)


def usual_of(rows: Sequence[Row]) -> Usual:
    """What is usual, of the checks of many pictures.

    Args:
        rows: each a picture's `Checks` as a mapping; those of blank maps do not count.

    Raises:
        ValueError: fewer than 100 maps, of which 99 % are no number.
    """
    checks = [Checks(**{field.name: row[field.name] for field in dataclasses.fields(Checks)}) for row in rows]
    checks = [one for one in checks if not one.blank]
    if len(checks) < 100:
        raise BadValue(f"what is usual of 99 % takes at least 100 maps that are not blank, not {len(checks)}")

    def shares(name: str, *of: float) -> tuple[float, ...]:
        values = [value for one in checks if (value := getattr(one, name)) is not None]
        return tuple(float(f"{value:.4f}") for value in np.quantile(values, of))

    return Usual(
        len(checks),
        shares("weights", 0.9, 0.99),  # type: ignore[arg-type]
        shares("other_class", 0.9, 0.99),  # type: ignore[arg-type]
        shares("noise", 0.1, 0.01),  # type: ignore[arg-type]
        float(f"{np.mean([one.beats_chance for one in checks]):.4f}"),
        float(f"{np.mean([one.beats_chance and one.beats_centre for one in checks]):.4f}"),
    )


# Of Grad-CAM at the default layer, for the class that is predicted: by the fingerprint of the weights, and of all of
# these networks together, by which others are measured. By scripts/calibrate_verdicts.py; docs/VERDICT.md has more.
USUAL: dict[str, Usual] = {
    "e298ac3ad7da4611": Usual(400, (0.2388, 0.3735), (0.8455, 0.9647), (0.9057, 0.7809), 0.7125, 0.435),  # vgg16_tiny
    "415058fff06fe6ed": Usual(
        800, (0.2715, 0.4614), (0.9073, 0.962), (0.9695, 0.9359), 0.8588, 0.6462
    ),  # resnet_v1_50_tiny
    "04c8fe944b465e9a": Usual(
        150, (0.3391, 0.5519), (0.9537, 0.9834), (0.674, 0.4486), 0.8467, 0.3133
    ),  # efficientnet_lite0
}
OF_ALL = _widest(list(USUAL.values()))


class Finding(NamedTuple):
    """What one check says: in a word or a few, and by what numbers."""

    word: str
    numbers: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The checks of one map, and what they say; `str(verdict)` is five lines of it.

    Attributes:
        checks: the numbers.
        usual: by which they are measured.
        whose: of which networks that is usual, in words.
        findings: `map`, `weights`, `class`, `noise` and `deletion`.
    """

    checks: Checks
    usual: Usual
    whose: str
    findings: Mapping[str, Finding]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """A line for each of the findings."""
        return [
            f"{name:9s} {word}{f': {numbers}' if numbers else ''}" for name, (word, numbers) in self.findings.items()
        ]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON has it."""
        words = {name: word for name, (word, _) in self.findings.items()}
        return {
            "verdict": words,
            "lines": self.lines(),
            "checks": dataclasses.asdict(self.checks),
            "protocol": PROTOCOL,
            "usual": {"of": self.whose, **self.usual._asdict()},
        }


def verdicts(
    explanation: Explanation,
    method: str | Method = "grad_cam",
    layer: str | None = None,
    *,
    weights: str = "",
    labels: Labels | None = None,
    seed: int = 0,
) -> list[Verdict]:
    """Is it the map or the network? Of each picture, what its map does where it should change, and where not.

        with Explainer(network) as explainer:
            print(*verdicts(explainer.explain(images), weights=explainer.fingerprint, labels=explainer.labels))

    Args:
        explanation: as of `check`, which says what is done.
        method: likewise.
        layer: likewise.
        weights: the network's `Explainer.fingerprint`: what is usual of very few is known, and of the others it is what
            is usual of all of these.
        labels: of the classes, if they are known.
        seed: of the draws.

    Raises:
        KeyError, ValueError: as of `check`.
    """
    usual, whose = (USUAL[weights], "this network") if weights in USUAL else (OF_ALL, "other networks")
    said = functools.partial(in_words, head=explanation.head)
    return [
        Verdict(one, usual, whose, _findings(one, usual, said, labels))
        for one in check(explanation, method, layer, seed)
    ]


def _findings(one: Checks, usual: Usual, said: Callable[[float], str], labels: Labels | None) -> dict[str, Finding]:
    if one.blank:
        nothing = Finding("not checked", "the map is blank")
        return {"map": Finding("blank", one.blank), **dict.fromkeys(("weights", "class", "noise", "deletion"), nothing)}
    assert one.noise is not None and one.said_in_noise is not None and one.by_map is not None
    assert one.from_centre is not None
    return {
        "map": Finding("there", f"above 0 at {one.share:.0%} of its places; {said(one.said)} for what it explains"),
        "weights": _changing(
            one.weights,
            usual.weights,
            "maps by random weights behind the layer",
            "there are no weights behind the layer",
        ),
        "class": _changing(
            one.other_class,
            usual.other_class,
            "" if one.other is None else f"the map of {class_name(one.other, labels)}, the likeliest other class",
            "there is no class that it is not about",
        ),
        "noise": Finding(
            _level(one.noise, usual.noise, ("steady", "less steady than usual", "not steady"), -1),
            f"likeness {one.noise:.2f} to maps of the picture with {NOISE:.0%} noise, {said(one.said_in_noise)} there "
            f"(usual: at least {usual.noise[0]:.2f})",
        ),
        "deletion": Finding(
            _winning(one),
            f"on average {said(one.by_map)} is left when deleted by the map, {said(float(np.mean(one.at_random)))} at "
            f"random, {said(one.from_centre)} from the centre ({usual.beats_chance:.0%} of maps beat chance, "
            f"{usual.beats_both:.0%} both)",
        ),
    }


def _changing(likeness: float | None, limits: tuple[float, float], what: str, missing: str) -> Finding:
    """Of what should be another map."""
    if likeness is None:
        return Finding("not checked", missing)
    word = _level(likeness, limits, ("changes as usual", "changes less than usual", "hardly changes"))
    return Finding(word, f"likeness {likeness:.2f} to {what} (usual: at most {limits[0]:.2f})")


def _level(value: float, limits: tuple[float, float], words: tuple[str, str, str], sign: int = 1) -> str:
    """The first word up to the first limit, as 90 % of usual maps are; the last beyond the second, as 1 % are."""
    return words[sum(sign * value > sign * limit for limit in limits)]


def _winning(one: Checks) -> str:
    if not one.beats_chance:
        return "does not beat chance" + (", though the centre" if one.beats_centre else "")
    return "beats chance and the centre" if one.beats_centre else "beats chance, not the centre"
