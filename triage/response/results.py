"""What people and other systems say came of an action: a proof, a call back, an owner's reply."""

from django.core import signing
from django.db import transaction

from detections.actors import Actor, system
from triage.actions.outcomes import Outcome, Proof, Result
from triage.enums import ActionState, CheckOutcome
from triage.errors import StaleEditError, TriageError
from triage.models import Attachment, ReplyLink, ResponseAction
from triage.response import actions as response_actions
from triage.response import checks as response_checks
from triage.response import rows as response_rows
from triage.response import running as response_running
from triage.response.executors import executor_of

_S = ActionState


def ask_now(action: ResponseAction, *, actor: Actor) -> ResponseAction:
    """A person wants the target asked at once. Raises NotPermittedError, StaleEditError."""
    actor.require(response_actions.REQUEST, "ask what became of an action")
    with transaction.atomic():
        row = response_rows.found(action.pk)
        if row is None or row.state != _S.UNKNOWN:
            raise StaleEditError(f"{action.number} is not unknown any more.", theirs=row)
        response_running.ask_at_once(row)
    return row


def record_result(
    action: ResponseAction,
    *,
    succeeded: bool,
    proof: str,
    actor: Actor,
    attachment: Attachment | None = None,
) -> ResponseAction:
    """A person says what came of it: of what is done by hand, or what they found where nothing can be asked.

    proof: what shows it, required. Raises NotPermittedError, StaleEditError, TriageError.
    """
    actor.require(response_actions.REQUEST, "say what came of an action")
    if not proof.strip():
        raise TriageError("Say what shows it: what was done, where, and how you can tell.")
    with transaction.atomic():
        row = response_rows.found(action.pk)
        if row is None or not is_for_people(row):
            raise StaleEditError(f"{action.number} is not for people to settle now.", theirs=row)
        if attachment is not None and attachment.case_id != row.case_id:
            raise TriageError("The file is not one of this case. Attach it again.")
        row.attachment = attachment or row.attachment
        row.output = {**row.output, "recorded_by": actor.label, "proof": proof.strip()}
        if not succeeded:
            response_rows.finish(row, _S.FAILED, f"{actor.label}: {proof.strip()}", actor)
            return row
        response_running.complete(row, f"{actor.label}: {proof.strip()}", actor)
        _by_hand(row, proof.strip(), actor)
    return row


def _by_hand(row: ResponseAction, says: str, actor: Actor) -> None:
    """A person's proof is the first check of the series, in the caller's transaction."""
    response_checks.keep(row, Proof(CheckOutcome.HOLDING, says), actor=actor)


def is_for_people(row: ResponseAction) -> bool:
    """Whether a person says what came of it: not while a system that can be asked, or the product itself,
    is at it, for then that word counts."""
    if row.state != _S.RUNNING:
        return row.state == _S.UNKNOWN
    is_asked = row.connector is not None and bool(row.external_id)
    return not is_asked and (executor_of(row.kind.key) is None or _waits_for_people(row))


def _waits_for_people(row: ResponseAction) -> bool:
    return row.accepted_at is not None and not row.external_id


def called_back(token: str, *, result: str, says: str) -> ResponseAction:
    """A target says what came of an order, by the signed address that it was given.

    Raises TriageError for a token that is unknown, too old, or of another attempt, and for another word.
    """
    try:
        text = signing.TimestampSigner(salt=response_running.CALL_BACK_SALT).unsign(
            token, max_age=response_running.CALL_BACK_LASTS
        )
    except signing.BadSignature as error:
        raise TriageError("The address is not known here, or is too old.") from error
    pk, _, attempt = text.partition(":")
    results = {"done": Result.DONE, "failed": Result.FAILED}
    if result not in results:
        raise TriageError('Say {"result": "done"} or {"result": "failed"}.')
    action = ResponseAction.objects.get(pk=int(pk))
    said = " ".join(says.split())[:500] or ("It is done." if result == "done" else "It failed.")
    actor = system(f"call-back of {action.connector.name if action.connector else 'the target'}")
    if not response_running.store(action, Outcome(results[result], said), attempt=int(attempt), actor=actor):
        raise TriageError(f"{action.number} is settled already.")
    action.refresh_from_db()
    return action


def replied(action: ResponseAction, link: ReplyLink, *, name: str) -> None:
    """An owner answered by their link, in the caller's transaction."""
    row = response_rows.found(action.pk)
    if row is None or row.state not in (_S.RUNNING, _S.UNKNOWN):
        return
    word = "confirms" if link.confirms else "does not confirm"
    row.output = {
        "replied_by": name,
        "confirms": link.confirms,
        "statement": link.statement,
        "confirmation": link.confirmation_id,
    }
    response_running.complete(
        row, f"{name} {word} it: {link.statement}"[:2000], system(f"reply of {link.sent_to}")
    )
