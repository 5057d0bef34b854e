"""Whether telemetry shows that an action has its effect: no later connection, an end of the process."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from detections.enums import TelemetryKind
from detections.errors import StoreError
from detections.event_store import event_store
from detections.stores.base import Clause, Filters, Operator, Window
from triage.actions.outcomes import Proof
from triage.enums import CheckOutcome, ObservableType
from triage.models import ResponseAction

# What was open when a block came may still end, and lists are pulled now and then.
GRACE = timedelta(minutes=5)
_BLOCKS = ("block_destination", "block_indicators", "contain_source", "block_dcom")
_ENDPOINT_MAPPER = 135


def proof_of(action: ResponseAction) -> Proof | None:
    """What telemetry says of a successful action, None where it can't say anything about its kind.

    Must not run inside a transaction. A store that can't answer proves nothing.
    """
    try:
        if action.kind.key in ("kill_process", "suspend_process"):
            return _ended(action)
        if action.kind.key in _BLOCKS:
            return _no_connection(action)
    except StoreError as error:
        return Proof(CheckOutcome.UNKNOWN, f"Telemetry could not be searched: {error}")
    return None


def _ended(action: ResponseAction) -> Proof:
    entity, host = action.parameters.get("entity_id"), action.parameters.get("host_id")
    if not entity or not host:
        return Proof(CheckOutcome.UNKNOWN, "Without the process's entity id telemetry can't show its end.")
    window = _since(action, timedelta())
    found = _first(window, _is("process.entity_id", entity), _is("host.id", host), _is("event.type", "end"))
    if found is not None:
        return Proof(CheckOutcome.HOLDING, f"The process's end was reported, {found:%Y-%m-%d %H:%M:%S} UTC.")
    later = _first(window, _is("process.entity_id", entity), _is("host.id", host))
    if later is not None:
        return Proof(CheckOutcome.BROKEN, f"The process was still at work, {later:%Y-%m-%d %H:%M:%S} UTC.")
    return Proof(CheckOutcome.UNKNOWN, "No event shows the process's end yet.")


def _no_connection(action: ResponseAction) -> Proof | None:
    clauses = _connection(action)
    if clauses is None:
        return None
    since = _since(action, GRACE)
    if since.start >= since.end:
        return Proof(CheckOutcome.UNKNOWN, "It is too early for telemetry to show it.")
    found = _first(since, *clauses)
    if found is not None:
        says = f"A connection was reported after it, {found:%Y-%m-%d %H:%M:%S} UTC: it does not hold."
        return Proof(CheckOutcome.BROKEN, says)
    host = action.parameters.get("host_id") or action.case.host_id
    if host and _reports(str(host), since):
        return Proof(CheckOutcome.HOLDING, "The host reports connections, and none to it since.")
    return Proof(
        CheckOutcome.UNKNOWN, "The host has reported no connection since, so the silence proves nothing."
    )


def _connection(action: ResponseAction) -> tuple[Clause, ...] | None:
    value = action.target_value
    if action.target_type == ObservableType.DOMAIN:
        # A lookup is no connection: a block lets the name be asked for.
        return (_is("destination.domain", value.lower()),)
    if action.target_type != ObservableType.IP:
        return None
    if action.kind.key in ("block_dcom", "contain_source"):
        port = (_is("destination.port", _ENDPOINT_MAPPER),) if action.kind.key == "block_dcom" else ()
        return (_is("source.ip", value), *port, _is("event.category", "network"), *_on_host(action))
    return (_is("destination.ip", value), _is("event.category", "network"), *_on_host(action))


def _on_host(action: ResponseAction) -> tuple[Clause, ...]:
    host = action.parameters.get("host_id")
    return (_is("host.id", host),) if host and action.kind.key != "block_indicators" else ()


def _is(field: str, value: Any) -> Clause:
    return Clause(field, Operator.IS, (value,))


def _since(action: ResponseAction, grace: timedelta) -> Window:
    now = timezone.now()
    return Window((action.finished_at or action.started_at or now) + grace, now)


def _first(window: Window, *clauses: Clause) -> datetime | None:
    if window.start >= window.end:
        return None
    found = event_store().search(Filters((clauses,)), window, limit=1)
    return found.events[0].timestamp if found.events else None


def _reports(host: str, window: Window) -> bool:
    return any(one.during > 0 for one in event_store().coverage(host, [TelemetryKind.CONNECTION], window))
