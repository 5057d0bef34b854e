"""F7: whatever a cluster does instead of answering, the run says it, nothing advances, the next finds all."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from detections.enums import RunStatus
from detections.eql.known import catalogue
from detections.errors import StoreError
from detections.models import Alert, CoveredWindow, RuleRun
from detections.stores.base import Filters, Window
from detections.stores.elasticsearch import Access, Credential, ElasticsearchStore
from tests.elasticsearch.conftest import cluster_of
from tests.elasticsearch.front import Fault, Front, error
from tests.factories.events import attack
from tests.faults import number

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
EQL = "_eql/search"
ALWAYS = 10**6
SHARDS = [{"shard": 0, "index": "logs-x", "reason": {"type": "shard_not_available", "reason": "no copy"}}]
NOTHING = {"total": {"value": 0, "relation": "eq"}, "sequences": []}
FULL = error(429, "es_rejected_execution_exception", "queue full")
MEMORY = error(429, "circuit_breaking_exception", "[eql_sequence] Data too large")


def times_out():
    return Fault(EQL, delay=1.2, times=1)


FAULTS = {
    "429": (
        lambda: Fault(EQL, status=429, body=FULL, times=3),
        "The cluster is overloaded or not ready (status 429: queue full). The next run searches the same "
        "window.",
    ),
    "503": (
        lambda: Fault(EQL, status=503, body=error(503, "no_shard_available", "all shards failed"), times=3),
        "The cluster is overloaded or not ready (status 503: all shards failed).",
    ),
    "time-out": (times_out, "The cluster could not run EQL searches: it did not answer in time."),
    "reset in the middle of an answer": (
        lambda: Fault(EQL, cut=True, times=3),
        "The cluster could not run EQL searches: no connection",
    ),
    "no JSON": (
        lambda: Fault(EQL, garbage=True, times=3),
        "The cluster could not run EQL searches: its answer is no JSON.",
    ),
    "200 with failed shards": (
        lambda: Fault(EQL, changes={"shard_failures": SHARDS, "hits": NOTHING}),
        "1 shard failed (logs-x[0] shard_not_available: no copy), so the answer is not whole.",
    ),
    "200, is_partial": (
        lambda: Fault(EQL, changes={"is_partial": True, "hits": NOTHING}),
        "The cluster says that its answer is partial (is_partial).",
    ),
    "200, is_running": (
        lambda: Fault(EQL, changes={"is_running": True, "hits": NOTHING}),
        "The cluster answered before the search was over (is_running).",
    ),
    "200, timed_out": (
        lambda: Fault(EQL, changes={"timed_out": True, "hits": NOTHING}),
        "The search ran out of time in the cluster (timed_out).",
    ),
    "missing pattern": (
        lambda: Fault("_field_caps?allow", status=200, body={"indices": [], "fields": {}}, times=2, after=1),
        "No index matches logs-t",
    ),
    "unknown column": (
        lambda: Fault(
            EQL, status=400, body=error(400, "verification_exception", "1 problem: Unknown column [acme.x]")
        ),
        "Not applicable here: field acme.x is in no mapping of the rule's indices. If its absence should not "
        "stop the rule, write ?acme.x.",
    ),
    "memory breaker": (
        lambda: Fault(EQL, status=429, body=MEMORY, times=ALWAYS),
        "The cluster stopped the search to protect its memory ([eql_sequence] Data too large). Give it "
        "more memory",
    ),
    "403 in the middle": (
        lambda: Fault(EQL, status=403, body=error(403, "security_exception", "action is unauthorized")),
        "The credential may not run EQL searches (action is unauthorized). Give it what `manage.py "
        "elasticsearch setup` prints.",
    ),
    "401": (
        lambda: Fault("_authenticate", status=401, body=error(401, "security_exception", "key is revoked")),
        "The cluster does not accept the credential (key is revoked). It may be wrong, expired or revoked: "
        "make a new one and set it.",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_failed_run_says_why_moves_nothing_and_the_next_finds_all(name, deployment, settings):
    fault, says = FAULTS[name]
    rule = deployment.rule()
    deployment.run(rule)
    if name == "time-out":
        settings.SEARCH_TIMEOUT_SECONDS = 1
    for round_ in range(number(1, 20)):
        rule.refresh_from_db()
        before, windows = rule.covered_until, list(CoveredWindow.objects.values_list("start", "end"))
        deployment.fill(*attack(deployment.now, entity=f"p-{round_}"))
        deployment.store.mappings.forget()
        deployment.front.inject(fault())
        [failed] = deployment.run(rule, minutes=1)
        deployment.front.faults.clear()
        assert failed.status == RunStatus.FAILED
        assert failed.error.startswith(says)
        rule.refresh_from_db()
        assert rule.covered_until == before
        assert list(CoveredWindow.objects.values_list("start", "end")) == windows
        assert Alert.objects.count() == round_
        settings.SEARCH_TIMEOUT_SECONDS, kept = 60, settings.SEARCH_TIMEOUT_SECONDS
        deployment.store.mappings.forget()
        [good, *_] = deployment.run(rule)
        settings.SEARCH_TIMEOUT_SECONDS = kept
        assert (good.status, good.error, good.alerts_new) == (RunStatus.SUCCEEDED, "", 1)
    assert not RuleRun.objects.filter(status=RunStatus.SUCCEEDED).exclude(error="").exists()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(EQL, status=429, body=FULL, times=2),
        Fault(EQL, status=503, body=error(503, "unavailable", "not yet"), times=1),
        Fault(EQL, cut=True, times=1),
        Fault(EQL, reset=True, times=2),
        Fault(EQL, delay=0.3, times=1),
    ],
    ids=["429 twice", "503 once", "cut once", "reset twice", "slow"],
)
def test_what_passes_in_a_moment_fails_no_run(fault, deployment):
    rule = deployment.rule()
    deployment.fill(*attack(deployment.now))
    deployment.front.inject(fault)
    [good, *_] = deployment.run(rule)
    assert (good.status, good.alerts_new) == (RunStatus.SUCCEEDED, 1)


def test_a_search_that_needs_too_much_memory_is_halved(deployment):
    rule = deployment.rule()
    deployment.run(rule)
    deployment.fill(*attack(deployment.now))
    before = len(deployment.front.requests)
    deployment.front.inject(Fault(EQL, status=429, body=MEMORY, times=2))
    [good, *_] = deployment.run(rule)
    assert (good.status, good.alerts_new) == (RunStatus.SUCCEEDED, 1)
    asked = [one for one in list(deployment.front.requests)[before:] if EQL in one[1]]
    # The whole and its first half are refused; two quarters and the other half are answered.
    assert len(asked) == 5


def test_one_rule_that_is_refused_takes_down_no_other(deployment):
    good, bad = deployment.rule(), deployment.rule(rule_id="other", query='process where acme.x == "1"')
    deployment.fill(*attack(deployment.now))
    runs = {run.rule_id: run for run in deployment.run(good, bad)[:2]}
    assert (runs[good.pk].status, runs[good.pk].alerts_new) == (RunStatus.SUCCEEDED, 1)
    assert runs[bad.pk].status == RunStatus.FAILED
    assert runs[bad.pk].error.startswith("Not applicable here: field acme.x")


def test_a_cluster_that_keeps_failing_is_left_alone_and_comes_back(deployment, monkeypatch):
    clock = [1000.0]
    rule = deployment.rule()
    deployment.run(rule)
    breaker = deployment.store.connection.breaker
    monkeypatch.setattr(breaker, "clock", lambda: clock[0])
    body = error(503, "unavailable", "master not discovered")
    deployment.front.inject(Fault("", status=503, body=body, times=ALWAYS))
    for _ in range(5):
        deployment.run(rule)
    assert (breaker.state, breaker.failures) == ("open", 5)
    asked = len(deployment.front.requests)
    [failed] = deployment.run(rule)
    assert failed.error.startswith(
        "The cluster failed 5 times in a row and is left alone for half a minute. Last error: The cluster is "
        "overloaded or not ready (status 503: master not discovered)"
    )
    assert len(deployment.front.requests) == asked
    deployment.front.faults.clear()
    deployment.fill(*attack(deployment.now))
    clock[0] += 31
    assert breaker.state == "half open"
    [good, *_] = deployment.run(rule)
    assert (good.status, good.alerts_new, breaker.state) == (RunStatus.SUCCEEDED, 1, "closed")


def test_a_certificate_that_nobody_vouches_for_is_refused_in_words(server, tmp_path):
    authority, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    front = Front(server.url, tls=context)
    try:
        for one, name in ((authority, "right"), (other, "wrong")):
            one.cert_pem.write_to_path(tmp_path / name)
        right = ElasticsearchStore(
            cluster_of(server, front.url, ca_file=str(tmp_path / "right")), catalogue()
        )
        assert right.head() == 1
        wrong = ElasticsearchStore(
            cluster_of(server, front.url, ca_file=str(tmp_path / "wrong")), catalogue()
        )
        with pytest.raises(StoreError, match=r"certificate was not accepted.*ELASTICSEARCH_CA_FILE"):
            wrong.head()
        pinned = ElasticsearchStore(cluster_of(server, front.url, fingerprint="ab" * 32), catalogue())
        with pytest.raises(StoreError, match=r"certificate was not accepted.*ELASTICSEARCH_FINGERPRINT"):
            pinned.head()
    finally:
        front.stop()


def test_a_wrong_password_and_a_missing_right_are_told_apart(server, front):
    def refused(credential, store_of=lambda store: store.head()):
        store = ElasticsearchStore(
            cluster_of(server, front.url, credentials={Access.DETECT: credential}), catalogue()
        )
        with pytest.raises(StoreError) as told:
            store_of(store)
        return str(told.value)

    assert refused(Credential(user="detect", password="wrong")).startswith(
        "The cluster does not accept the credential (unable to authenticate user [detect]"
    )
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    said = refused(
        Credential(user="nobody", password=server.password),
        lambda store: store.search(Filters(((),)), window, limit=1),
    )
    assert said.startswith("The credential may not ")
    assert "unauthorized for user [nobody]" in said


def test_a_clock_that_is_off_stops_runs(deployment, monkeypatch):
    store = deployment.store
    monkeypatch.setattr(store.connection, "_clock", lambda: datetime.now(UTC) - timedelta(minutes=2))
    with pytest.raises(StoreError, match=r"clock is 1[12][0-9] s ahead of this machine's"):
        store.head()
