"""Whether an overlay still means the same after its rule's note changed: it names things by their numbers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detections.errors import RuleFileError
from detections.rule_files.reading import toml_values
from triage.guides import parse_guide
from triage.guides.model import Guide

Entry = Mapping[str, Any]


def misfits(before: Guide, note: str, transforms: Sequence[Entry], overlay: str) -> list[str]:
    """Why an overlay that completed `before` can't complete this note unseen, in sentences; empty if it can.

    before: the guide of the earlier note without its overlay.
    """
    plain = parse_guide(note, transforms)
    try:
        parse_guide(note, transforms, overlay)
    except RuleFileError as error:
        return [f"It does not fit the guide of this version: {fault}" for fault in error.faults]
    values = toml_values(overlay, "overlay")
    return [
        *_moved(values, "question", "number", 1, "Question", before.questions, plain.questions, "title"),
        *_moved(values, "pivot", "investigate", 0, "Pivot", before.pivots, plain.pivots, "label"),
        *_moved(values, "response", "number", 1, "Response step", before.response, plain.response, "title"),
    ]


def _moved(
    values: Entry,
    table: str,
    key: str,
    first: int,
    word: str,
    before: Sequence[Any],
    after: Sequence[Any],
    name: str,
) -> Iterator[str]:
    """What stands under a number that the overlay uses, where that is something else now."""
    for entry in values.get(table, ()):
        number = entry.get(key)
        if not isinstance(number, int):
            continue
        old, new = (_named(items, number - first, name) for items in (before, after))
        if old != new:
            yield f'{word} {number} was "{old}" and is "{new}" now.'


def _named(items: Sequence[Any], index: int, name: str) -> str:
    return str(getattr(items[index], name)) if 0 <= index < len(items) else "not there"
