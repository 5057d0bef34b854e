"""Scope: the second host is found, silence is told from blindness, a re-run shows what changed."""

import json
from datetime import timedelta

import pytest

from detections import outbox
from detections.errors import StoreError
from detections.event_store import event_store
from detections.imports import import_captures
from detections.models import JournalEntry
from tests.factories.cases import ACTOR, SHIPPED, cases_of
from triage import verification
from triage.enums import PivotState, ScopeColumnState, ScopeRunState
from triage.errors import TriageError
from triage.models import Case, Observable, ScopeCell, ScopeHost
from triage.scope import indicators as scope_indicators
from triage.scope import matrix as scope_matrix
from triage.scope import rows as scope_rows
from triage.scope import scoping

pytestmark = pytest.mark.django_db

SECOND, SILENT = "hr-ws-0220", "kiosk-0031"


def second_host(tmp_path, *, name=SECOND, keep=lambda document: True):
    """What the attack's source did on another host: the call and the start, and nothing of what followed."""
    lines = []
    for line in (SHIPPED / "scenarios" / "malicious.ndjson").read_text().splitlines():
        document = json.loads(line)
        kinds = document["event"]["category"]
        if kinds not in (["network"], ["process"]) or "dns" in document or not keep(document):
            continue
        if document.get("destination", {}).get("ip") == "203.0.113.57":
            continue
        document["host"] |= {"name": name, "id": f"id-of-{name}", "hostname": name}
        document["event"]["id"] = f"{name}{document['event'].get('id', '')}"
        lines.append(json.dumps(document))
    path = tmp_path / f"{name}.ndjson"
    path.write_text("\n".join(lines))
    import_captures([path], store=event_store(), actor=ACTOR)


@pytest.fixture
def attack(store, tmp_path):
    (case,) = cases_of("malicious")
    second_host(tmp_path)
    second_host(tmp_path, name=SILENT, keep=lambda document: document["event"]["category"] == ["process"])
    return case


def searched(case, actor, keys=None):
    usual = [one.key for one in scope_indicators.offered(case) if one.is_usual]
    day = timedelta(days=1)
    run = scoping.ask(case, keys=keys or usual, before=day, after=day, actor=actor)
    outbox.drain()
    run.refresh_from_db()
    return run


def states(run):
    """Host to field to state, as the page has it."""
    columns = list(run.columns.order_by("position"))
    rows = scope_matrix.rows(run, list(scope_matrix.hosts_of(run)), columns)
    return {
        str(row.host): {
            (column.field, column.value): str(cell.state)
            for column, cell in zip(columns, row.cells, strict=True)
        }
        for row in rows
    }


def test_indicators_come_from_the_evidence_and_none_is_typed(attack, analyst):
    found = {(one.field, one.value): one for one in scope_indicators.offered(attack)}
    assert ("source.ip", "10.20.9.118") in found
    assert ("dns.question.name", "cdn-assets-sync.example") in found
    assert ("destination.ip", "203.0.113.57") in found
    assert ("process.command_line", "mshta.exe -Embedding") in found
    assert ("file.name", "dfcache64.dll") in found
    assert ("SMB from", "10.20.9.118") in found
    assert ("from the guide", "RPC endpoint mapper calls from the source") in found
    values = set(Observable.objects.filter(case=attack).values_list("spelling", flat=True))
    assert {value for field, value in found if field in ("source.ip", "destination.ip")} <= values
    with pytest.raises(TriageError, match="no longer offers"):
        searched(attack, analyst, keys=["source:typed"])
    with pytest.raises(TriageError, match="at least one"):
        scoping.ask(attack, keys=[], before=timedelta(1), after=timedelta(1), actor=analyst)


def test_the_second_host_is_found_and_blindness_is_no_silence(attack, analyst):
    run = searched(attack, analyst)
    assert run.state == ScopeRunState.SUCCEEDED
    found = states(run)
    assert list(found)[:2] == ["fin-ws-0412", SECOND]
    second = found[SECOND]
    assert second["source.ip", "10.20.9.118"] == "hits"
    assert second["process.command_line", "mshta.exe -Embedding"] == "hits"
    assert second["from the guide", "RPC endpoint mapper calls from the source"] == "hits"
    # It sends connections, so silence means something; it sends no lookups, so silence means nothing.
    assert second["destination.ip", "203.0.113.57"] == "no_hits"
    assert second["dns.question.name", "cdn-assets-sync.example"] == "no_telemetry"
    assert second["file.name", "dfcache64.dll"] == "no_telemetry"
    assert found[SILENT]["source.ip", "10.20.9.118"] == "no_telemetry"
    assert found[SILENT]["process.command_line", "mshta.exe -Embedding"] == "hits"
    assert scoping.latest(attack) == run
    assert "2 other hosts of 3 that report" in scope_matrix.summary(attack, run)
    told_when_and_how_often(run)
    told_when_changed(attack, run)


def told_when_and_how_often(run):
    cell = ScopeCell.objects.get(column__run=run, host__host_name=SECOND, column__field="from the guide")
    assert (cell.events, cell.first_at) == (1, cell.last_at)
    assert [sample["document"]["destination"]["port"] for sample in cell.samples] == [135]
    host = ScopeHost.objects.get(run=run, host_name=SECOND)
    assert host.first_at <= cell.first_at <= host.last_at


def told_when_changed(attack, run):
    assert [told for told in verification.verify_case(attack) if "scope" in told] == []
    cell = ScopeCell.objects.filter(column__run=run).first()
    ScopeCell.objects.filter(pk=cell.pk).update(events=cell.events + 1)
    (told,) = [told for told in verification.verify_case(attack) if "scope" in told]
    assert "was changed" in told


def test_a_killed_worker_is_followed_by_one_that_goes_on(attack, analyst, monkeypatch):
    calls, true_search = [], scoping._search

    def dies_at_the_third(run, column):
        calls.append(column.pk)
        if len(calls) == 3:
            raise SystemExit
        true_search(run, column)

    monkeypatch.setattr(scoping, "_search", dies_at_the_third)
    usual = [one.key for one in scope_indicators.offered(attack) if one.is_usual]
    day = timedelta(days=1)
    run = scoping.ask(attack, keys=usual, before=day, after=day, actor=analyst)
    with pytest.raises(SystemExit):
        scoping.deliver(run.pk)
    run.refresh_from_db()
    assert run.state == ScopeRunState.RUNNING
    assert run.columns.filter(state=ScopeColumnState.DONE).count() == 2
    assert set(states(run)["fin-ws-0412"].values()) >= {"hits", "running"}
    with pytest.raises(TriageError, match="under way"):
        scoping.ask(attack, keys=usual, before=day, after=day, actor=analyst)
    scoping.deliver(run.pk)
    scoping.deliver(run.pk)
    run.refresh_from_db()
    assert run.state == ScopeRunState.SUCCEEDED
    assert len(calls) == len(set(calls)) + 1
    finished = JournalEntry.objects.filter(stream__name=attack.stream, verb="scope_finished")
    assert [entry.data["scope_sha256"] for entry in finished] == [run.sha256]


def test_what_could_not_be_read_is_partial_and_what_failed_says_why(attack, analyst, monkeypatch):
    store_type, true_spread = type(event_store()), type(event_store()).spread

    def spread(self, filters, window):
        fields = {clause.field for group in filters.groups for clause in group}
        if "dns.question.name" in fields and "url.domain" in fields:
            raise StoreError("the store is not there")
        return true_spread(self, filters, window)

    monkeypatch.setattr(store_type, "spread", spread)
    run = searched(attack, analyst)
    assert (run.state, bool(run.reason)) == (ScopeRunState.PARTIAL, True)
    failed = run.columns.get(state=ScopeColumnState.FAILED)
    assert (failed.field, failed.reason) == ("dns.question.name", "the store is not there")
    assert states(run)[SECOND]["dns.question.name", failed.value] == "failed"


def test_a_rerun_shows_the_difference(attack, analyst, tmp_path):
    first = searched(attack, analyst)
    assert scope_matrix.difference(first) is None
    second_host(tmp_path, name="ops-ws-0103")
    again = searched(attack, analyst)
    changed = scope_matrix.difference(again)
    assert (changed.before, changed.hosts, changed.gone) == (first, ("ops-ws-0103",), ())
    assert ("ops-ws-0103", "source.ip 10.20.9.118") in changed.new
    rows = scope_matrix.rows(again, list(scope_matrix.hosts_of(again)), list(again.columns.all()))
    new = {str(row.host) for row in rows for cell in row.cells if cell.is_new}
    assert new == {"ops-ws-0103"}


def test_a_row_is_added_once_or_becomes_a_linked_case_worked_by_the_same_guide(attack, analyst):
    run = searched(attack, analyst)
    host = run.hosts.get(host_name=SECOND)
    made = scope_rows.add(host, actor=analyst)
    assert scope_rows.add(host, actor=analyst) == made
    assert (made.state, made.counts, made.kept > 0) == (PivotState.HITS, False, True)
    assert Observable.objects.filter(case=attack, type="host", value=SECOND).exists()
    case = scope_rows.open_case(host, actor=analyst)
    outbox.drain()
    assert (case.host_name, case.rule, case.questions.count()) == (SECOND, attack.rule, 7)
    assert Case.objects.filter(linked_from__source=attack).get() == case
    states = dict(case.pivots.values_list("key", "state"))
    assert states["alert"] == "hits"
    assert states["host_alerts"] == "no_hits"
    # The started process stands for the alert, so that the guide's pivots know whom to ask about.
    assert (case.process, case.user_name) == ("C:\\Windows\\System32\\mshta.exe -Embedding", attack.user_name)
    assert states["network"] == "hits"
    with pytest.raises(TriageError, match="already"):
        scope_rows.open_case(host, actor=analyst)
    with pytest.raises(TriageError, match="about this host already"):
        scope_rows.open_case(run.hosts.get(host_name="fin-ws-0412"), actor=analyst)
    assert list(verification.verify_case(case)) == []
