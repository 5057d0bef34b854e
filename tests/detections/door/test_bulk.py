"""The bulk request: what is stored, what is answered, what an administrator can read."""

import gzip
import json
from datetime import UTC, datetime

import pytest
from django.core.management import call_command

from detections.door import receipts, receiving
from detections.door.pressure import pressure
from detections.errors import StoreError
from detections.models import Alert, Import, JournalEntry, QuarantinedRecord, Segment
from detections.stores.embedded import EmbeddedStore
from tests.detections.door.conftest import pairs
from tests.factories.events import attack
from tests.factories.rules import rule as make_rule


def event(n, **more):
    return {"@timestamp": f"2026-03-18T09:40:{n:02d}Z", "n": n, **more}


def statuses(answer):
    return [next(iter(item.values()))["status"] for item in answer["items"]]


def results(answer):
    return [next(iter(item.values())).get("result") for item in answer["items"]]


def test_events_are_stored_as_they_are_and_answered_as_elasticsearch_does(send, stored, token):
    answer = send(pairs(event(1), event(2), ids=["a", "b"]))
    assert (answer["errors"], isinstance(answer["took"], int)) == (False, True)
    assert answer["items"][0] == {
        "create": {
            "_index": "logs-test-default",
            "_id": "a",
            "_version": 1,
            "result": "created",
            "_shards": {"total": 1, "successful": 1, "failed": 0},
            "_seq_no": 1,
            "_primary_term": 1,
            "status": 201,
        }
    }
    assert stored() == [event(1), event(2)]
    token.row.refresh_from_db()
    assert (token.row.events_received, token.row.last_used_at is not None) == (2, True)


@pytest.mark.parametrize(
    "path", ["/_bulk", "/send/_bulk", "/send/_bulk/", "/logs-a-b/_bulk", "/send/logs-a-b/_bulk"]
)
@pytest.mark.parametrize("method", ["post", "put"])
def test_every_address_and_method_takes_them(client, store, stored, token, path, method):
    answer = getattr(client, method)(
        path,
        pairs(event(1), index="logs-a-b"),
        content_type="application/x-ndjson",
        headers={"Authorization": f"Bearer {token.key}"},
    )
    assert (answer.status_code, answer["X-elastic-product"], answer.cookies) == (200, "Elasticsearch", {})
    assert stored() == [event(1)]


def test_the_address_names_the_data_stream_where_an_action_does_not(send):
    body = b'{"index":{}}\n' + json.dumps(event(1)).encode() + b"\n"
    answer = send(body, "/send/logs-x-y/_bulk")
    assert [item["index"]["_index"] for item in answer["items"]] == ["logs-x-y"]
    assert "index is missing" in send(body, status=400)["error"]["reason"]


def test_gzip_is_unpacked(send, stored):
    send(gzip.compress(pairs(event(1))), **{"Content-Encoding": "gzip"})
    assert stored() == [event(1)]


def test_good_and_bad_events_are_told_apart_and_the_bad_ones_can_be_read(send, stored):
    answer = send(
        pairs(event(1), '{"@timestamp": "2026-03-18T09:40:02"}', event(3), "{nonsense", "[1]", '{"a": 1e999}')
    )
    assert (answer["errors"], statuses(answer)) == (True, [201, 400, 201, 400, 400, 400])
    assert answer["items"][1]["create"]["error"]["type"] == "mapper_parsing_exception"
    assert "has no time zone" in answer["items"][1]["create"]["error"]["reason"]
    assert [document["n"] for document in stored()] == [1, 3]
    day = Import.objects.get()
    assert (day.files, day.status, day.events_new, day.records_bad) == (["sender dc-01"], "partial", 2, 4)
    bad = QuarantinedRecord.objects.first()
    assert (bad.file, bad.position.split()[2:], bad.raw) == (
        "sender dc-01",
        ["line", "4"],
        '{"@timestamp": "2026-03-18T09:40:02"}\n',
    )
    assert "logs-test-default: @timestamp" in bad.reason
    verbs = JournalEntry.objects.filter(stream__name="imports").values_list("verb", "actor", "after")
    assert list(verbs) == [
        ("sending_began", "Sender dc-01", "succeeded"),
        ("records_quarantined", "Sender dc-01", "partial"),
    ]


def test_the_same_request_again_adds_nothing(send, stored):
    body = pairs(event(1), event(2), "{nonsense")
    first, again = send(body), send(body)
    assert (statuses(first), statuses(again)) == ([201, 201, 400], [200, 200, 400])
    assert results(again) == ["noop", "noop", None]
    assert stored() == [event(1), event(2)]
    assert (QuarantinedRecord.objects.count(), Import.objects.get().records_bad) == (1, 1)
    assert Segment.objects.count() == 1


def test_creating_an_id_twice_is_a_conflict_and_indexing_the_same_is_not(send, stored):
    send(pairs(event(1), ids=["a"]))
    answer = send(pairs(event(1), event(2), ids=["a", "b"]))
    assert statuses(answer) == [409, 201]
    assert answer["items"][0]["create"]["error"] == {
        "type": "version_conflict_engine_exception",
        "reason": "[a]: version conflict, document already exists (current version [1])",
    }
    assert statuses(send(pairs(event(1), operation="index", ids=["a"]))) == [200]
    assert stored() == [event(1), event(2)]
    assert QuarantinedRecord.objects.count() == 0


@pytest.mark.parametrize("operation", ["create", "index"])
def test_another_event_with_a_known_id_is_refused_and_kept_for_an_administrator(send, stored, operation):
    send(pairs(event(1), ids=["a"]))
    answer = send(pairs(event(30, other=True), operation=operation, ids=["a"]))
    assert statuses(answer) == [409]
    assert stored() == [event(1)]
    assert '"other": true' in QuarantinedRecord.objects.get().raw


def test_one_id_twice_in_a_request_is_a_conflict_too(send, stored):
    assert statuses(send(pairs(event(1), event(1), event(2), ids=["a", "a", "a"]))) == [201, 409, 409]
    assert (stored(), QuarantinedRecord.objects.count()) == ([event(1)], 1)


def test_equal_events_without_an_id_are_one_event(send, stored):
    assert statuses(send(pairs(event(1), event(1)))) == [201, 200]
    assert stored() == [event(1)]


def test_what_can_not_be_done_is_answered_item_by_item(send, stored, token):
    token.row.data_streams = ["logs-*"]
    token.row.save()
    body = (
        b'{"delete":{"_index":"logs-a","_id":"1"}}\n'
        b'{"update":{"_index":"logs-a","_id":"1"}}\n{"doc":{"a":1}}\n'
        + pairs(event(1))
        + pairs(event(2), index="metrics-a")
        + pairs(event(3), index="Logs-A")
        + pairs(event(4), ids=[""])
        + pairs(event(5), ids=["x" * 513])
    )
    answer = send(body)
    told = [next(iter(item.values())) for item in answer["items"]]
    assert [(one["status"], one.get("error", {}).get("type")) for one in told] == [
        (400, "illegal_argument_exception"),
        (400, "illegal_argument_exception"),
        (201, None),
        (403, "security_exception"),
        (400, "invalid_index_name_exception"),
        (400, "illegal_argument_exception"),
        (400, "illegal_argument_exception"),
    ]
    assert [document["n"] for document in stored()] == [1]
    assert QuarantinedRecord.objects.count() == 6


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no requests added"),
        (b"\n\n", "no requests added"),
        (b'{"create":{"_index":"a"}}\n{"@timestamp":', "must be terminated by a newline"),
        (b'{"create":{"_index":"a"}}\n', "has no document after it"),
        (b'{"destroy":{"_index":"a"}}\n{}\n', "Malformed action/metadata line [1]"),
        (b'{"create":[]}\n{}\n', "Malformed action/metadata line [1]"),
        (b"nonsense\n{}\n", "Malformed action/metadata line [1]"),
        (b"\xff\xfe\n", "Malformed action/metadata line [1]"),
        (b'{"create":{"_index":{}}}\n{}\n', "Malformed action/metadata line [1]"),
    ],
)
def test_a_malformed_request_is_refused_whole(send, stored, body, reason):
    answer = send(pairs(event(1)) + body if body.strip() else body, status=400)
    shifted = reason.replace("[1]", "[3]")
    assert (answer["status"], shifted in answer["error"]["reason"]) == (400, True)
    assert answer["error"]["root_cause"][0]["reason"] == answer["error"]["reason"]
    assert stored() == []


def test_a_torn_or_unknown_packing_is_refused(send, stored):
    packed, gzipped = gzip.compress(pairs(event(1))), {"Content-Encoding": "gzip"}
    for body in (packed[:-9], b"no gzip"):
        assert "can't be unpacked" in send(body, status=400, **gzipped)["error"]["reason"]
    send(packed, status=415, **{"Content-Encoding": "br"})
    assert stored() == []


@pytest.mark.parametrize("authorization", ["Bearer wrong", "ApiKey d3Jvbmc6d3Jvbmc=", "Negotiate x"])
def test_without_a_token_nothing_gets_in(client, send, stored, authorization):
    answer = send(pairs(event(1)), status=401, authorization=authorization)
    assert answer["error"]["root_cause"][0]["type"] == "security_exception"
    assert client.post("/_bulk", pairs(event(1)), content_type="application/json")[
        "WWW-Authenticate"
    ].startswith("ApiKey")
    assert stored() == []


def test_a_signed_in_person_is_no_sender(client, stored, lin):
    client.force_login(lin)
    assert client.post("/_bulk", pairs(event(1)), content_type="application/json").status_code == 401
    assert stored() == []


def test_a_bulk_request_by_get_is_refused(client, token):
    answer = client.get("/_bulk", headers={"Authorization": f"Bearer {token.key}"})
    assert (answer.status_code, answer["Allow"], answer.json()["status"]) == (405, "POST, PUT", 405)


def test_too_large_a_request_is_refused_before_and_after_unpacking(send, stored, settings):
    settings.BULK_BODY_BYTES = 2_000
    bomb = gzip.compress(pairs(event(1, text="x" * 100_000)))
    assert len(bomb) < 2_000
    assert send(bomb, status=413, **{"Content-Encoding": "gzip"})["status"] == 413
    assert "more than 2000" in send(pairs(event(1, text="x" * 3_000)), status=413)["error"]["reason"]
    settings.BULK_ITEMS = 2
    assert "more than 2 actions" in send(pairs(event(1), event(2), event(3)), status=413)["error"]["reason"]
    assert stored() == []


def test_a_busy_server_asks_to_send_later(send, stored, settings):
    settings.BULK_IN_FLIGHT = 1
    with pressure.held(1, requests=1, total=1):
        answer = send(pairs(event(1)), status=429)
    assert answer["error"]["type"] == "es_rejected_execution_exception"
    assert stored() == []
    send(pairs(event(1)))
    assert (pressure.requests, pressure.bytes) == (0, 0)


def test_bytes_under_way_are_bounded_but_one_request_always_goes(send, settings):
    settings.BULK_IN_FLIGHT, settings.BULK_IN_FLIGHT_BYTES = 9, 10
    with pressure.held(5, requests=9, total=10):
        send(pairs(event(1)), status=429)
    send(pairs(event(1)))


def test_a_store_that_fails_acknowledges_nothing(send, stored, monkeypatch):
    def full(*_, **__):
        raise StoreError("No space left on the disk.")

    with monkeypatch.context() as patched:
        patched.setattr(EmbeddedStore, "append", full)
        answer = send(pairs(event(1)), status=503)
    assert "send them again" in answer["error"]["reason"]
    assert statuses(send(pairs(event(1)))) == [201]
    assert stored() == [event(1)]


class Killed(BaseException):
    """Stands for the process dying at this line."""


@pytest.mark.parametrize("ids", [None, ["a", "b"]])
def test_killed_between_storing_and_answering_a_retry_doubles_nothing(send, stored, monkeypatch, ids):
    body = pairs(event(1), event(2), "{nonsense", ids=ids and [*ids, "c"])

    def dies(_receipt):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(receipts, "keep", dies)
        with pytest.raises(Killed):
            send(body)
    assert stored() == [event(1), event(2)]
    assert statuses(send(body)) == ([409, 409, 400] if ids else [200, 200, 400])
    assert stored() == [event(1), event(2)]
    assert QuarantinedRecord.objects.count() == 1


def test_portions_are_small_and_answers_keep_their_order(send, stored, monkeypatch):
    monkeypatch.setattr(receiving, "PORTION", 2)
    answer = send(pairs(event(1), "{nonsense", event(2), event(3), event(1), ids=list("abcda")))
    assert statuses(answer) == [201, 400, 201, 201, 409]
    assert [item["create"]["_id"] for item in answer["items"]] == list("abcda")
    assert [document["n"] for document in stored()] == [1, 2, 3]


def test_an_event_that_can_not_be_laid_out_costs_no_other(send, stored, monkeypatch):
    whole = EmbeddedStore.append

    def picky(self, events, *, batch):
        if any(one.document.get("poison") for one in events):
            raise ValueError("can't be laid out")
        return whole(self, events, batch=batch)

    monkeypatch.setattr(EmbeddedStore, "append", picky)
    answer = send(pairs(*[event(n, poison=n == 7) for n in range(20)]))
    assert statuses(answer) == [201] * 7 + [400] + [201] * 12
    assert ([document["n"] for document in stored()], QuarantinedRecord.objects.count()) == (
        [n for n in range(20) if n != 7],
        1,
    )


def test_hostile_events_are_refused_alone(send, stored):
    deep = '{"a":' * 10_000 + "1" + "}" * 10_000
    wide = json.dumps(event(2) | {f"k{n}": n for n in range(50_000)})
    huge = json.dumps(event(3, text="x" * 10_000_000))
    answer = send(
        pairs(event(1), deep, wide, huge, '{"@timestamp":"2026-03-18T09:40:02Z","a":NaN}', event(4))
    )
    assert statuses(answer) == [201, 400, 400, 400, 400, 201]
    assert [document["n"] for document in stored()] == [1, 4]
    assert max(len(record.raw) for record in QuarantinedRecord.objects.all()) <= 2_000


def test_invalid_utf_8_is_refused_alone(send):
    body = pairs(event(1)) + b'{"create":{"_index":"a"}}\n{"@timestamp":"2026-03-18T09:40:02Z","a":"\xff"}\n'
    assert statuses(send(body)) == [201, 400]


def test_a_quarantine_that_is_full_still_counts(send, monkeypatch):
    monkeypatch.setattr(receipts, "QUARANTINED_PER_FILE", 3)
    send(pairs(*["{"] * 5))
    send(pairs(*["["] * 5))
    assert (QuarantinedRecord.objects.count(), Import.objects.get().records_bad) == (3, 10)


def test_only_what_is_asked_for_comes_back(send):
    answer = send(pairs(event(1), "{"), "/send/_bulk?filter_path=errors,items.*.error,items.*.status")
    assert (answer["errors"], answer["items"][0]) == (True, {"create": {"status": 201}})
    assert (set(answer), set(answer["items"][1]["create"])) == ({"errors", "items"}, {"status", "error"})


def test_raw_windows_events_of_winlogbeat_are_mapped(send, stored):
    raw = {
        "@timestamp": "2026-03-18T09:40:01.123Z",
        "winlog": {
            "provider_name": "Microsoft-Windows-Sysmon",
            "event_id": "1",
            "record_id": 7,
            "channel": "Microsoft-Windows-Sysmon/Operational",
            "computer_name": "WS-1.corp.example",
            "event_data": {
                "UtcTime": "2026-03-18 09:40:01.120",
                "ProcessGuid": "{ab-1}",
                "ProcessId": "4711",
                "Image": "C:\\Windows\\System32\\mshta.exe",
                "CommandLine": "mshta.exe -Embedding",
            },
        },
        "agent": {"type": "winlogbeat"},
    }
    assert statuses(send(pairs(raw, index="winlogbeat-8.19.0"))) == [201]
    (document,) = stored()
    assert (document["event"]["category"], document["process"]["name"]) == (["process"], "mshta.exe")
    assert statuses(send(pairs(raw, index="winlogbeat-8.19.0"))) == [200]


def test_rules_are_not_woken_and_find_the_events_by_their_schedule(send):
    found_by = make_rule()
    send(pairs(*attack(datetime.now(UTC).replace(microsecond=0))))
    found_by.refresh_from_db()
    assert found_by.due_since is None
    found_by.settle_seconds = 0
    found_by.save()
    call_command("run_due", rule="mshta")
    assert Alert.objects.get().rule == found_by
