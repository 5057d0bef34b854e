"""The state machine of sequences, streaming.

One pending sequence a stage and key; the newest overwrites. This is what Elasticsearch's paged matcher
(SequenceMatcher, TumblingWindow) means once its windows are taken away.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from detections.eql.ast import SequenceQuery

T = TypeVar("T")
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Candidate(Generic[T]):
    """An event that some stage may take.

    stages: index into `query.stages` -> the event's join keys there (sorted and distinct; see
    `joined_keys`). A stage that the event does not match, or where a mandatory key is null, is left out.
    until: the keys for which it ends what is pending.
    """

    event: T
    timestamp: datetime
    stages: Mapping[int, tuple[Key, ...]]
    until: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Sequence(Generic[T]):
    """A complete sequence: one event a step (runs counted singly), None where a missing event was asked."""

    events: tuple[T | None, ...]
    keys: Key


@dataclass(slots=True)
class _Pending(Generic[T]):
    """The positive steps so far, with the times that maxspan and the missing events are measured by."""

    events: list[T]
    times: list[datetime]


@dataclass(slots=True)
class SequenceMachine(Generic[T]):
    """Feed candidates in order, then ask for the sequences.

    Order is (timestamp, tiebreaker with null last, ingest order); the caller sorts.
    """

    query: SequenceQuery
    _steps: list[int] = field(init=False)
    _slots: list[dict[Key, _Pending[T]]] = field(init=False)
    _seen: dict[int, dict[Key, list[datetime]]] = field(init=False)
    _complete: list[tuple[_Pending[T], Key]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        stages = self.query.stages
        self._steps = [i for i, stage in enumerate(stages) if not stage.missing for _ in range(stage.runs)]
        self._slots = [{} for _ in self._steps]
        self._seen = {i: defaultdict(list) for i, stage in enumerate(stages) if stage.missing}

    def feed(self, candidate: Candidate[T]) -> None:
        """Take the next event. The last step comes first, so that it can't fill two of one sequence."""
        for step in range(len(self._steps) - 1, -1, -1):
            for key in candidate.stages.get(self._steps[step], ()):
                self._advance(step, key, candidate)
        for stage, seen in self._seen.items():
            for key in candidate.stages.get(stage, ()):
                seen[key].append(candidate.timestamp)
        for key in candidate.until:
            for slot in self._slots:
                slot.pop(key, None)

    def sequences(self) -> list[Sequence[T]]:
        """Every sequence so far, ordered by its last event.

        Missing events are judged by what was fed: a trailing one does not wait for its time to pass.
        """
        return [self._row(found, key) for found, key in self._complete if self._holds(found, key)]

    def _advance(self, step: int, key: Key, candidate: Candidate[T]) -> None:
        if step == 0:
            pending = _Pending([candidate.event], [candidate.timestamp])
        else:
            before = self._slots[step - 1].pop(key, None)
            if before is None or self._is_late(before, candidate.timestamp):
                return
            pending = _Pending([*before.events, candidate.event], [*before.times, candidate.timestamp])
        if step == len(self._steps) - 1:
            self._complete.append((pending, key))
        else:
            self._slots[step][key] = pending

    def _is_late(self, pending: _Pending[T], timestamp: datetime) -> bool:
        return self.query.maxspan is not None and timestamp - pending.times[0] > self.query.maxspan

    def _row(self, found: _Pending[T], key: Key) -> Sequence[T]:
        events = iter(found.events)
        return Sequence(tuple(None if step.missing else next(events) for step in self.query.steps), key)

    def _holds(self, found: _Pending[T], key: Key) -> bool:
        """Whether none of the missing events was seen."""
        if not self._seen:
            return True
        position, gaps = 0, dict[int, list[int]]()
        for index, stage in enumerate(self.query.stages):
            if stage.missing:
                gaps.setdefault(position, []).append(index)
            else:
                position += stage.runs
        before, after = gaps.pop(0, []), gaps.pop(len(self._steps), [])
        between = all(
            self._is_empty(stage, key, found.times[position - 1], found.times[position])
            for position, stages in gaps.items()
            for stage in stages
        )
        return between and self._edges_hold(found, key, before, after)

    def _is_empty(self, stage: int, key: Key, start: datetime, end: datetime) -> bool:
        """No event strictly between the two times; the tiebreaker does not count here."""
        times = self._seen[stage].get(key, [])
        return bisect_right(times, start) >= bisect_left(times, end)

    def _edges_hold(self, found: _Pending[T], key: Key, before: list[int], after: list[int]) -> bool:
        """Leading and trailing missing events, counted back from the last and on from the first event."""
        first, last = found.times[0], found.times[-1]
        maxspan = self.query.maxspan or timedelta.max
        lead = self._latest_before(before, key, first)
        trail = self._earliest_after(after, key, last)
        if before and after:
            return lead is None or trail is None or trail - lead > maxspan
        return (lead is None or last - lead > maxspan) and (trail is None or trail - first > maxspan)

    def _latest_before(self, stages: Iterable[int], key: Key, limit: datetime) -> datetime | None:
        found = (self._seen[stage].get(key, []) for stage in stages)
        return max((times[i - 1] for times in found if (i := bisect_left(times, limit))), default=None)

    def _earliest_after(self, stages: Iterable[int], key: Key, limit: datetime) -> datetime | None:
        found = (self._seen[stage].get(key, []) for stage in stages)
        return min(
            (times[i] for times in found if (i := bisect_right(times, limit)) < len(times)), default=None
        )


def find_sequences(query: SequenceQuery, candidates: Iterable[Candidate[T]]) -> list[Sequence[T]]:
    """All sequences in a stream of candidates that is in order."""
    machine: SequenceMachine[T] = SequenceMachine(query)
    for candidate in candidates:
        machine.feed(candidate)
    return machine.sequences()
