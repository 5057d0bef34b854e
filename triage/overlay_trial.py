"""An overlay tried on a real case or a sample alert, before anybody proposes it. Nothing is written here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detections.actors import Actor
from detections.ecs import Document
from detections.event_store import event_store
from detections.models import Alert, Rule
from detections.stores.base import Clause, Window
from triage import checks, rare_values
from triage.checks import Verdict
from triage.enums import CheckState, Disposition, PivotState, QuestionState
from triage.evidence import kind_word, latest_runs
from triage.gate import Gate, decide, gate
from triage.guide_versions import worked_guide
from triage.guides import Blocked, fill, placeholders
from triage.guides.model import Check, Guide, Pivot, Question
from triage.models import Case, Evidence, GuideVersion, PivotRun
from triage.pivot_search import Row, first_documents
from triage.rare_values import Rarities
from triage.standings import Standing

CASES_OFFERED = 20
_SAMPLES = {
    "@timestamp": "2026-01-05T09:30:00Z",
    "host.id": "sample-host-id",
    "host.name": "SAMPLE-WS-01",
    "host.ip": "192.0.2.10",
    "user.name": "sample.user",
    "user.id": "S-1-5-21-1-2-3-1001",
    "process.entity_id": "sample-process",
    "process.pid": 4242,
    "process.name": "sample.exe",
    "process.executable": "C:\\Sample\\sample.exe",
    "process.command_line": "sample.exe -q",
    "process.parent.entity_id": "sample-parent",
    "source.ip": "192.0.2.10",
    "destination.ip": "198.51.100.20",
    "remote.ip": "198.51.100.20",
}


@dataclass(frozen=True, slots=True)
class TriedPivot:
    """A pivot with its placeholders filled. asks: each filter in words, groups apart; blocked: why it can't
    be asked. start, end: where it would look, None for a sample."""

    pivot: Pivot
    asks: tuple[tuple[str, ...], ...] = ()
    blocked: str = ""
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class TriedCheck:
    """A check over the case's stored evidence. rows: what made it fire; run: the pivot run that it read."""

    check: Check
    verdict: Verdict
    rows: tuple[Evidence, ...] = ()
    run: PivotRun | None = None


@dataclass(frozen=True, slots=True)
class TriedQuestion:
    """A question as an analyst would have it. needs: what lowering it takes, in sentences."""

    question: Question
    needs: tuple[str, ...]
    pivots: tuple[TriedPivot, ...]
    checks: tuple[TriedCheck, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """What an overlay would make of a case. of: what it was tried on, in words. blocks: what would stand in
    the way of a benign close. others: checks whose question is not asked."""

    of: str
    guide: Guide
    questions: tuple[TriedQuestion, ...]
    blocks: tuple[str, ...]
    case: Case | None = None

    @property
    def checks(self) -> list[TriedCheck]:
        return [check for question in self.questions for check in question.checks]


def cases_to_try(rule: Rule, *, actor: Actor) -> list[Case]:
    """The newest cases of the rule that the actor may see."""
    return list(Case.objects.visible_to(actor).filter(rule=rule, is_storm=False)[:CASES_OFFERED])


def trial(draft: GuideVersion, *, case: Case | None, rule: Rule, actor: Actor) -> Trial:
    """Try a guide that is not stored. draft: its note, pivots and overlay; case: what to try it on, or None.

    Without a case the newest alert of the rule serves, else an alert made up for the placeholders.
    """
    guide = worked_guide(draft)
    if case is not None:
        return _on_case(draft, guide, case)
    alert = Alert.objects.visible_to(actor).filter(rule=rule).order_by("-detected_at", "-pk").first()
    if alert is None:
        documents, name = [sample(guide)], "an alert that is made up: the rule has none yet"
    else:
        documents = [event["document"] for event in alert.events]
        name = f"the newest alert of the rule, of {alert.last_event_at:%Y-%m-%d %H:%M} UTC"
    known = documents if alert else ()
    questions = tuple(
        _question(guide, question, documents, alert, {}, _on_alert(guide, question, known))
        for question in guide.questions
    )
    return Trial(name, guide, questions, tuple(_blocks(decide(_unanswered(guide)))))


def _unanswered(guide: Guide) -> list[Standing]:
    return [
        Standing(
            question.key,
            number,
            question.title,
            QuestionState.OPEN,
            needs_confirmation=question.requires.confirmation,
        )
        for number, question in enumerate(guide.questions, start=1)
    ]


def _on_case(draft: GuideVersion, guide: Guide, case: Case) -> Trial:
    runs = {run.key: run for run in latest_runs(case)}
    documents = first_documents(case)
    questions = tuple(
        _question(guide, question, documents, case, runs, _tried(guide, question, runs))
        for question in guide.questions
    )
    # In memory alone: the case stays pinned to its guide.
    case.guide = draft
    return Trial(f"{case.number} {case.title}", guide, questions, tuple(_blocks(gate(case))), case)


def _blocks(found: Gate) -> Iterator[str]:
    return (block.sentence for block in found.of(Disposition.BENIGN).blocks)


def _question(
    guide: Guide,
    question: Question,
    documents: Sequence[Document],
    anchor: Case | Alert | None,
    runs: Mapping[str, PivotRun],
    tried: Sequence[TriedCheck],
) -> TriedQuestion:
    keys = dict.fromkeys([*question.pivots, *(pivot.key for pivot in guide.pivots_of(question.key))])
    return TriedQuestion(
        question,
        tuple(_needs(question)),
        tuple(_pivot(guide.pivot(key), documents, anchor, runs) for key in keys),
        tuple(tried),
    )


def _needs(question: Question) -> Iterator[str]:
    requires = question.requires
    if requires.telemetry:
        kinds = ", ".join(kind_word(kind.value) for kind in requires.telemetry)
        stands_in = " (or a confirmation record)" if requires.confirmation_replaces_telemetry else ""
        yield f"{kinds} telemetry of the host{stands_in}"
    if requires.confirmation:
        yield "a confirmation record"
    if not requires.telemetry and not requires.confirmation:
        yield "evidence that is cited; no telemetry is required by name"


def _on_alert(guide: Guide, question: Question, documents: Sequence[Document]) -> list[TriedCheck]:
    """Without a case there are the events of an alert at most: checks over these alone can be tried."""
    run = PivotRun(key=checks.ALERT, label="the alert", state=PivotState.HITS, total=len(documents))
    run.kept = run.total
    catalogue = event_store().known_fields()
    return [
        TriedCheck(check, checks.verdict(check, run, documents, catalogue))
        if documents and check.pivot == checks.ALERT and check.rare is None
        else TriedCheck(check, Verdict(CheckState.UNKNOWN, "Choose a case to try it on."))
        for check in guide.checks_of(question.key)
    ]


# -- pivots


def _pivot(
    pivot: Pivot, documents: Sequence[Document], anchor: Case | Alert | None, runs: Mapping[str, PivotRun]
) -> TriedPivot:
    earlier = {
        key: [row.document for row in run.rows.all()]
        for key, run in runs.items()
        if key == pivot.after and run.state in (PivotState.HITS, PivotState.PARTIAL, PivotState.NO_HITS)
    }
    found = fill(pivot, documents, earlier)
    if isinstance(found, Blocked):
        return TriedPivot(pivot, blocked=f"{found.field}: {found.reason}")
    window = pivot.window(anchor.first_event_at, anchor.last_event_at) if anchor else None
    asks = tuple(tuple(_clause(clause) for clause in group) for group in found.groups)
    return TriedPivot(pivot, asks, "", window.start if window else None, window.end if window else None)


def _clause(clause: Clause) -> str:
    values = ", ".join(map(str, clause.values))
    words = clause.operator.value.replace("_", " ")
    return f"{clause.field} {'not ' if clause.excluded else ''}{words} {values}".strip()


# -- checks


def _tried(guide: Guide, question: Question, runs: Mapping[str, PivotRun]) -> list[TriedCheck]:
    return [_check(guide, check, runs) for check in guide.checks_of(question.key)]


def _check(guide: Guide, check: Check, runs: Mapping[str, PivotRun]) -> TriedCheck:
    run = runs.get(check.pivot)
    if run is None:
        says = "The case has no evidence of this pivot: it was not part of its guide. New cases will have it."
        return TriedCheck(check, Verdict(CheckState.UNKNOWN, says))
    rows = list(run.rows.order_by("position"))
    documents = [row.document for row in rows]
    catalogue = event_store().known_fields()
    found = checks.verdict(
        check,
        run,
        documents,
        catalogue,
        is_blind=_is_blind(guide, run, runs),
        rarities=_rarities(guide, check, run, rows),
    )
    return TriedCheck(check, found, tuple(rows[number] for number in found.rows), run)


def _rarities(guide: Guide, check: Check, run: PivotRun, rows: Sequence[Evidence]) -> Rarities:
    if check.rare is None or run.window_start is None or run.window_end is None:
        return {}
    found = [Row(row.identity, row.event_at, row.document) for row in rows]
    return rare_values.look_up(guide, check.pivot, found, Window(run.window_start, run.window_end))


def _is_blind(guide: Guide, run: PivotRun, runs: Mapping[str, PivotRun]) -> bool:
    after = next((pivot.after for pivot in guide.pivots if pivot.key == run.key), "")
    leader = runs.get(after)
    return leader is not None and leader.state not in (PivotState.HITS, PivotState.NO_HITS)


# -- a made-up alert


def sample(guide: Guide) -> Document:
    """One event that has a value for each placeholder of the guide's pivots."""
    names = dict.fromkeys(name for pivot in guide.pivots for name in placeholders.fields(pivot))
    document: dict[str, Any] = {}
    for name in [*_SAMPLES, *names]:
        for part in name.split("|"):
            plain = part.strip().removeprefix("events[0].")
            if not plain.startswith(("events[", "pivots.")):
                _put(document, plain, _SAMPLES.get(plain, f"sample {plain}"))
    return document


def _put(document: dict[str, Any], name: str, value: Any) -> None:
    *path, last = name.split(".")
    place = document
    for part in path:
        found = place.setdefault(part, {})
        if not isinstance(found, dict):
            return
        place = found
    place.setdefault(last, value)
