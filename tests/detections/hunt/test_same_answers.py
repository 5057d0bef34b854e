"""A hunt finds what the plain Python back end finds, query by query and document by document."""

import json
from datetime import timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detections.eql import parse
from detections.eql.ast import SequenceQuery
from detections.eql.execute import execute
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.known import catalogue
from detections.errors import EqlError
from detections.hunt.rules import HuntRule, planned_rules, rule_set
from detections.hunt.universe import Universe
from detections.rule_files import load_rules
from detections.stores.base import EqlSearch
from detections.stores.embedded import EmbeddedStore, MemoryManifest
from tests.detections.eql.suites import cases, catalogue_of, needs_rules, needs_suite, needs_traps, traps
from tests.detections.eql.test_elastic_suite import FILES
from tests.detections.eql.test_elastic_suite import universe as suite_universe
from tests.detections.stores.events import EVERYTHING, event, names
from tests.shared import SHARED, shared

SIZE = 10**9
SUITE = [(name, case) for name in (*FILES, "test_sample") for case in cases(name)]


def hunted(rules, documents, known, chunk=7):
    """Rule id -> the strict matches as tuples of document numbers, sorted."""
    universe = Universe(planned_rules(rules, known), chunk=chunk)
    for number, document in enumerate(documents):
        universe.feed(document, file="f", record_id=str(number))
    found = {rule.rule_id: [] for rule in rules}
    for match in universe.found():
        if not match.is_repaired:
            found[match.rule.rule_id].append(tuple(int(event.id) for event in match.events))
    assert universe.failed == {}
    return {rule_id: sorted(rows) for rule_id, rows in found.items()}


def executed(rule, documents, known):
    numbers = {id(document): number for number, document in enumerate(documents)}
    rows = execute(
        rule.query,
        documents,
        known,
        timestamp_field=rule.timestamp_field,
        tiebreaker_field=rule.tiebreaker_field,
        event_category_field=rule.category_field,
        size=SIZE,
    )
    return sorted(tuple(numbers[id(event)] for event in row.events if event is not None) for row in rows)


@needs_suite
@pytest.mark.parametrize(("name", "case"), SUITE, ids=[f"{name}-{case['name']}" for name, case in SUITE])
def test_queries_of_the_suite_find_the_same(name, case):
    documents, known, number = suite_universe(name)
    tie = "" if name == "test_sample" else number
    rule = HuntRule("q", "q", parse(case["query"]), tiebreaker_field=tie, category_field="event_type")
    assert hunted([rule], documents, known)["q"] == executed(rule, documents, known)


@needs_traps
def test_traps_find_the_same():
    compared = 0
    for trap in traps():
        known = catalogue_of(trap["events"], trap.get("types", {}))
        try:
            rule = HuntRule("q", "q", parse(trap["query"]))
            expected = executed(rule, trap["events"], known)
        except EqlError:
            continue  # a trap that must not run
        assert hunted([rule], trap["events"], known)["q"] == expected, trap
        compared += 1
    assert compared > len(traps()) // 2


@cache
def public_rules():
    return rule_set(load_rules([SHARED / "rules" / "elastic-rules.tar.gz"])).rules


@needs_rules
@pytest.mark.parametrize("scenario", ["malicious", "ambiguous", "edge_cases"])
def test_public_rules_find_the_same_in_a_scenario(scenario):
    lines = shared(f"telemetry/scenarios/{scenario}.ndjson").read_text().splitlines()
    documents, rules = [json.loads(line) for line in lines], public_rules()
    found = hunted(rules, documents, catalogue())
    assert found == {rule.rule_id: executed(rule, documents, catalogue()) for rule in rules}


KNOWN = FieldCatalogue(
    [
        Field("@timestamp", FieldType.DATE),
        Field("event.category", FieldType.KEYWORD),
        Field("text", FieldType.KEYWORD),
        Field("number", FieldType.LONG),
        Field("ip", FieldType.IP),
        Field("flag", FieldType.BOOLEAN),
        Field("at", FieldType.DATE),
    ]
)
LEAVES = [
    'text == "a"',
    'text != "a"',
    'text : "A*"',
    'text : ("*b*", "?c", "É")',
    'text like ("a*b*c", "*")',
    'text in~ ("A", "bc")',
    'text regex~ "[ab]+c?"',
    "text == null",
    "text != null",
    'not text : "a*"',
    "number > 1",
    "number in (1, 2)",
    "number + 1 == 2",
    'cidrMatch(ip, "10.0.0.0/8")',
    'ip == "10.0.0.1"',
    "flag == true",
    "not flag == true",
    "length(text) > 1",
    "startsWith~(text, text)",
    "stringContains(text, string(number))",
    'at >= "2024-01-01"',
]
TEXTS = st.sampled_from(["a", "A", "abc", "aXbYc", "bc", "é", "É", "", "1", "a\nb"])
SCALARS = {
    "text": st.one_of(TEXTS, st.sampled_from([1, True, 1.0, None])),
    "number": st.sampled_from([0, 1, 2, "1", 1.5, None, "x"]),
    "ip": st.sampled_from(["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "x"]),
    "flag": st.sampled_from([True, False, "true", "", None]),
    "at": st.sampled_from(["2024-01-01T00:00:00Z", "2023-12-31T23:59:59Z", 1704067200000, "x"]),
}
DOCUMENTS = st.fixed_dictionaries(
    {"@timestamp": st.integers(0, 5).map(lambda at: f"2024-01-01T00:00:0{at}Z")},
    optional={
        "event": st.sampled_from([{"category": "process"}, {"category": ["file", "process"]}]),
        **{
            name: st.one_of(
                values, st.lists(values, max_size=3), st.lists(values, max_size=2).map(lambda v: [v])
            )
            for name, values in SCALARS.items()
        },
    },
)
CONDITIONS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=5,
)
QUERIES = st.one_of(
    st.tuples(st.sampled_from(["any", "process"]), CONDITIONS).map(lambda q: f"{q[0]} where {q[1]}"),
    st.tuples(CONDITIONS, CONDITIONS, st.sampled_from(["", " by text", " by ?number"])).map(
        lambda q: f"sequence{q[2]} with maxspan=3s [any where {q[0]}] [process where {q[1]}]"
    ),
)


@settings(max_examples=150, deadline=None)
@given(queries=st.lists(QUERIES, min_size=1, max_size=3), documents=st.lists(DOCUMENTS, max_size=12))
def test_generated_queries_find_the_same(queries, documents):
    rules = [HuntRule(str(n), query, parse(query)) for n, query in enumerate(queries)]
    expected = {rule.rule_id: executed(rule, documents, KNOWN) for rule in rules}
    assert hunted(rules, documents, KNOWN, chunk=5) == expected


def test_a_sequence_that_spans_chunks_is_found():
    rule = HuntRule("q", "q", parse('sequence [any where text == "a"] [any where text == "b"]'))
    documents = [
        {"@timestamp": f"2024-01-01T00:00:{at:02}Z", "text": text}
        for at, text in enumerate(["a", "x", "x", "x", "b"])
    ]
    assert isinstance(rule.query, SequenceQuery)
    assert hunted([rule], documents, KNOWN, chunk=2) == {"q": [(0, 4)]}


ODD = {
    "w": ["X", ["X", {"": 1}], 5.0, "5", "1769853600000", True, "2026", "20260131", "20260131T100000Z", "-5"],
    "ip": ["fe80::1%eth0", "x", 5, "10.0.0.1/8", "::ffff:10.0.0.1"],
    "v": [5, 5.5, True, "bad", 2**63, "1.2.3"],
    "n": ["5", " 5 ", "5e0", 5.9, True, 2**63, "", [5, "x"]],
    "f": ["true", "TRUE", "", 0, [True, "x"]],
}
ODD_QUERIES = [
    *(f"process where {name} == null" for name in ODD),
    'process where w < "2030-01-01"',
    'process where v > "1.2"',
    "process where n == 5",
    "process where not f == true",
]


def test_values_that_hardly_fit_their_fields_are_the_same_to_all(tmp_path):
    types = {"w": FieldType.DATE, "ip": FieldType.IP, "v": FieldType.VERSION, "n": FieldType.LONG}
    types |= {"f": FieldType.BOOLEAN, "@timestamp": FieldType.DATE, "event.category": FieldType.KEYWORD}
    known = FieldCatalogue(Field(name, type_, name != "@timestamp") for name, type_ in types.items())
    events = [
        event(f"{name}{number}", number, **{name: value})
        for name, values in ODD.items()
        for number, value in enumerate(values)
    ]
    store = EmbeddedStore(tmp_path, MemoryManifest(), known)
    store.append(events, batch="1")
    documents = [one.document for one in events]
    for query in ODD_QUERIES:
        rule = HuntRule("q", "q", parse(query))
        expected = executed(rule, documents, known)
        assert hunted([rule], documents, known)["q"] == expected, query
        [answer] = store.search_eql([EqlSearch("q", rule.query, timedelta(0))], EVERYTHING, limit=99)
        stored = {documents[number]["event"]["id"] for (number,) in expected}
        assert {names(match.events)[0] for match in answer.matches} == stored, query
