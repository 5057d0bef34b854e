"""Where in a file a key stands, so that a fault can name its line.

`tomllib` gives values without positions. `TomlPositions` scans the same text once more, for its keys only;
it is used after `tomllib` has accepted the text, so it need not judge it.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from detections.errors import Location

Key = str | int

_HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_OPENING = {"[": 1, "{": 1, "]": -1, "}": -1}
_DELIMITERS = ('"""', "'''", '"', "'")


class Positions(Protocol):
    """Tells the place of a key, given as a path such as ("rule", "query") or ("check", 2, "when")."""

    def location(self, *keys: Key) -> Location:
        """The place of the key, or of the nearest table around it."""
        ...

    def inside(self, *keys: Key, line: int, column: int) -> Location:
        """The place in the file of a place (from 1) in the key's text."""
        ...


@dataclass(frozen=True, slots=True)
class LinePositions:
    """Positions in a file that has one document a line: everything is on that line."""

    path: str
    line: int

    def location(self, *keys: Key) -> Location:
        return Location(self.path, self.line)

    def inside(self, *keys: Key, line: int, column: int) -> Location:
        return Location(self.path, self.line)


@dataclass(frozen=True, slots=True)
class _Place:
    """Line of a key; line and column offset of the first character of its text."""

    line: int
    text_line: int
    text_offset: int


class TomlPositions:
    """Positions of the keys of a TOML text that `tomllib` accepts.

    The text is looked through when the first position is asked for: most files have no fault.
    """

    def __init__(self, text: str, path: str) -> None:
        self.text, self.path = text, path
        self._counts: dict[tuple[Key, ...], int] = {}

    @cached_property
    def _places(self) -> dict[tuple[Key, ...], _Place]:
        # Not splitlines: U+2028 in a text of TOML ends no line.
        return self._scanned(self.text.replace("\r\n", "\n").split("\n"))

    def location(self, *keys: Key) -> Location:
        for length in range(len(keys), 0, -1):
            place = self._places.get(keys[:length])
            if place is not None:
                return Location(self.path, place.line)
        return Location(self.path, 1)

    def inside(self, *keys: Key, line: int, column: int) -> Location:
        place = self._places.get(keys)
        if place is None:
            return self.location(*keys)
        offset = place.text_offset if line == 1 else 0
        return Location(self.path, place.text_line + line - 1, column + offset)

    def _scanned(self, lines: list[str]) -> dict[tuple[Key, ...], _Place]:
        places: dict[tuple[Key, ...], _Place] = {}
        table: tuple[Key, ...] = ()
        number = 0
        while number < len(lines):
            line = lines[number]
            if header := _HEADER.match(line):
                table = self._opened(header[2], number + 1, places, is_array=header[1] == "[[")
                places.setdefault(table, _Place(number + 1, number + 1, 0))
            elif assignment := _ASSIGNMENT.match(line):
                keys = (*table, *_parts(assignment[1]))
                places.setdefault(keys, _place(lines, number, assignment.end()))
                number = _end_of_value(lines, number, assignment.end())
            number += 1
        return places

    def _opened(
        self, name: str, line: int, places: dict[tuple[Key, ...], _Place], *, is_array: bool
    ) -> tuple[Key, ...]:
        """The path of a table header, with the index of each array of tables that it passes through."""
        parts = _parts(name)
        path: tuple[Key, ...] = ()
        for number, part in enumerate(parts):
            path = (*path, part)
            if is_array and number == len(parts) - 1:
                places.setdefault(path, _Place(line, line, 0))
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = (*path, self._counts[path])
        return path


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _KEY_PART.findall(name))


def _place(lines: list[str], number: int, column: int) -> _Place:
    """Where the text of a value begins: after its quotes, or on the next line after bare triple quotes."""
    line = lines[number]
    start = column + len(line[column:]) - len(line[column:].lstrip())
    delimiter = next((mark for mark in _DELIMITERS if line.startswith(mark, start)), "")
    offset = start + len(delimiter)
    if len(delimiter) == 3 and not line[offset:].strip():
        return _Place(number + 1, number + 2, 0)
    return _Place(number + 1, number + 1, offset)


def _end_of_value(lines: list[str], number: int, column: int) -> int:
    """The number of the line on which a value ends: past multi-line strings, arrays and inline tables."""
    depth = 0
    delimiter = ""
    while number < len(lines):
        delimiter, depth = _read_line(lines[number], column, delimiter, depth)
        if len(delimiter) != 3 and depth <= 0:
            return number
        if len(delimiter) != 3:
            delimiter = ""
        number, column = number + 1, 0
    return number


def _read_line(line: str, column: int, delimiter: str, depth: int) -> tuple[str, int]:
    """The open string delimiter and bracket depth after a line."""
    while column < len(line):
        if delimiter:
            if delimiter[0] == '"' and line[column] == "\\":
                column += 2
            elif line.startswith(delimiter, column):
                column += len(delimiter)
                delimiter = ""
            else:
                column += 1
        elif line[column] == "#":
            break
        else:
            delimiter = next((mark for mark in _DELIMITERS if line.startswith(mark, column)), "")
            depth += _OPENING.get(line[column], 0) if not delimiter else 0
            column += len(delimiter) or 1
    return delimiter, depth
