"""Wildcard patterns over many texts at once, as one expression of RE2: linear in the text."""

import re
from dataclasses import dataclass
from functools import lru_cache, reduce

import pyarrow as pa
import pyarrow.compute as pc

from detections.eql.ast import Dialect, Expression, FieldRef, Literal, Pattern
from detections.eql.patterns import ascii_fold

# So many patterns with several floating pieces are one expression; more of them have too many states.
TOGETHER = 4
# Compiling takes 50 ms for 100,000 characters, and more than in proportion for more.
LONGEST = 200_000
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_JOKERS = {"*": ".*", "?": "."}


@dataclass(frozen=True, slots=True)
class Wildcards:
    """The patterns of a condition. folds: they are meant for texts whose ASCII letters are lower case."""

    expressions: tuple[str, ...]
    folds: bool

    def codes(self, texts: pa.Array) -> list[int]:
        """Which of the texts match, by their place."""
        masks = [pc.match_substring_regex(texts, expression) for expression in self.expressions]
        found: list[int] = pc.indices_nonzero(reduce(pc.or_, masks)).to_pylist()
        return found


@lru_cache(maxsize=4096)
def wildcards_of(node: Expression) -> Wildcards | None:
    """None where a condition is no wildcard pattern over a field, or too long a one to compile."""
    if not isinstance(node, Pattern) or node.dialect is not Dialect.WILDCARD:
        return None
    if not isinstance(node.value, FieldRef):
        return None
    texts = [str(item.value) for item in node.patterns if isinstance(item, Literal)]
    patterns = [ascii_fold(text) if node.insensitive else text for text in texts]
    hard = [one for one in patterns if _has_choice(one)]
    easy = [one for one in patterns if not _has_choice(one)]
    joined = [easy] * bool(easy) + [hard[at : at + TOGETHER] for at in range(0, len(hard), TOGETHER)]
    expressions = tuple("(?s)" + "|".join(map(_expression, part)) for part in joined)
    return Wildcards(expressions, node.insensitive) if sum(map(len, expressions)) <= LONGEST else None


def _has_choice(pattern: str) -> bool:
    """Whether a text can be at several places of it at once: many of these together make RE2 slow."""
    _, *floating = pattern.split("*")
    return sum(map(bool, floating)) > 1 or any("?" in piece for piece in floating)


def _expression(pattern: str) -> str:
    """Anchored where no `*` is: what follows a last one need not be read."""
    inner = re.sub(r"\*+", "*", pattern)
    first, last = "" if inner[:1] == "*" else r"\A", "" if inner[-1:] == "*" else r"\z"
    core = inner.strip("*")
    return first + "".join(_JOKERS.get(one) or _SPECIAL.sub(r"\\\g<0>", one) for one in core) + last
