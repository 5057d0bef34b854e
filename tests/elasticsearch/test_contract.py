"""What the embedded store answers to a scenario, the real servers answer too: pivots, coverage, histogram."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from detections.actors import system
from detections.enums import RunStatus, RunTrigger, TelemetryKind
from detections.eql.known import catalogue
from detections.eql.parser import parse
from detections.errors import StoreError
from detections.stores.base import Clause, EqlSearch, Filters, MappedEvent, Operator, Region, Window
from detections.stores.elasticsearch import Access, Credential, ElasticsearchStore
from detections.stores.elasticsearch.connection import Connection
from detections.stores.elasticsearch.setting_up import install
from detections.stores.elasticsearch.streams import COPIES_STREAM
from detections.stores.embedded import EmbeddedStore, MemoryManifest
from tests.elasticsearch.conftest import Deployment, cluster_of, serve, use
from tests.elasticsearch.events import fill
from tests.elasticsearch.front import Front
from tests.factories.events import attack

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
ACTOR = system("test")
# What Elasticsearch documents of EQL, over the scenarios' events.
QUERIES = [
    'process where process.name : "mshta.exe"',
    'process where process.name == "mshta.exe" and process.args : "-Embedding"',
    'process where process.name in~ ("MSHTA.EXE", "powershell.exe")',
    'process where process.executable like~ "c:\\\\windows\\\\*\\\\mshta.exe"',
    'process where process.name regex~ "(mshta|whoami).exe"',
    'process where startsWith~(process.name, "MSH") and length(process.name) == 9',
    'network where cidrMatch(destination.ip, "203.0.113.0/24")',
    "network where not destination.port < 1024 and ?acme.absent == null",
    "any where true | tail 5",
    'sequence by host.id, process.entity_id with maxspan=1m [process where process.name : "mshta.exe"] '
    '[network where process.name : "mshta.exe"]',
    'sequence by host.id with maxspan=5m [process where process.name : "mshta.exe"] '
    '[process where process.name : "powershell.exe"] until [process where process.name : "never.exe"]',
]
KINDS = [kind for kind in TelemetryKind if kind is not TelemetryKind.ALERT]


@pytest.fixture(scope="module")
def newer_server():
    yield from serve("9.2.0")


@pytest.fixture(scope="module", params=["server", "newer_server"], ids=["8.19.0", "9.2.0"])
def any_server(request):
    """The server of the other tests, and a newer one where a Java for it is found."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def stores(any_server, scenarios, tmp_path):
    """A scenario's events, under hosts of this test's own, in the server and in an embedded store."""
    mark = uuid.uuid4().hex[:12]
    documents = []
    for path in sorted(scenarios.glob("*.ndjson")):
        for line in path.read_text().splitlines():
            document = json.loads(line)
            if isinstance(document.get("host"), dict) and document["host"].get("id"):
                document["host"]["id"] = f"{mark}-{document['host']['id']}"
                documents.append(document)
    assert len(documents) > 50
    stream = "logs-scenarios-default"
    fill(any_server, stream, [(f"{mark}-{n}", one) for n, one in enumerate(documents)])
    embedded = EmbeddedStore(tmp_path / "events", MemoryManifest(), catalogue())
    embedded.append([MappedEvent(f"{mark}{n:052d}", one) for n, one in enumerate(documents)], batch="1")
    front = Front(any_server.url, native=any_server.native)
    yield ElasticsearchStore(cluster_of(any_server, front.url), catalogue()), embedded, documents
    front.stop()


def moments(documents):
    times = sorted(datetime.fromisoformat(one["@timestamp"].replace("Z", "+00:00")) for one in documents)
    return Window(times[0].astimezone(UTC), times[-1].astimezone(UTC))


def keys(page):
    return sorted((event.timestamp, json.dumps(event.document, sort_keys=True)) for event in page.events)


def test_pivots_coverage_and_histogram_are_the_same(stores):
    cluster, embedded, documents = stores
    window = moments(documents)
    hosts = sorted({one["host"]["id"] for one in documents})[:4]
    names = sorted({one["process"]["name"] for one in documents if (one.get("process") or {}).get("name")})
    asked = [
        Filters(((Clause("host.id", values=(host,)), *more),))
        for host in hosts
        for more in (
            (),
            (Clause("event.category", values=("network",)),),
            (Clause("process.name", Operator.IS_ONE_OF, tuple(names[:3])),),
            (Clause("process.name", Operator.IS_ONE_OF, tuple(names[:3]), excluded=True),),
            (Clause("source.ip", Operator.IN_NETWORK, ("10.0.0.0/8", "192.168.0.0/16")),),
            (Clause("dns.question.name", Operator.EXISTS),),
            (Clause("file.path", Operator.EXISTS, excluded=True),),
        )
    ]
    totals = []
    for filters in asked:
        theirs, ours = (one.search(filters, window, limit=1000) for one in (cluster, embedded))
        assert (theirs.total, keys(theirs)) == (ours.total, keys(ours))
        minute = timedelta(minutes=1)
        assert cluster.histogram(filters, window, minute) == embedded.histogram(filters, window, minute)
        assert cluster.spread(filters, window) == embedded.spread(filters, window)
        totals.append(ours.total)
    assert sum(total > 0 for total in totals) > len(hosts)
    middle = window.start + (window.end - window.start) / 2
    for host in hosts:
        answers = [
            [(c.kind, c.before, c.during, c.after, c.first_seen, c.last_seen) for c in found]
            for found in (
                one.coverage(host, KINDS, Window(middle, middle + timedelta(minutes=1)))
                for one in (cluster, embedded)
            )
        ]
        assert answers[0] == answers[1]


@pytest.mark.parametrize("text", QUERIES)
def test_eql_finds_the_same_matches(stores, text):
    """Of a cluster that has EQL this is parity; before one that has none, of the way there and back."""
    cluster, embedded, documents = stores
    mine = f'host.id : "{documents[0]["host"]["id"].split("-", 1)[0]}-*"'
    narrowed = re.sub(r" where ((?:(?! \| |\]).)+)", rf" where {mine} and (\1)", text)
    window = moments(documents)
    region = Region(window.start - timedelta(seconds=1), window.end, 1, 1)
    query = parse(narrowed)
    search = EqlSearch("parity", query, query.maxspan or timedelta(), text=narrowed, indices=("logs-*",))
    answers = [one.search_eql([search], region, limit=500)[0] for one in (cluster, embedded)]
    assert [answer.error for answer in answers] == ["", ""]
    theirs, ours = (
        [[event.document["event"]["id"] for event in match.events] for match in answer.matches]
        for answer in answers
    )
    assert theirs == ours
    assert theirs


def test_a_match_is_found_and_copied_and_rights_are_kept(any_server, settings, db, monkeypatch):
    front = Front(any_server.url, native=any_server.native)
    try:
        use(settings, any_server, front.url)
        deployment = Deployment(any_server, front)
        settings.ELASTICSEARCH_INDICES = [f"logs-t{deployment.name}-*"]
        rule = deployment.rule()
        deployment.fill(*attack(deployment.now))
        [run, *_] = deployment.run(rule)
        assert (run.status, run.alerts_new, run.trigger) == (RunStatus.SUCCEEDED, 1, RunTrigger.SCHEDULE)
        admins = {
            access: Credential(user="casewright_tests", password=any_server.password) for access in Access
        }
        install(cluster_of(any_server, front.url, credentials=admins))
        lines = [{"create": {"_id": uuid.uuid4().hex}}, {"@timestamp": "2026-01-01T00:00:00Z"}]
        assert deployment.store.create(COPIES_STREAM, lines) == (1, 0)
        assert deployment.store.create(COPIES_STREAM, lines) == (0, 1)
        with pytest.raises(StoreError, match=r"security_exception: .* is unauthorized"):
            deployment.store.create("logs-other-default", lines)
        refused = Connection(cluster_of(any_server, front.url)).client(Access.WRITE)
        for request in (
            lambda: refused.delete_by_query(index="logs-casewright.alerts-*", query={"match_all": {}}),
            lambda: refused.search(index="logs-*"),
            lambda: refused.indices.put_mapping(index=COPIES_STREAM, properties={}),
            lambda: refused.indices.delete(index=COPIES_STREAM),
        ):
            with pytest.raises(Exception, match=r"40[035]"):
                request()
    finally:
        front.stop()
