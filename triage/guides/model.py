"""An investigation guide as data: questions, pivots, checks, exception policy, response ladder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeVar

from detections.enums import TelemetryKind
from detections.eql.ast import Query
from detections.errors import RuleFault
from detections.stores.base import Filters, Window

# A pivot looks this far past the alert's last event (design: to = last event + 1 h).
AFTER_LAST_EVENT = timedelta(hours=1)


class Points(Enum):
    """The way a check or an answer points."""

    ESCALATE = "escalate"
    LOWER = "lower"


class StageFor(Enum):
    """The conclusion under which a stage of the response ladder applies."""

    BENIGN = "benign"
    SUSPICIOUS = "suspicious"
    MALICIOUS = "malicious"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Focus:
    """What to look at: the sentence, and the ECS fields it names, in order, each once."""

    text: str = ""
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """What must be there before a question may be answered *lower*.

    telemetry: kinds that must be present for the host. confirmation: a record that says who confirmed what
    is needed. confirmation_replaces_telemetry: with such a record, missing telemetry does not block.
    is_declared: an overlay says so (else it is derived from the question's pivots). says: why, for people.
    """

    telemetry: tuple[TelemetryKind, ...] = ()
    confirmation: bool = False
    confirmation_replaces_telemetry: bool = False
    is_declared: bool = False
    says: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the guide. All texts are Markdown.

    key: stable over versions where an overlay names it, else made from the title. implication: the whole
    sentence; escalate_when, lower_when, missing_means: its parts, "" where it has none. details: everything
    else that stands below the question. pivots: keys, in order.
    """

    key: str
    title: str
    short_title: str
    why: str = ""
    focus: Focus = field(default_factory=Focus)
    hint: str = ""
    range: str = ""
    library: Focus = field(default_factory=Focus)
    implication: str = ""
    escalate_when: str = ""
    lower_when: str = ""
    missing_means: str = ""
    details: str = ""
    pivots: tuple[str, ...] = ()
    requires: Requirement = field(default_factory=Requirement)


@dataclass(frozen=True, slots=True)
class TimeOffset:
    """A relative time such as `now-48h/h`: a distance, and a unit to round down to ("" = none)."""

    delta: timedelta
    round_to: str = ""

    def from_moment(self, moment: datetime) -> datetime:
        """The moment that lies this far away, rounded down to the unit."""
        moved = moment + self.delta
        if self.round_to == "d":
            return moved.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.round_to == "h":
            return moved.replace(minute=0, second=0, microsecond=0)
        return moved.replace(second=0, microsecond=0) if self.round_to == "m" else moved


@dataclass(frozen=True, slots=True)
class Pivot:
    """A search that answers a question, as a template: clause values may be placeholders.

    question: the key of its question, or "". filters: see `placeholders.fill`. kinds: the telemetry it
    reads; empty if that can't be told. columns: fields worth showing, in order. is_signal: reads alerts.
    after: key of the pivot whose hits fill this one's `{{pivots.KEY.field}}` placeholders, or "".
    is_implied: the overlay carries it, the prose only implies it.
    """

    key: str
    label: str
    description: str
    question: str
    filters: Filters
    kinds: tuple[TelemetryKind, ...]
    relative_from: TimeOffset
    relative_to: TimeOffset
    columns: tuple[str, ...] = ()
    is_signal: bool = False
    after: str = ""
    is_implied: bool = False

    def window(self, first: datetime, last: datetime) -> Window:
        """The whole window around the alert's first and last event; the caller cuts it at the present.

        `now` in relative_from is the first event; in relative_to it is the last event + 1 h.
        """
        end = last + (self.relative_to.delta or AFTER_LAST_EVENT)
        return Window(self.relative_from.from_moment(first), end)


@dataclass(frozen=True, slots=True)
class Rare:
    """A value is rare if it was seen on at most so many hosts in so many days."""

    field: str
    hosts_at_most: int
    days: int


@dataclass(frozen=True, slots=True)
class Check:
    """An EQL condition over evidence; one document that satisfies it makes the check point its way.

    pivot: the key of the pivot whose hits are checked, or `alert` for the alert's own events.
    when: the parsed condition; text: as the overlay wrote it. says: what a hit means, in one sentence.
    needs: the kinds without which its silence means nothing; empty: whatever the pivot reads. rare: of the
    documents that satisfy `when`, only those with a rare value of this field count.
    """

    key: str
    question: str
    pivot: str
    points: Points
    when: Query
    text: str
    says: str
    needs: tuple[TelemetryKind, ...] = ()
    rare: Rare | None = None


# The part of a rule's alerts, in percent, that one exception may hide where the guide says nothing.
DEFAULT_SHARE = 50


@dataclass(frozen=True, slots=True)
class Anchor:
    """A field that an exception may stand on. `is_required`: no exception without it, or one of `others`.

    A field may name a scope of evidence: `connection:remote.ip`. quotes: the guide's sentence that says so.
    """

    field: str
    is_required: bool = False
    says: str = ""
    others: tuple[str, ...] = ()
    quotes: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An exception that is refused: all its entries are among these fields (and values, where given)."""

    fields: tuple[str, ...]
    values: tuple[str, ...] = ()
    says: str = ""
    quotes: str = ""


@dataclass(frozen=True, slots=True)
class FalsePositives:
    """The guide's analysis, a Markdown text a point, and the exception policy that an overlay adds.

    max_share: the part of the rule's alerts, in percent, that one exception may hide; None: the default.
    """

    points: tuple[str, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    max_share: int | None = None


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must hold before a stage's actions are open. key: the machine's name; says: for people."""

    key: str
    says: str


@dataclass(frozen=True, slots=True)
class StageAction:
    """A response action that a stage proposes. undo: the key of the action that takes it back, or ""."""

    key: str
    label: str
    undo: str = ""
    is_destructive: bool = False


@dataclass(frozen=True, slots=True)
class ResponseStage:
    """One step of the response ladder. text: the guide's own words, Markdown."""

    key: str
    title: str
    applies: StageFor
    text: str
    preconditions: tuple[Precondition, ...] = ()
    actions: tuple[StageAction, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the note that is none of the known ones; kept, so that nothing of a guide is dropped."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Guide:
    """One version of an investigation guide. See `triage.guides.parse_guide`.

    closing: the sentence that says when to escalate and when to close; it becomes the gate's text.
    scoping: what an overlay looks for on all hosts besides the case's own values.
    sections: everything else that the note says. faults: what in the note could not be used (a pivot token
    that points nowhere, a filter of an unknown sort); shown, never swallowed. applies_to: ids of rules
    whose guide this overlay completes as well.
    """

    title: str
    questions: tuple[Question, ...] = ()
    closing: str = ""
    false_positives: FalsePositives = field(default_factory=FalsePositives)
    response: tuple[ResponseStage, ...] = ()
    pivots: tuple[Pivot, ...] = ()
    checks: tuple[Check, ...] = ()
    scoping: tuple[Pivot, ...] = ()
    sections: tuple[Section, ...] = ()
    faults: tuple[RuleFault, ...] = ()
    applies_to: tuple[str, ...] = ()
    overlay_version: int = 0
    sha256: str = ""

    def question(self, key: str) -> Question:
        """The question of that key. Raises KeyError."""
        return _by_key(self.questions, key)

    def pivot(self, key: str) -> Pivot:
        """The pivot of that key. Raises KeyError."""
        return _by_key(self.pivots, key)

    def pivots_of(self, question: str) -> tuple[Pivot, ...]:
        return tuple(pivot for pivot in self.pivots if pivot.question == question)

    def checks_of(self, question: str) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.question == question)

    @property
    def requirements(self) -> Mapping[str, Requirement]:
        """What each question requires, by its key."""
        return {question.key: question.requires for question in self.questions}

    @property
    def anchors(self) -> tuple[Anchor, ...]:
        return self.false_positives.anchors


_Keyed = TypeVar("_Keyed", Question, Pivot)


def _by_key(items: tuple[_Keyed, ...], key: str) -> _Keyed:
    for item in items:
        if item.key == key:
            return item
    raise KeyError(key)
