"""An action is done: begun once, whatever is delivered twice, and never repeated where it may have been done.

Before anything is sent, `running` and the number of the attempt are committed. Who finds an action running
that nobody works at does not send it: it becomes `unknown`, and the target is asked what became of it.
"""

import io
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils import timezone

from detections import outbox
from detections.actors import Actor, of_user, system
from triage import attachments
from triage.actions.adapter import Adapter, ConnectorFaultError, described
from triage.actions.manual import Manual
from triage.actions.outcomes import Order, Outcome, Proof, Result
from triage.enums import ActionState, CaseStatus, CheckOutcome
from triage.errors import TriageError
from triage.models import Attachment, Connector, ResponseAction
from triage.response import actions as response_actions
from triage.response import connectors
from triage.response import rows as response_rows
from triage.response.executors import Executor, executor_of

log = logging.getLogger(__name__)
RUN, ASK = response_actions.RUN, "response_ask"
MOST_TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=30)
# An order that the target does not know may still be on its way for so long.
ON_ITS_WAY = timedelta(minutes=2)
# Whoever took an order and says nothing for so long is not waited for.
PATIENCE = timedelta(hours=1)
# Quick at first, then ever less often: an endpoint that is off may answer in days. About 16 days in all,
# since Kibana keeps an order for 14.
MOST_LOOKS, QUICK_LOOKS = 150, 10
LONGEST_WAIT = timedelta(hours=3)
STILL_ASKED = "It is asked again every few hours; or look there, and say what you found."
GIVEN_UP = "It is not asked any more: look there, and say what you found."
OUTPUT_LENGTH = 100_000
CALL_BACK_SALT = "response-call-back"
CALL_BACK_LASTS = timedelta(days=2)
_S = ActionState
SYSTEM = system("response")


# -- doing


@outbox.handler(RUN)
def deliver(action_id: int | None) -> None:
    """Outbox: begin an approved action. Delivered again, it sends nothing."""
    action = _take(action_id)
    if action is None:
        return
    outcome = _send(action)
    store(action, outcome, attempt=action.attempts)


def _take(action_id: int | None) -> ResponseAction | None:
    """Mark it as running, if it is to be begun now; what was cut off while running becomes unknown."""
    with transaction.atomic():
        row = response_rows.found(action_id)
        if row is None:
            return None
        if row.state == _S.RUNNING and row.accepted_at is None:
            response_rows.set_state(
                row, _S.UNKNOWN, "The worker was lost while it was sent: it may have been done.", SYSTEM
            )
            ask_soon(row)
            return None
        now = timezone.now()
        if row.state != _S.APPROVED or not _may_begin(row, now):
            return None
        if (held := _held_back(row, now)) is not None:
            row.says = held.says
            row.save(update_fields=["says"])
            response_actions.send_soon(row, not_before=now + (held.again_after or FIRST_PAUSE))
            return None
        row.attempts, row.started_at, row.looks = row.attempts + 1, now, 0
        row.connector = _connector(row)
        response_rows.set_state(row, _S.RUNNING, "It is being sent.", SYSTEM, data={"attempt": row.attempts})
        return row


def _may_begin(row: ResponseAction, now: datetime) -> bool:
    """Whether it is still wanted. The clock lets it lapse; a case that closed meanwhile takes it back."""
    if row.expires_at <= now:
        response_rows.finish(
            row, _S.EXPIRED, f"It lapsed: it could not be begun in time. {row.says}".strip(), SYSTEM
        )
        return False
    if row.undoes_id is None and row.case.status == CaseStatus.CLOSED:
        response_rows.finish(row, _S.CANCELLED, "Its case was closed before it began.", SYSTEM)
        return False
    return True


def _held_back(row: ResponseAction, now: datetime) -> Outcome | None:
    connector = _connector(row)
    return connectors.held_back(connector, now=now) if connector else None


def _connector(row: ResponseAction) -> Connector | None:
    """The kind's connector; an undo goes the way that what it undoes went."""
    if executor_of(row.kind.key) is not None:
        return None
    if row.undoes is not None and row.undoes.connector is not None and row.kind.connector is None:
        return row.undoes.connector
    return row.kind.connector


def _send(action: ResponseAction) -> Outcome:
    """Give the order, outside of any transaction. What it raises may have come after it was done."""
    if (inner := executor_of(action.kind.key)) is not None:
        return _guarded(lambda: inner.execute(action), action)
    connector = action.connector
    if connector is not None and not connector.enabled:
        return Outcome(Result.FAILED, f"The connector {connector.name} is switched off.")
    if connector is not None and connector.dry_run:
        return Outcome(Result.FAILED, f"Dry run of {connector.name}: nothing was sent, nothing was done.")
    try:
        way = _way(connector, action.kind.key)
    except ConnectorFaultError as error:
        return Outcome(Result.FAILED, str(error))
    outcome = _guarded(lambda: way.send(order_of(action)), action)
    if connector is not None:
        connectors.note(connector, outcome, now=timezone.now())
    return outcome


def _guarded(work: Callable[[], Outcome], action: ResponseAction) -> Outcome:
    try:
        return work()
    except TriageError as error:
        log.warning("Action %s failed.", action.pk, exc_info=error)
        return Outcome(Result.FAILED, str(error))
    except Exception as error:
        log.exception("Action %s broke off.", action.pk)
        return Outcome(Result.UNKNOWN, f"It broke off ({type(error).__name__}): it may have been done.")


def _way(connector: Connector | None, kind: str) -> Adapter:
    if connector is None:
        return Manual({}, {})
    kinds = described(connector.adapter).kinds
    if kinds and kind not in kinds:
        raise ConnectorFaultError(
            f"{connector.name} can't do actions of the kind {kind}: choose another connector."
        )
    return connectors.made(connector)


def order_of(action: ResponseAction) -> Order:
    """What the target is told."""
    undoes = action.undoes
    return Order(
        key=action.send_key,
        action=action.pk,
        number=action.number,
        kind=action.kind.key,
        case=action.case.number,
        title=action.title,
        target_type=action.target_type,
        target_value=action.target_value,
        parameters=action.parameters,
        reason=action.reason,
        undoes=undoes.send_key if undoes else "",
        external_id=action.external_id,
        earlier_id=undoes.external_id if undoes else "",
        call_back=_call_back(action),
    )


def _call_back(action: ResponseAction) -> str:
    if not settings.PUBLIC_URL:
        return ""
    token = signing.TimestampSigner(salt=CALL_BACK_SALT).sign(f"{action.pk}:{action.attempts}")
    return f"{settings.PUBLIC_URL}/actions/result/{token}/"


# -- what came of it


def store(action: ResponseAction, outcome: Outcome, *, attempt: int, actor: Actor = SYSTEM) -> bool:
    """Keep what came of an attempt, unless it is settled or another one began. True if it was kept."""
    file = _attach(action, outcome)
    with transaction.atomic():
        row = response_rows.found(action.pk)
        if row is None or row.attempts != attempt or row.state not in (_S.RUNNING, _S.UNKNOWN):
            return False
        row.external_id = outcome.external_id or row.external_id
        row.attachment = file or row.attachment
        if outcome.output:
            row.output = _bounded(dict(outcome.output))
        _settle(row, outcome, actor)
    return True


def _settle(row: ResponseAction, outcome: Outcome, actor: Actor) -> None:
    result, says = outcome.result, outcome.says
    if result is Result.DONE:
        complete(row, says, actor)
    elif result is Result.FAILED:
        response_rows.finish(row, _S.FAILED, says, actor)
    elif result is Result.UNKNOWN and not outcome.is_askable:
        _leave_to_people(row, says, actor)
    elif result is Result.UNKNOWN:
        response_rows.set_state(row, _S.UNKNOWN, says, actor)
        ask_soon(row, outcome.again_after)
    elif result is Result.NOT_TAKEN:
        _not_taken(row, outcome, actor)
    else:
        _taken(row, outcome, actor)


def complete(row: ResponseAction, says: str, actor: Actor) -> None:
    row.check_due_at = timezone.now() if row.undo_plan or row.undoes_id or row.kind.is_destructive else None
    response_rows.finish(row, _S.SUCCEEDED, says, actor)
    if row.undoes_id is not None:
        undone = response_rows.found(row.undoes_id)
        if undone is not None and undone.state in (_S.RUNNING, _S.SUCCEEDED, _S.UNKNOWN):
            undone.check_due_at = None
            response_rows.set_state(undone, _S.UNDONE, f"Undone by {row.number}.", actor)


def _not_taken(row: ResponseAction, outcome: Outcome, actor: Actor) -> None:
    """It surely never arrived: tried again a few times where it was only just sent, else a person decides."""
    if row.state == _S.UNKNOWN:
        response_rows.finish(
            row, _S.FAILED, f"{outcome.says} It was not done. Ask for it again if it is still wanted.", actor
        )
        return
    row.tries += 1
    if row.tries >= MOST_TRIES:
        response_rows.finish(row, _S.FAILED, f"{outcome.says} It was tried {row.tries} times.", actor)
        return
    pause = outcome.again_after or _pause(row.tries)
    at = timezone.now() + pause
    says = f"{outcome.says} Try {row.tries} of {MOST_TRIES}; next {at:%H:%M:%S} UTC."
    response_rows.set_state(row, _S.APPROVED, says, actor, verb="action_postponed")
    response_actions.send_soon(row, not_before=at)


def _taken(row: ResponseAction, outcome: Outcome, actor: Actor) -> None:
    is_first = row.accepted_at is None
    row.accepted_at = row.accepted_at or timezone.now()
    if row.state == _S.UNKNOWN or is_first:
        response_rows.set_state(row, _S.RUNNING, outcome.says, actor, verb="action_taken")
    else:
        row.says = outcome.says
        row.save()
    if outcome.result is Result.STARTED:
        ask_soon(row, outcome.again_after)


def _leave_to_people(row: ResponseAction, says: str, actor: Actor) -> None:
    """Nobody else can tell: said once, after what is known, and nothing asks again."""
    row.looks = MOST_LOOKS + 1
    response_rows.set_state(row, _S.UNKNOWN, f"{row.says.removesuffix(says).rstrip()} {says}".lstrip(), actor)


def _pause(number: int, longest: timedelta = LONGEST_PAUSE) -> timedelta:
    return min(FIRST_PAUSE * (1 << min(max(number - 1, 0), 20)), longest)


def ask_soon(row: ResponseAction, after: timedelta | None = None) -> None:
    """Ask the outbox to ask the target, in the caller's transaction; the last time has been, a person is
    asked instead."""
    row.looks += 1
    if row.looks > MOST_LOOKS:
        row.says = f"{row.says.removesuffix(STILL_ASKED).rstrip()} {GIVEN_UP}"[:4000]
        row.save(update_fields=["looks", "says"])
        return
    row.save(update_fields=["looks"])
    pause = after or (_pause(row.looks) if row.looks > 1 else timedelta(seconds=1))
    if row.connector_id is not None and row.looks > QUICK_LOOKS:
        pause = max(pause, _pause(row.looks - QUICK_LOOKS, LONGEST_WAIT))
    at = timezone.now() + pause
    outbox.put(ASK, f"{ASK}:{row.pk}:{row.attempts}:{row.looks}", row.pk, not_before=at)


def ask_at_once(row: ResponseAction) -> None:
    """Ask the target now, in the caller's transaction; what was given up, once more.

    The question that is planned is brought forward: a second one would go on asking beside it.
    """
    row.looks = min(row.looks, MOST_LOOKS)
    row.save(update_fields=["looks"])
    if not outbox.hurry(ASK, row.pk):
        outbox.put(ASK, f"{ASK}:{row.pk}:{row.attempts}:{timezone.now().isoformat()}", row.pk)


@outbox.handler(ASK)
def deliver_question(action_id: int | None) -> None:
    """Outbox: ask the target what became of an action. Asking changes nothing there."""
    action = ResponseAction.objects.select_related(
        "case", "kind", "connector", "undoes__connector", "requested_by"
    )
    row = action.filter(pk=action_id or 0, state__in=(_S.RUNNING, _S.UNKNOWN)).first()
    if row is None or (row.state == _S.RUNNING and row.accepted_at is None):
        return
    store(row, _asked(row), attempt=row.attempts)


def _asked(row: ResponseAction) -> Outcome:
    outcome = _guarded_question(row)
    now = timezone.now()
    began = row.started_at or now
    if outcome.result is Result.NOT_TAKEN and now - began < ON_ITS_WAY:
        return Outcome(Result.UNKNOWN, f"{outcome.says} It may still be on its way.", again_after=ON_ITS_WAY)
    if outcome.result is Result.STARTED and now - began > PATIENCE:
        says = f"{outcome.says} It was given {began:%Y-%m-%d %H:%M} UTC. {STILL_ASKED}"
        return Outcome(Result.UNKNOWN, says, outcome.external_id)
    return outcome


def _guarded_question(row: ResponseAction) -> Outcome:
    inner = executor_of(row.kind.key)
    if inner is not None:
        return _guarded(lambda: inner.ask(row), row)
    try:
        way = _way(row.connector, row.kind.key)
    except ConnectorFaultError as error:
        return Outcome(Result.UNKNOWN, f"It could not be asked what became of it. {error}")
    return _guarded(lambda: way.look_up(order_of(row)), row)


def proof_of(row: ResponseAction) -> Proof | None:
    """What the way itself says of the effect, None where it has no word on it. No transaction."""
    inner: Executor | None = executor_of(row.kind.key)
    if inner is not None:
        return inner.proof(row)
    if row.connector is None:
        return None
    try:
        return _way(row.connector, row.kind.key).prove(order_of(row))
    except ConnectorFaultError as error:
        return Proof(CheckOutcome.UNKNOWN, str(error))


def _bounded(output: dict[str, Any]) -> dict[str, Any]:
    text = str(output)
    return output if len(text) <= OUTPUT_LENGTH else {"too_long": len(text), "begins": text[:OUTPUT_LENGTH]}


def _attach(action: ResponseAction, outcome: Outcome) -> Attachment | None:
    """Files that the target handed over, kept with the case under who asked for them. No transaction."""
    kept = None
    for name, content in outcome.files:
        if action.requested_by is None or not action.case.is_open:
            break
        try:
            asker = of_user(action.requested_by)
            kept = attachments.attach(action.case, name=name, content=io.BytesIO(content), actor=asker)
        except Exception as error:
            log.warning("A file of action %s could not be kept.", action.pk, exc_info=error)
    return kept
