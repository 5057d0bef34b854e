"""States of a response that need a person: broken containments, what nobody knows, undos that failed."""

from collections.abc import Iterator

from detections.alarms import Alarm
from triage.enums import ActionState, CheckOutcome
from triage.models import Connector, ResponseAction

_S = ActionState


def standing() -> Iterator[Alarm]:
    """What stands now."""
    rows = ResponseAction.objects.select_related("case")
    for action in rows.filter(state=_S.SUCCEEDED, is_containment=True, proof=CheckOutcome.BROKEN):
        title = f"A containment does not hold: {action.number} of {action.case.number}, {action.title}"
        yield Alarm(f"containment_broken:{action.pk}", "containment_broken", title, action.proof_says)
    for action in rows.filter(state=_S.UNKNOWN):
        title = f"Nobody knows whether it was done: {action.number} of {action.case.number}, {action.title}"
        yield Alarm(f"action_unknown:{action.pk}", "action_unknown", title, action.says)
    failed = rows.filter(state=_S.FAILED, undoes__isnull=False, undoes__state__in=("succeeded", "unknown"))
    for action in failed:
        title = f"An undo failed: {action.number} of {action.case.number}, {action.title}"
        yield Alarm(f"undo_failed:{action.pk}", "undo_failed", title, action.says)
    for connector in Connector.objects.filter(enabled=True, failures__gte=5):
        title = f"The connector {connector.name} failed {connector.failures} times in a row"
        yield Alarm(
            f"connector:{connector.pk}", "connector", title, "Test it under Administration, Connectors."
        )
