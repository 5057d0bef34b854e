"""Wildcard patterns over many texts at once, as one expression of RE2: linear in the text."""

import re
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from detections.eql.ast import Dialect, Expression, FieldRef, Literal, Pattern
from detections.eql.patterns import ascii_fold

# Compiling takes 50 ms for 100,000 characters, and more than in proportion for more.
LONGEST = 200_000
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_JOKERS = {"*": ".*", "?": "."}


@dataclass(frozen=True, slots=True)
class Wildcards:
    """The patterns of a condition. folds: they are meant for texts whose ASCII letters are lower case."""

    expression: str
    folds: bool

    def codes(self, texts: pa.Array) -> list[int]:
        """Which of the texts match, by their place."""
        found: list[int] = pc.indices_nonzero(pc.match_substring_regex(texts, self.expression)).to_pylist()
        return found


@lru_cache(maxsize=4096)
def wildcards_of(node: Expression) -> Wildcards | None:
    """None where a condition is no wildcard pattern over a field, or too long a one to compile."""
    if not isinstance(node, Pattern) or node.dialect is not Dialect.WILDCARD:
        return None
    if not isinstance(node.value, FieldRef):
        return None
    texts = (str(item.value) for item in node.patterns if isinstance(item, Literal))
    patterns = (ascii_fold(text) if node.insensitive else text for text in texts)
    expression = rf"(?s)\A(?:{'|'.join(map(_expression, patterns))})\z"
    return Wildcards(expression, node.insensitive) if len(expression) <= LONGEST else None


def _expression(pattern: str) -> str:
    return "".join(_JOKERS.get(one) or _SPECIAL.sub(r"\\\g<0>", one) for one in pattern)
