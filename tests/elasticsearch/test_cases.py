"""Cases of the shipped rule over a cluster, beside what is imported here."""

import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.cache import cache
from django.utils import timezone

from detections import cluster_health, outbox, rule_loading, schedules, wake
from detections.actors import system
from detections.event_store import embedded_store
from detections.models import Alert, Rule
from detections.rule_lint import Level, lint
from tests.elasticsearch.events import fill
from tests.elasticsearch.front import Fault, error
from tests.factories.events import attack, mapped, mshta_connection
from triage import evidence_origin, pivots
from triage.enums import PivotState
from triage.models import Case

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
ACTOR = system("test")
SHIPPED = Path(__file__).parents[2] / "detections" / "rules" / "lateral_movement_dcom_mshta.toml"
STREAM = "logs-endpoint.events.process-default"


@pytest.fixture
def shipped(deployment, settings):
    """The shipped rule, enabled, over everything in the cluster."""
    settings.ELASTICSEARCH_INDICES = ["logs-*"]
    cache.clear()
    fill(deployment.server, STREAM, [(uuid.uuid4().hex, {"@timestamp": "2026-01-01T00:00:00Z"})])
    assert not rule_loading.load_rules([SHIPPED], actor=ACTOR, shipped=True).errors
    rule = Rule.objects.get()
    return schedules.set_enabled(rule, True, actor=ACTOR, now=deployment.now)


def stamped(documents):
    stream = {"type": "logs", "dataset": "endpoint.events.process", "namespace": "default"}
    return [{**one, "data_stream": stream} for one in documents]


def detected(deployment, rule, host):
    documents = stamped(attack(deployment.now, host=host, entity=f"p-{host}"))
    fill(deployment.server, STREAM, [(f"{host}-{n}", one) for n, one in enumerate(documents)])
    deployment.run(rule)
    assert Alert.objects.filter(host_id=host).count() == 1
    outbox.drain()
    return Case.objects.get(host_id=host)


def newest(case, key):
    return case.pivots.filter(key=key).order_by("-attempt").first()


def test_a_case_is_investigated_beside_what_was_imported(deployment, shipped):
    host = uuid.uuid4().hex
    # Of another sensor, out of a capture that somebody imported.
    here = mshta_connection(
        deployment.now + timedelta(seconds=9), host=host, entity=f"p-{host}", source="10.9.9.9"
    )
    embedded_store().append(mapped(here), batch=f"capture:{host}")
    case = detected(deployment, shipped, host)
    assert not case.pivots.filter(state=PivotState.FAILED).exists()
    run = next(
        one
        for one in case.pivots.filter(state=PivotState.HITS).exclude(key__startswith="alert")
        if one.kept > 1 and evidence_origin.came_from(one.segments, one.kept).count("from the cluster, 1")
    )
    said = [evidence_origin.of_row(run.segments, row.position) for row in run.rows.order_by("event_at", "pk")]
    assert said[-1] == "imported here"
    assert set(said[:-1]) == {f"data stream {STREAM} of the cluster"}
    frozen = newest(case, "alert")
    assert evidence_origin.came_from(frozen.segments, frozen.kept) == "2 from the cluster"


def test_a_pivot_that_the_cluster_can_not_answer_says_so_and_is_tried_again(deployment, shipped):
    host = uuid.uuid4().hex
    body = error(403, "security_exception", "action [open_point_in_time] is unauthorized")
    deployment.front.inject(Fault("_pit", status=403, body=body, times=10**6))
    case = detected(deployment, shipped, host)
    failed = case.pivots.filter(state=PivotState.FAILED)
    assert failed.count() > 3
    assert {run.reason for run in failed} == {
        "The credential may not search events (action [open_point_in_time] is unauthorized). Give it what "
        "`manage.py elasticsearch setup` prints."
    }
    deployment.front.faults.clear()
    for run in failed:
        again = pivots.rerun(run, actor=ACTOR)
        assert pivots.run_pivot(again.pk, actor=ACTOR).state in (
            PivotState.HITS,
            PivotState.NO_HITS,
            PivotState.NO_TELEMETRY,
        )


def test_lint_judges_patterns_by_the_cluster(deployment, shipped, product):
    from tests.factories.rules import rule as make_rule

    lost = make_rule("lost", enabled=False)
    version = lost.current
    version.indices = ["nothing-*"]
    version.save(update_fields=["indices"])
    found = {
        (finding.rule.rule_id, finding.level): finding.says
        for finding in lint(Rule.objects.select_related("current"), actor=product).findings
        if finding.sort == "no index"
    }
    assert found[("lost", Level.PROBLEM)].startswith(
        "No index of the cluster matches any of its patterns (nothing-*)"
    )
    assert "the other patterns are searched" in found[(shipped.rule_id, Level.NOTE)]


def test_the_health_page_tells_how_the_cluster_is(deployment, client, lin, settings):
    client.force_login(lin)
    rule = deployment.rule()
    assert "No worker has asked it yet" in client.get("/health/").content.decode()
    Rule.objects.filter(pk=rule.pk).update(covered_until=timezone.now() - timedelta(minutes=5))
    wake.wake()
    page = client.get("/health/").content.decode()
    assert "Left out" not in page
    settings.ELASTICSEARCH_TIERS_LEFT_OUT = ["data_frozen"]
    assert "Rules do not see events in data_frozen" in client.get("/health/").content.decode()
    assert ("Elasticsearch, and what was imported here" in page, deployment.server.version in page) == (
        True,
        True,
    )
    body = error(503, "unavailable", "master not discovered")
    deployment.front.inject(Fault("", status=503, body=body, times=10**6))
    for _ in range(5):
        deployment.run(rule)
    cluster_health.note()
    page = client.get("/health/").content.decode()
    assert "The Elasticsearch cluster is left alone for now" in page
    assert "master not discovered" in page


def test_nothing_is_asked_of_a_cluster_by_the_health_page(deployment, client, lin):
    client.force_login(lin)
    before = len(deployment.front.requests)
    assert client.get("/health/").status_code == 200
    assert len(deployment.front.requests) == before
