"""The pages of scope and report: what they say, who may do what, and what they cost."""

import io
import zipfile
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from detections import outbox
from tests.triage.conftest import HOSTILE
from triage import observables
from triage.enums import ObservableType, PivotState, ScopeColumnState, ScopeRunState
from triage.models import CaseTask, Observable, ScopeCell, ScopeColumn, ScopeHost, ScopeRun
from triage.preserve import case_report, pack_files, preserving
from triage.scope import indicators as scope_indicators
from triage.scope import scoping

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def files_and_no_pdf(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path / "data"
    monkeypatch.setattr(case_report, "to_pdf", lambda html: (b"", "not in this test"))


@pytest.fixture
def case(make_case):
    made = make_case(remote_ip="10.20.9.118")
    now = timezone.now()
    Observable.objects.create(
        case=made,
        type=ObservableType.DOMAIN,
        value="evil.example",
        spelling="evil.example",
        digest="d",
        first_seen_at=now,
        last_seen_at=now,
        sources=[{"pivot": 1, "label": "DNS", "field": "dns.question.name"}],
    )
    return made


def a_run(case, *, hosts, columns=4, number=1, state=ScopeRunState.SUCCEEDED):
    """A finished search, each third host hit by the first column, each fourth without telemetry."""
    now = timezone.now()
    run = ScopeRun.objects.create(
        case=case, number=number, state=state, window_start=now - timedelta(days=1), window_end=now,
        asked_at=now, finished_at=now, has_hosts=True, hosts_reporting=hosts, sha256="0" * 64,
    )  # fmt: skip
    made = ScopeColumn.objects.bulk_create(
        ScopeColumn(
            run=run, position=at, key=f"k{at}", field="source.ip", value=f"{HOSTILE}{at}",
            needs=["connection"], state=ScopeColumnState.DONE,
        )
        for at in range(1, columns + 1)
    )  # fmt: skip
    rows = ScopeHost.objects.bulk_create(
        ScopeHost(
            run=run, host_id=f"id-{at}", host_name=f"host-{at:05d}", columns_hit=int(at % 3 == 0),
            reports=[] if at % 4 == 0 else ["connection"], first_at=now, last_at=now,
        )
        for at in range(1, hosts + 1)
    )  # fmt: skip
    ScopeCell.objects.bulk_create(
        ScopeCell(column=made[0], host=host, events=2, first_at=now, last_at=now)
        for host in rows
        if host.columns_hit
    )
    return run


def queries_of(client, url):
    with CaptureQueriesContext(
        connection,
    ) as seen:
        response = client.get(url)
    assert response.status_code == 200
    return len(seen), response.content.decode()


def test_the_matrix_says_each_state_in_words_and_costs_the_same_for_many(as_analyst, case):
    url = reverse("case_scope", args=[case.pk])
    a_run(case, hosts=3)
    a_run(case, hosts=3, number=2)
    few, _text = queries_of(as_analyst, url)
    a_run(case, hosts=250, columns=12, number=3)
    many, text = queries_of(as_analyst, url)
    assert many == few
    for words in ("2 hits", "no hits", "no telemetry", "Page 1 of 3", "most hits first"):
        assert words in text
    assert "<script>alert" not in text
    assert "\u202e" not in text.split("scope-matrix")[1].split("</table>")[0].replace("data-full", "")


def test_a_cap_is_said(as_analyst, case, monkeypatch):
    run = a_run(case, hosts=5)
    monkeypatch.setattr(scoping, "MOST_HOSTS", 3)
    text = as_analyst.get(reverse("case_scope", args=[case.pk])).content.decode()
    assert "5 report, the first 3 are kept" in " ".join(text.split())
    assert run.hosts_reporting == 5


def test_a_search_is_asked_in_the_page_and_a_refusal_keeps_what_was_chosen(as_analyst, case, store):
    url = reverse("scope_ask", args=[case.pk])
    refused = as_analyst.post(url, {"indicator": [], "before": "3 weeks", "after": "24h"})
    assert refused.status_code == 422
    assert 'value="3 weeks"' in refused.content.decode()
    page = as_analyst.get(reverse("case_scope", args=[case.pk])).content.decode()
    assert "evil.example" in page
    (key,) = (one.key for one in scope_indicators.offered(case) if one.value == "evil.example")
    asked = as_analyst.post(url, {"indicator": [key], "before": "7d", "after": "24h"})
    assert asked.status_code == 302
    assert "0 of 1 indicators searched" in as_analyst.get(asked.url).content.decode()
    outbox.drain()
    assert "No host reported any of the telemetry" in as_analyst.get(asked.url).content.decode()


def test_who_may_not_see_cases_sees_no_scope_and_no_pack(client, otto, case, analyst):
    run = a_run(case, hosts=1)
    preserving.preserve(case, actor=analyst)
    outbox.drain()
    client.force_login(otto)
    host, pack = run.hosts.get(), case.packs.get()
    for name, args in (
        ("case_scope", [case.pk]),
        ("scope_host", [case.pk, host.pk]),
        ("scope_file", [case.pk, run.number]),
        ("case_report", [case.pk]),
        ("pack_file", [pack.pk]),
    ):
        assert client.get(reverse(name, args=args)).status_code == 404, name
    for name, args in (("scope_ask", [case.pk]), ("case_preserve", [case.pk]), ("case_harden", [case.pk])):
        assert client.post(reverse(name, args=args)).status_code == 404, name


def test_a_pack_is_made_by_one_click_handed_out_whole_and_never_changed(as_analyst, case):
    as_analyst.post(reverse("case_preserve", args=[case.pk]))
    outbox.drain()
    pack = case.packs.get()
    page = as_analyst.get(reverse("case_report", args=[case.pk])).content.decode()
    assert pack.sha256 in page
    got = as_analyst.get(reverse("pack_file", args=[pack.pk]))
    content = b"".join(got.streaming_content)
    assert got["Content-Disposition"] == f'attachment; filename="{case.number}-pack-1.zip"'
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
    stored = pack_files.path_of(pack.sha256)
    stored.chmod(0o600)
    stored.write_bytes(content + b"x")
    refused = as_analyst.get(reverse("pack_file", args=[pack.pk]))
    assert refused.status_code == 409
    assert "its SHA-256 differs" in refused.content.decode()


def test_the_closing_form_says_that_a_pack_goes_with_it(as_analyst, case, analyst):
    preserving.preserve(case, actor=analyst)
    outbox.drain()
    text = as_analyst.get(reverse("case_close", args=[case.pk])).content.decode()
    assert f"{case.packs.get().name} goes with it" in " ".join(text.split())


def test_the_report_costs_the_same_for_much_evidence(as_analyst, case, make_pivot):
    url = reverse("case_report", args=[case.pk])
    make_pivot(case, PivotState.HITS, rows=2)
    observables.collect(case)
    few, _text = queries_of(as_analyst, url)
    make_pivot(case, PivotState.HITS, rows=200, key="more")
    observables.collect(case)
    many, text = queries_of(as_analyst, url)
    assert many == few
    assert "Nobody has searched the other hosts" in text
    assert "The case is not closed: nothing here is a final conclusion." in text


def test_what_is_hardened_needs_an_owner_and_a_date_and_outlives_the_case(as_analyst, case, ana):
    url = reverse("case_harden", args=[case.pk])
    given = {"key": "", "title": "Close port 135", "owner": "", "due_at": "2031-05-01T12:00"}
    refused = as_analyst.post(url, given)
    assert refused.status_code == 422
    assert 'value="Close port 135"' in refused.content.decode()
    case.status, case.disposition, case.closed_at = "closed", "benign", timezone.now()
    case.save()
    for _twice in range(2):
        assert as_analyst.post(url, {**given, "owner": ana.pk}).status_code == 302
    task = CaseTask.objects.get(kind="harden")
    assert (task.title, task.owner, task.done_at, task.case) == ("Close port 135", ana, None, case)
    assert "Close port 135" in as_analyst.get(reverse("tasks")).content.decode()
