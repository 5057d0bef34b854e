"""A set of rules answers as each of its rules does alone."""

from datetime import timedelta

import pytest

from benchmarks.telemetry import START, Telemetry
from detections.eql.known import catalogue
from detections.hunt.rules import rule_set
from detections.ingest.readers import captures_in, open_capture
from detections.rule_files import load_rules
from detections.stores.base import EqlSearch, MappedEvent, Region
from detections.stores.embedded import EmbeddedStore, MemoryManifest
from detections.stores.embedded.eql_search import EqlSearcher
from tests.detections.stores.events import EVERYTHING, event, identity, names
from tests.detections.stores.test_eql_search import search
from tests.faults import number as number_of
from tests.shared import shared


@pytest.fixture
def store(tmp_path):
    return EmbeddedStore(tmp_path, MemoryManifest(), catalogue())


@pytest.fixture(scope="module")
def searches():
    rules = rule_set(load_rules([shared("rules/elastic-rules.tar.gz")])).rules
    return [
        EqlSearch(
            rule.rule_id,
            rule.query,
            rule.query.maxspan or timedelta(minutes=len(rule.query.stages) - 1),
            timestamp_field=rule.timestamp_field,
            tiebreaker_field=rule.tiebreaker_field,
            event_category_field=rule.category_field,
        )
        for rule in rules
    ]


def found(answers):
    return {
        one.key: (
            one.error,
            one.completeness.truncated,
            [[e.identity for e in m.events] for m in one.matches],
        )
        for one in answers
    }


def alone(store, searches, region):
    searcher = EqlSearcher(store.reader, store.known_fields(), region, 500)
    return [searcher.answer(one) for one in searches]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_public_rules_find_in_captures_together_what_they_find_alone(store, searches, scenarios):
    for number, path in enumerate(captures_in([scenarios])):
        events = [one for one in open_capture(path) if isinstance(one, MappedEvent)]
        if events:
            store.append(events, batch=str(number))
    together = store.search_eql(searches, EVERYTHING, limit=500)
    # Each alone is what takes the time: every rule of the set searched with the others, every second checked.
    some = slice(None, None, number_of(2, 1))
    assert found(together[some]) == found(alone(store, searches[some], EVERYTHING))
    assert sum(bool(one.matches) for one in together) > 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_public_rules_find_in_a_window_together_what_they_find_alone(store, searches):
    telemetry = Telemetry(rate=20)
    for number in range(6):
        documents = telemetry.documents(2_000)
        store.append([MappedEvent(identity(one["event"]["id"]), one) for one in documents], batch=str(number))
    region = Region(START + timedelta(minutes=3), START + timedelta(minutes=8), 2**40, 2**40)
    some = searches[::3]
    assert found(store.search_eql(some, region, limit=500)) == found(alone(store, some, region))


def test_one_faulty_query_of_a_set_fails_alone(store):
    store.append([event("a"), event("b", 1)], batch="1")
    queries = ["process where nobody.knows == 1", *["process where true"] * 4]
    bad, *good = store.search_eql([search(one) for one in queries], EVERYTHING, limit=9)
    assert "nobody.knows" in bad.error
    assert [(one.error, len(one.matches)) for one in good] == [("", 2)] * 4


def test_conditions_over_several_fields_lists_and_dates_agree(store):
    store.append(
        [
            event("a", process__name="x", process__parent={"name": "x"}, process__args=["1", "-K"]),
            event("b", 1, process__name="x", process__parent={"name": "y"}, process__args="-k", tags=[]),
            event("c", 2, source__ip="10.0.0.7", event={"id": "c", "category": ["network", "dns"]}),
        ],
        batch="1",
    )
    queries = {
        "any where startsWith(process.name, process.parent.name)": ["a"],
        'any where process.args : "-k"': ["a", "b"],
        'any where process.args : ("*k", "?")': ["a", "b"],
        'any where cidrMatch(source.ip, "10.0.0.0/8")': ["c"],
        'any where @timestamp >= "2026-03-18T09:41:01Z"': ["b", "c"],
        "dns where not process.name != null": ["c"],
        "any where process.args_count == null and length(process.name) == 1": ["a", "b"],
        "any where tags == null": ["a", "b", "c"],
        'any where stringContains(concat(@timestamp, process.args), "K2026")': [],
        'any where stringContains(concat(process.args, @timestamp), "K2026")': ["a"],
        'any where not stringContains(concat(process.args, @timestamp), "2026")': ["c"],
    }
    answers = store.search_eql([search(one) for one in queries], EVERYTHING, limit=9)
    assert [one.error for one in answers] == [""] * len(queries)
    assert [[names(m.events)[0] for m in one.matches] for one in answers] == list(queries.values())
