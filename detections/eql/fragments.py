"""Pieces of SQL with their parameters. No value ever becomes part of the text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fragment:
    """SQL text with a `?` for each of `params`, in order."""

    sql: str
    params: tuple[Any, ...] = ()


TRUE, FALSE, NULL = Fragment("true"), Fragment("false"), Fragment("NULL::VARCHAR")


def parameter(value: Any) -> Fragment:
    return Fragment("?", (value,))


def fill(template: str, *parts: Fragment) -> Fragment:
    """The template with `{0}`, `{1}`.. replaced; a part may come more than once."""
    params: list[Any] = []

    def place(match: re.Match[str]) -> str:
        part = parts[int(match[1])]
        params.extend(part.params)
        return part.sql

    return Fragment(re.sub(r"\{(\d)\}", place, template), tuple(params))


def bound(template: str, *parts: Fragment) -> Fragment:
    """`fill` for templates that name a part several times: a long part is written and computed once.

    SQL has no local names, so a list of one element stands in for one.
    """
    names = tuple(
        part if _SHORT.fullmatch(part.sql) else Fragment(f"eql_part{index}")
        for index, part in enumerate(parts)
    )
    body = fill(template, *names)
    for part, name in zip(reversed(parts), reversed(names), strict=True):
        if part is not name:
            body = named(name.sql, part, body)
    return body


_SHORT = re.compile(r'\?|\w+|"[^"]+"|NULL::VARCHAR')


def named(name: str, value: Fragment, body: Fragment) -> Fragment:
    """A body that speaks of the value by a name."""
    return fill(f"list_transform([{{0}}], lambda {name}: {{1}})[1]", value, body)


def joined(separator: str, parts: Sequence[Fragment]) -> Fragment:
    """The parts with a separator between them, in parentheses."""
    sql = separator.join(part.sql for part in parts)
    return Fragment(f"({sql})", tuple(value for part in parts for value in part.params))
