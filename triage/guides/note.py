"""The `note` of a rule -> Guide. Nothing that the note says is dropped.

Structured guides ask questions with *Focus*, *Why*, *Hint*, *Range*, *Library* and *Implication* below each.
Older free-form guides become plain questions with what stands below them as details.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from triage.guides import implications
from triage.guides.markdown import Block, blocks, source, sources
from triage.guides.model import (
    FalsePositives,
    Focus,
    Guide,
    Pivot,
    Question,
    Requirement,
    ResponseStage,
    Section,
    StageFor,
)
from triage.guides.pivots import TOKEN, Entries, Entry, pivot_of

# However it is written: `Why:`, `**Why:**`, `*Why*:`, `hints:`.
_LABEL = re.compile(
    r"[*_]{0,3}(Why|Focus|Hint|Range|Library|Implication)s?[*_]{0,3}\s*:[*_]{0,3}\s*(.*)",
    re.DOTALL | re.IGNORECASE,
)
# A line in bold that stands alone is a heading if it announces what a guide has.
_BOLD_LINE = re.compile(r"(\*\*|__)([^*_]+)\1:?|(\*\*|__)([^*_]+):\3")
_ANNOUNCED = re.compile(
    r"(?:possible |suggested )?investigation steps?|false positives?(?: analysis)?"
    r"|response(?: and remediation)?|investigating .+|setup|references|resources"
)
_ASIDE = re.compile(r"(?:setup|references|resources)(?: instructions| guide| notes)?")
# A guide that is written by labels has some of these; the others are words that a question may begin with.
_TELLING = re.compile(r"[*_]{0,3}(?:Why|Focus|Implication)s?[*_]{0,3}\s*:", re.IGNORECASE)
_CODE = re.compile(r"`([^`]+)`")
_FIELD = re.compile(r"@timestamp|[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)+")
_SLUG = re.compile(r"[^a-z0-9]+")
_STAGES = (
    (
        re.compile(r"if (?:confirmed )?(?:benign|false positive|legitimate|authori[sz]ed)", re.IGNORECASE),
        StageFor.BENIGN,
    ),
    (re.compile(r"if suspicious", re.IGNORECASE), StageFor.SUSPICIOUS),
    (re.compile(r"if (?:confirmed )?malicious", re.IGNORECASE), StageFor.MALICIOUS),
)
_CLOSES = re.compile(r"\b(escalat|clos|benign|preserv|suppress|except|resolv|lower)", re.IGNORECASE)
# In prose: a question mark inside code or an address asks nothing.
_ASKS = re.compile(r"\?[*_\"')\]]*(?=\s|$)")
SHORT_TITLE = 60
# What is more is kept as text: nobody answers it one by one, and every page of a case lists its questions.
MOST_QUESTIONS = 100


def read_note(note: str, transforms: Sequence[Entry], path: str) -> Guide:
    """The guide that a note and its pivot entries describe. Never raises: faults are part of the guide."""
    entries = Entries(note, transforms, path)
    return _Reader(entries).guide()


def slug(text: str, limit: int = 48) -> str:
    """A key made of a text."""
    return _SLUG.sub("_", text.lower()).strip("_")[:limit].rstrip("_") or "item"


def shortened(text: str) -> str:
    """The text, or its beginning up to a whole word."""
    plain = text.replace("`", "")
    if len(plain) <= SHORT_TITLE:
        return plain
    return plain[:SHORT_TITLE].rsplit(" ", 1)[0].rstrip(",;:") + "…"


@dataclass
class _Part:
    """A heading and the blocks below it, up to the next heading."""

    title: str = ""
    sort: str = "other"
    blocks: list[Block] = field(default_factory=list)


class _Reader:
    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._owners: dict[int, str] = {}
        self._keys: set[str] = set()
        self._repeats: dict[str, int] = {}
        self._referred: list[int] = []

    def guide(self) -> Guide:
        parts = _parts(blocks(self._entries.note))
        asked = [part for part in parts if part.sort == "steps"] or _fallback(parts)
        items = [item for part in asked for item in _with_their_labels(part.blocks)]
        items, closing = _without_closing(items)
        items, further = items[:MOST_QUESTIONS], items[MOST_QUESTIONS:]
        questions = tuple(self._question(item) for item in items)
        closing_text = self._text(sources([closing])[2:], "") if closing else ""
        pivots = self._pivots()
        sections = [*self._sections(parts, asked), *self._further(further)]
        return Guide(
            title=next((part.title for part in parts if part.sort == "title"), ""),
            questions=tuple(_with_requirement(question, pivots) for question in questions),
            closing=closing_text,
            false_positives=FalsePositives(tuple(self._points(parts))),
            response=tuple(self._stages(parts)),
            pivots=pivots,
            sections=tuple(sections),
            faults=tuple(self._entries.faults),
        )

    def _question(self, item: Block) -> Question:
        key = self._unique(slug(item.text))
        self._referred = []
        title = self._text(item.text, key)
        labels: dict[str, list[str]] = {}
        rest: list[Block] = []
        for child in item.children:
            found = _LABEL.match(child.text) if child.is_item else None
            if found is None:
                rest.append(child)
            else:
                text = self._text("\n".join([found[2], *map(source, child.children)]), key)
                labels.setdefault(found[1].capitalize(), []).append(text)
        said = {label: "\n".join(texts) for label, texts in labels.items()}
        parts = implications.split(said.get("Implication", ""))
        return Question(
            key=key,
            title=title,
            short_title=shortened(title),
            why=said.get("Why", ""),
            focus=_focus(said.get("Focus", "")),
            hint=said.get("Hint", ""),
            range=said.get("Range", ""),
            library=_focus(said.get("Library", "")),
            implication=said.get("Implication", ""),
            **parts._asdict(),
            details=self._text(sources(rest), key),
            pivots=tuple(f"investigate_{number}" for number in dict.fromkeys(self._referred)),
        )

    def _unique(self, key: str) -> str:
        unique = key
        while unique in self._keys:
            # From where the last one of this key was found free: a note may ask the same thousands of times.
            self._repeats[key] = self._repeats.get(key, 1) + 1
            unique = f"{key}_{self._repeats[key]}"
        self._keys.add(unique)
        return unique

    def _text(self, text: str, question: str) -> str:
        """The text without pivot tokens, which become the question's; Osquery tokens become words."""

        def stand_in(found: re.Match[str]) -> str:
            sort, number = found[1], int(found[2])
            if not self._entries.has(sort, number):
                self._entries.fault(f"{found[0]} points at no entry.", f"Add the [[transform.{sort}]] entry.")
                return found[0]
            if sort == "osquery":
                return self._entries.osquery_text(number)
            if question:
                self._owners.setdefault(number, question)
                self._referred.append(number)
            return self._label(number) if found.string[found.end() :].strip() else ""

        lines = [TOKEN.sub(stand_in, line).rstrip() for line in text.splitlines()]
        return "\n".join(line for line in lines if line.strip() not in ("", "-") or not line).strip("\n ")

    def _label(self, number: int) -> str:
        """What stands for a token in the middle of a sentence."""
        return f"*{self._entries.investigate[number].get('label') or f'pivot {number + 1}'}*"

    def _pivots(self) -> tuple[Pivot, ...]:
        found: list[Pivot] = []
        for number, entry in enumerate(self._entries.investigate):
            try:
                pivot = pivot_of(entry, number)
            except (ValueError, TypeError) as error:
                label = entry.get("label") or number
                self._entries.fault(f"pivot {label!r} can't be used: {error}", "Correct its entry.")
                continue
            found.append(replace(pivot, question=self._owners.get(number, "")))
        return tuple(found)

    def _points(self, parts: Iterable[_Part]) -> Iterable[str]:
        for part in parts:
            if part.sort == "false_positives":
                yield from (self._text(_plain(block), "") for block in part.blocks)

    def _stages(self, parts: Iterable[_Part]) -> Iterable[ResponseStage]:
        number = 0
        for part in parts:
            for block in part.blocks if part.sort == "response" else ():
                number += 1
                yield self._stage(block, number)

    def _stage(self, block: Block, number: int) -> ResponseStage:
        applies = next((stage for pattern, stage in _STAGES if pattern.match(block.text)), StageFor.ANY)
        is_heading = bool(block.children) and block.text.endswith(":")
        text = sources(block.children) if is_heading else _plain(block)
        title = (
            block.text.rstrip(":")
            if is_heading
            else shortened(re.split(r"[,:;.]", block.text, maxsplit=1)[0])
        )
        return ResponseStage(f"step_{number}", title, applies, self._text(text, ""))

    def _further(self, items: Sequence[Block]) -> Iterable[Section]:
        """Questions beyond the most that a case asks."""
        if items:
            said = f"The guide asks {len(items):,} questions more than the {MOST_QUESTIONS} that a case has."
            self._entries.fault(f"{said} They are kept as text.", "Split the guide, or ask less.")
            yield Section("Further questions, not asked one by one", self._text(sources(list(items)), ""))

    def _sections(self, parts: Iterable[_Part], asked: list[_Part]) -> Iterable[Section]:
        """What is no question, false-positive point or response step."""
        for part in parts:
            if part.sort in ("false_positives", "response"):
                continue
            rest = [block for block in part.blocks if not (part in asked and block.is_item)]
            if rest or (part.title and part.sort in ("other", "aside")):
                yield Section(part.title, self._text(sources(rest), ""))


def _parts(found: list[Block]) -> list[_Part]:
    parts = [_Part()]
    for block in found:
        if block.kind == "heading" or _announces(block):
            parts.append(_Part(_title(block.text), _sort(block.text)))
        else:
            parts[-1].blocks.append(block)
    return [part for part in parts if part.title or part.blocks]


def _announces(block: Block) -> bool:
    if block.kind != "paragraph" or _BOLD_LINE.fullmatch(block.text) is None:
        return False
    return _ANNOUNCED.fullmatch(_title(block.text).lower()) is not None


def _title(text: str) -> str:
    return text.strip("#*_ ").rstrip(":").strip("*_ ")


def _sort(text: str) -> str:
    """What a heading announces, in the words that published guides use."""
    words = _title(text).lower()
    if words.startswith("investigating "):
        return "title"
    if "investigation step" in words:
        return "steps"
    if words in ("triage and analysis", "triage"):
        return "frame"
    if "false positive" in words:
        return "false_positives"
    if _ASIDE.fullmatch(words):
        return "aside"
    return "response" if words.startswith("response") else "other"


def _fallback(parts: list[_Part]) -> list[_Part]:
    """Without a heading for the steps, every list before the analysis of false positives asks."""
    return [part for part in parts if part.sort in ("title", "frame", "other")]


def _with_their_labels(found: Iterable[Block]) -> list[Block]:
    """The items of a part; a label that stands beside its question, not below it, is still its label."""
    items: list[Block] = []
    held = [block for block in found if block.is_item]
    is_labelled = any(_TELLING.match(one.text) for block in held for one in (block, *block.children))
    for block in held:
        if is_labelled and items and _LABEL.match(block.text):
            items[-1] = replace(items[-1], children=(*items[-1].children, block))
        else:
            items.append(block)
    return items


def _without_closing(items: list[Block]) -> tuple[list[Block], Block | None]:
    """A structured guide ends with a bare sentence that says when to escalate and when to close. Whatever
    asks stays a question: nothing that a case should answer may be lost to the gate's text."""
    is_structured = any(_LABEL.match(child.text) for item in items for child in item.children)
    if is_structured and items and not items[-1].children and _is_closing(items[-1].text):
        return items[:-1], items[-1]
    return items, None


def _is_closing(text: str) -> bool:
    return _CLOSES.search(text) is not None and _ASKS.search(_CODE.sub("", text)) is None


def _plain(block: Block) -> str:
    """A block's Markdown, an item without its bullet."""
    if not block.is_item:
        return source(block)
    return "\n\n".join(part for part in (block.text, sources(block.children)) if part)


def _focus(text: str) -> Focus:
    names = [name for code in _CODE.findall(text) if _FIELD.fullmatch(name := code.strip())]
    return Focus(text, tuple(dict.fromkeys(names)))


def _with_requirement(question: Question, pivots: tuple[Pivot, ...]) -> Question:
    """Without an overlay a question requires the telemetry that its pivots read."""
    known = {pivot.key for pivot in pivots}
    kinds = [kind for pivot in pivots if pivot.key in question.pivots for kind in pivot.kinds]
    return replace(
        question,
        pivots=tuple(key for key in question.pivots if key in known),
        requires=Requirement(telemetry=tuple(dict.fromkeys(kinds))),
    )
