"""What an answer states of the fields that its question looks at: labelled, offered, checked by ECS type."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.utils.dateparse import parse_datetime

from detections import ecs
from detections.ecs import Document
from detections.eql.fields import FieldType
from detections.eql.known import catalogue
from triage.guides.model import Question as GuideQuestion

# An answer states what matters; a Focus may name more fields than anybody fills in.
MOST_FIELDS = 16
MOST_OFFERED = 20
LENGTH = 1000
# The moment and what an event is called stand with every citation already.
_LEFT_OUT = {"@timestamp"}
_TYPES = {
    FieldType.IP: "IP address",
    FieldType.LONG: "whole number",
    FieldType.DOUBLE: "number",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: "date and time, UTC",
}


@dataclass(frozen=True, slots=True)
class AnswerField:
    """One field as the form shows it. offered: values that the question's evidence has, oldest first.

    expects: its type in words, "" where any text will do. value: what is typed or stands. error: why it is
    refused, or "".
    """

    name: str
    expects: str
    offered: tuple[str, ...]
    value: str = ""
    error: str = ""


def field_names(question: GuideQuestion | None) -> tuple[str, ...]:
    """The fields that an answer to this question may state."""
    if question is None:
        return ()
    named = (name for name in question.focus.fields if name not in _LEFT_OUT and "*" not in name)
    return tuple(named)[:MOST_FIELDS]


def answer_fields(
    question: GuideQuestion | None,
    documents: Iterable[Document],
    typed: Mapping[str, str],
) -> tuple[AnswerField, ...]:
    """The fields of a question, with what its evidence has for each and what is typed."""
    held = list(documents)
    return tuple(
        AnswerField(
            name,
            expects(name),
            _offered(held, name),
            typed.get(name, ""),
            fault(name, typed.get(name, "")),
        )
        for name in field_names(question)
    )


def checked(typed: Mapping[str, str], names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """What is kept of the typed values, and what is wrong with the others, in sentences.

    Several values stand with commas between where the type is not free text. Names that the question does
    not have are left out.
    """
    kept = {name: " ".join(typed.get(name, "").split()) for name in names}
    kept = {name: value for name, value in kept.items() if value}
    return kept, [told for name, value in kept.items() if (told := fault(name, value))]


def expects(name: str) -> str:
    """What a field's values are, in words; "" for free text."""
    return _TYPES.get(_type(name), "")


def fault(name: str, value: str) -> str:
    """Why a value can't be this field's, as a sentence; "" if it can, or is empty."""
    if not value.strip():
        return ""
    if len(value) > LENGTH:
        return f"{name}: {len(value):,} characters are too many; {LENGTH:,} are the most."
    kind = _type(name)
    if kind not in _TYPES:
        return ""
    wrong = [one for part in value.split(",") if (one := part.strip()) and not _is(kind, one)]
    return f"{name}: “{wrong[0][:60]}” is no {_TYPES[kind]}." if wrong else ""


def _type(name: str) -> FieldType:
    found = catalogue().get(name)
    return found.type if found else FieldType.KEYWORD


def _is(kind: FieldType, value: str) -> bool:
    if kind is FieldType.IP:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            return False
        return True
    if kind is FieldType.DATE:
        return _is_moment(value)
    if kind is FieldType.BOOLEAN:
        return value.lower() in ("true", "false")
    pattern = r"-?[0-9]+" if kind is FieldType.LONG else r"-?[0-9]+(\.[0-9]+)?"
    return re.fullmatch(pattern, value) is not None


def _is_moment(value: str) -> bool:
    try:
        return parse_datetime(value) is not None
    except ValueError:
        return False


def _offered(documents: Iterable[Document], name: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for document in documents:
        for value in ecs.values(document, name):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if 0 < len(text) <= LENGTH:
                found[text] = None
    return tuple(found)[:MOST_OFFERED]
