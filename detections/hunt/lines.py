"""A match as a line: for people, for scripts, for programs."""

import json
import unicodedata
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from detections.eql.evaluate import iso
from detections.hunt.rules import HuntRule
from detections.hunt.universe import Found

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
# Control, format (directions of writing), surrogate, and separators of lines and paragraphs.
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


class LineFormat(Enum):
    TABLE = "table"
    TSV = "tsv"
    NDJSON = "ndjson"


def escaped(text: str) -> str:
    """Text from a capture or a rule on one line: nothing in it can end a column or drive a terminal.

    Backslash, tab, line feed and carriage return become `\\\\ \\t \\n \\r`; any other control or formatting
    character becomes `\\xNN`, `\\uNNNN` or `\\UNNNNNNNN`.
    """
    return "".join(map(_escaped, text)) if not text.isalnum() else text


def printable(text: str) -> str:
    """Text for people that may have several lines and backslashes, made harmless for a terminal."""
    return "".join(one if one in "\n\\" else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if unicodedata.category(character) not in _UNSAFE:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def tsv_line(match: Found) -> str:
    """file, rule_id, rule name, event ids joined by +, time basis."""
    columns = (_file(match), match.rule.rule_id, match.rule.name, _ids(match), match.basis.value)
    return "\t".join(map(escaped, columns))


def ndjson_line(match: Found) -> str:
    """One JSON object, ASCII throughout."""
    rule = match.rule
    told: dict[str, Any] = {
        "file": _file(match),
        "rule_id": rule.rule_id,
        "rule_name": rule.name,
        "severity": rule.severity,
        "risk_score": rule.risk_score,
        "event_ids": [event.id for event in match.events],
        "time_basis": match.basis.value,
        "join_keys": list(match.keys),
        "events": [
            {"file": event.file, "id": event.id, "timestamp": _time(event.time)} for event in match.events
        ],
    }
    return json.dumps(told)


def table_lines(rules: Iterable[HuntRule]) -> tuple[str, Callable[[Found], str]]:
    """The heading, and what makes a line of a match: columns as wide as the rules need, none of them cut."""
    width = max((len(rule.name) for rule in rules), default=4)

    def line(time: str, severity: str, rule: str, basis: str, ids: str, file: str) -> str:
        return f"{time:<24}  {severity:<8}  {rule:<{width}}  {basis:<14}  {ids}  {file}".rstrip()

    def of_match(match: Found) -> str:
        rule, time = match.rule, _time(match.events[-1].time)
        name, ids, file = (escaped(text) for text in (rule.name, _ids(match), _file(match)))
        return line(time, rule.severity, name, match.basis.value, ids, file)

    return line("LAST EVENT (UTC)", "SEVERITY", "RULE", "TIME BASIS", "EVENTS", "FILE"), of_match


def _file(match: Found) -> str:
    """The file of the match; of one that spans files, that of each event."""
    files = [event.file for event in match.events]
    return files[0] if len(set(files)) == 1 else "+".join(files)


def _ids(match: Found) -> str:
    return "+".join(event.id for event in match.events)


def _time(moment: int | None) -> str:
    return "" if moment is None else iso(moment)
