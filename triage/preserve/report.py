"""The report of a case for a reader outside: what happened, what was asked, decided and done, by whom."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet
from django.utils import timezone

from detections.actors import Actor
from detections.models import JournalEntry
from triage import facts, observables
from triage.checks import ALERT
from triage.enums import ObservableType, QuestionState
from triage.facts import Facts
from triage.gate import Gate, gate
from triage.guide_versions import guide_of
from triage.models import (
    Answer,
    Attachment,
    Case,
    CaseTask,
    Citation,
    Confirmation,
    Escalation,
    EventSummary,
    GateOverride,
    Observable,
    Question,
)
from triage.models.scope import ScopeColumn, ScopeRun
from triage.preserve import preserved, report_actions
from triage.preserve.preserved import Kept
from triage.preserve.report_actions import ActionLine
from triage.scope import indicators as scope_indicators
from triage.scope import matrix as scope_matrix
from triage.scope.matrix import Row
from triage.templatetags.marks import words

MOST_EVENTS, MOST_HOSTS, MOST_OBSERVABLES, MOST_COLUMNS = 80, 25, 60, 5
_SHOWN_TYPES = (ObservableType.IP, ObservableType.DOMAIN, ObservableType.URL)


@dataclass(frozen=True, slots=True)
class EventLine:
    """A key fact: an event of the alert, or one that an answer cites or somebody pinned."""

    at: datetime
    host: str
    what: str
    process: str
    label: str
    why: str


@dataclass(frozen=True, slots=True)
class Cited:
    """What an answer rests on. row: the id in the evidence, 0 for a confirmation."""

    label: str
    what: str
    at: datetime | None = None
    row: int = 0


@dataclass(frozen=True, slots=True)
class QuestionPart:
    question: Question
    answer: Answer | None
    fields: tuple[tuple[str, str], ...] = ()
    cited: tuple[Cited, ...] = ()
    pivots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """Who did something: how many entries of the journal are theirs, from when to when."""

    name: str
    entries: int
    first: datetime
    last: datetime
    verbs: str


@dataclass(frozen=True, slots=True)
class ScopePart:
    run: ScopeRun
    summary: str
    columns: Sequence[ScopeColumn]
    rows: Sequence[Row]
    hosts_hit: int
    more_columns: int


@dataclass(frozen=True, slots=True)
class Report:
    case: Case
    made_at: datetime
    sentences: tuple[str, ...]
    facts: Facts
    events: tuple[EventLine, ...]
    more_events: int
    questions: tuple[QuestionPart, ...]
    confirmations: tuple[Confirmation, ...]
    gate: Gate
    escalations: tuple[Escalation, ...]
    overrides: tuple[GateOverride, ...]
    actions: tuple[ActionLine, ...]
    scope: ScopePart | None
    kept: tuple[Kept, ...]
    observables: tuple[Observable, ...]
    observables_total: int
    attachments: tuple[Attachment, ...]
    tasks: tuple[CaseTask, ...]
    people: tuple[Person, ...]
    journal_head: str = ""
    guide_title: str = ""
    findings: tuple[str, ...] = field(default=())


def report_of(case: Case, *, actor: Actor, findings: Sequence[str] = ()) -> Report:
    """Everything that the report tells. Searches nothing; the number of queries is fixed.

    findings: what is not as it was written down, for a report that goes into a case pack.
    """
    observables.collect(case)
    known = facts.case_facts(case, actor=actor)
    events, more = _events(case)
    values = _observables(case)
    questions = _questions(case)
    stands = gate(case)
    return Report(
        case=case,
        made_at=timezone.now(),
        sentences=tuple(_sentences(case, known, questions)),
        facts=known,
        events=events,
        more_events=more,
        questions=questions,
        confirmations=tuple(case.confirmations.select_related("recorded_by")),
        gate=stands,
        escalations=tuple(case.escalations.select_related("by")),
        overrides=tuple(case.overrides.select_related("by")),
        actions=report_actions.lines(case),
        scope=_scope(case),
        kept=tuple(preserved.of_case(case)),
        observables=tuple(values.order_by("type", "-event_count", "pk")[:MOST_OBSERVABLES]),
        observables_total=values.count(),
        attachments=tuple(case.attachments.select_related("attached_by", "withdrawn_by")),
        tasks=tuple(case.tasks.select_related("owner", "done_by")),
        people=tuple(_people(case, actor)),
        journal_head=_head(case, actor),
        guide_title=guide_of(case).title,
        findings=tuple(findings),
    )


# -- what happened


def _sentences(case: Case, known: Facts, questions: Sequence[QuestionPart]) -> list[str]:
    """The story in a few sentences, from what is stored; people's own words stand below."""
    host = case.host_name or case.host_id or "several hosts"
    rule = f'the rule "{case.rule.name}"' if case.rule else "another product"
    told = [
        f"On {case.first_event_at:%d %B %Y at %H:%M:%S} UTC {rule} raised an alert of {case.severity} "
        f"severity on {host}."
    ]
    if case.occurrence_count > 1:
        told.append(
            f"It was raised {case.occurrence_count:,} times until {case.last_event_at:%d %B %Y %H:%M:%S} UTC."
        )
    if known.process.name:
        user = f" as {known.user.name}" if known.user.name else ""
        told.append(f"The process was {known.process.name}{user}.")
    if known.remote:
        told.append(f"The other side of its connection was {known.remote.ip}.")
    return [*told, _answered(questions), _concluded(case)]


def _answered(questions: Sequence[QuestionPart]) -> str:
    counts = dict.fromkeys(QuestionState.values, 0)
    for part in questions:
        counts[part.question.state] += 1
    named = {
        QuestionState.ESCALATE: "point to escalate",
        QuestionState.LOWER: "are lowered",
        QuestionState.UNRESOLVED: "stay unresolved",
        QuestionState.NOT_APPLICABLE: "do not apply",
        QuestionState.OPEN: "are not answered",
    }
    parts = [f"{counts[state]} {told}" for state, told in named.items() if counts[state]]
    return f"Of {len(questions)} questions of the investigation guide, {', '.join(parts)}."


def _concluded(case: Case) -> str:
    if case.is_open:
        return "The case is not closed: nothing here is a final conclusion."
    by = (case.closed_by.get_full_name() or case.closed_by.get_username()) if case.closed_by else "the system"
    return (
        f"{by} closed the case as {words(case.disposition).lower()} on "
        f"{case.closed_at:%d %B %Y at %H:%M} UTC."
    )


def _observables(case: Case) -> "QuerySet[Observable]":
    """Addresses, names and URLs; and hashes, but for those of what a trusted signer signed."""
    telling = [one.value for one in scope_indicators.offered(case) if one.is_usual and one.is_hash]
    wanted = Q(type__in=_SHOWN_TYPES) | Q(type=ObservableType.HASH, value__in=telling)
    return Observable.objects.filter(wanted, case=case)


def _events(case: Case) -> tuple[tuple[EventLine, ...], int]:
    """The alert's events, and what was cited or pinned, in time order, each event once."""
    cited = Citation.objects.filter(answer__question__case=case, evidence__isnull=False)
    wanted = (
        Q(pivot__key=ALERT) | Q(evidence__pinned_at__isnull=False) | Q(evidence__in=cited.values("evidence"))
    )
    found = EventSummary.objects.filter(wanted, case=case).select_related("pivot").order_by("event_at", "pk")
    quoted = set(cited.values_list("evidence", flat=True))
    pinned = set(found.filter(evidence__pinned_at__isnull=False).values_list("pk", flat=True))
    lines: dict[str, EventLine] = {}
    for one in found:
        why = [
            text
            for text, holds in (
                ("the alert", one.pivot.key == ALERT),
                ("cited", one.pk in quoted),
                ("pinned", one.pk in pinned),
            )
            if holds
        ]
        lines.setdefault(
            one.identity,
            EventLine(one.event_at, one.host, one.what, one.process_name, one.pivot.label, ", ".join(why)),
        )
    shown = tuple(lines.values())
    return shown[:MOST_EVENTS], max(0, len(shown) - MOST_EVENTS)


# -- questions


def _questions(case: Case) -> tuple[QuestionPart, ...]:
    questions = list(case.questions.order_by("position"))
    answers: dict[int, Answer] = {}
    for answer in Answer.objects.filter(question__in=questions).select_related("author").order_by("pk"):
        answers[answer.question_id] = answer
    cited = _cited([answer.pk for answer in answers.values()])
    runs: dict[str, list[str]] = {}
    newest = {run.key: run for run in case.pivots.exclude(question_key="").order_by("attempt")}
    for run in newest.values():
        total = f", {run.total:,}" if run.total else ""
        runs.setdefault(run.question_key, []).append(f"{run.label}: {words(run.state).lower()}{total}")
    return tuple(_part(question, answers.get(question.pk), cited, runs) for question in questions)


def _part(
    question: Question,
    answer: Answer | None,
    cited: dict[int, list[Cited]],
    runs: dict[str, list[str]],
) -> QuestionPart:
    # A question that was reopened has an answer, but it does not stand any more.
    stands = answer if answer is not None and question.state != QuestionState.OPEN else None
    return QuestionPart(
        question,
        stands,
        tuple((name, _text(value)) for name, value in sorted(stands.fields.items())) if stands else (),
        tuple(cited.get(stands.pk, ())) if stands else (),
        tuple(runs.get(question.key, ())),
    )


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _cited(answers: Sequence[int]) -> dict[int, list[Cited]]:
    found: dict[int, list[Cited]] = {}
    rows = Citation.objects.filter(answer__in=answers).select_related(
        "evidence__pivot", "evidence__summary", "confirmation"
    )
    # Documents are large, and their summaries tell enough.
    for one in rows.defer("evidence__document").order_by("pk"):
        found.setdefault(one.answer_id, []).append(_citation(one))
    return found


def _citation(one: Citation) -> Cited:
    if one.confirmation is not None:
        record = one.confirmation
        told = f"{record.confirmed_by} ({record.reference}): {record.statement}"
        return Cited(record.get_kind_display(), told, record.confirmed_at)
    assert one.evidence is not None
    row = one.evidence
    summary = getattr(row, "summary", None)
    what = summary.what if summary is not None else ""
    return Cited(f"{row.pivot.label}, row {row.position}", what, row.event_at, row.pk)


# -- scope and people


def _scope(case: Case) -> ScopePart | None:
    run = ScopeRun.objects.filter(case=case).finished().select_related("case").order_by("-number").first()
    if run is None:
        return None
    columns = list(run.columns.order_by("-hosts_hit", "position"))
    shown = columns[:MOST_COLUMNS]
    hosts = list(scope_matrix.hosts_of(run, only_hits=True)[:MOST_HOSTS])
    return ScopePart(
        run,
        scope_matrix.summary(case, run),
        shown,
        scope_matrix.rows(run, hosts, shown),
        run.hosts.filter(columns_hit__gt=0).count(),
        max(0, len(columns) - len(shown)),
    )


def _people(case: Case, actor: Actor) -> list[Person]:
    entries = JournalEntry.objects.visible_to(actor).filter(stream__name=case.stream)
    by = entries.order_by().values("actor")
    counted = by.annotate(how_many=Count("pk"), first=Min("at"), last=Max("at"))
    verbs: dict[str, list[str]] = {}
    for name, verb in entries.order_by("actor", "verb").values_list("actor", "verb").distinct():
        verbs.setdefault(name, []).append(verb.replace("_", " "))
    return [
        Person(row["actor"], row["how_many"], row["first"], row["last"], ", ".join(verbs[row["actor"]]))
        for row in counted.order_by("first")
    ]


def _head(case: Case, actor: Actor) -> str:
    """The newest entry of the journal, as who keeps the report can compare it."""
    entries = JournalEntry.objects.visible_to(actor).filter(stream__name=case.stream)
    newest = entries.order_by("-number").first()
    return f"entry {newest.number}, {newest.hash}" if newest else ""
