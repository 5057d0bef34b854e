"""Tables that no spreadsheet takes for formulas, whatever telemetry put into them."""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# A spreadsheet takes a cell that begins so for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "\N{REPLACEMENT CHARACTER}")


def cell(value: Any) -> str:
    """A value as the text of a cell: lists joined; one that begins like a formula gets an apostrophe."""
    text = "; ".join(str(one) for one in value) if isinstance(value, list | tuple) else str(value)
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def lines(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """A CSV table, line by line. Every cell is quoted, so that no other separator splits one in two."""
    for row in itertools.chain([header], rows):
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL).writerow([cell(value) for value in row])
        yield text.getvalue()
