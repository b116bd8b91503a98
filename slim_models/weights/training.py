"""What a training leaves beside weights, told from them by names and shapes; and the scope that they are under."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import numpy as np

from slim_models.mistakes import BadValue

AVERAGE = "ExponentialMovingAverage"  # what tf.train.ExponentialMovingAverage calls the shadow of a variable
_STATISTICS = ("moving_mean", "moving_variance")  # of batch norm: averages themselves, which have no shadow as a rule
# Numbers of a training, and the mean that slim's preprocessing subtracts.
_NUMBERS = re.compile(r"(global_step|mean_rgb|beta[12]_power|good_steps|\w*loss_scale|learning_rate|lr)(_\d+)?")
# Scopes of networks: what is under one of them is not another network of the same layers.
_OTHERS = re.compile(
    r"(vgg_?\d+|resnet_v\d(_5)?_\d+|mobilenet_?v\d+|efficientnet_lite\d)(_caffe|_torchvision)?", re.IGNORECASE
)

Say = Callable[[str], object]
Shape = tuple[int, ...]


def evaluated(
    shapes: Mapping[str, Shape],
    averages: bool | None = None,
    say: Say | None = None,
    names: Collection[str] = (),
) -> dict[str, str]:
    """What a network is evaluated with, of all that a checkpoint holds.

    What is named after another variable is an optimiser's (`conv1/weights/Momentum`), whichever it is. Its moving
    average (`conv1/weights/ExponentialMovingAverage`) is what an evaluation takes in its place, as TensorFlow's
    `ExponentialMovingAverage.variables_to_restore` has it.

    Args:
        shapes: name -> shape of everything.
        averages: whether to take the moving averages that there are; None takes them where every variable that was
            trained has one, or where only they are there.
        say: is told in a line what was taken and what was left out.
        names: what is a weight in any case.

    Returns:
        Name of a weight -> name of its array; the same but for averages and a `:0` at the end.

    Raises:
        ValueError: averages are wanted and there are none, or are not wanted and there is nothing else.
    """
    plain = {name.removesuffix(":0"): name for name in shapes}
    wholes = {name for name in plain if shapes[plain[name]]}
    kept = {name: stored for name, stored in plain.items() if name in names or not _is_number(name)}
    beside = {name: owner for name in kept if name not in names and (owner := _owner(name, wholes))}
    shadows = {owner: name for name, owner in beside.items() if name.endswith(f"/{AVERAGE}")}
    alone = {name.removesuffix(f"/{AVERAGE}"): name for name in kept if name.endswith(f"/{AVERAGE}")}
    alone = {name: shadow for name, shadow in alone.items() if shadow not in beside and shadow not in names}
    weights = [name for name in kept if name not in beside and name not in alone.values()]
    trained = [name for name in weights if name.rpartition("/")[2] not in _STATISTICS]
    taken = averages if averages is not None else bool(shadows) and shadows.keys() >= set(trained)
    if averages and not shadows and not alone:
        raise BadValue(f"there are no moving averages ({AVERAGE}) beside the weights: leave out averages")
    if averages is False and alone:
        raise BadValue(f"there is nothing but the moving average ({AVERAGE}) of {next(iter(alone))}: take the averages")
    chosen = {name: shadows.get(name, name) if taken else name for name in weights} | alone
    if say:
        _tell(say, len(alone) + len(shadows) * taken, len(shadows) * (not taken), set(plain) - set(chosen) - {*shadows})
    return {name: plain[source] for name, source in chosen.items()}


def _is_number(name: str) -> bool:
    return bool(_NUMBERS.fullmatch(name.rpartition("/")[2]))


def _owner(name: str, variables: Collection[str]) -> str | None:
    """The variable that an optimiser's or an average is beside: `a/weights` of `train/a/weights/Adam`.

    The scope in front is that in which the optimiser was made.
    """
    parts = name.split("/")
    for start in range(len(parts) - 1):
        # A name of one part, behind a scope, may be anything's.
        for end in range(len(parts) - 1, start + (start > 0), -1):
            if (owner := "/".join(parts[start:end])) in variables:
                return owner
    return None


def _tell(say: Say, taken: int, spurned: int, others: Iterable[str]) -> None:
    """One line, or none where there is nothing to tell."""
    told = []
    if taken:
        told.append(f"{taken} moving averages in place of the variables, as evaluations take them (--no-averages)")
    if spurned:
        told.append(f"the variables, not the moving averages that {spurned} of them have (--averages)")
    kinds = Counter(re.sub(r"_\d+$", "", name.rpartition("/")[2]) for name in others if AVERAGE not in name)
    if kinds:
        told.append(f"left out is what a training keeps beside them ({', '.join(sorted(kinds))})")
    if told:
        say(f"weights: {'; '.join(told)}")


def fitted(
    weights: Mapping[str, np.ndarray],
    names: Collection[str],
    averages: bool | None = None,
    say: Say | None = None,
) -> Mapping[str, np.ndarray]:
    """Weights by the names that a network has for them, whatever a training has kept beside them.

    Args:
        weights: variable name -> array.
        names: of the network's weights, or of some of them, in their order.
        averages: as of `evaluated`.
        say: is told what was taken and left out.

    Returns:
        Name -> array: what the network does not take is there too, but for what a training keeps, and what lies outside
        of the scope that the weights are under (`tower_0/`, `model/`).

    Raises:
        ValueError: as of `evaluated`, or there are several scopes with such weights, which differ.
    """
    shapes = {name: np.shape(array) for name, array in weights.items()}
    chosen = evaluated(shapes, averages, say, names)
    given = {name: weights[source] for name, source in chosen.items() if name in names or shapes[source]}
    own = _scope_of(names)
    found = _scopes(given, names, own)
    if not found or found[0] == ("", own):
        return given
    first, *others = (_within(given, *scope, own) for scope in found)
    for scope, other in zip(found[1:], others):
        if not _equal(first, other):
            raise BadValue(f"such weights are under {''.join(found[0])} and under {''.join(scope)}, and differ")
    if say:
        outside = len(given) - len(first)
        beside = f"; {outside} others are left out" if outside else ""
        say(f"weights: those {f'under {found[0][0]}' if found[0][0] else f'that are not under {own}'}{beside}")
    return first


def _scope_of(names: Iterable[str]) -> str:
    """The first part that all names have in common, `resnet_v1_50/`; empty where there is none."""
    firsts = {name.partition("/")[0] if name.count("/") > 1 else "" for name in names}
    return f"{firsts.pop()}/" if len(firsts) == 1 and "" not in firsts else ""


def _scopes(given: Collection[str], names: Collection[str], own: str) -> list[tuple[str, str]]:
    """What names begin with in place of the network's own scope: those with the most of its weights, the nearest first.

    Args:
        given: names of arrays.
        names: of the network's weights.
        own: the scope of all of them.

    Returns:
        `(what stands before, own scope or nothing)`; empty if fewer than half of the names are under any.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for kept in dict.fromkeys((own, "")):
        ends = {kept + name.removeprefix(own) for name in names}
        for name in given:
            counts.update((before, kept) for before, end in _split(name) if end in ends)
    for before, kept in list(counts):
        # Without the network's own scope, `conv1/weights` may be any unit's; and it may be another network's.
        few = 2 * counts[before, kept] < len(names) + (kept != own)
        others = _OTHERS.fullmatch(before.rstrip("/").rpartition("/")[2]) and (kept != own or not own)
        if few or others:
            del counts[before, kept]
    most = max(counts.values(), default=0)
    best = [scope for scope in counts if counts[scope] == most]
    return sorted(best, key=lambda scope: (scope[0] != "", scope[1] != own, scope[0]))


def _split(name: str) -> Iterator[tuple[str, str]]:
    """The ways to split a name before one of its parts."""
    yield "", name
    for match in re.finditer("/", name):
        yield name[: match.end()], name[match.end() :]


def _within(given: Mapping[str, np.ndarray], before: str, kept: str, own: str) -> dict[str, np.ndarray]:
    """What is under a scope, by the names that it would have in the network's own."""
    scope = before + kept
    return {own + name.removeprefix(scope): array for name, array in given.items() if name.startswith(scope)}


def _equal(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
