"""Read the typed values of a table and collect what is wrong, instead of stopping at the first fault."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, TypeVar

from detections.errors import RuleFault
from detections.rule_files.positions import Key, Positions

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_UNSTORABLE_ESCAPE = re.compile(r"\\(?:u0000|U00000000|u[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_DATE_MATH = re.compile(r"now(?:([+-]\d{1,6})([smhdw]))?(?:/([smhdw]))?")

E = TypeVar("E", bound=Enum)


def duration(text: str) -> timedelta | None:
    """A span such as `5m`; None if the text is none."""
    found = _DURATION.fullmatch(text.strip())
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def date_math(text: str) -> tuple[timedelta, str] | None:
    """The distance from now and the unit to round to, of `now-48h/h`; None if the text is no date math.

    Source: Elasticsearch's date math, the part that rules and guides use (an anchor of `now`).
    """
    found = _DATE_MATH.fullmatch(text.strip())
    if found is None:
        return None
    delta = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found[1] else timedelta()
    return delta, found[3] or ""


@dataclass
class Table:
    """A table at a place in a file. Every reader gives the value, or its default and one more fault.

    faults: shared between the tables of one file.
    """

    values: Mapping[str, Any]
    positions: Positions
    keys: tuple[Key, ...] = ()
    faults: list[RuleFault] = field(default_factory=list)

    def fault(self, key: str, message: str, remedy: str = "") -> None:
        name = ".".join(str(part) for part in (*self.keys, key) if part != "")
        place = self.positions.location(*self.keys, *([key] if key else []))
        self.faults.append(RuleFault(place, f"{name}: {message}" if name else message, remedy))

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        value = self.values.get(key)
        if value is None:
            if required:
                self.fault(key, "is missing.", f'Add {key} = "...".')
            return default
        if not isinstance(value, str):
            self.fault(key, f"must be text, not {_sort(value)}.", "Put it in quotes.")
            return default
        if required and not value.strip():
            self.fault(key, "is empty.", "Give it a value.")
        return value

    def texts(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        value = self.values.get(key, [])
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fault(key, "must be a list of texts.", f'Write {key} = ["...", "..."].')
            return ()
        if required and not value:
            self.fault(key, "is missing or empty.", f'Write {key} = ["..."].')
        return tuple(value)

    def flag(self, key: str) -> bool:
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            self.fault(key, f"must be true or false, not {_sort(value)}.")
            return False
        return value

    def number(self, key: str, default: int | None, low: int, high: int) -> int:
        """A whole number between low and high; without a default it is required."""
        value = self.values.get(key, default)
        if value is None:
            self.fault(key, "is missing.", f"Add {key} = a whole number from {low} to {high}.")
            return low
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault(key, f"must be a whole number from {low} to {high}, not {value!r}.")
            return low
        return value

    def choice(self, key: str, enum: type[E], default: E | None = None) -> E:
        """A member of the enumeration; without a default it is required."""
        names = ", ".join(str(member.value) for member in enum)
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        for member in enum:
            if member.value == value:
                return member
        problem = "is missing." if value is None else f"{value!r} is not known."
        self.fault(key, problem, f"Use one of: {names}.")
        return default or next(iter(enum))

    def span(self, key: str, default: str) -> timedelta:
        text = self.text(key, default)
        found = duration(text)
        if not found:
            self.fault(key, f"{text!r} is not a span of time.", 'Write a number and s, m, h or d: "5m".')
        return found or duration(default) or timedelta()

    def tables(self, key: str) -> "list[Table]":
        """The entries of an array of tables."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fault(key, "must be an array of tables.", f"Write each as [[{key}]].")
            return []
        return [
            Table(item, self.positions, (*self.keys, key, number), self.faults)
            for number, item in enumerate(value)
        ]

    def table(self, key: str) -> "Table":
        """A table inside this one; an empty one if it is absent."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.fault(key, "must be a table.", f"Write [{key}] and its keys below.")
            value = {}
        return Table(value, self.positions, (*self.keys, key), self.faults)

    def refuse_unstorable(self, source: str) -> None:
        """A fault for each key whose value holds a character that no database keeps.

        source: the text that the values were read from, in which only an escape can stand for one.
        """
        if _UNSTORABLE_ESCAPE.search(source) is None:
            return
        for key, value in self.values.items():
            if any(map(_UNSTORABLE.search, _texts_in((key, value)))):
                self.fault(key, "holds a NUL or half of a surrogate pair.", "Take that character out.")

    def refuse_others(self, *known: str) -> None:
        """A fault for each key that means nothing here: a misspelt key must not be lost silently."""
        for key in self.values:
            if key not in known:
                self.fault(key, "means nothing here.", f"Known keys: {', '.join(known)}.")


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.items():
            yield from _texts_in(entry)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts_in(item)


def _sort(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), type(value).__name__)
