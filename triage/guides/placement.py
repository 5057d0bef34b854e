"""Where each line of a note has landed in its guide; what landed nowhere is left over.

An independent look: it knows nothing of how the note was read, and searches the guide's texts for the note's
own words. So a line that the reader drops is seen, whatever the reason.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from triage.guides.markdown import Block, blocks
from triage.guides.model import Guide
from triage.guides.pivots import TOKEN

LEFT_OVER = ""
_LABEL = re.compile(r"^(?:why|focus|hint|range|library|implication)s?\s*:\s*")
# What stands for a heading where an author wrote a line in bold.
_HEADING = re.compile(
    r"(\*\*|__)[^*_]*(investigation step|false positive|response|investigating )[^*_]*(\*\*|__):?$",
    re.IGNORECASE,
)
_INLINE = re.compile(r"!\{(?:investigate|osquery)\{")
_MARKUP = re.compile(r"[*`_#|>~-]+")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of the note, its line from 1, and where it landed; "" if nowhere. depth: of its list item."""

    number: int
    text: str
    depth: int
    place: str

    @property
    def is_left_over(self) -> bool:
        return self.place == LEFT_OVER


def placed(note: str, guide: Guide) -> list[Line]:
    """Every heading, item, paragraph and other block of the note with the part of the guide it became."""
    places = [(place, _plain(text)) for place, text in _places(guide) if text.strip()]
    return [
        Line(block.line, block.text, depth, _place(block, places))
        for top in blocks(note)
        for block, depth in _flat(top, 0)
        if block.text.strip()
    ]


def _flat(block: Block, depth: int) -> Iterator[tuple[Block, int]]:
    yield block, depth
    for child in block.children:
        yield from _flat(child, depth + 1)


def _places(guide: Guide) -> Iterator[tuple[str, str]]:
    yield "title of the guide", guide.title
    for number, question in enumerate(guide.questions, start=1):
        yield f"question {number}", question.title
        texts = {
            "Why": question.why,
            "Focus": question.focus.text,
            "Hint": question.hint,
            "Range": question.range,
            "Library": question.library.text,
            "Implication": question.implication,
        }
        for label, text in texts.items():
            yield f"question {number}: {label}", text
        yield f"question {number}: details", question.details
    yield "closing sentence: the gate", guide.closing
    for number, point in enumerate(guide.false_positives.points, start=1):
        yield f"false positives, point {number}", point
    for number, stage in enumerate(guide.response, start=1):
        yield f"response, step {number} ({stage.applies.value})", f"{stage.title}\n{stage.text}"
    for section in guide.sections:
        yield f"section {section.title or 'without a title'}", f"{section.title}\n{section.text}"


def _place(block: Block, places: list[tuple[str, str]]) -> str:
    """The first part that holds all of the block; else the parts that hold its lines; else none."""
    pieces = [_unlabelled(piece) for line in block.text.splitlines() for piece in _pieces(line)]
    pieces = [piece for piece in pieces if piece]
    if not pieces:
        return "pivot"
    for place, text in places:
        if all(piece in text for piece in pieces):
            return place
    each = [next((place for place, text in places if piece in text), LEFT_OVER) for piece in pieces]
    if all(each):
        return ", ".join(dict.fromkeys(each))
    return "heading" if block.kind == "heading" or _HEADING.match(block.text) else LEFT_OVER


def _pieces(line: str) -> list[str]:
    """The words around pivot tokens: a token becomes a pivot of its question."""
    found = _INLINE.search(line)
    plain = line[: found.start()] if found else line
    return [piece for piece in TOKEN.split(plain)[::3] if piece.strip()]


def _plain(text: str) -> str:
    """The words alone: no markup, token or break, so that two writings of one text compare equal."""
    return _SPACE.sub(" ", _MARKUP.sub(" ", TOKEN.sub(" ", text))).strip().lower()


def _unlabelled(piece: str) -> str:
    """The words of a piece without the label that the reader took off, and without the colon of a heading."""
    return _LABEL.sub("", _plain(piece)).strip().rstrip(":")
