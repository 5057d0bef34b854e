"""Write the journal. One entry per state change, in the same transaction as the change."""

import hashlib
import json
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from detections.actors import Actor
from detections.models.journal import JournalEntry, JournalStream


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no blanks: the same value always gives the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def record(
    stream: str,
    verb: str,
    *,
    actor: Actor,
    before: str = "",
    after: str = "",
    reason: str = "",
    data: dict[str, Any] | None = None,
) -> JournalEntry:
    """Append an entry to a stream ("case:12", "rule:3", "imports").

    Must run inside the transaction of the change; raises TransactionManagementError outside of one. The
    stream's row is locked, so that numbers have no hole and the chain has one order.
    """
    transaction.get_connection().validate_no_broken_transaction()
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("A journal entry belongs in its change's transaction.")
    JournalStream.objects.get_or_create(name=stream)
    head = JournalStream.objects.select_for_update().get(name=stream)
    entry = JournalEntry(
        stream=head,
        number=head.head_number + 1,
        at=timezone.now(),
        user=actor.user,
        actor=actor.label,
        verb=verb,
        before=before,
        after=after,
        reason=reason,
        data=json.loads(canonical_json(data or {})),
        previous_hash=head.head_hash,
    )
    entry.hash = entry_hash(entry)
    entry.save(force_insert=True)
    head.head_number, head.head_hash = entry.number, entry.hash
    head.save(update_fields=["head_number", "head_hash"])
    return entry


def entry_hash(entry: JournalEntry) -> str:
    """SHA-256 hex over every column of the entry but its own hash and key."""
    content = [
        entry.stream.name,
        entry.number,
        entry.at.isoformat(),
        entry.user_id,
        entry.actor,
        entry.verb,
        entry.before,
        entry.after,
        entry.reason,
        entry.data,
        entry.previous_hash,
    ]
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


# Of a chain that is written to while it is read. A reader is quicker than a few writers of one case.
MOST_READINGS = 10


def verify(stream: JournalStream) -> list[str]:
    """What is wrong with a chain, in words; empty when it holds.

    An entry that is written while it reads makes end and entries differ, so what is wrong counts only if the
    end was the same before and after.
    """
    faults = _faults(stream)
    for _ in range(MOST_READINGS):
        before = (stream.head_number, stream.head_hash)
        if not faults:
            break
        stream.refresh_from_db(fields=["head_number", "head_hash"])
        if (stream.head_number, stream.head_hash) == before:
            break
        faults = _faults(stream)
    return faults


def _faults(stream: JournalStream) -> list[str]:
    faults, previous, number = [], "", 0
    for entry in stream.entries.select_related("stream").order_by("number"):
        number += 1
        if entry.number != number:
            faults.append(f"{stream.name}: entry {number} is missing.")
            number = entry.number
        if entry.previous_hash != previous:
            faults.append(f"{stream.name}: entry {entry.number} does not follow the one before.")
        if entry.hash != entry_hash(entry):
            faults.append(f"{stream.name}: entry {entry.number} was changed.")
        previous = entry.hash
    if (number, previous) != (stream.head_number, stream.head_hash):
        faults.append(f"{stream.name}: the end of the chain is missing.")
    return faults
