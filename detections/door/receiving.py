"""Take a bulk request in: good events into the store, the others back to the sender and into quarantine."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from detections import ecs
from detections.door import answers, receipts
from detections.door.answers import Item
from detections.door.body import Action, Body, actions, is_index_name
from detections.door.tokens import Sender
from detections.errors import RecordError
from detections.ingest import identity, moments, ndjson
from detections.stores.base import EventStore, MappedEvent, StoredEvent, Window

PORTION = 5_000
PORTION_BYTES = 16 * 1024 * 1024
_ID_BYTES = 512
_ALL_TIME = Window(datetime(1601, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
# What a single event may make the layout of a batch raise; everything else is the store's own trouble.
_POISON = (ValueError, TypeError, OverflowError, RecursionError)
_CONFLICT = "version_conflict_engine_exception"


@dataclass(slots=True)
class _Sent:
    """One action on its way: its event or its fault, and in the end its answer.

    fault: goes into quarantine too, so that an administrator can read what the sender was told.
    """

    action: Action
    event: MappedEvent | None = None
    item: Item | None = None
    fault: RecordError | None = None

    @property
    def shown_id(self) -> str:
        known_as = self.event.identity[:20] if self.event else ""
        return self.action.document_id or known_as


def receive(
    body: Body, *, sender: Sender, store: EventStore, default_index: str = "", limit: int
) -> list[Item]:
    """Store what a bulk request brings, and answer each of its actions, in their order.

    1. The whole request is looked through; one that is malformed is refused before anything is stored.
    2. Portion by portion, events are appended: what is answered as stored is durable and searchable.
    3. What was refused goes into the quarantine of the sender's day, once, with the sender's counts.
    Killed anywhere, the same request again adds only what is missing. Rules are not woken: they find the
    events by their schedule.

    default_index: from the address. limit: of actions. Raises NotPermittedError, BodyError, and what the
    store raises; the sender then sends all of it again.
    """
    sender.actor.require("detections.add_import", "send events")
    receipt = receipts.Receipt(sender, body.sha256, body.size)
    items: list[Item] = []
    for portion in _portions(actions(body, default_index, limit=limit)):
        sent = [_read(action, body, sender) for action in portion]
        _store(sent, sender, store, body)
        for one in sent:
            assert one.item is not None
            items.append(one.item)
            receipt.count(one.item, one.fault)
    receipts.keep(receipt)
    return items


def _portions(found: Sequence[Action]) -> Iterator[list[Action]]:
    """Bounded in number and in bytes: only one is in memory."""
    portion: list[Action] = []
    size = 0
    for action in found:
        if portion and (len(portion) >= PORTION or size + action.length > PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(action)
        size += action.length
    if portion:
        yield portion


def _read(action: Action, body: Body, sender: Sender) -> _Sent:
    sent = _Sent(action)
    refusal = _refusal_of_action(action, sender)
    if refusal:
        _refuse(sent, body, *refusal)
        return sent
    try:
        line = body.line(action)
        source = f"{sender.name}: {action.index}"
        event = ndjson.sent_event(line.rstrip(b"\r\n"), action.document_id or "", source)
        sent.event = event.packed()
    except RecordError as error:
        _refuse(sent, body, 400, "mapper_parsing_exception", str(error))
    return sent


def _refusal_of_action(action: Action, sender: Sender) -> tuple[int, str, str] | None:
    document_id = action.document_id
    if action.operation not in {"create", "index"}:
        reason = f"[{action.operation}] is not supported: stored events are never changed or deleted"
        return 400, "illegal_argument_exception", reason
    if not is_index_name(action.index):
        return 400, "invalid_index_name_exception", f"Invalid index name [{action.index[:300]}]"
    if not sender.may_write(action.index):
        return 403, "security_exception", f"sender [{sender.name}] may not write to [{action.index}]"
    if document_id == "":
        return 400, "illegal_argument_exception", "if _id is specified it must not be empty"
    if document_id is not None and len(document_id.encode("utf-8", "replace")) > _ID_BYTES:
        reason = f"id is too long, must be no longer than {_ID_BYTES} bytes"
        return 400, "illegal_argument_exception", reason
    return None


def _refuse(sent: _Sent, body: Body, status: int, kind: str, reason: str) -> None:
    action = sent.action
    # The raw line stays out of the answer: its sender has it.
    raw = body.line(action)[: receipts.RAW_LENGTH * 4].decode(errors="backslashreplace")
    sent.fault = RecordError(f"{action.index[:300]}: {reason}", position=f"line {action.line}", raw=raw)
    sent.item = answers.refused(
        action.operation, action.index, action.document_id or None, status, kind, reason
    )


def _store(sent: Sequence[_Sent], sender: Sender, store: EventStore, body: Body) -> None:
    """Append the events among these and answer them. One event that can't be laid out costs no other."""
    good = [one for one in sent if one.event is not None and one.item is None]
    events = [one.event for one in good if one.event is not None]
    if not events:
        return
    try:
        appended = store.append(events, batch=_batch_id(sender, events))
    except _POISON as error:
        if len(good) == 1:
            _refuse(good[0], body, 400, "mapper_parsing_exception", f"{type(error).__name__}: {error}")
            return
        half = len(good) // 2
        _store(good[:half], sender, store, body)
        _store(good[half:], sender, store, body)
        return
    before = {} if appended.new == len(events) else _known_before(events, appended.ingest, store)
    _answer(good, before, appended.ingest or 0, body)


def _batch_id(sender: Sender, events: Sequence[MappedEvent]) -> str:
    """The same for the same events, so that a request sent again is the same batch."""
    digest = hashlib.sha256()
    for event in events:
        digest.update(event.identity.encode())
    return f"sender:{sender.token.pk}:{digest.hexdigest()}"


def _known_before(
    events: Sequence[MappedEvent], ingest: int | None, store: EventStore
) -> dict[str, StoredEvent | None]:
    """Those of the events that the store had, by identity; None where it does not show them any more."""
    identities = {event.identity for event in events}
    found = store.fetch(identities, _window(events))
    # An event with the same id may carry another time.
    elsewhere = identities - found.keys()
    found |= store.fetch(elsewhere, _ALL_TIME) if elsewhere else {}
    return {
        known_as: found.get(known_as)
        for known_as in identities
        if ingest is None or known_as not in found or found[known_as].ingest != ingest
    }


def _window(events: Sequence[MappedEvent]) -> Window:
    times = [moments.moment(ecs.text(event.document, "@timestamp")) for event in events]
    return Window(min(times), max(times))


def _answer(good: Sequence[_Sent], before: dict[str, StoredEvent | None], ingest: int, body: Body) -> None:
    seen: dict[str, MappedEvent] = {}
    for one in good:
        event, action = one.event, one.action
        assert event is not None
        if event.identity not in before and event.identity not in seen:
            seen[event.identity] = event
            one.item = answers.stored(action.operation, action.index, one.shown_id, ingest)
            continue
        first = seen.get(event.identity) or before.get(event.identity)
        if first is not None and _is_conflict(event, action.document_id, first):
            reason = f"[{action.document_id}]: version conflict, another document has this id, and stays"
            _refuse(one, body, 409, _CONFLICT, reason)
        elif action.operation == "create" and action.document_id is not None:
            reason = (
                f"[{action.document_id}]: version conflict, document already exists (current version [1])"
            )
            one.item = answers.refused("create", action.index, action.document_id, 409, _CONFLICT, reason)
        else:
            one.item = answers.held(action.operation, action.index, one.shown_id)


def _is_conflict(event: MappedEvent, document_id: str | None, first: MappedEvent | StoredEvent) -> bool:
    """Whether two events have one id and nothing else in common: the later one would be lost unseen.

    Only where the id makes the identity. A Windows record is the same one whoever sends it.
    """
    if document_id is None:
        return False
    known_as = identity.of_source(identity.dataset_of(event.document), document_id)
    return event.identity == known_as and event.document != first.document
