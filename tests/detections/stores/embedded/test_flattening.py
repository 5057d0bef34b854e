"""Documents read together, by the shape of their objects, have the fields that each has alone."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from detections.stores.embedded.flattening import leaves, walked

KEYS = st.sampled_from(["a", "b", "c", "a.b", "b.c", ""])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.floats(0, 1), st.sampled_from(["x", "y"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
DOCUMENTS = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=6)


def nested(depth, value):
    for _ in range(depth):
        value = {"a": value}
    return value


def told(parts):
    """Each document's values, with their types: 1, 1.0 and True are not the same here."""
    return {row: repr(value) for rows, values in parts for row, value in zip(rows, values, strict=True)}


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS)
@example([{"a": {"b": 1}}, {"b": 2, "a": {"b": "x"}}, {"a.b": 3, "a": {"b": 4}}])
@example([{"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 2, "c": 3}]}, {"a": [{"c": 1}, 2]}])
@example([nested(25, 1), nested(45, 2), {"a": 1}])
def test_together_as_one_by_one(documents):
    together = leaves(documents)
    alone = walked(enumerate(documents))
    assert {name: told(held.parts) for name, held in together.items()} == {
        name: told([part]) for name, part in alone.items()
    }
    assert all(len(held) == len(told(held.parts)) for held in together.values())


def test_the_first_document_with_a_value_is_the_first_whatever_its_shape():
    held = leaves([{"b": 1}, {"a": "text"}, {"a": 7, "b": 1}, {"a": 8}])["a"]
    assert held.first == ["text"]
    assert held.spread(4) == [None, "text", 7, 8]
