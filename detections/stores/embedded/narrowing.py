"""Which spellings of a field let a stage take a row: what a scan of much telemetry is narrowed by.

Files never change, so the distinct values of a column that has few are read once a process and kept. A stage
that needs `process.name : "mshta.exe"` then asks for the one or two spellings that occur, which Parquet's
statistics and dictionaries answer for whole row groups; a file without any is not opened at all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from detections.eql.ast import Query, all_stages
from detections.eql.fields import FieldCatalogue, FieldType
from detections.eql.patterns import ascii_fold
from detections.hunt.conditions import All, Lookup, Plan, Planner, Scan
from detections.stores.embedded.columns import physical
from detections.stores.embedded.connection import UnreadableError
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.segment_files import SegmentFiles

# Fewer rows are scanned as fast as this finds out what to leave.
LEAST_ROWS = 200_000
# Columns of more distinct values narrow little and cost much.
MOST_SPELLINGS = 2_000
LEAST_BYTES, MOST_BYTES_A_ROW = 64 * 1024, 8


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Stages whose rows have one of these spellings in one column. stages: by their place in the query."""

    column: str
    spellings: tuple[str, ...]
    stages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What is left to scan: the parts, and the segments that have a row for one of them."""

    parts: tuple[Narrowed, ...]
    segments: tuple[Segment, ...]

    @property
    def stages(self) -> frozenset[int]:
        return frozenset(stage for part in self.parts for stage in part.stages)


@dataclass(slots=True)
class _Choice:
    """One column that a stage could be narrowed by: spellings by segment, and how many rows have them."""

    column: str
    rows: int = 0
    spellings: dict[str, list[str]] = field(default_factory=dict)


def narrowing(
    files: SegmentFiles, segments: Sequence[Segment], query: Query, known: FieldCatalogue, category: str
) -> Narrowing | None:
    """How to narrow a verified query over these segments; None where some stage can't be narrowed.

    Raises UnreadableError for a file that can't be read.
    """
    if sum(segment.rows for segment in segments) < LEAST_ROWS:
        return None
    planner, chosen = Planner(known), dict[int, _Choice]()
    for number, stage in enumerate(all_stages(query)):
        plan = planner.stage(stage.category, stage.condition, category)
        choices = [choice for leaf in _needed(plan) if (choice := _choice(files, segments, leaf))]
        if not choices:
            return None
        chosen[number] = min(choices, key=lambda choice: choice.rows)
    by_column: dict[str, list[int]] = {}
    for number, choice in chosen.items():
        by_column.setdefault(choice.column, []).append(number)
    parts = [_part(column, stages, chosen) for column, stages in by_column.items()]
    held = {path for choice in chosen.values() for path, found in choice.spellings.items() if found}
    return Narrowing(
        tuple(part for part in parts if part.spellings),
        tuple(segment for segment in segments if segment.path in held),
    )


def _part(column: str, stages: Sequence[int], chosen: Mapping[int, _Choice]) -> Narrowed:
    spellings = {text for number in stages for found in chosen[number].spellings.values() for text in found}
    taking = tuple(number for number in stages if any(chosen[number].spellings.values()))
    return Narrowed(column, tuple(sorted(spellings)), taking)


def _needed(plan: Plan) -> Iterator[Lookup | Scan]:
    """The leaves that every row of a plan fulfils, and that a row without a value does not."""
    for part in plan.parts if isinstance(plan, All) else (plan,):
        if isinstance(part, Lookup) or (isinstance(part, Scan) and not part.absent):
            yield part


def _choice(files: SegmentFiles, segments: Iterable[Segment], leaf: Lookup | Scan) -> _Choice | None:
    """What a leaf leaves of each segment; None where its values are many, several a row, or no text."""
    if leaf.field.type is not FieldType.KEYWORD or leaf.field.is_list:
        return None
    one, many = physical(leaf.field.name, several=False), physical(leaf.field.name, several=True)
    choice = _Choice(one)
    for segment in segments:
        if many in segment.columns:
            return None
        if one not in segment.columns:
            continue
        held = _spellings(str(files.absolute(segment.path)), segment, one)
        if held is None:
            return None
        choice.spellings[segment.path] = [text for text in held if _passes(leaf, text)]
        choice.rows += sum(held[text] for text in choice.spellings[segment.path])
    return choice


def _passes(leaf: Lookup | Scan, text: str) -> bool:
    if isinstance(leaf, Scan):
        return leaf.test(text)
    return text in leaf.exact or (bool(leaf.folded) and ascii_fold(text) in leaf.folded)


def _spellings(path: str, segment: Segment, column: str) -> Mapping[str, int] | None:
    try:
        return _read(path, segment.bytes, column)
    except (OSError, pa.ArrowException) as error:
        broken = UnreadableError(str(error))
        broken.segments = [segment]
        raise broken from error


# The size tells a file that was damaged and put back.
@lru_cache(maxsize=1024)
def _read(path: str, _size: int, column: str) -> Mapping[str, int] | None:
    """The distinct texts of a column and how many rows have each; None where there are too many."""
    file = pq.ParquetFile(path, read_dictionary=[column])
    if _bytes(file.metadata, column) > max(LEAST_BYTES, MOST_BYTES_A_ROW * file.metadata.num_rows):
        return None
    counts = pc.value_counts(file.read([column])[column].cast(pa.string()))
    if len(counts) > MOST_SPELLINGS:
        return None
    values, numbers = counts.field(0).to_pylist(), counts.field(1).to_pylist()
    return {value: number for value, number in zip(values, numbers, strict=True) if value is not None}


def _bytes(metadata: pq.FileMetaData, column: str) -> int:
    names = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    place = names.index(column)
    groups = range(metadata.num_row_groups)
    return sum(metadata.row_group(number).column(place).total_uncompressed_size for number in groups)
