"""Make a batch durable and visible, once."""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from detections.eql.fields import Field
from detections.errors import StoreError
from detections.stores.base import Appended, MappedEvent
from detections.stores.embedded.encoding import encode
from detections.stores.embedded.identities import IdentityIndex
from detections.stores.embedded.json_leaves import Shape
from detections.stores.embedded.manifest import ManifestMovedError, Segment
from detections.stores.embedded.reader import Reader

# A commit is only refused because another one got through, so some writer always advances.
MAX_ATTEMPTS = 200


@dataclass(slots=True)
class _Draft:
    """What one append has so far."""

    batch: str
    events: list[MappedEvent]
    checked: int = 0
    looked_at: set[str] = field(default_factory=set)
    written: Segment | None = None
    new_fields: tuple[Field, ...] = ()


class Appender:
    """Writes batches of one store.

    1. Duplicates are looked for among the visible segments. 2. The file is written and renamed. 3. One
    database transaction numbers it and makes it visible, provided that nothing else became visible since;
    otherwise only what is new since is looked through, and the commit tried again. A kill between any two
    bytes leaves at most a file that no manifest row names.
    """

    def __init__(self, reader: Reader, catalogue: Mapping[str, Field], clock: Callable[[], datetime]) -> None:
        self.reader, self.catalogue, self.clock = reader, catalogue, clock
        self.index = IdentityIndex(reader)
        self.shape = Shape()
        self._lock = threading.Lock()

    def append(self, events: Sequence[MappedEvent], batch: str) -> Appended:
        """As `EventStore.append`."""
        # Encoding holds the interpreter anyway; in turn, the threads of a process never refuse each other.
        with self._lock:
            draft = _Draft(batch, _distinct(events))
            for _ in range(MAX_ATTEMPTS):
                self._drop_known(draft)
                if not draft.events:
                    return Appended(0, len(events), None)
                number = self._committed(draft)
                if number is not None:
                    return Appended(len(draft.events), len(events) - len(draft.events), number)
                time.sleep(random.uniform(0, 0.02))  # noqa: S311 -- spreads writers, guards nothing
        self._discard(draft)
        raise StoreError(f"Batch {batch} met {MAX_ATTEMPTS} other writers and was not stored. Send it again.")

    def _drop_known(self, draft: _Draft) -> None:
        """Leave out the events that the store has, looking only at segments not yet looked at."""
        manifest = self.reader.manifest
        head, known = manifest.head(), self._known(draft)
        if manifest.has_batch(draft.batch):
            known = {event.identity for event in draft.events}
        if known:
            draft.events = [event for event in draft.events if event.identity not in known]
            self._discard(draft)
        draft.checked = head

    def _known(self, draft: _Draft) -> set[str]:
        identities = [event.identity for event in draft.events]

        def look(segments: list[Segment]) -> set[str]:
            # By path, not by number: a segment that could not be read may be shown again under its old one.
            unseen = [one for one in segments if one.readable and one.path not in draft.looked_at]
            known = self.index.known(unseen, identities)
            draft.looked_at.update(one.path for one in unseen)
            return known

        return self.reader.read(look)

    def _committed(self, draft: _Draft) -> int | None:
        """The batch's number, or None where somebody else was faster."""
        manifest, seen = self.reader.manifest, self.reader.manifest.fields()
        if any(seen.get(one.name, one).type != one.type for one in draft.new_fields):
            self._discard(draft)
        if draft.written is None:
            encoded = encode(draft.events, self.catalogue, seen, self.shape)
            draft.written = self.reader.files.write(encoded, draft.batch)
            draft.new_fields = encoded.new_fields
        try:
            # Any other error leaves the file: a commit whose answer was lost may have made it visible.
            return manifest.commit(
                draft.written,
                expected_head=draft.checked,
                fields=draft.new_fields,
                arrived_at=self.clock(),
            )
        except ManifestMovedError:
            return None

    def _discard(self, draft: _Draft) -> None:
        if draft.written is not None:
            self.reader.files.discard(draft.written)
        draft.written, draft.new_fields = None, ()


def _distinct(events: Sequence[MappedEvent]) -> list[MappedEvent]:
    """The first event of each identity."""
    first: dict[str, MappedEvent] = {}
    for event in events:
        first.setdefault(event.identity, event)
    return list(first.values())
