"""Which clauses an alert's stored text rules out before it is parsed: reading JSON is what a back-test costs.

A clause that holds is never ruled out; one that is not ruled out may hold or not.
"""

import json
import re
from collections.abc import Callable

from triage.enums import ExceptionOperator
from triage.exception_items.content import REMOTE_IP, Entry
from triage.exception_items.evaluation import is_address, is_domain, is_hash
from triage.exception_items.matching import CompiledItem

_O = ExceptionOperator
# Looking for more values than this in a text takes longer than parsing it.
MOST_VALUES = 16
# A whole number of more digits may be written with an exponent.
_PLAIN_DIGITS = 15
# text, the same in lower case -> whether one of the values may be in it
_MayHold = Callable[[str, str], bool]


class Prefilter:
    """Made for one item, asked for each alert."""

    def __init__(self, item: CompiledItem) -> None:
        tests = (_test(clause.entry) for clause in item.clauses)
        self._tests = [test for test in tests if test is not None]

    def __bool__(self) -> bool:
        return bool(self._tests)

    def ruled_out(self, text: str, *, enough: int) -> int:
        """How many clauses can't hold of the alert whose events are stored as this JSON text; counting
        stops at `enough`."""
        lower, found = text.lower(), 0
        for test in self._tests:
            found += not test(text, lower)
            if found >= enough:
                break
        return found


def _test(entry: Entry) -> _MayHold | None:
    """None for entries that say nothing of what must stand in the text."""
    if entry.is_recovered or entry.negated or not 0 < len(entry.values) <= MOST_VALUES:
        return None
    if entry.operator is _O.MATCHES:
        pieces = [max(re.split(r"[*?]+", value), key=len) for value in entry.values]
    elif entry.operator in (_O.IS, _O.IS_ONE_OF):
        pieces = list(entry.values)
    else:
        return None
    if not all(pieces) or any(piece.isdigit() and len(piece) > _PLAIN_DIGITS for piece in pieces):
        return None
    if is_address(entry.field) or entry.field == REMOTE_IP:
        return _address_test(entry, pieces)
    if is_domain(entry.field) or is_hash(entry.field):
        return _folded_test(pieces)
    needles = sorted({needle for piece in pieces for needle in _written(piece)})
    return lambda text, _lower: any(needle in text for needle in needles)


def _written(piece: str) -> set[str]:
    """How a text may be written in JSON: with escapes for all that is not ASCII, or without."""
    return {json.dumps(piece)[1:-1], json.dumps(piece, ensure_ascii=False)[1:-1]}


def _address_test(entry: Entry, pieces: list[str]) -> _MayHold | None:
    """IPv4 alone, which may be written within IPv6; of other addresses there are too many spellings."""
    if entry.operator is _O.MATCHES or not all(re.fullmatch(r"\d+(\.\d+){3}", piece) for piece in pieces):
        return None
    return lambda _text, lower: "ffff:" in lower or any(piece in lower for piece in pieces)


def _folded_test(pieces: list[str]) -> _MayHold | None:
    if not all(piece.isascii() for piece in pieces):
        return None
    needles = [json.dumps(piece.strip().lower().rstrip("."))[1:-1] for piece in pieces]
    return lambda _text, lower: any(needle in lower for needle in needles)
