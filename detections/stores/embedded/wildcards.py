"""Wildcard patterns over many texts at once, as one expression of RE2: linear in the text."""

import re
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from detections.eql.ast import Dialect, Expression, FieldRef, Literal, Pattern
from detections.eql.patterns import ascii_fold

_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_JOKERS = {"*": ".*", "?": "."}


@dataclass(frozen=True, slots=True)
class Wildcards:
    """The patterns of a condition. folds: they are meant for texts whose ASCII letters are lower case."""

    expression: str
    folds: bool

    def codes(self, texts: pa.Array) -> list[int] | None:
        """Which of the texts match, by their place; None where RE2 finds the patterns too large."""
        try:
            found = pc.match_substring_regex(texts, self.expression)
        except pa.ArrowInvalid:
            return None
        places: list[int] = pc.indices_nonzero(found).to_pylist()
        return places


@lru_cache(maxsize=4096)
def wildcards_of(node: Expression) -> Wildcards | None:
    """None where a condition is no wildcard pattern over a field."""
    if not isinstance(node, Pattern) or node.dialect is not Dialect.WILDCARD:
        return None
    if not isinstance(node.value, FieldRef):
        return None
    texts = (str(item.value) for item in node.patterns if isinstance(item, Literal))
    patterns = (ascii_fold(text) if node.insensitive else text for text in texts)
    return Wildcards(rf"(?s)\A(?:{'|'.join(map(_expression, patterns))})\z", node.insensitive)


def _expression(pattern: str) -> str:
    return "".join(_JOKERS.get(one) or _SPECIAL.sub(r"\\\g<0>", one) for one in pattern)
