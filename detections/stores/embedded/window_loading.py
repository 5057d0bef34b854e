"""Read the rows of a window straight from the files, column by column, texts as codes of their dictionary."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from detections.stores.embedded.columns import EPOCH, MICROSECOND, TIMESTAMP, micros
from detections.stores.embedded.connection import UnreadableError
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.regions import Extent, Span
from detections.stores.embedded.segment_files import SegmentFiles, lists_of_texts_in, metadata_of, texts_in

# The other pools keep what they once had; a worker would hold the largest window's memory for good.
pa.set_memory_pool(pa.system_memory_pool())
# Whole row groups are decoded before rows are chosen: so many columns at a time, by each of some threads.
AT_ONCE, THREADS = 3, 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows of a window are: `_row` and the like, a row each. path: the number of its segment."""

    segment: pa.Array
    row: pa.Array
    time: pa.Array
    ingest: pa.Array
    arrival: pa.Array
    nth: pa.Array


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The rows of one segment that belong to the window. kept: a mask over the rows of its groups, or where
    they begin; None is all.
    """

    segment: Segment
    path: str
    groups: list[int]
    kept: pa.Array | int | None
    rows: int

    def of(self, table: pa.Table) -> pa.Table:
        """These rows out of a table of all rows of the groups."""
        if isinstance(self.kept, int):
            return table.slice(self.kept, self.rows)
        return table if self.kept is None else table.filter(self.kept)


@dataclass(frozen=True, slots=True)
class LoadedWindow:
    """The rows of a window: where they are, and their columns when asked for."""

    segments: tuple[Segment, ...]
    parts: tuple[_Chosen, ...]
    places: Place | None

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def columns(self, names: Sequence[str]) -> Mapping[str, pa.Array]:
        """Those of the physical columns that some segment has, each over all rows."""
        wanted = [name for name in names if any(name in part.segment.columns for part in self.parts)]
        if not wanted:
            return {}
        portions = [wanted[start : start + AT_ONCE] for start in range(0, len(wanted), AT_ONCE)]
        with ThreadPoolExecutor(min(THREADS, len(portions))) as pool:
            found = {name: column for part in pool.map(self._read, portions) for name, column in part.items()}
        pa.default_memory_pool().release_unused()
        return found

    def _read(self, wanted: Sequence[str]) -> Mapping[str, pa.Array]:
        try:
            held = [_columns_of(part, wanted) for part in self.parts]
            return {
                name: _together(
                    [columns.get(name, part.rows) for part, columns in zip(self.parts, held, strict=True)]
                )
                for name in wanted
            }
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(error, self.segments) from error


def _columns_of(part: _Chosen, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
    """Those of the columns that the segment has."""
    held = [name for name in names if name in part.segment.columns]
    _, lists = _texts(part.path, part.segment.bytes)
    single = [name for name in held if name not in lists]
    # A file of one's own: other threads read other columns.
    with _opened(part.path, part.segment.bytes) as file:
        found = {name: part.of(_lists_of(part, file, name))[name] for name in held if name in lists}
        if single:
            table = part.of(file.read_row_groups(part.groups, columns=single))
            found.update(zip(table.column_names, table.columns, strict=True))
    return found


def _opened(path: str, size: int) -> pq.ParquetFile:
    """A file of which texts are read as codes of their dictionary."""
    single, lists = _texts(path, size)
    leaves = [*single, *lists.values()]
    return pq.ParquetFile(path, metadata=metadata_of(path, size), read_dictionary=leaves)


def _lists_of(part: _Chosen, file: pq.ParquetFile, name: str) -> pa.Table:
    """A column of lists of texts, as lists of codes where all texts of each row group are in its dictionary.

    Arrow makes codes of lists only within a row group. Codes take a fifth of the time that texts take, of
    which a command's arguments are most.
    """
    try:
        return pa.concat_tables(file.read_row_group(group, columns=[name]) for group in part.groups)
    except pa.ArrowNotImplementedError:
        with pq.ParquetFile(part.path, metadata=file.metadata) as plain:
            return plain.read_row_groups(part.groups, columns=[name])


def _together(found: Sequence[pa.ChunkedArray | int]) -> pa.Array:
    """One column over all parts; a number stands for so many rows without a value."""
    kinds = {one.type for one in found if not isinstance(one, int)}
    if len(kinds) > 1:
        # Where one part could not be read as codes, none is.
        found = [one if isinstance(one, int) else _texts_of(one) for one in found]
    kind = next(one.type for one in found if not isinstance(one, int))
    chunks: list[pa.Array] = []
    for one in found:
        chunks.extend([pa.nulls(one, kind)] if isinstance(one, int) else one.chunks)
    if pa.types.is_list(kind):
        return _lists(chunks, kind)
    return _codes(chunks, kind)


def _texts_of(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = pa.list_(pa.string())
    return pa.chunked_array([chunk.cast(kind) for chunk in lists.chunks], kind)


def _codes(chunks: list[pa.Array], kind: pa.DataType) -> pa.Array:
    held = pa.chunked_array(chunks, kind)
    if pa.types.is_dictionary(kind):
        held = held.unify_dictionaries()
    one = held.combine_chunks()
    return one.combine_chunks() if isinstance(one, pa.ChunkedArray) else one


def _lists(chunks: list[pa.Array], kind: pa.DataType) -> pa.Array:
    """Lists of codes have to be brought to one dictionary by hand."""
    values = _codes([chunk.flatten() for chunk in chunks], kind.value_type)
    lengths = pa.chunked_array([pc.list_value_length(chunk).fill_null(0) for chunk in chunks])
    total = pc.cumulative_sum(lengths.combine_chunks().cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), total])
    return pa.ListArray.from_arrays(offsets, values)


def loaded(
    files: SegmentFiles,
    segments: Sequence[Segment],
    bounds: Mapping[str, Span],
    extent: Extent,
    clock: str,
    *,
    searched: bool,
    near: Sequence[Span] = (),
) -> LoadedWindow:
    """The rows of some segments within their bounds.

    searched: the rows of the region; without it, the rows beside it that may be read. near: ranges of time to
    stay in, if any. Raises UnreadableError.
    """
    chosen = [segment for segment in segments if segment.readable and segment.path in bounds]
    parts: list[_Chosen] = []
    places: list[list[pa.Array]] = []
    for number, segment in enumerate(chosen):
        try:
            found = _rows(files, segment, bounds[segment.path], near, clock)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(error, [segment]) from error
        if found is None:
            continue
        groups, table = found
        mask = _mask(table, bounds[segment.path], near, extent, searched=searched)
        if count := pc.sum(mask).as_py():
            places.append([pa.repeat(pa.scalar(number, pa.int32()), count), *table.filter(mask).columns])
            path = str(files.absolute(segment.path))
            groups, mask = _with_rows(metadata_of(path, segment.bytes), groups, mask)
            parts.append(_Chosen(segment, path, groups, _kept(mask, count), count))
    return LoadedWindow(tuple(chosen), tuple(parts), _placed(places))


def _with_rows(metadata: pq.FileMetaData, groups: list[int], mask: pa.Array) -> tuple[list[int], pa.Array]:
    """The row groups of which a mask chooses some row, and the mask over their rows alone."""
    held, masks, start = [], [], 0
    for group in groups:
        part = mask.slice(start, metadata.row_group(group).num_rows)
        start += len(part)
        if pc.any(part).as_py():
            held.append(group)
            masks.append(part)
    return held, mask if len(held) == len(groups) else pa.concat_arrays(masks)


def _kept(mask: pa.Array, count: int) -> pa.Array | int | None:
    """What chooses the rows of a mask. Rows on end, as in a segment in the order of time, are not copied."""
    first = mask.index(True).as_py()
    if count == len(mask):
        return None
    return first if pc.sum(mask.slice(first, count)).as_py() == count else mask


def _placed(places: list[list[pa.Array]]) -> Place | None:
    if not places:
        return None
    together = []
    for columns in zip(*places, strict=True):
        chunks = [chunk for column in columns for chunk in getattr(column, "chunks", [column])]
        together.append(pa.concat_arrays(chunks))
    return Place(*together)


def _rows(
    files: SegmentFiles, segment: Segment, bound: Span, near: Sequence[Span], clock: str
) -> tuple[list[int], pa.Table] | None:
    """The row groups that may hold rows of the window, and where each of their rows is."""
    path = str(files.absolute(segment.path))
    groups = _groups(metadata_of(path, segment.bytes), clock, bound, near)
    if not groups:
        return None
    own = ["_ingest", "_arrived", "_place"] if segment.is_merged else []
    with _opened(path, segment.bytes) as file:
        table = file.read_row_groups(groups, columns=["_row", clock, *own])
    rows = table.num_rows
    if segment.is_merged:
        ingest, arrival, nth = table["_ingest"], table["_arrived"].cast(pa.int64()), table["_place"]
    else:
        ingest = _constant(segment.ingest, rows)
        arrival, nth = _constant(micros(segment.arrival), rows), table["_row"]
    time = table[clock].cast(TIMESTAMP).cast(pa.int64())
    return groups, pa.table([table["_row"], time, ingest, arrival, nth], names=list("rtian"))


def _constant(value: int, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.int64()), rows)


def _groups(metadata: pq.FileMetaData, clock: str, bound: Span, near: Sequence[Span]) -> list[int]:
    column = metadata.schema.names.index(clock)
    found = []
    for number in range(metadata.num_row_groups):
        ends = metadata.row_group(number).column(column).statistics
        if ends is None or not ends.has_min_max:
            if ends is None or ends.null_count != metadata.row_group(number).num_rows:
                found.append(number)
            continue
        low, high = (
            (end.replace(tzinfo=None) - EPOCH.replace(tzinfo=None)) // MICROSECOND
            for end in (ends.min, ends.max)
        )
        if bound.meets(low, high) and (not near or any(span.meets(low, high) for span in near)):
            found.append(number)
    return found


def _mask(table: pa.Table, bound: Span, near: Sequence[Span], extent: Extent, *, searched: bool) -> pa.Array:
    time = table["t"]
    mask = pc.is_valid(time)
    if bound.low is not None:
        mask = pc.and_kleene(mask, pc.greater_equal(time, bound.low))
    if bound.high is not None:
        mask = pc.and_kleene(mask, pc.less_equal(time, bound.high))
    if near:
        mask = pc.and_kleene(mask, _any([span_mask(time, span) for span in near]))
    if bound.by_row:
        mask = pc.and_kleene(mask, _allowed(table, extent))
    in_region = _searched(table, extent)
    mask = pc.and_kleene(mask, in_region if searched else pc.invert(in_region))
    return mask.combine_chunks().fill_null(False)


def span_mask(time: pa.Array, span: Span) -> pa.Array:
    """The times in a range."""
    parts = [pc.is_valid(time)]
    if span.low is not None:
        parts.append(pc.greater_equal(time, span.low))
    if span.high is not None:
        parts.append(pc.less_equal(time, span.high))
    found = parts[0]
    for part in parts[1:]:
        found = pc.and_kleene(found, part)
    return found


def _any(masks: Iterable[pa.Array]) -> pa.Array:
    first, *others = masks
    for mask in others:
        first = pc.or_kleene(first, mask)
    return first


def _allowed(table: pa.Table, extent: Extent) -> pa.Array:
    """`Extent.condition` over Arrow: what may be read."""
    position = pc.min_element_wise(table["t"], table["a"])
    return pc.and_kleene(pc.less_equal(table["i"], extent.head), pc.less_equal(position, extent.until))


def _searched(table: pa.Table, extent: Extent) -> pa.Array:
    """`Extent.holds` over Arrow."""
    allowed = _allowed(table, extent)
    if extent.after is None:
        return allowed
    position = pc.min_element_wise(table["t"], table["a"])
    fresh = pc.or_kleene(pc.greater(table["i"], extent.mark), pc.greater(position, extent.after))
    return pc.and_kleene(allowed, fresh)


def _unreadable(error: Exception, segments: Sequence[Segment]) -> UnreadableError:
    found = UnreadableError(str(error))
    found.segments = segments
    return found


@lru_cache(maxsize=512)
def _texts(path: str, size: int) -> tuple[list[str], dict[str, str]]:
    """The columns of texts in one segment, and those of lists of texts with their path in the file."""
    metadata = metadata_of(path, size)
    return texts_in(metadata), lists_of_texts_in(metadata)
