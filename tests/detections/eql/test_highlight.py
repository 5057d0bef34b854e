"""A query in pieces."""

from hypothesis import given
from hypothesis import strategies as st

from detections.eql.highlight import pieces


@given(st.text(st.sampled_from(' "\\/*\n`ab.1([]<>&=:')))
def test_pieces_joined_are_the_query(query):
    assert "".join(text for _sort, text in pieces(query)) == query


def test_each_piece_has_its_sort():
    query = 'process where length(`process.name`) > 3 // why\n  and user.id != "x"'
    assert [piece for piece in pieces(query) if piece[0]] == [
        ("field", "process"),
        ("keyword", "where"),
        ("function", "length"),
        ("field", "`process.name`"),
        ("number", "3"),
        ("comment", " // why\n  "),
        ("keyword", "and"),
        ("field", "user"),
        ("field", "id"),
        ("string", '"x"'),
    ]


def test_what_is_no_eql_stays_whole():
    assert pieces('host.name : "x') == [("", 'host.name : "x')]
