"""Columns that Arrow reads are those of documents walked one by one, for any documents."""

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from detections.stores.base import MappedEvent
from detections.stores.embedded import json_leaves
from detections.stores.embedded.encoding import encode
from detections.stores.embedded.json_leaves import Shape
from tests.detections.stores.conftest import CATALOGUE

AT = "2026-03-18T09:41:00.1234567Z"
NAMES = st.sampled_from(
    ["a", "b", "a.b", "process", "name", "pid", "host", "ip", "event", "created", "category"]
)
TEXTS = st.sampled_from(
    ["x", "", "7", "10.0.0.1", "::FFFF:10.0.0.1", AT, "2026-03-18", "2026-03-18 09:41:00", "é\u0000", "true"]
)
SCALARS = TEXTS | st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False)
ALIKE = st.sampled_from([TEXTS, st.integers(0, 9), st.booleans(), st.none() | TEXTS, st.floats(-9, 9)])
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def regular(draw):
    """Documents of one shape, as a sender's mostly are: objects, lists of texts, lists of objects."""
    values = draw(st.dictionaries(NAMES, ALIKE, min_size=1, max_size=4))
    one = st.fixed_dictionaries({}, optional=values)
    shape = st.fixed_dictionaries(
        {"process": one},
        optional={
            "host": st.fixed_dictionaries({"ip": st.lists(TEXTS, max_size=3)}),
            "c": st.lists(one, max_size=draw(st.sampled_from([1, 3]))),
            "d": st.lists(st.fixed_dictionaries({"e": st.lists(one, max_size=2)}), max_size=2),
        },
    )
    return draw(st.lists(shape, min_size=1, max_size=8))


def columns_of(documents, shape):
    events = [MappedEvent(f"{n:064x}", {**one, "@timestamp": AT}) for n, one in enumerate(documents)]
    encoded = encode(events, CATALOGUE, {}, shape)
    table = encoded.table
    return (
        {name: (table[name].type, table[name].to_pylist()) for name in table.column_names},
        encoded.timestamps,
        encoded.created,
        set(encoded.new_fields),
    )


def both_ways(documents):
    alone = patch.object(json_leaves, "PIECE_ROWS", 1)
    with alone, patch.object(json_leaves, "_columns", side_effect=json_leaves._IrregularError):
        walked = columns_of(documents, Shape())
    shape = Shape()
    first, second = columns_of(documents, shape), columns_of(documents, shape)
    return first, second, walked


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(NAMES, JSON, max_size=4), min_size=1, max_size=6) | regular())
def test_any_documents_get_the_same_columns_either_way(documents):
    first, second, walked = both_ways(documents)
    assert (first, second) == (walked, walked)


@settings(max_examples=50, deadline=None)
@given(st.lists(regular(), min_size=1, max_size=3))
def test_a_batch_in_pieces_of_different_shapes_gets_the_same_columns(shapes):
    with patch.object(json_leaves, "PIECE_ROWS", 3):
        first, second, walked = both_ways([one for shape in shapes for one in shape])
    assert (first, second) == (walked, walked)


def test_documents_of_one_shape_are_read_by_arrow_once_it_is_known():
    documents = [
        {"process": {"name": f"p{n}", "args": ["a", "b"]}, "host": {"ip": ["::1"]}} for n in range(9)
    ]
    shape = Shape()
    columns_of(documents, shape)
    with patch.object(json_leaves.flattening, "leaves", side_effect=AssertionError):
        table, *_ = columns_of(documents, shape)
    assert table["s.process.name"][1] == [f"p{n}" for n in range(9)]


def test_a_flood_of_names_is_never_declared():
    shape = Shape()
    columns_of([{f"k{n}-{m}": None if m % 2 else m for m in range(900)} for n in range(9)], shape)
    assert len(shape.schema) == 0
