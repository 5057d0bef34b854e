"""Sequences: the state machine against a plain rereading of its definition, and its corners by hand."""

from collections import defaultdict
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from detections.ecs import Document
from detections.eql import parse
from detections.eql.ast import SequenceQuery
from detections.eql.execute import execute
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.sequences import Candidate, find_sequences
from detections.eql.values import datetime_of

FIELDS = FieldCatalogue(
    [
        Field("event.category", FieldType.KEYWORD, True),
        Field("k", FieldType.KEYWORD, True),
        Field("n", FieldType.LONG),
    ]
)


def event(category: str, second: float, **fields: Any) -> Document:
    return {"@timestamp": int(second * 1000), "event.category": category, **fields}


def found(query: str, *events: Document, **options: Any) -> list[list[int]]:
    """Numbers (from 1) of the events of each row, 0 for a missing one."""
    numbers = {id(entry): number for number, entry in enumerate(events, 1)}
    rows = execute(parse(query), events, FIELDS, **options)
    return [[0 if entry is None else numbers[id(entry)] for entry in row.events] for row in rows]


def test_events_of_one_time_keep_their_ingest_order() -> None:
    assert found("sequence [a where true] [b where true]", event("a", 1), event("b", 1)) == [[1, 2]]
    assert found("sequence [a where true] [b where true]", event("b", 1), event("a", 1)) == []


def test_the_tiebreaker_decides_before_ingest_order() -> None:
    events = [event("b", 1, n=2), event("a", 1, n=1)]
    assert found("sequence [a where true] [b where true]", *events, tiebreaker_field="n") == [[2, 1]]


def test_a_document_without_time_takes_no_part() -> None:
    undated = {"event.category": "a"}
    assert found("sequence [a where true] [b where true]", undated, event("b", 1)) == []


def test_every_value_of_a_join_key_joins_for_itself() -> None:
    events = [event("a", 1, k=["x", "y"]), event("a", 2, k="y"), event("b", 3, k=["y", "x", "x"])]
    rows = execute(parse("sequence by k [a where true] [b where true]"), events, FIELDS)
    assert [(row.keys, [row.events.index(entry) for entry in row.events]) for row in rows] == [
        (("x",), [0, 1]),
        (("y",), [0, 1]),
    ]
    assert found("sequence by k [a where true] [b where true]", *events) == [[1, 3], [2, 3]]


def test_runs_and_a_stage_after_them_slide() -> None:
    events = [*(event("a", second) for second in range(4)), event("b", 9)]
    assert found("sequence [a where true] with runs=3 [b where true]", *events) == [[2, 3, 4, 5]]


def test_twenty_failures_with_ten_runs_are_eleven_sequences() -> None:
    rows = found("sequence [a where true] with runs=10", *(event("a", s) for s in range(20)), size=100)
    assert len(rows) == 11


def test_a_microsecond_past_maxspan_is_too_late() -> None:
    query = parse("sequence with maxspan=1s [a where true] [b where true]")
    assert isinstance(query, SequenceQuery)
    for late, expected in ((0, 1), (1, 0)):
        pair = [Candidate(n, datetime_of(n * (1_000_000 + late)), {n: ((),)}) for n in (0, 1)]
        assert len(find_sequences(query, pair)) == expected


def test_leading_and_trailing_missing_events_are_measured_together() -> None:
    query = "sequence with maxspan=10s ![m where true] [a where true] ![m where true]"
    assert found(query, event("m", 1), event("a", 5), event("m", 11)) == []
    assert found(query, event("m", 1), event("a", 5), event("m", 11.001)) == [[0, 2, 0]]
    assert found(query, event("a", 5), event("m", 6)) == [[0, 1, 0]]


def test_a_missing_event_is_one_of_the_same_key() -> None:
    query = "sequence by k with maxspan=10s [a where true] ![m where true] [b where true]"
    events = [event("a", 1, k="x"), event("m", 2, k="y"), event("b", 3, k="x")]
    assert found(query, *events) == [[1, 0, 3]]


def test_rows_are_ordered_by_their_last_event_and_cut_at_the_old_end() -> None:
    events = [event("a", 1, k="x"), event("a", 2, k="y"), event("b", 3, k="y"), event("b", 4, k="x")]
    query = "sequence by k [a where true] [b where true]"
    assert found(query, *events) == [[2, 3], [1, 4]]
    assert found(query, *events, size=1) == [[1, 4]]
    assert found(f"{query} | head 1", *events) == [[2, 3]]


STAGES = "abm"
QUERIES = [
    "sequence by k [a where true] [b where true]",
    "sequence by ?k with maxspan=3s [a where true] [b where true] [a where true]",
    "sequence by k with maxspan=2s [any where true] [any where true]",
    "sequence by k [a where true] with runs=2 [b where true] until [m where true]",
    "sequence by k [any where true] [b where true] [any where true] until [b where true]",
    "sequence by ?k with maxspan=3s [a where true] ![m where true] [b where true]",
    "sequence by k with maxspan=3s ![m where true] [a where true] [b where true] ![m where true]",
    "sequence by k with maxspan=2s [a where true] ![m where true] with runs=2",
]
histories = st.lists(
    st.tuples(
        st.sampled_from(STAGES),
        st.integers(0, 6),
        st.one_of(st.none(), st.sampled_from("xy"), st.just(["x", "y"])),
    ),
    max_size=14,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(QUERIES), histories)
def test_the_machine_finds_what_its_definition_says(text: str, history: list[Any]) -> None:
    events = [event(category, second, **({"k": key} if key else {})) for category, second, key in history]
    query = parse(text)
    assert isinstance(query, SequenceQuery)
    assert found(text, *events, size=1000) == reread(query, events)


def reread(query: SequenceQuery, events: list[Document]) -> list[list[int]]:
    """The definition once more: each key by itself, its whole history replayed from the start."""
    numbered = sorted(enumerate(events, 1), key=lambda pair: pair[1]["@timestamp"])
    optional = query.stages[0].keys[0].optional
    by_key: dict[Any, list[tuple[int, int, Document]]] = defaultdict(list)
    for place, (number, entry) in enumerate(numbered):
        keys = entry.get("k") or ([None] if optional else [])
        for key in [keys] if isinstance(keys, str) else keys:
            by_key[key].append((place, number, entry))
    rows = [row for key, own in by_key.items() for row in replay(query, own, key)]
    return [numbers for _, _, numbers in sorted(rows, key=lambda row: (row[0], row[1] or ""))]


def replay(
    query: SequenceQuery, own: list[tuple[int, int, Document]], key: Any
) -> list[tuple[int, Any, list[int]]]:
    positive = [stage for stage in query.steps if not stage.missing]
    pending: list[list[Any] | None] = [None] * len(positive)
    rows = []
    for place, number, entry in own:
        for step in reversed(range(len(positive))):
            if positive[step].category not in ("any", entry["event.category"]):
                continue
            before = pending[step - 1] if step else []
            if before is None:
                continue
            if step:
                pending[step - 1] = None
                span = timedelta(milliseconds=entry["@timestamp"] - before[0][2])
                if query.maxspan and span > query.maxspan:
                    continue
            chain = [*before, (place, number, entry["@timestamp"])]
            if step < len(positive) - 1:
                pending[step] = chain
            elif kept(query, chain, own):
                rows.append((place, key, numbers_of(query, chain)))
        if query.until and query.until.category == entry["event.category"]:
            pending = [None] * len(positive)
    return rows


def numbers_of(query: SequenceQuery, chain: list[Any]) -> list[int]:
    numbers = iter(number for _, number, _ in chain)
    return [0 if stage.missing else next(numbers) for stage in query.steps]


def kept(query: SequenceQuery, chain: list[Any], own: list[tuple[int, int, Document]]) -> bool:
    """Whether the missing events are missing, judged over everything the key has."""
    times = [at for _, _, at in chain]
    absent = [entry["@timestamp"] for _, _, entry in own if entry["event.category"] == "m"]
    steps = [stage.missing for stage in query.steps]
    limit = (query.maxspan or timedelta.max) / timedelta(milliseconds=1)
    position = 0
    for index, missing in enumerate(steps):
        if not missing:
            position += 1
        elif 0 < position < len(times) and any(times[position - 1] < at < times[position] for at in absent):
            return False
        assert index < len(steps)
    lead = max((at for at in absent if at < times[0]), default=None) if steps[0] else None
    trail = min((at for at in absent if at > times[-1]), default=None) if steps[-1] else None
    if steps[0] and steps[-1]:
        return lead is None or trail is None or trail - lead > limit
    return (lead is None or times[-1] - lead > limit) and (trail is None or trail - times[0] > limit)
