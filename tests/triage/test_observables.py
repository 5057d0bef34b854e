"""Observables: which values a document holds, that each event counts once, and what leaves in a file."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from detections import ecs
from tests.factories import cases
from triage.enums import ObservableType as T
from triage.enums import PivotState
from triage.freezing import freeze
from triage.models import EventSummary, Observable, PivotRun
from triage.observable_values import defanged, values_of
from triage.observables import as_csv, as_ndjson, collect, observables_of, other_cases
from triage.pivot_search import Row

AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


def found(document):
    return {(one.type.value, one.value): one.marks for one in values_of(document)}


def test_each_type_is_found_in_one_spelling():
    document = {
        "host": {"name": "FIN-WS", "ip": ["10.0.0.5", "127.0.0.1", "::1"]},
        "source": {"ip": "10.0.0.5"},
        "destination": {"ip": "::ffff:203.0.113.57", "domain": "CDN.Example."},
        "network": {"direction": "egress"},
        "user": {"name": "Kline", "domain": "CORP", "id": "S-1-5-21-1-2-3-1001"},
        "file": {"origin_url": "HTTP://CDN.example/A.hta", "hash": {"sha256": "AB" * 32}},
        "process": {"executable": "C:\\Windows\\mshta.exe", "pe": {"imphash": "cd" * 16}},
    }
    assert found(document) == {
        ("ip", "203.0.113.57"): ("public",),
        ("ip", "10.0.0.5"): ("private",),
        ("domain", "cdn.example"): (),
        ("hash", "cd" * 16): ("imphash",),
        ("hash", "ab" * 32): ("SHA-256",),
        ("user", "corp\\kline"): (),
        ("user", "S-1-5-21-1-2-3-1001"): ("SID",),
        ("host", "fin-ws"): (),
        ("process", "c:\\windows\\mshta.exe"): (),
        ("url", "http://cdn.example/A.hta"): (),
    }


@pytest.mark.parametrize(
    "document",
    [
        {"source": {"ip": ["0.0.0.0", "127.9.9.9", "::1", "::", "224.0.0.251", "255.255.255.255", "x"]}},
        {"file": {"hash": {"sha256": "0" * 64, "md5": "d41d8cd98f00b204e9800998ecf8427e", "sha1": "zz"}}},
        {"dns": {"question": {"name": "5.0.0.10.in-addr.arpa"}}},
        {"destination": {"domain": "10.0.0.1"}, "user": {"name": "-", "domain": "-", "id": "S-1-0-0"}},
    ],
)
def test_noise_is_left_out(document):
    assert found(document) == {}


def test_system_and_machine_accounts_stay_and_are_marked():
    assert found({"user": {"name": "SYSTEM", "domain": "NT AUTHORITY", "id": "S-1-5-18"}}) == {
        ("user", "nt authority\\system"): ("system account",),
        ("user", "S-1-5-18"): ("SID", "system account"),
    }
    assert found({"user": {"name": "FIN-WS$"}}) == {("user", "fin-ws$"): ("machine account",)}


def test_a_command_line_gives_its_urls_and_what_they_name():
    document = {"process": {"name": "mshta.exe", "command_line": 'mshta "http://8.8.8.8:80/a.hta" -x'}}
    assert found(document) == {
        ("process", "mshta.exe"): (),
        ("url", "http://8.8.8.8:80/a.hta"): (),
        ("ip", "8.8.8.8"): ("public",),
    }


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (T.IP, "203.0.113.57", "203[.]0[.]113[.]57"),
        (T.IP, "2001:db8::1", "2001[:]db8[:][:]1"),
        (T.DOMAIN, "cdn.example", "cdn[.]example"),
        (T.URL, "https://cdn.example:8080/a.b?c=d.e", "hxxps://cdn[.]example[:]8080/a.b?c=d.e"),
        (T.HASH, "ab" * 16, "ab" * 16),
        (T.PROCESS, "C:\\a.exe", "C:\\a.exe"),
    ],
)
def test_defanged(kind, value, shown):
    assert defanged(kind, value) == shown


@pytest.fixture
def a_case(store):
    return cases.cases_of("malicious")[0]


def a_run(case, key, *rows):
    run = PivotRun.objects.create(case=case, key=key, label=f"Pivot {key}", state=PivotState.HITS)
    freeze(run, rows)
    run.save()
    return run


def test_a_case_has_its_observables_when_its_pivots_have_run(a_case, analyst):
    held = {(one.type, one.value): one for one in observables_of(a_case, actor=analyst)}
    reached = held["ip", "203.0.113.57"]
    assert ("domain", "cdn-assets-sync.example") in held
    assert "remote.ip" in {source["field"] for source in reached.sources}
    assert reached.hosts == ["fin-ws-0412"]
    assert collect(a_case) == 0


def test_an_event_of_two_pivots_counts_once(a_case):
    document = {"destination": {"domain": "one.example"}, "host": {"name": "other"}}
    a_run(a_case, "x", Row("e1", AT, document), Row("e2", AT + timedelta(hours=1), document))
    a_run(a_case, "y", Row("e1", AT, document))
    one = Observable.objects.get(case=a_case, value="one.example")
    assert (one.event_count, one.first_seen_at, one.last_seen_at) == (2, AT, AT + timedelta(hours=1))
    assert [source["pivot"] for source in one.sources] == ["x", "y"]


def test_what_was_frozen_before_is_collected_later(a_case):
    before = list(Observable.objects.order_by("type", "value").values("type", "value", "event_count"))
    EventSummary.objects.all().delete()
    Observable.objects.all().delete()
    collect(a_case)
    assert list(Observable.objects.order_by("type", "value").values("type", "value", "event_count")) == before


def test_hidden_from_who_may_not_see_cases(a_case, outsider):
    assert list(observables_of(a_case, actor=outsider)) == []


def test_other_cases_are_counted(a_case, analyst):
    other = cases.Case.objects.get(pk=a_case.pk)
    other.pk, other.key = None, "f" * 64
    other.save()
    a_run(other, "x", Row("e1", AT, {"destination": {"ip": "203.0.113.57"}}))
    mine = observables_of(a_case, actor=analyst).filter(value="203.0.113.57")
    assert list(other_cases(mine, actor=analyst).values()) == [1]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\x00"])
def test_a_spreadsheet_takes_no_cell_for_a_formula(a_case, start):
    document = {"user": {"name": f"{start}cmd|' /C calc'!A1"}, "process": {"name": f"{start}x"}}
    a_run(
        a_case,
        "x",
        Row("e1", AT, ecs.storable(document)),
    )
    rows = list(csv.reader(io.StringIO(as_csv(Observable.objects.filter(case=a_case)))))
    assert rows[0][:2] == ["type", "value"]
    assert [cell for row in rows for cell in row if cell.startswith(tuple("=+-@\t\x00"))] == []


def test_ndjson_has_true_values(a_case):
    held = Observable.objects.filter(case=a_case, type="ip", value="203.0.113.57")
    lines = [json.loads(line) for line in as_ndjson(held, a_case)]
    assert [(line["case"], line["type"], line["value"]) for line in lines] == [
        (a_case.number, "ip", "203.0.113.57")
    ]
