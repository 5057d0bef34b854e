"""An exception suggested from a case: the smallest workflow that its evidence confirms.

Each entry says where its value comes from. What the evidence does not show is not made up: it is listed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.utils import timezone

from detections import ecs
from detections.actors import Actor
from detections.ecs import Document
from detections.enums import TelemetryKind
from detections.ingest.remote import remote_side
from detections.models import Alert, Rule
from triage import observables
from triage.enums import ConfirmationKind, ExceptionOperator, ExceptionQuantity, ExceptionScope, PivotState
from triage.errors import TriageError
from triage.evidence import coverage_of, latest_runs
from triage.exception_items.content import MOST_VALUES, REMOTE_IP, Content, Entry
from triage.exception_items.evaluation import Subject, subject_of, values_of
from triage.exception_items.guardrails import DEFAULT_ANCHORS, guide_of_rule
from triage.exception_items.way import PROPOSE
from triage.facts import first_alert, head_facts
from triage.guides.model import Anchor
from triage.models import Case, Confirmation, EventSummary, Evidence, PivotRun

LASTS = timedelta(days=90)
MOST_EVIDENCE = 1_000
# Where a guide has no policy of its own, the workflow is at least this, as far as the alert shows it.
USUAL_ANCHORS = (
    *DEFAULT_ANCHORS,
    Anchor("process.parent.executable"),
    Anchor("process.command_line"),
    Anchor("host.id"),
)
_S, _Q, _O, _K = ExceptionScope, ExceptionQuantity, ExceptionOperator, TelemetryKind
_KINDS = {
    _S.DNS: _K.DNS,
    _S.FILE: _K.FILE,
    _S.LIBRARY: _K.LIBRARY,
    _S.CHILD: _K.PROCESS,
    _S.CONNECTION: _K.CONNECTION,
}
_RECORDS = (ConfirmationKind.CHANGE, ConfirmationKind.DISTRIBUTION)
# Which recovered evidence has a field that the alert's own events do not.
_RECOVERED = {"dns": _S.DNS, "file": _S.FILE, "dll": _S.LIBRARY}


@dataclass(frozen=True, slots=True)
class SuggestedEntry:
    """An entry with the evidence row that its value was taken from. says: why it is there."""

    entry: Entry
    says: str = ""
    row: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Suggested:
    """What a form starts with. lacking: what the guide asks for and the evidence does not show, in words."""

    rule: Rule
    name: str
    entries: tuple[SuggestedEntry, ...]
    lacking: tuple[str, ...] = ()
    reason: str = ""
    change_record: str = ""
    owner: str = ""
    expires_at: datetime = field(default_factory=lambda: timezone.now() + LASTS)

    @property
    def content(self) -> Content:
        """As content, for what can be told of it before it is saved."""
        if self.rule.current is None:
            raise TriageError("The rule has no version.")
        return Content(self.name, self.rule.current, tuple(one.entry for one in self.entries))


def suggest(case: Case, *, actor: Actor) -> Suggested:
    """The smallest workflow that the case's evidence shows, and what would contradict it.

    Reads the database alone. Raises NotPermittedError, and TriageError for a case without a rule or alert.
    """
    actor.require(PROPOSE, "propose exceptions")
    alert = first_alert(case)
    if case.rule is None or case.rule.current is None or alert is None:
        raise TriageError(
            f"{case.number} has no rule and alert of its own here, so there is nothing that an exception "
            "could hide."
        )
    shown = _Shown.of(case, alert)
    entries, lacking = _anchored(guide_of_rule(case.rule).anchors or USUAL_ANCHORS, shown)
    waiting = sum(run.state in (PivotState.NOT_RUN, PivotState.RUNNING) for run in shown.runs)
    if waiting:
        have = "pivot of the case has" if waiting == 1 else "pivots of the case have"
        lacking.append(f"{waiting} {have} not run yet: reload this page when they have.")
    confirmed = case.confirmations.order_by("-confirmed_at", "-pk").first()
    return Suggested(
        rule=case.rule,
        name=_name(alert),
        entries=(*entries, *_silences(shown)),
        lacking=tuple(lacking),
        reason=_reason(case, confirmed),
        change_record=confirmed.reference if confirmed and confirmed.kind in _RECORDS else "",
        owner=confirmed.confirmed_by if confirmed else "",
    )


def _name(alert: Alert) -> str:
    facts = head_facts(alert)
    subject = subject_of(alert)
    process = next((ecs.text(one, "process.name") for one in subject.documents), "") or alert.title
    return f"{process} called from {facts.remote_ip}"[:255] if facts.remote_ip else process[:255]


def _reason(case: Case, confirmed: Confirmation | None) -> str:
    if case.closing_rationale:
        return case.closing_rationale
    return confirmed.statement if confirmed else ""


# -- what the case shows


@dataclass(slots=True)
class _Shown:
    """The alert's events and what the pivots froze of its process, each with its row of evidence."""

    subject: Subject
    own: list[Evidence | None]
    rows: dict[ExceptionScope, list[Evidence]]
    runs: list[PivotRun]

    @classmethod
    def of(cls, case: Case, alert: Alert) -> "_Shown":
        observables.collect(case)
        subject = subject_of(alert)
        runs = latest_runs(case)
        return cls(subject, _own_rows(case, alert), dict(_recovered(case, subject, runs)), runs)

    def is_covered(self, scope: ExceptionScope) -> bool:
        found = coverage_of(self.runs, _KINDS[scope])
        return bool(found and found["present"])


def _own_rows(case: Case, alert: Alert) -> list[Evidence | None]:
    identities = [event["identity"] for event in alert.events]
    rows = Evidence.objects.filter(pivot__case=case, identity__in=identities).select_related("pivot")
    first: dict[str, Evidence] = {}
    for row in rows.order_by("pk"):
        first.setdefault(row.identity, row)
    return [first.get(identity) for identity in identities]


def _recovered(
    case: Case, subject: Subject, runs: Sequence[PivotRun]
) -> Iterator[tuple[ExceptionScope, list[Evidence]]]:
    """Frozen events of the alert's process by the scope that an entry would name, each event once."""
    if not subject.host_id or not subject.entity_id:
        return
    mine = EventSummary.objects.filter(case=case, pivot__in=[run.pk for run in runs])
    own = {"process_key": subject.entity_id}
    for scope, kind in _KINDS.items():
        tied = {"parent_key": subject.entity_id} if scope is _S.CHILD else own
        found = mine.filter(kind=kind.value, **tied).select_related("evidence__pivot")
        unique = {one.identity: one.evidence for one in reversed(found.order_by("event_at")[:MOST_EVIDENCE])}
        rows = [row for row in unique.values() if ecs.text(row.document, "host.id") == subject.host_id]
        if rows:
            yield scope, sorted(rows, key=lambda row: (row.event_at, row.pk))


# -- entries for the guide's anchors


def _anchored(anchors: Iterable[Anchor], shown: _Shown) -> tuple[list[SuggestedEntry], list[str]]:
    entries: list[SuggestedEntry] = []
    lacking: list[str] = []
    for anchor in anchors:
        found = next(
            (one for name in (anchor.field, *anchor.others) if (one := _entry(name, shown)) is not None), None
        )
        if found is not None:
            if all(found.entry != one.entry for one in entries):
                entries.append(replace(found, says=anchor.says))
        elif anchor.is_required:
            fields = " or ".join((anchor.field, *anchor.others))
            lacking.append(f"The evidence shows no {fields}. {anchor.says}".strip())
    return entries, lacking


def _entry(name: str, shown: _Shown) -> SuggestedEntry | None:
    """An entry for an anchor's field, from the alert's own events, else from what was frozen."""
    scope, _, bare = name.rpartition(":")
    if scope:
        return _from_rows(ExceptionScope(scope), bare, shown) if scope in _S.values else None
    if bare == "destination.ip":
        # Of the alert's own inbound connection the destination is the host itself.
        return _from_rows(_S.CONNECTION, bare, shown)
    found = _from_alert(bare, shown)
    recovered = _RECOVERED.get(bare.partition(".")[0])
    return found if found or recovered is None else _from_rows(recovered, bare, shown)


def _from_alert(name: str, shown: _Shown) -> SuggestedEntry | None:
    subject = shown.subject
    for number in range(len(subject.documents)):
        values = subject.values(number, name)
        if values and _scope(name, number, subject) is not None:
            scope = _scope(name, number, subject) or _S.EVENT
            return _made(scope, name, values, shown.own[number])
    return None


def _scope(name: str, number: int, subject: Subject) -> ExceptionScope | None:
    """Which scope names this event for this field; None where another event should be asked."""
    if name == "source.ip" and _is_local(subject.documents[number], "source"):
        return None
    kind = subject.kinds[number]
    if name.startswith("process.") and kind is _K.PROCESS:
        return _S.PROCESS
    if kind in (_K.CONNECTION, _K.DNS) and not name.startswith(("host.", "user.", "process.")):
        return _S.NETWORK
    return _S.EVENT


def _is_local(document: Document, side: str) -> bool:
    remote = remote_side(document)
    return remote is not None and remote.side != side


def _from_rows(scope: ExceptionScope, name: str, shown: _Shown) -> SuggestedEntry | None:
    """One entry for the values that all rows of the scope show together."""
    values: dict[str, None] = {}
    first: Evidence | None = None
    for row in shown.rows.get(scope, ()):
        found = values_of(row.document, name, shown.subject.own_addresses)
        if scope is _S.CONNECTION and not _leads_out(row.document):
            continue
        first = first or (row if found else None)
        values.update(dict.fromkeys(found))
    return _made(scope, name, tuple(values), first) if values else None


def _leads_out(document: Document) -> bool:
    remote = remote_side(document)
    return remote is not None and remote.side == "destination"


def _made(
    scope: ExceptionScope,
    name: str,
    values: Sequence[str],
    row: Evidence | None,
    quantity: ExceptionQuantity = _Q.SOME,
) -> SuggestedEntry:
    kept = tuple(values)[:MOST_VALUES]
    operator = _O.IS if len(kept) == 1 else _O.IS_ONE_OF
    evidence = row.pk if row else None
    return SuggestedEntry(Entry(scope, name, operator, kept, quantity, evidence=evidence), row=row)


# -- what would contradict the workflow


def _silences(shown: _Shown) -> Iterator[SuggestedEntry]:
    """What the evidence rules out: only where the telemetry is there, since silence proves nothing else."""
    names = _from_rows(_S.DNS, "dns.question.name", shown)
    if names and shown.is_covered(_S.DNS):
        yield _every(names, "Rules out a lookup of any other name.")
    others = _others(shown)
    if others and shown.is_covered(_S.CONNECTION):
        yield _every(others, "Rules out a connection to anything else.")
    if shown.is_covered(_S.CHILD) and not shown.rows.get(_S.CHILD):
        nothing = Entry(_S.CHILD, "", _O.EXISTS, quantity=_Q.NONE)
        yield SuggestedEntry(nothing, "Rules out that the process started another one.")


def _every(found: SuggestedEntry, says: str) -> SuggestedEntry:
    return replace(found, entry=replace(found.entry, quantity=_Q.EVERY), says=says)


def _others(shown: _Shown) -> SuggestedEntry | None:
    """The other sides of all connections of the process; None if one of them can't be told."""
    values: dict[str, None] = {}
    rows = shown.rows.get(_S.CONNECTION, [])
    for row in rows:
        found = values_of(row.document, REMOTE_IP, shown.subject.own_addresses)
        if not found:
            return None
        values.update(dict.fromkeys(found))
    return _made(_S.CONNECTION, REMOTE_IP, tuple(values), rows[0], _Q.EVERY) if values else None
