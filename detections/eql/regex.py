"""Lucene's regular expressions: parsed, run as an automaton, and written for RE2.

Patterns are anchored and `^` and `$` are ordinary characters. Of the optional operators `#` (nothing), `@`
(anything) and `"quoted"` are read; `~`, `&` and `<1-9>` are refused, since no published rule uses them.
Ignoring case folds ASCII letters that stand alone, not ranges of a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

_LAST = 0x10FFFF
_CLASSES: dict[str, list[tuple[int, int]]] = {
    "d": [(48, 57)],
    "w": [(48, 57), (65, 90), (95, 95), (97, 122)],
    "s": [(9, 10), (13, 13), (32, 32)],
}
_MOST_REPEATS = 1000
_MOST_STATES = 20_000
_DEEPEST = 50

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Characters:
    """One character out of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Joined:
    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    part: "Tree"
    least: int
    most: int | None


Tree = Characters | Joined | Choice | Repeated
_ANY = Characters(((0, _LAST),))
_EMPTY = Joined(())
# RE2 loses the capital of [Kk] and [Ss] beside a class with the Kelvin sign or the long s (U+212A, U+017F).
_MISREAD = (((75, 75), (107, 107)), ((83, 83), (115, 115)))


def parse(pattern: str, *, insensitive: bool = False) -> Tree:
    """The tree of a pattern. Raises ValueError that says what is wrong and at which character."""
    tree = _Reader(pattern, insensitive).tree()
    if _repeats(tree) > _MOST_REPEATS:
        raise ValueError(f"the pattern repeats more than {_MOST_REPEATS} times")
    return tree


def _repeats(tree: Tree) -> int:
    """How often the innermost part may repeat by counts, multiplied through; RE2 has the same limit."""
    match tree:
        case Characters():
            return 1
        case Joined(parts) | Choice(parts):
            return max(map(_repeats, parts), default=1)
        case Repeated(part, least, most):
            return _repeats(part) * max(least, most or 1, 1)


@dataclass(slots=True)
class _Reader:
    text: str
    insensitive: bool
    at: int = 0
    depth: int = 0

    def tree(self) -> Tree:
        found = self._choice()
        if self.at < len(self.text):
            raise self._fault("unbalanced )")
        return found

    def _fault(self, message: str) -> ValueError:
        return ValueError(f"{message} (character {self.at + 1} of the pattern)")

    def _peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def _take(self) -> str:
        if self.at >= len(self.text):
            raise self._fault("the pattern ends too early")
        self.at += 1
        return self.text[self.at - 1]

    def _choice(self) -> Tree:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self._fault("too many nested groups")
        options = [self._joined()]
        while self._peek() == "|":
            self.at += 1
            options.append(self._joined())
        # Lucene takes the | or ) beside it for a character, which nobody means.
        if len(options) > 1 and _EMPTY in options:
            raise self._fault("an alternative is empty; write (a|b)? for a or b or nothing")
        self.depth -= 1
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _joined(self) -> Tree:
        parts = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated())
        return parts[0] if len(parts) == 1 else Joined(tuple(parts))

    def _repeated(self) -> Tree:
        part = self._atom()
        while self._peek() in ("*", "+", "?", "{"):
            if self._peek() == "{":
                part = self._counted(part)
            else:
                least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[self._take()]
                part = Repeated(part, least, most)
        return part

    def _counted(self, part: Tree) -> Tree:
        self.at += 1
        least, most = self._count(), None
        if self._peek() == ",":
            self.at += 1
            most = None if self._peek() == "}" else self._count()
        else:
            most = least
        if self._take() != "}":
            raise self._fault("expected }")
        if most is not None and most < least:
            raise self._fault("the second number of {m,n} is smaller")
        return Repeated(part, least, most)

    def _count(self) -> int:
        start = self.at
        while self._peek().isdecimal():
            self.at += 1
        digits = self.text[start : self.at]
        if not digits or len(digits) > 4 or int(digits) > _MOST_REPEATS:
            raise self._fault(f"expected a number up to {_MOST_REPEATS}")
        return int(digits)

    def _atom(self) -> Tree:
        character = self._take()
        match character:
            case "(":
                inner = self._choice()
                if self._take() != ")":
                    raise self._fault("expected )")
                return inner
            case "[":
                return self._class()
            case ".":
                return _ANY
            case "@":
                return Repeated(_ANY, 0, None)
            case "#":
                return Choice(())
            case '"':
                return self._quoted()
            case "~" | "&" | "<":
                self.at -= 1
                raise self._fault(f"the operator {character} is not supported; a backslash makes it ordinary")
            case "*" | "+" | "?" | "{":
                self.at -= 1
                raise self._fault(f"nothing to repeat before {character}")
            case "\\":
                return self._escaped()
        return self._literal(character)

    def _quoted(self) -> Tree:
        end = self.text.find('"', self.at)
        if end < 0:
            raise self._fault('expected "')
        parts = tuple(self._literal(character) for character in self.text[self.at : end])
        self.at = end + 1
        return Joined(parts)

    def _escaped(self) -> Tree:
        character = self._take()
        ranges = self._named_class(character)
        return self._literal(character) if ranges is None else Characters(tuple(ranges))

    def _named_class(self, character: str) -> Sequence[tuple[int, int]] | None:
        """What an escaped letter stands for, None where it is no letter and stands for itself."""
        ranges = _CLASSES.get(character.lower())
        if ranges is not None:
            return _inverted(ranges) if character.isupper() else ranges
        if character.isascii() and character.isalpha():
            raise self._fault(rf"\{character} is no class; there are \d \s \w and \D \S \W")
        return None

    def _literal(self, character: str) -> Characters:
        return Characters(tuple(sorted(self._cases(character))))

    def _cases(self, character: str) -> list[tuple[int, int]]:
        code = ord(character)
        if self.insensitive and character.isascii() and character.isalpha():
            return [(code, code), (code ^ 32, code ^ 32)]
        return [(code, code)]

    def _class(self) -> Tree:
        negated = self._peek() == "^"
        self.at += negated
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self._peek() != "]":
            ranges.extend(self._class_item())
            first = False
        self.at += 1
        return Characters(_inverted(ranges) if negated else _merged(ranges))

    def _class_item(self) -> list[tuple[int, int]]:
        character = self._take()
        if character == "\\":
            character = self._take()
            if (ranges := self._named_class(character)) is not None:
                return list(ranges)
        if self._peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
            self.at += 1
            last = self._take()
            last = self._take() if last == "\\" else last
            if last < character:
                raise self._fault("a range of a class runs backwards")
            return [(ord(character), ord(last))]
        return self._cases(character)


def _merged(ranges: list[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _inverted(ranges: list[tuple[int, int]]) -> Ranges:
    found, start = [], 0
    for low, high in _merged(ranges):
        if low > start:
            found.append((start, low - 1))
        start = high + 1
    return (*found, (start, _LAST)) if start <= _LAST else tuple(found)


@dataclass(slots=True)
class Automaton:
    """A pattern as an automaton that is made deterministic as it reads; one step a character.

    Raises ValueError for a pattern that is none, or that would need too many states.
    """

    pattern: str
    insensitive: bool = field(default=False, kw_only=True)
    _edges: list[list[tuple[Ranges, int]]] = field(init=False, default_factory=list)
    _empty: list[list[int]] = field(init=False, default_factory=list)
    _final: int = field(init=False)
    _start: frozenset[int] = field(init=False)
    _known: dict[tuple[frozenset[int], str], frozenset[int]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        first = self._state()
        self._final = self._build(parse(self.pattern, insensitive=self.insensitive), first)
        self._start = self._closed({first})

    def matches(self, text: str) -> bool:
        """Whether the whole text is one of the language."""
        states = self._start
        for character in text:
            step = (states, character)
            following = self._known.get(step)
            if following is None:
                following = self._follow(states, ord(character))
                if len(self._known) > _MOST_STATES:
                    self._known.clear()
                self._known[step] = following
            if not following:
                return False
            states = following
        return self._final in states

    def _state(self) -> int:
        if len(self._edges) >= _MOST_STATES:
            raise ValueError("the pattern repeats too much")
        self._edges.append([])
        self._empty.append([])
        return len(self._edges) - 1

    def _build(self, tree: Tree, start: int) -> int:
        """Add the states of a tree; the state where it ends."""
        match tree:
            case Characters(ranges):
                end = self._state()
                self._edges[start].append((ranges, end))
                return end
            case Joined(parts):
                for part in parts:
                    start = self._build(part, start)
                return start
            case Choice(options):
                end = self._state()
                for option in options:
                    entry = self._state()
                    self._empty[start].append(entry)
                    self._empty[self._build(option, entry)].append(end)
                return end
            case Repeated(part, least, most):
                return self._build_repeated(part, least, most, start)

    def _build_repeated(self, part: Tree, least: int, most: int | None, start: int) -> int:
        for _ in range(least):
            start = self._build(part, start)
        end = self._state()
        if most is None:
            loop = self._state()
            self._empty[start].append(loop)
            self._empty[self._build(part, loop)].append(loop)
            self._empty[loop].append(end)
            return end
        for _ in range(most - least):
            self._empty[start].append(end)
            start = self._build(part, start)
        self._empty[start].append(end)
        return end

    def _closed(self, states: set[int]) -> frozenset[int]:
        pending = list(states)
        while pending:
            for state in self._empty[pending.pop()]:
                if state not in states:
                    states.add(state)
                    pending.append(state)
        return frozenset(states)

    def _follow(self, states: frozenset[int], code: int) -> frozenset[int]:
        return self._closed(
            {
                target
                for state in states
                for ranges, target in self._edges[state]
                if any(low <= code <= high for low, high in ranges)
            }
        )


def re2(tree: Tree) -> str:
    """The same language in RE2's syntax; every character is written by its code."""
    match tree:
        case Characters(ranges):
            if not ranges:
                return r"[^\x{0}-\x{10FFFF}]"
            if ranges in _MISREAD:
                return "(?:" + "|".join(rf"\x{{{low:X}}}" for low, _ in ranges) + ")"
            return "[" + "".join(rf"\x{{{low:X}}}-\x{{{high:X}}}" for low, high in ranges) + "]"
        case Joined(parts):
            return "".join(map(re2, parts))
        case Choice(()):
            return r"[^\x{0}-\x{10FFFF}]"
        case Choice(options):
            return "(?:" + "|".join(map(re2, options)) + ")"
        case Repeated(part, 0, None):
            return f"(?:{re2(part)})*"
        case Repeated(part, least, most):
            return f"(?:{re2(part)}){{{least},{'' if most is None else most}}}"
