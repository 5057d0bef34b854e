"""Two guides of one rule compared in words: above all what the second one no longer asks for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, TypeVar

from triage.guides.model import (
    DEFAULT_SHARE,
    Anchor,
    Check,
    Guide,
    Pivot,
    Points,
    Question,
    Refusal,
    ResponseStage,
)

_CHECK_WORDS = {"when": "its condition", "needs": "what telemetry it needs", "says": "what it says",
                "question": "its question", "pivot": "what it reads"}  # fmt: skip
_PIVOT_WORDS = {"filters": "what it searches for", "relative_from": "where it begins",
                "relative_to": "where it ends", "kinds": "what telemetry it counts as",
                "after": "what it follows", "question": "its question"}  # fmt: skip


class Bearing(Enum):
    """What a difference does to the gate. `weaker`: something is no longer required, checked or refused."""

    WEAKER = "weaker"
    STRONGER = "stronger"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs, as a sentence."""

    bearing: Bearing
    says: str


def compare(before: Guide, after: Guide) -> list[Difference]:
    """What changes from one guide to the other, what weakens first. Both are guides of the same note."""
    found = [
        *_questions(before.questions, after.questions),
        *_checks(before, after),
        *_pivots(before, after),
        *_anchors(before.anchors, after.anchors),
        *_refusals(before.false_positives.refusals, after.false_positives.refusals),
        *_share(before.false_positives.max_share, after.false_positives.max_share),
        *_stages(before.response, after.response),
    ]
    if before.applies_to != after.applies_to:
        stands = ", ".join(after.applies_to) or "no other rule"
        found.append(Difference(Bearing.OTHER, f"The rule stands in for {stands}."))
    return sorted(found, key=lambda one: list(Bearing).index(one.bearing))


def _weaker(says: str) -> Difference:
    return Difference(Bearing.WEAKER, says)


def _stronger(says: str) -> Difference:
    return Difference(Bearing.STRONGER, says)


def _either(is_weaker: bool, weaker: str, stronger: str) -> Difference:
    return _weaker(weaker) if is_weaker else _stronger(stronger)


# -- questions


def _questions(before: Sequence[Question], after: Sequence[Question]) -> Iterator[Difference]:
    for number, (old, new) in enumerate(zip(before, after, strict=False), start=1):
        name = f'Question {number} ("{new.short_title}")'
        yield from _requirement(name, old, new)
        if old.key != new.key:
            yield Difference(Bearing.OTHER, f"{name} is called {new.key} instead of {old.key}.")
        if (old.short_title, old.missing_means) != (new.short_title, new.missing_means):
            yield Difference(Bearing.OTHER, f"{name} has another wording.")
    for number, old in enumerate(before[len(after) :], start=len(after) + 1):
        yield _weaker(f'Question {number} ("{old.short_title}") is not asked any more.')
    for number, new in enumerate(after[len(before) :], start=len(before) + 1):
        yield _stronger(f'Question {number} ("{new.short_title}") is asked as well.')


def _requirement(name: str, old: Question, new: Question) -> Iterator[Difference]:
    was, will = old.requires, new.requires
    for kind in was.telemetry:
        if kind not in will.telemetry:
            yield _weaker(f"{name} can be lowered without {kind.value} telemetry.")
    for kind in will.telemetry:
        if kind not in was.telemetry:
            yield _stronger(f"{name} needs {kind.value} telemetry before it can be lowered.")
    if was.confirmation != will.confirmation:
        yield _either(
            was.confirmation,
            f"{name} can be lowered without a confirmation record.",
            f"{name} needs a confirmation record before it can be lowered.",
        )
    if was.confirmation_replaces_telemetry != will.confirmation_replaces_telemetry:
        yield _either(
            will.confirmation_replaces_telemetry,
            f"{name}: a confirmation record may stand in for missing telemetry.",
            f"{name}: a confirmation record no longer stands in for missing telemetry.",
        )


# -- checks and pivots


def _checks(before: Guide, after: Guide) -> Iterator[Difference]:
    old, new = _by_key(before.checks), _by_key(after.checks)
    for key in old.keys() - new.keys():
        says = f'The check {key} is gone: "{old[key].says}"'
        yield _weaker(says) if old[key].points is Points.ESCALATE else Difference(Bearing.OTHER, says)
    for key in new.keys() - old.keys():
        says = f'The check {key} points to {new[key].points.value}: "{new[key].says}"'
        yield _stronger(says) if new[key].points is Points.ESCALATE else Difference(Bearing.OTHER, says)
    for key in sorted(old.keys() & new.keys()):
        yield from _check(old[key], new[key])


def _check(old: Check, new: Check) -> Iterator[Difference]:
    if old.points is not new.points:
        yield _either(
            new.points is Points.LOWER,
            f"The check {new.key} points to lower instead of escalate.",
            f"The check {new.key} points to escalate instead of lower.",
        )
    # `text` is what `when` was read from; a position in it is no change.
    parts = list(_changed(old, new, leave=("points", "when", "text")))
    if old.text != new.text:
        parts.insert(0, "when")
    if parts:
        words = ", ".join(_CHECK_WORDS.get(part, part) for part in parts)
        is_weaker = old.points is Points.ESCALATE and parts != ["says"]
        says = f"The check {new.key} differs in {words}" + (": it may fire less often." if is_weaker else ".")
        yield _weaker(says) if is_weaker else Difference(Bearing.OTHER, says)


def _pivots(before: Guide, after: Guide) -> Iterator[Difference]:
    old, new = _by_key(before.pivots), _by_key(after.pivots)
    for key in sorted(old.keys() - new.keys()):
        renamed = next((one for one in after.pivots if _is_same_search(one, old[key])), None)
        if renamed is None:
            yield _weaker(f'The pivot {key} ("{old[key].label}") is not searched any more.')
        else:
            yield Difference(Bearing.OTHER, f"The pivot {key} is called {renamed.key}.")
    for key in sorted(new.keys() - old.keys()):
        if not any(_is_same_search(new[key], one) for one in before.pivots):
            yield _stronger(f'The pivot {key} ("{new[key].label}") is searched as well.')
    for key in sorted(old.keys() & new.keys()):
        parts = list(_changed(old[key], new[key], leave=("columns", "description", "label")))
        if parts:
            words = ", ".join(_PIVOT_WORDS.get(part, part) for part in parts)
            yield _weaker(f"The pivot {key} differs in {words}: it may find less.")


def _is_same_search(one: Pivot, other: Pivot) -> bool:
    return (one.filters, one.relative_from, one.relative_to) == (
        other.filters,
        other.relative_from,
        other.relative_to,
    )


# -- exceptions and response


def _anchors(before: Sequence[Anchor], after: Sequence[Anchor]) -> Iterator[Difference]:
    old, new = {one.field: one for one in before}, {one.field: one for one in after}
    for name, anchor in old.items():
        is_required = name in new and new[name].is_required
        if anchor.is_required and not is_required:
            yield _weaker(f"An exception no longer needs an entry on {name}.")
        elif name not in new:
            yield _stronger(f"An exception may not stand on {name} any more.")
    for name, anchor in new.items():
        was_required = name in old and old[name].is_required
        if anchor.is_required and not was_required:
            yield _stronger(f"An exception needs an entry on {name}.")
        elif name not in old:
            yield _weaker(f"An exception may stand on {name}.")
    for name in old.keys() & new.keys():
        yield from _anchor(old[name], new[name])


def _anchor(old: Anchor, new: Anchor) -> Iterator[Difference]:
    """What may stand in for the field, and which sentence of the guide it leans on."""
    for other in new.others:
        if other not in old.others:
            yield _weaker(f"An exception may have an entry on {other} instead of {new.field}.")
    for other in old.others:
        if other not in new.others:
            yield _stronger(f"An entry on {other} no longer stands in for {new.field}.")
    yield from _wording(f"The demand for {new.field}", old, new)


def _wording(name: str, old: Anchor | Refusal, new: Anchor | Refusal) -> Iterator[Difference]:
    if old.quotes != new.quotes:
        says = f'"{new.quotes}"' if new.quotes else "no sentence of the guide"
        yield Difference(Bearing.OTHER, f"{name} quotes {says}.")
    if old.says != new.says:
        yield Difference(Bearing.OTHER, f"{name} has another wording.")


def _refusals(before: Sequence[Refusal], after: Sequence[Refusal]) -> Iterator[Difference]:
    old, new = {_refused(one): one for one in before}, {_refused(one): one for one in after}
    gone, come = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    yield from (_weaker(f"Exceptions on {one} alone are no longer refused.") for one in gone)
    yield from (_stronger(f"Exceptions on {one} alone are refused.") for one in come)
    for name in sorted(old.keys() & new.keys()):
        yield from _wording(f"The refusal of {name} alone", old[name], new[name])


def _refused(refusal: Refusal) -> str:
    values = f" ({', '.join(refusal.values)})" if refusal.values else ""
    return ", ".join(refusal.fields) + values


def _share(before: int | None, after: int | None) -> Iterator[Difference]:
    old, new = before or DEFAULT_SHARE, after or DEFAULT_SHARE
    if old != new:
        says = f"An exception may hide {new} % of the rule's alerts instead of {old} %."
        yield _either(new > old, says, says)


def _stages(before: Sequence[ResponseStage], after: Sequence[ResponseStage]) -> Iterator[Difference]:
    for number, (old, new) in enumerate(zip(before, after, strict=False), start=1):
        yield from _stage(f'Response step {number} ("{new.title}")', old, new)


def _stage(name: str, old: ResponseStage, new: ResponseStage) -> Iterator[Difference]:
    was, will = _by_key(old.preconditions), _by_key(new.preconditions)
    for key in was.keys() - will.keys():
        yield _weaker(f'{name} no longer waits until: "{was[key].says}"')
    for key in will.keys() - was.keys():
        yield _stronger(f'{name} waits until: "{will[key].says}"')
    had, has = _by_key(old.actions), _by_key(new.actions)
    for key in had.keys() & has.keys():
        if had[key].is_destructive and not has[key].is_destructive:
            yield _weaker(f'{name}: "{has[key].label}" no longer counts as destructive.')
    for key in has.keys() - had.keys():
        yield Difference(Bearing.OTHER, f'{name} proposes "{has[key].label}".')
    for key in had.keys() - has.keys():
        yield Difference(Bearing.OTHER, f'{name} no longer proposes "{had[key].label}".')
    if old.applies is not new.applies:
        yield Difference(
            Bearing.OTHER, f"{name} is for {new.applies.value} cases instead of {old.applies.value}."
        )


_Keyed = TypeVar("_Keyed", bound=Any)


def _by_key(items: Iterable[_Keyed]) -> Mapping[str, _Keyed]:
    return {item.key: item for item in items}


def _changed(old: Any, new: Any, *, leave: Sequence[str]) -> Iterator[str]:
    for part in fields(old):
        if part.name not in leave and getattr(old, part.name) != getattr(new, part.name):
            yield part.name
