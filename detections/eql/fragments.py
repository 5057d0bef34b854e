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


def joined(separator: str, parts: Sequence[Fragment]) -> Fragment:
    """The parts with a separator between them, in parentheses."""
    sql = separator.join(part.sql for part in parts)
    return Fragment(f"({sql})", tuple(value for part in parts for value in part.params))
