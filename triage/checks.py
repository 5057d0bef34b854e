"""Evaluate the guide's checks over frozen evidence. A check points; it never answers for the analyst."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from django.utils import timezone

from detections import ecs
from detections.ecs import Document
from detections.eql.ast import ANY_CATEGORY, fields_used
from detections.eql.execute import stage_test
from detections.eql.fields import FieldCatalogue
from detections.eql.verify import verify
from detections.errors import EqlError
from detections.event_store import event_store
from triage.enums import CheckState, PivotState
from triage.evidence import coverage_of, missing_sentence
from triage.guides.model import Check, Guide, Rare
from triage.models import Case, CheckResult, PivotRun
from triage.rarity import Rarity

ALERT = "alert"
_SHOWN_ROWS = 3
# These say which rows a check reads, not what it saw in them.
_SELECTORS = ("event.type", "event.category")
_SHOWN_LENGTH = 200
_SHOWN_COLUMNS = 2
_USUAL_COLUMNS = ("@timestamp", "event.action", "event.category", "network.direction")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check saw. rows: positions in the evidence, from 0."""

    state: CheckState
    saw: str = ""
    rows: tuple[int, ...] = ()


def evaluate(
    case: Case, guide: Guide, run: PivotRun, rarities: Mapping[tuple[str, str], Rarity] | None = None
) -> list[CheckResult]:
    """Evaluate the checks that read this run and store their results, inside the caller's transaction.

    rarities: of values by their field, looked up before: no search runs in here.
    """
    key = ALERT if is_alert(run) else run.key
    wanted = [check for check in guide.checks if check.pivot == key]
    if not wanted:
        return []
    rows = list(run.rows.order_by("position"))
    documents, ids = [row.document for row in rows], [row.pk for row in rows]
    catalogue = event_store().known_fields()
    is_blind = _is_blind(case, guide, run)
    return [
        _store(
            case,
            run,
            check,
            verdict(check, run, documents, catalogue, is_blind=is_blind, rarities=rarities or {}),
            ids,
        )
        for check in wanted
    ]


def _is_blind(case: Case, guide: Guide, run: PivotRun) -> bool:
    """Whether the run follows a pivot that could not see: then its own telemetry can't make up for that."""
    after = next((pivot.after for pivot in guide.pivots if pivot.key == run.key), "")
    leader = (
        PivotRun.objects.filter(case=case, key=after, counts=True).order_by("-attempt").first()
        if after
        else None
    )
    return leader is not None and leader.state not in (PivotState.HITS, PivotState.NO_HITS)


def is_alert(run: PivotRun) -> bool:
    """Whether the run holds an alert's own events."""
    return run.key == ALERT or run.key.startswith(f"{ALERT}-")


def verdict(
    check: Check,
    run: PivotRun,
    documents: Sequence[Document],
    catalogue: FieldCatalogue,
    *,
    is_blind: bool = False,
    rarities: Mapping[tuple[str, str], Rarity] = MappingProxyType({}),
) -> Verdict:
    """What the check says of these documents.

    It fires on what is there. It is quiet only if everything that it reads was there to be read: with the
    telemetry missing that its condition needs, a search that failed, rows left out, or a field that no row
    carries, it *could not be checked*. Missing telemetry of another kind, which the pivot also reads, takes
    nothing from it. is_blind: the run follows a pivot that could not see.
    """
    try:
        stage = verify(check.when, catalogue).stages[0]
    except EqlError as error:
        place = f"line {error.line}, column {error.column}"
        return Verdict(CheckState.UNKNOWN, f"The check can't be read here: {place}: {error.message}")
    holds = stage_test(stage, catalogue, "event.category")
    fired = tuple(number for number, document in enumerate(documents) if holds(document))
    if fired and check.rare is not None:
        return _of_rare(check.rare, documents, fired, rarities)
    if fired:
        return Verdict(CheckState.FIRED, _saw(check, run, [documents[number] for number in fired]), fired)
    return Verdict(*_silence(check, run, documents, is_blind))


def _of_rare(
    rare: Rare,
    documents: Sequence[Document],
    held: Sequence[int],
    rarities: Mapping[tuple[str, str], Rarity],
) -> Verdict:
    """Of the documents that satisfy the condition, those with a rare value.

    On too many hosts a value is not rare, however young the store; on few it may have been common before.
    """
    rows: list[int] = []
    told: dict[str, None] = {}
    unsure = ""
    for number in held:
        for value in map(str, ecs.values(documents[number], rare.field)):
            found = rarities.get((rare.field, value))
            if found is None:
                unsure = f"{value} was not looked up."
            elif found.hosts > rare.hosts_at_most:
                continue
            elif found.is_whole:
                rows.append(number)
                told[f"{rare.field} {value[:_SHOWN_LENGTH]}: {found.sentence()}"] = None
            else:
                unsure = f"{value[:_SHOWN_LENGTH]}: {found.sentence()}; {rare.days} days are needed."
    if rows:
        more = f" (and {len(told) - _SHOWN_ROWS} more)" if len(told) > _SHOWN_ROWS else ""
        saw = "; ".join(list(told)[:_SHOWN_ROWS]) + more
        return Verdict(CheckState.FIRED, saw, tuple(dict.fromkeys(rows)))
    return Verdict(CheckState.UNKNOWN, unsure) if unsure else Verdict(CheckState.QUIET)


def _silence(
    check: Check, run: PivotRun, documents: Sequence[Document], is_blind: bool
) -> tuple[CheckState, str]:
    """A check that did not fire: whether that says anything."""
    if is_blind or run.state not in (PivotState.HITS, PivotState.NO_HITS, PivotState.NO_TELEMETRY):
        return CheckState.UNKNOWN, run.reason or f"The pivot has no result: {run.get_state_display()}."
    if run.total > run.kept:
        return CheckState.UNKNOWN, f"Only the first {run.kept} of {run.total} rows were kept and checked."
    if unseen := _unseen(check, run):
        return CheckState.UNKNOWN, unseen
    if lacking := _absent_fields(check, documents):
        return CheckState.UNKNOWN, f"None of the rows carries {', '.join(lacking)}."
    return CheckState.QUIET, ""


def _unseen(check: Check, run: PivotRun) -> str:
    """What of the telemetry that the condition needs the host does not send, in a sentence, or ""."""
    if run.state == PivotState.NO_HITS or (run.state == PivotState.HITS and not run.reason):
        return ""
    kinds = [kind for kind in check.needs if kind in run.kinds] or run.kinds
    entries = [(kind, coverage_of([run], kind)) for kind in kinds]
    if not entries or any(entry is None for _kind, entry in entries):
        return run.reason
    host = run.case.host_name or run.case.host_id
    absent = [entry for _kind, entry in entries if entry and not entry["present"]]
    lacks = "; ".join(missing_sentence(entry, host) for entry in absent)
    return f"{lacks[0].upper()}{lacks[1:]}." if lacks else ""


def _absent_fields(check: Check, documents: Sequence[Document]) -> list[str]:
    """Fields that the check needs and no row of its category has; it says nothing of what was not recorded.

    A field that the check calls optional (`?name`) tells by its absence.
    """
    category = check.when.stages[0].category
    read = [
        document
        for document in documents
        if category == ANY_CATEGORY or category in ecs.values(document, "event.category")
    ]
    needed = sorted(name for name, optional in fields_used(check.when) if not optional)
    return [name for name in needed if read and not any(ecs.values(row, name) for row in read)]


def _saw(check: Check, run: PivotRun, documents: Sequence[Document]) -> str:
    """The values that made the check fire, for the first few rows; each is data, never markup.

    A condition that asks for no value (any row will do) shows what its pivot's first columns hold.
    """
    names = sorted(name for name, _optional in fields_used(check.when) if name not in _SELECTORS)
    if not names:
        held = [name for name in run.columns if any(ecs.values(row, name) for row in documents)]
        names = [name for name in held if name not in _USUAL_COLUMNS][:_SHOWN_COLUMNS]
    if not names:
        return "1 row" if len(documents) == 1 else f"{len(documents)} rows"
    shown = list(dict.fromkeys(_values(document, names) for document in documents))
    more = f" (and {len(shown) - _SHOWN_ROWS} more)" if len(shown) > _SHOWN_ROWS else ""
    return "; ".join(line for line in shown[:_SHOWN_ROWS] if line) + more


def _values(document: Document, names: Sequence[str]) -> str:
    parts = []
    for name in names:
        values = ", ".join(_text(value) for value in ecs.values(document, name))
        parts.append(f"{name} {values[:_SHOWN_LENGTH] if values else 'is absent'}")
    return ", ".join(parts)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _store(case: Case, run: PivotRun, check: Check, found: Verdict, ids: Sequence[int]) -> CheckResult:
    """Keep the result; its time moves only when what it says changes, so that late news can be told."""
    before = CheckResult.objects.filter(case=case, key=check.key).first()
    if before is not None and is_alert(run) and before.state == CheckState.FIRED != found.state:
        return before
    same = before is not None and (before.state, before.saw) == (found.state, found.saw)
    result, _created = CheckResult.objects.update_or_create(
        case=case,
        key=check.key,
        defaults={
            "question_key": check.question,
            "pivot": run,
            "state": found.state,
            "points": check.points.value,
            "says": check.says,
            "saw": found.saw,
            "rows": [ids[number] for number in found.rows],
            "evaluated_at": before.evaluated_at if same and before else timezone.now(),
        },
    )
    return result
