"""Columns of a window over files that hold them in different ways."""

from datetime import timedelta

import pyarrow as pa
import pytest

from detections.eql import parse
from detections.stores.base import EqlSearch
from detections.stores.embedded import segment_files
from detections.stores.embedded.window_loading import _together
from tests.detections.stores.events import EVERYTHING, event, names

# As many as are searched together.
NEVER = [f'process where process.args : "never{number}"' for number in range(4)]


def found(store, *queries):
    searches = [EqlSearch(text, parse(text), timedelta()) for text in (*queries, *NEVER)]
    answers = store.search_eql(searches, EVERYTHING, limit=100)
    assert [one.error for one in answers] == [""] * len(answers)
    return [names(match.events[0] for match in one.matches) for one in answers[: len(queries)]]


@pytest.mark.parametrize("name", ["process.args.list.x", "process.args.list.element", "process.args.list"])
def test_a_field_named_like_a_column_of_the_file_takes_no_other_fields_place(empty, name):
    empty.append([event("a", process__args=["-k", "-x"])], batch="1")
    empty.append(
        [event("b", 1, process__args=["-k", "y"], **{name.replace(".", "__"): ["q", "r"]})], batch="2"
    )
    empty.append([event("c", 2, process__args=["z", "-x"])], batch="3")
    assert found(empty, 'any where process.args == "-k"', f'any where {name} == "r"') == [["a", "b"], ["b"]]


def test_such_a_field_is_read_over_several_row_groups(empty, monkeypatch):
    monkeypatch.setattr(segment_files, "ROWS_IN_GROUP", 2)
    empty.append(
        [event(f"e{number}", number, foo__list__bar=["x", f"y{number}"]) for number in range(5)], batch="1"
    )
    assert found(empty, 'any where foo.list.bar == "y3"', 'any where foo.list.bar == "x"') == [
        ["e3"],
        ["e0", "e1", "e2", "e3", "e4"],
    ]


def test_lists_of_codes_beside_lists_of_texts_and_rows_without_either():
    texts = pa.array([["a", "b"], None, []], pa.list_(pa.string()))
    codes = pa.ListArray.from_arrays(pa.array([0, 1, 3]), pa.array(["b", "c", "a"]).dictionary_encode())
    column = _together([pa.chunked_array([texts]), 2, pa.chunked_array([codes])])
    assert column.to_pylist() == [["a", "b"], [], [], [], [], ["b"], ["c", "a"]]
