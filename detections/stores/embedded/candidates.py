"""The rows that some stage of a query may take, found in SQL."""
# ruff: noqa: S608 -- identifiers are quoted by us, values are parameters

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detections.enums import TimeBasis
from detections.eql.ast import (
    Query,
    SequenceQuery,
    Stage,
    all_stages,
)
from detections.eql.fields import Field
from detections.eql.sql import category_sql, compile_sql
from detections.stores.base import EqlSearch
from detections.stores.embedded.columns import identifier
from detections.stores.embedded.eql_columns import EqlColumns
from detections.stores.embedded.fetching import Place
from detections.stores.embedded.narrowing import Narrowed
from detections.stores.embedded.regions import Extent, Span
from detections.stores.embedded.scan import Scan

# How many columns say where and when a candidate is: file, row, time, tiebreaker, number, arrival, nth.
PLACE = 7


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate: where it is, when it was, which stages it fits, and the values it joins by.

    time: microseconds on the search's clock. ingest, arrival, nth: the number of its batch, when that came,
    its place in it. keys: the values of each of the search's key fields. ends: whether it is one for `until`.
    """

    place: Place
    time: int
    tiebreaker: Any
    ingest: int
    arrival: int
    nth: int
    stages: tuple[int, ...]
    keys: Mapping[str, Sequence[Any]]
    ends: bool = False

    @property
    def milliseconds(self) -> int:
        """Elasticsearch's dates: what order and maxspan go by."""
        return self.time // 1_000

    @property
    def order(self) -> tuple[Any, ...]:
        """(milliseconds, tiebreaker with null last, the finer digits, ingest order)."""
        breaker = (self.tiebreaker is None, self.tiebreaker if self.tiebreaker is not None else 0)
        return self.milliseconds, breaker, self.time, self.ingest, self.nth


@dataclass(slots=True)
class CandidateSql:
    """Builds the query for one search over one scan."""

    search: EqlSearch
    scan: Scan
    known: Mapping[str, Field]
    parameters: list[Any] = field(default_factory=list)
    row_condition: str = ""
    parts: Sequence[Narrowed] = ()

    @property
    def query(self) -> Query:
        return self.search.query

    @property
    def key_names(self) -> list[str]:
        return sorted({key.name for stage in all_stages(self.query) for key in stage.keys})

    def clock(self) -> str:
        return clock_column(self.search) or self._scalar(self.search.timestamp_field)

    def statement(
        self, bounds: Mapping[int, Span], spans: Sequence[Span], extent: Extent, *, searched: bool
    ) -> str:
        """SELECT of the candidates: `PLACE`, a flag a stage, the key columns.

        bounds: what may be read of each segment of the scan. spans: ranges of time to stay in, if any.
        searched: whether only the region's own rows are wanted, or all that may be read.
        """
        self.row_condition = extent.condition(self.clock(), searched=searched)
        found = " UNION ALL ".join(self._found(part, bounds, spans) for part in self.parts or (None,))
        partners = "" if searched and not extent.is_everything else self._partners()
        return f"WITH c AS MATERIALIZED ({found}) SELECT * FROM c WHERE {partners}" if partners else found

    def _found(self, part: Narrowed | None, bounds: Mapping[int, Span], spans: Sequence[Span]) -> str:
        """SELECT of the rows that the stages of one part take, or all stages."""
        stages = all_stages(self.query)
        taking = range(len(stages)) if part is None else part.stages
        flags = [
            f"{f'coalesce({self._condition(stage)}, FALSE)' if n in taking else 'FALSE'} AS f{n}"
            for n, stage in enumerate(stages)
        ]
        keys = [f"{self._leaf(name)} AS k{n}" for n, name in enumerate(self.key_names)]
        breaker = self._scalar(self.search.tiebreaker_field) if self.search.tiebreaker_field else "NULL"
        place = f"p.file_index AS file, p._row AS row, epoch_us({self.clock()}) AS t, {breaker} AS b"
        batch = f"{self.scan.ingest} AS i, {self.scan.arrived} AS a, {self.scan.order} AS o"
        inner = ", ".join([place, batch, *flags, *keys])
        source = f"{self.scan.source}{self._narrowed(part)}"
        fits = " OR ".join(f"f{n}" for n in taking)
        return (
            f"SELECT * FROM (SELECT {inner} FROM {source} WHERE {self._within(bounds, spans)}) WHERE {fits}"
        )

    def _narrowed(self, part: Narrowed | None) -> str:
        """A join with the spellings: DuckDB takes it to the file's statistics, unlike a list of values."""
        if part is None:
            return ""
        self.parameters.append(list(part.spellings))
        return f" JOIN (SELECT unnest(?::VARCHAR[]) AS v) s ON p.{identifier(part.column)} = s.v"

    def _partners(self) -> str:
        """Whether every other stage of a sequence has a row with the candidate's join keys.

        Only where all partners are read. Missing stages, `until`, optional keys and lists are left as they
        are: there, less would mean more.
        """
        stages = all_stages(self.query)
        if not isinstance(self.query, SequenceQuery):
            return ""
        positive = [n for n, stage in enumerate(self.query.stages) if not stage.missing]
        kept = [f"f{n}" for n in range(len(stages)) if n not in positive]
        for n in positive:
            tests = [
                f"{own} IN (SELECT {other} FROM c WHERE f{m})"
                for m in positive
                for own, other in self._shared_keys(stages[n], stages[m])
                if m != n
            ]
            kept.append(" AND ".join([f"f{n}", *tests]))
        return " OR ".join(f"({one})" for one in kept) if any(" IN " in one for one in kept) else ""

    def _shared_keys(self, one: Stage, other: Stage) -> Iterator[tuple[str, str]]:
        """The key columns of two stages that have to be equal, if each row has one value of them at most."""
        for left, right in zip(one.keys, other.keys, strict=True):
            fields = self.known.get(left.name), self.known.get(right.name)
            if left.optional or right.optional or fields[0] is None or fields[1] is None:
                continue
            leaves = [self.scan.leaf(field) for field in fields if field]
            if not any(leaf.is_list for leaf in leaves) and fields[0].type is fields[1].type:
                names = self.key_names
                yield f"k{names.index(left.name)}", f"k{names.index(right.name)}"

    def _within(self, bounds: Mapping[int, Span], spans: Sequence[Span]) -> str:
        clock = self.clock()
        parts = [f"{clock} IS NOT NULL"]
        if spans:
            parts.append("(" + " OR ".join(self._range(clock, span) for span in spans) + ")")
        by_span: dict[Span, list[int]] = {}
        for number, span in bounds.items():
            by_span.setdefault(span, []).append(number)
        if len(by_span) == 1:
            parts.append(self._range(clock, next(iter(by_span))))
        else:
            parts.append("(" + " OR ".join(self._of(files, clock, s) for s, files in by_span.items()) + ")")
        return " AND ".join(parts)

    def _of(self, files: list[int], clock: str, span: Span) -> str:
        self.parameters.append(files)
        return f"(list_contains(?::BIGINT[], p.file_index::BIGINT) AND {self._range(clock, span)})"

    def _range(self, clock: str, span: Span) -> str:
        parts = ["TRUE"]
        for sign, end in ((">=", span.low), ("<=", span.high)):
            if end is not None:
                parts.append(f"{clock} {sign} make_timestamp({end:d}::BIGINT)")
        if span.by_row:
            parts.append(self.row_condition)
        return "(" + " AND ".join(parts) + ")"

    def _condition(self, stage: Stage) -> str:
        fields = EqlColumns(self.scan, self.known)
        category = category_sql(stage.category, fields.get(self.search.event_category_field))
        condition = compile_sql(stage.condition, fields)
        self.parameters.extend((*category.params, *condition.params))
        return f"({category.sql} AND {condition.sql})"

    def _leaf(self, name: str) -> str:
        known = self.known.get(name)
        return "NULL" if known is None else self.scan.leaf(known).sql

    def _scalar(self, name: str) -> str:
        known = self.known.get(name)
        if known is None:
            return "CAST(NULL AS TIMESTAMP)" if name == self.search.timestamp_field else "NULL"
        leaf = self.scan.leaf(known)
        return f"list_min({leaf.sql})" if leaf.is_list else leaf.sql


def clock_column(search: EqlSearch) -> str:
    """The metadata column that orders this search, or "" where a field of the event does."""
    if search.basis is TimeBasis.CLOCK_REPAIRED:
        return "p._created"
    return "p._timestamp" if search.timestamp_field == "@timestamp" else ""


def found_rows(sql: CandidateSql, rows: Sequence[tuple[Any, ...]]) -> list[Found]:
    """The candidates of a result of `statement`, in the order of their events."""
    query, names = sql.query, sql.key_names
    count = len(all_stages(query))
    if len(sql.parts) > 1:
        rows = _merged(rows, count)
    positive = range(len(query.stages))
    return sorted(
        (
            Found(
                place=(sql.scan.segments[row[0]].path, row[1]),
                time=row[2],
                tiebreaker=row[3],
                ingest=row[4],
                arrival=row[5],
                nth=row[6],
                stages=tuple(number for number in positive if row[PLACE + number]),
                keys={name: _several(row[PLACE + count + n]) for n, name in enumerate(names)},
                ends=query.until is not None and bool(row[PLACE - 1 + count]),
            )
            for row in rows
        ),
        key=lambda found: found.order,
    )


def _merged(rows: Sequence[tuple[Any, ...]], count: int) -> list[tuple[Any, ...]]:
    """Rows that several parts have found, once each, with the flags of all of them."""
    found: dict[tuple[int, int], tuple[Any, ...]] = {}
    for row in rows:
        other = found.get(row[:2])
        if other is not None:
            flags = [one or two for one, two in zip(row[PLACE:], other[PLACE : PLACE + count], strict=False)]
            row = (*row[:PLACE], *flags, *row[PLACE + count :])
        found[row[:2]] = row
    return list(found.values())


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
