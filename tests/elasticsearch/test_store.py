"""The store over a real server: what the embedded store answers to the same events, it answers too."""

import json
import uuid
from datetime import timedelta

import pytest

from detections.enums import TelemetryKind
from detections.eql.known import catalogue
from detections.eql.parser import parse
from detections.stores.base import Clause, EqlSearch, Filters, MappedEvent, Operator, Region, Window
from detections.stores.embedded import EmbeddedStore, MemoryManifest
from tests.detections.stores.events import at, names
from tests.elasticsearch.events import fill

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
AROUND = Window(at(-3600), at(3600))


def document(name, seconds, **fields):
    found = {
        "@timestamp": at(seconds).isoformat(),
        "event": {"id": name, "category": ["process"], "type": ["start"], "kind": "event"},
        "data_stream": {"type": "logs", "dataset": "tests", "namespace": "default"},
        "host": {"id": "h"},
    }
    for field, value in fields.items():
        node, parts = found, field.split("__")
        for part in parts[:-1]:
            node = node.setdefault(part, {})
        node[parts[-1]] = value
    return found


@pytest.fixture
def both(server, store, tmp_path, request):
    """The same documents in the server and in an embedded store; asks both, of a host of the test's own."""

    def make(documents):
        host = uuid.uuid4().hex
        documents = [{**one, "host": {**one["host"], "id": host}} for one in documents]
        fill(server, "logs-tests-default", [(f"{host}-{n}", one) for n, one in enumerate(documents)])
        store.mappings.forget()
        embedded = EmbeddedStore(tmp_path / "events", MemoryManifest(), catalogue())
        mapped = [MappedEvent(f"{n:064d}", one, source="t") for n, one in enumerate(documents)]
        embedded.append(mapped, batch="1")
        return (store, embedded), host

    return make


EVENTS = [
    document("a", 0, process__name="mshta.exe", process__args=["m", "-Embedding"], host__ip=["10.1.2.3"]),
    document("b", 1, process__name="x.exe", process__pid=7, host__ip=["FE80::1", "192.0.2.7"]),
    document("c", 2, source__ip="192.0.2.1", event__category=["network"]),
    document("d", 3, dns__question__name="x.example", event__category=["network"]),
]


@pytest.mark.parametrize(
    "clause",
    [
        Clause("process.name", values=("mshta.exe",)),
        Clause("process.name", values=("MSHTA.EXE",)),
        Clause("process.name", values=("mshta.exe",), excluded=True),
        Clause("process.name", Operator.IS_ONE_OF, ("mshta.exe", "x.exe")),
        Clause("process.name", Operator.EXISTS, excluded=True),
        Clause("process.args", values=("-Embedding",)),
        Clause("process.pid", values=("7",)),
        Clause("process.pid", values=("seven",)),
        Clause("nobody.knows", values=("x",)),
        Clause("nobody.knows", Operator.EXISTS, excluded=True),
        Clause("host.ip", Operator.IN_NETWORK, ("10.0.0.9/8",)),
        Clause("host.ip", Operator.IN_NETWORK, ("fe80::/16",)),
        Clause("source.ip", values=("::ffff:192.0.2.1",)),
        Clause("process.name", values=("x' OR '1'='1",)),
        Clause("process.name", values=("*",)),
    ],
)
def test_both_stores_find_the_same(both, clause):
    stores, host = both(EVENTS)
    asked = Filters(((Clause("host.id", values=(host,)), clause),))
    found = [names(one.search(asked, AROUND, limit=10).events) for one in stores]
    assert found[0] == found[1]


def test_both_stores_count_the_same(both):
    stores, host = both([*EVENTS, document("later", 3500), document("e", 100)])
    window, mine = Window(at(0), at(60)), Filters(((Clause("host.id", values=(host,)),),))
    kinds = [TelemetryKind.PROCESS, TelemetryKind.DNS, TelemetryKind.CONNECTION, TelemetryKind.FILE]
    coverages = [
        [
            (c.before, c.during, c.after, c.first_seen, c.last_seen, c.sources)
            for c in one.coverage(host, kinds, window)
        ]
        for one in stores
    ]
    assert coverages[0] == [(*c[:5], c[5] or s[5]) for c, s in zip(coverages[1], coverages[0], strict=True)]
    assert stores[0].histogram(mine, AROUND, timedelta(minutes=1)) == stores[1].histogram(
        mine, AROUND, timedelta(minutes=1)
    )
    spreads = [one.spread(mine, AROUND) for one in stores]
    assert spreads[0] == spreads[1]


def test_pages_go_on_past_one_request(both, monkeypatch):
    monkeypatch.setattr("detections.stores.elasticsearch.paging.ROWS_A_REQUEST", 7)
    (store, _embedded), host = both([document(f"{n:02d}", n // 3) for n in range(30)])
    page = store.search(Filters(((Clause("host.id", values=(host,)),),)), AROUND, limit=25)
    assert (sorted(names(page.events)), page.total) == ([f"{n:02d}" for n in range(25)], 30)
    assert page.completeness.truncated


def search_of(text, *, indices=("logs-*",), reach=0):
    return EqlSearch("rule", parse(text), timedelta(seconds=reach), text=text, indices=indices)


def test_native_eql_counts_what_touches_the_region(both):
    (store, embedded), host = both(
        [
            document("a", 0, process__name="a.exe", process__entity_id="1"),
            document("b", 20, process__name="b.exe", process__entity_id="1"),
            document("c", 100, process__name="a.exe", process__entity_id="2"),
            document("d", 110, process__name="b.exe", process__entity_id="2"),
        ]
    )
    text = (
        "sequence by process.entity_id with maxspan=1m "
        f'[process where host.id == "{host}" and process.name == "a.exe"] '
        f'[process where host.id == "{host}" and process.name == "b.exe"]'
    )
    region = Region(at(10), at(60), 1, 1)
    answers = [one.search_eql([search_of(text, reach=60)], region, limit=5)[0] for one in (store, embedded)]
    assert [answer.error for answer in answers] == ["", ""]
    found = [[names(match.events) for match in answer.matches] for answer in answers]
    assert found == [[["a", "b"]], [["a", "b"]]]


def test_a_full_answer_is_truncated(both):
    (store, _embedded), host = both([document(str(n), n) for n in range(6)])
    [answer] = store.search_eql(
        [search_of(f'process where host.id == "{host}"')], Region(at(-9), at(9), 1, 1), limit=4
    )
    assert (len(answer.matches), answer.completeness.truncated) == (4, True)


def test_unknown_fields_and_missing_patterns_are_told(store, server):
    fill(server, "logs-tests-default", [(uuid.uuid4().hex, EVENTS[0])])
    region = Region(at(-9), at(9), 1, 1)
    asked = [
        search_of('process where acme.nonsense == "x"'),
        search_of('process where process.name == "x"', indices=("nothing-*",)),
        search_of('process where process.name == "x"'),
    ]
    unknown, missing, good = store.search_eql(asked, region, limit=4)
    assert unknown.error == (
        "Not applicable here: field acme.nonsense is in no mapping of the rule's indices. If its absence "
        "should not stop the rule, write ?acme.nonsense."
    )
    assert missing.error.startswith("No index matches nothing-*, so nothing was searched.")
    assert (good.error, good.matches) == ("", ())


def test_no_request_carries_a_query_text_from_data(both, front):
    hostile = '"} or *:* {{7*7}} ${jndi:ldap://x}'
    (store, _embedded), _host = both([document("a", 0, process__command_line=hostile)])
    clause = Clause("process.command_line", values=(hostile,))
    assert names(store.search(Filters(((clause,),)), AROUND, limit=5).events) == ["a"]
    for _method, path, body, _headers in front.requests:
        words = set(_words(json.loads(line) for line in body.splitlines() if line.strip()))
        assert not words & {
            "query_string",
            "simple_query_string",
            "script",
            "regexp",
            "wildcard",
            "runtime_mappings",
        }
        assert not path.startswith("/_all")


def _words(nodes):
    for node in nodes:
        if isinstance(node, dict):
            yield from node
            yield from _words(node.values())
        elif isinstance(node, list):
            yield from _words(node)


def test_the_clusters_admin_sees_who_asks(store, front):
    store.head()
    [(_method, _path, _body, headers)] = [one for one in front.requests if "_authenticate" in one[1]]
    assert (headers["user-agent"], headers["x-opaque-id"]) == ("casewright", "casewright:clock")
