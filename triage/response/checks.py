"""The proof of an action: a series of looks at whether its effect is there; what broke alarms."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from detections import outbox
from detections.actors import Actor, system
from triage import cases, journal
from triage.actions.outcomes import Proof
from triage.enums import ActionState, CheckOutcome
from triage.errors import StaleEditError
from triage.models import ActionCheck, ResponseAction
from triage.response import running as response_running
from triage.response import telemetry as response_telemetry
from triage.response.actions import REQUEST

CHECK = "response_check"
# An effect that nobody could see is looked for a few times, then only if somebody asks.
MOST_UNKNOWN = 5
_C = CheckOutcome


def put_due(*, now: datetime) -> int:
    """Ask the outbox for every look that is due. Idempotent: a look is one row."""
    due = ResponseAction.objects.filter(check_due_at__lte=now)
    for action in due.only("pk", "check_due_at"):
        assert action.check_due_at is not None
        with transaction.atomic():
            outbox.put(CHECK, f"{CHECK}:{action.pk}:{action.check_due_at.isoformat()}", action.pk)
    return len(due)


@outbox.handler(CHECK)
def deliver(action_id: int | None) -> None:
    """Outbox: look, unless somebody looked since it was asked for."""
    action = _with_all().filter(pk=action_id or 0, check_due_at__lte=timezone.now()).first()
    if action is not None:
        look(action, actor=system("proof"))


def prove_now(action: ResponseAction, *, actor: Actor) -> Proof:
    """A person wants to see whether it holds. Raises NotPermittedError, StaleEditError."""
    actor.require(REQUEST, "look whether an action holds")
    row = _with_all().get(pk=action.pk)
    if row.state != ActionState.SUCCEEDED:
        raise StaleEditError(f"{row.number} is {row.state}: there is nothing to prove.", theirs=row)
    return look(row, actor=actor)


def look(action: ResponseAction, *, actor: Actor) -> Proof:
    """Look at the effect, outside of any transaction, and keep what was seen."""
    proof = _together(response_running.proof_of(action), response_telemetry.proof_of(action))
    with transaction.atomic():
        cases.locked(action.case_id)
        row = (
            ResponseAction.objects.select_for_update(of=("self",))
            .select_related("case", "kind")
            .get(pk=action.pk)
        )
        if row.state == ActionState.SUCCEEDED:
            keep(row, proof, actor=actor)
    return proof


def _with_all() -> "QuerySet[ResponseAction]":
    return ResponseAction.objects.select_related("case", "kind", "connector", "undoes__connector")


def _together(way: Proof | None, telemetry: Proof | None) -> Proof:
    """What either saw: one that sees it broken counts, whatever the other says."""
    seen = [proof for proof in (way, telemetry) if proof is not None]
    for wanted in (_C.BROKEN, _C.HOLDING, _C.UNKNOWN):
        said = [proof.says for proof in seen if proof.result == wanted]
        if said:
            return Proof(wanted, " ".join(said))
    return Proof(_C.UNKNOWN, "Nothing here can look whether it holds: a person says so, with a proof.")


def keep(row: ResponseAction, proof: Proof, *, actor: Actor) -> ActionCheck:
    """One look, in the caller's transaction with the case locked; a new result is written down."""
    now, before = timezone.now(), row.proof
    made = ActionCheck.objects.create(
        action=row, at=now, result=proof.result, says=proof.says, by=actor.label[:200]
    )
    is_unseen = proof.result == _C.UNKNOWN and before in (_C.HOLDING, _C.BROKEN)
    # What could not be looked at this time is as it was when it was last seen.
    row.proof = row.proof if is_unseen else proof.result
    row.proof_says, row.proven_at = proof.says, now
    row.check_due_at = _next(row, now)
    row.save(update_fields=["proof", "proof_says", "proven_at", "check_due_at"])
    if not is_unseen and proof.result != before:
        journal.record(
            row.case,
            "action_checked",
            actor=actor,
            subject=f"{row.number}, {row.title}",
            before=before,
            after=proof.result,
            reason=proof.says,
            data={"action": row.pk, "check": made.pk},
        )
    return made


def _next(row: ResponseAction, now: datetime) -> datetime | None:
    """When to look again: a containment for as long as it is in force, anything else until it was seen."""
    if row.state != ActionState.SUCCEEDED:
        return None
    unseen = row.checks.filter(result=_C.UNKNOWN).count() == row.checks.count()
    if unseen and row.checks.count() >= MOST_UNKNOWN:
        return None
    if row.proof == _C.HOLDING and not row.is_containment:
        return None
    pause = timedelta(minutes=row.kind.check_minutes)
    return now + (min(pause, timedelta(minutes=1)) if unseen else pause)
