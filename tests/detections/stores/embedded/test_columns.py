"""Fields that don't fit, names that collide, values that are hostile: nothing is lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detections.eql.fields import FieldType
from detections.stores.base import Clause, Filters, MappedEvent, Operator
from detections.stores.embedded import EmbeddedStore, MemoryManifest, encoding
from detections.stores.embedded.columns import fitted, physical
from tests.detections.stores.conftest import CATALOGUE
from tests.detections.stores.events import ALWAYS, T0, event, identity, names


def hits(store, *clauses):
    return names(store.search(Filters((clauses,)), ALWAYS, limit=100).events)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("7", FieldType.LONG, 7),
        (7.9, FieldType.LONG, 7),
        ("9223372036854775807", FieldType.LONG, 2**63 - 1),
        (2**63, FieldType.LONG, None),
        (True, FieldType.LONG, None),
        ("abc", FieldType.LONG, None),
        ("nan", FieldType.DOUBLE, None),
        (10**400, FieldType.DOUBLE, None),
        ("true", FieldType.BOOLEAN, True),
        ("yes", FieldType.BOOLEAN, None),
        ("::ffff:10.0.0.1", FieldType.IP, "10.0.0.1"),
        ("FE80:0::1", FieldType.IP, "fe80::1"),
        ("10.0.0", FieldType.IP, None),
        (5, FieldType.KEYWORD, "5"),
        (False, FieldType.KEYWORD, "false"),
        ("\ud800", FieldType.KEYWORD, "?"),
    ],
)
def test_values_fit_their_type_or_stay_out(value, kind, expected):
    assert fitted(value, kind) == expected


def test_a_value_of_another_type_stays_in_the_document(empty):
    empty.append([event("a", 0, process__pid=7)], batch="1")
    empty.append([event("b", 1, process__pid="seven")], batch="2")
    assert hits(empty, Clause("process.pid", Operator.EXISTS)) == ["a"]
    assert empty.search(Filters(((),)), ALWAYS, limit=9).events[1].document["process.pid"] == "seven"


def test_the_first_value_decides_what_an_undeclared_field_is(empty):
    empty.append([event("a", 0, acme__risk=7)], batch="1")
    empty.append([event("b", 1, acme__risk="high"), event("c", 2, acme__risk="7")], batch="2")
    assert hits(empty, Clause("acme.risk", values=(7,))) == ["a", "c"]


def test_one_value_and_several_are_found_alike(empty):
    empty.append([event("one", 0, acme__tag="x")], batch="1")
    empty.append([event("two", 1, acme__tag=["y", "x"]), event("none", 2)], batch="2")
    assert hits(empty, Clause("acme.tag", values=("x",))) == ["one", "two"]
    assert hits(empty, Clause("acme.tag", values=("x",), excluded=True)) == ["none"]


def test_names_that_differ_in_case_are_two_fields(empty):
    empty.append([event("a", 0, acme__Name="x"), event("b", 1, acme__name="x")], batch="1")
    assert hits(empty, Clause("acme.Name", values=("x",))) == ["a"]
    assert hits(empty, Clause("acme.name", values=("x",))) == ["b"]


def test_physical_names_keep_fields_apart():
    given_names = ["a.B", "a.b", "a.^b", "a.^B", "A.b"]
    held = {physical(name, several=several).lower() for name in given_names for several in (True, False)}
    assert len(held) == 10


def test_names_are_never_sql(empty):
    hostile = 'x") ; DROP TABLE p; --'
    empty.append([event("a", **{hostile: "v", "_identity": "v", "s.x": "v", "%": ["v", "w"]})], batch="1")
    assert hits(empty, Clause(hostile, values=("v",)), Clause("_identity", values=("v",))) == ["a"]
    assert hits(empty, Clause("s.x", values=("v",)), Clause("%", values=("w",))) == ["a"]


def test_rare_fields_give_way_when_there_are_too_many(empty, monkeypatch):
    monkeypatch.setattr(encoding, "MAX_COLUMNS", 6)
    flood = event("flood", 0, **{f"k{n}": n for n in range(50)})
    empty.append([flood, *(event(f"e{n}", n, process__name="p") for n in range(3))], batch="1")
    assert hits(empty, Clause("process.name", values=("p",))) == ["e0", "e1", "e2"]
    assert empty.search(Filters(((),)), ALWAYS, limit=1).events[0].document == flood.document


def test_integers_past_64_bits_survive_and_characters_that_no_database_takes_are_replaced(empty):
    sent = event("a", big=2**80, odd="\ud83d", nul={"a\x00": ["\\u0000 \x00"]}, pair="\U0001f600")
    empty.append([sent], batch="1")
    [found] = empty.search(Filters(((),)), ALWAYS, limit=1).events
    assert {name: found.document[name] for name in ("big", "odd", "nul", "pair")} == {
        "big": 2**80,
        "odd": "\ufffd",
        "nul": {"a\ufffd": ["\\u0000 \ufffd"]},
        "pair": "\U0001f600",
    }


def test_fractions_past_microseconds_are_kept_in_order(empty):
    stamps = ["2026-03-18T09:41:00.1234567Z", "2026-03-18T09:41:00.123456789Z", "2026-03-18T09:41:00.1234Z"]
    empty.append([MappedEvent(identity(s), {"@timestamp": s, "event": {"id": s}}) for s in stamps], batch="1")
    assert hits(empty) == [stamps[2], stamps[0], stamps[1]]


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(documents=st.lists(st.dictionaries(TEXT, JSON, max_size=4), min_size=1, max_size=6))
def test_any_document_comes_back_unchanged(tmp_path_factory, documents):
    store = EmbeddedStore(tmp_path_factory.mktemp("events"), MemoryManifest(), CATALOGUE)
    sent = {identity(str(n)): {**one, "@timestamp": T0.isoformat()} for n, one in enumerate(documents)}
    for number, (key, document) in enumerate(sent.items()):
        store.append([MappedEvent(key, document)], batch=str(number))
    assert {key: one.document for key, one in store.fetch(sent, ALWAYS).items()} == sent
