"""Which events does the store have already? Asked of every batch, so it must not read every file again."""

# ruff: noqa: S608 -- identifiers are quoted by us, values are parameters

from collections.abc import Collection, Iterable, Sequence

import pyarrow as pa

from detections.stores.embedded.encoding import identity_key
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.reader import Reader
from detections.stores.embedded.scan import Scan

# Sixteen bytes each. Segments past this are read from disk every time.
MAX_KEYS = 20_000_000
MOST_GONE = 64


class IdentityIndex:
    """Eight bytes of every identity, in the process's DuckDB; what agrees in them is looked up in the files.

    Read once a process from each segment. The caller lets one thread in at a time.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._generation = 0
        self._numbers: dict[str, int] = {}
        self._keys = 0
        self._next = 0

    def known(self, segments: Iterable[Segment], identities: Collection[str]) -> set[str]:
        """Those of the identities that the segments hold. Raises as `Scan.run` does."""
        readable = [segment for segment in segments if segment.readable]
        if not readable or not identities:
            return set()
        self._load(readable)
        indexed = {self._numbers[one.path]: one for one in readable if one.path in self._numbers}
        suspects = [one for one in readable if one.path not in self._numbers]
        suspects += [indexed[number] for number in self._hits(indexed, identities)]
        return identities_in(self.reader.scan(suspects), identities)

    def _load(self, segments: Sequence[Segment]) -> None:
        connection = self.reader.connection
        with connection.cursor() as cursor:
            if self._generation != connection.generation:
                cursor.execute("CREATE OR REPLACE TABLE held_keys (segment INTEGER, key BIGINT)")
                self._generation, self._numbers, self._keys = connection.generation, {}, 0
        self._drop_replaced({segment.path for segment in segments})
        fresh = []
        for segment in segments:
            if segment.path not in self._numbers and self._keys + segment.rows <= MAX_KEYS:
                fresh.append(segment)
                self._keys += segment.rows
        base = self._next
        self._next += len(fresh)
        self.reader.scan(fresh).run(
            f"INSERT INTO held_keys SELECT {base:d} + p.file_index, p._key "
            f"FROM {self.reader.scan(fresh).source}"
        )
        self._numbers.update({segment.path: base + n for n, segment in enumerate(fresh)})

    def _drop_replaced(self, visible: set[str]) -> None:
        """Forget the keys of segments that were merged into others or have expired, once they are many."""
        gone = {path: number for path, number in self._numbers.items() if path not in visible}
        if len(gone) < MOST_GONE:
            return
        with self.reader.connection.cursor() as cursor:
            deleted = cursor.execute(
                "DELETE FROM held_keys WHERE list_contains(?::INTEGER[], segment)", [list(gone.values())]
            ).fetchone()
        self._keys -= deleted[0] if deleted else 0
        for path in gone:
            del self._numbers[path]

    def _hits(self, indexed: Collection[int], identities: Collection[str]) -> list[int]:
        """The numbers of the segments in which some key agrees."""
        keys = {identity_key(identity) for identity in identities}
        with self.reader.connection.cursor() as cursor:
            cursor.register("wanted", pa.table({"key": pa.array(keys, pa.int64())}))
            rows = cursor.execute(
                "SELECT DISTINCT h.segment FROM held_keys h SEMI JOIN wanted w ON h.key = w.key"
            ).fetchall()
        return sorted(number for (number,) in rows if number in indexed)


def identities_in(scan: Scan, identities: Collection[str]) -> set[str]:
    """Those of the identities that a scan holds."""
    rows = scan.run(
        f"SELECT DISTINCT p._identity FROM {scan.source} SEMI JOIN named n ON p._identity = n.identity",
        tables={"named": pa.table({"identity": pa.array(identities, pa.string())})},
    )
    return {identity for (identity,) in rows}
