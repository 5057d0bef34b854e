"""What each segment holds of each host and kind, counted once a process: a segment never changes.

Whether telemetry was there is asked for every pivot. Read from the files each time, over all that the store
holds, it took three quarters of what a case's pivots cost among ten million events.
"""
# ruff: noqa: S608 -- identifiers are quoted by us, values are parameters

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from sys import intern

from detections.eql.fields import FieldCatalogue
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.reader import Reader

# Kept in memory at most, about 200 bytes each. With more hosts than that holds, files are read each time.
MOST = 400_000


@dataclass(frozen=True, slots=True)
class Tally:
    """Events of one host, kind and dataset in one segment; first and last in microseconds since 1970."""

    host: str
    kind: str
    source: str | None
    events: int
    first: int
    last: int


ByHost = dict[str, list[Tally]]
Held = tuple[Segment, ByHost]


class Tallies:
    """The tallies of one store's segments. Threads may share it."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: dict[str, ByHost] = {}
        self._are_too_many = False

    def of(self, reader: Reader, known: FieldCatalogue, segments: Sequence[Segment]) -> list[Held] | None:
        """Each segment that can be read with its tallies by host, or None where they are too many to keep.

        Raises UnreadableError for a file that can't be read.
        """
        readable = [segment for segment in segments if segment.readable]
        with self._lock:
            if self._are_too_many:
                return None
            self._forget({segment.path for segment in segments})
            missing = [segment for segment in readable if segment.path not in self._kept]
            self._kept.update(_counted(reader, known, missing))
            total = sum(len(found) for hosts in self._kept.values() for found in hosts.values())
            if total > self._most:
                self._kept, self._are_too_many = {}, True
                return None
            return [(segment, self._kept[segment.path]) for segment in readable]

    def _forget(self, visible: set[str]) -> None:
        for path in self._kept.keys() - visible:
            del self._kept[path]


def _counted(reader: Reader, known: FieldCatalogue, segments: Sequence[Segment]) -> dict[str, ByHost]:
    scan = reader.scan(segments)
    host, dataset = scan.leaf(known["host.id"]), scan.leaf(known["event.dataset"])
    first_host, first_dataset = (f"{leaf.sql}[1]" if leaf.is_list else leaf.sql for leaf in (host, dataset))
    rows = scan.run(
        f"SELECT p.file_index, coalesce({first_host}, '') AS host, p._kind AS kind, "
        f"{first_dataset} AS source, count(*), epoch_us(min(p._timestamp)), epoch_us(max(p._timestamp)) "
        f"FROM {scan.source} WHERE p._kind IS NOT NULL GROUP BY ALL ORDER BY 1, 2"
    )
    found: dict[str, ByHost] = {segment.path: {} for segment in scan.segments}
    for (file, name), same in groupby(rows, key=lambda row: (row[0], row[1])):
        found[scan.segments[file].path][name] = [
            Tally(name, intern(kind), source and intern(source), events, first, last)
            for _file, _host, kind, source, events, first, last in same
        ]
    return found
