"""Windows events in ECS, held against public pairs of event and document where they are at hand."""

import json

import pytest

from detections import ecs
from detections.errors import RecordError
from detections.ingest import moments, readers, winlog
from detections.ingest.windows_record import WindowsRecord, of_decoded
from tests.shared import shared

LETHAL = "LM_DCOM_MSHTA_LethalHTA_Sysmon_3_1.evtx"

# What docs/telemetry.md lists: fields that are only here, only there, or deliberately different.
ONLY_HERE = {
    "casewright.derived", "host.id", "host.os.type", "host.os.family", "event.created", "event.dataset",
    "data_stream.type", "data_stream.dataset", "data_stream.namespace", "event.action",
}  # fmt: skip
ONLY_THERE = {
    "message", "winlog.task", "winlog.api", "winlog.user.name", "winlog.user.domain", "winlog.user.type",
    "winlog.logon.failure.reason", "winlog.logon.failure.status", "winlog.logon.failure.sub_status",
    "dns.question.registered_domain", "dns.question.subdomain", "dns.question.top_level_domain",
}  # fmt: skip
OTHERWISE = {"ecs.version"}
REQUIRED = {
    "sysmon": {"1", "2", "3", "5", "7", "11", "13", "22", "23", "24", "25", "26"},
    "security": {"4624", "4625", "4634", "4648", "4672", "4688", "4689", "4697", "4698"},
}


def flat(node, path=""):
    if not isinstance(node, dict):
        return {path: node}
    return {
        name: value
        for key, below in node.items()
        for name, value in flat(below, f"{path}.{key}" if path else key).items()
    }


def comparable(document):
    """A document's fields less the deliberate differences; lists without their order."""
    fields = flat(document)
    kept = {}
    for name, value in fields.items():
        if name in ONLY_HERE | ONLY_THERE | OTHERWISE or value == "-":
            continue
        if name.startswith("related."):
            value = sorted(value)
        kept[name] = value
    return kept


def pairs(module):
    folder = shared(f"telemetry/ecs_fixtures/{module}")
    for log in sorted((folder / "collection").glob("*.evtx")):
        golden = json.loads((folder / "ingest" / f"{log.stem}.golden.json").read_text())
        theirs = {document["winlog"]["record_id"]: document for document in golden}
        for event in readers.open_capture(log):
            code, record = event.document["event"]["code"], event.document["winlog"]["record_id"]
            if code in REQUIRED[module] and record in theirs:
                yield code, event.document, theirs[record]


def test_sysmon_events_equal_the_public_documents():
    seen = set()
    for code, mine, theirs in pairs("sysmon"):
        ours, expected = comparable(mine), comparable(theirs)
        if code == "7":
            # An image load is also a library here, and no process start.
            assert ours.pop("event.category") == ["process", "library"]
            assert expected.pop("event.category") == ["process"]
            ours = {name: value for name, value in ours.items() if not name.startswith("dll.")}
        cut = [answer for answer in ours.get("dns.answers", []) if "type" not in answer]
        if cut:
            ours["dns.answers"] = [answer for answer in ours["dns.answers"] if "type" in answer]
        assert ours == expected
        seen.add(code)
    assert {"1", "3", "5", "7", "13", "22"} <= seen


def test_security_events_equal_the_public_documents():
    seen = set()
    for code, mine, theirs in pairs("security"):
        ours, expected = comparable(mine), comparable(theirs)
        # The decoder gives microseconds, their reader one digit more.
        their_time, our_time = (moments.moment(fields.pop("@timestamp")) for fields in (expected, ours))
        assert our_time == their_time
        if code == "4688":
            assert ours.pop("process.args_count") == 3
            assert ours.pop("process.args") == ["C:\\Windows\\system32\\wevtutil.exe", "cl", "Security"]
            assert expected.pop("process.args")[0] == '"C:\\Windows\\system32\\wevtutil.exe"'
        hyphens = {name for name, value in flat(theirs).items() if value == "-"}
        assert {n: v for n, v in ours.items() if n not in hyphens} == expected
        seen.add(code)
    assert {"4624", "4634", "4672", "4688"} <= seen


@pytest.fixture
def lethal(captures):
    return [event.document for event in readers.open_capture(captures / LETHAL)]


def test_the_start_of_mshta_is_mapped_exactly(lethal):
    process = lethal[0]
    wanted = {
        "@timestamp": "2019-05-14T01:29:04.293Z",
        "event.created": "2019-05-14T01:29:04.306885Z",
        "winlog.record_id": "17589",
        "process.name": "mshta.exe",
        "process.pid": 1932,
        "process.entity_id": "{365abb72-19e0-5cda-0000-001006711000}",
        "process.command_line": "C:\\Windows\\System32\\mshta.exe -Embedding",
        "process.parent.command_line": "C:\\Windows\\system32\\svchost.exe -k DcomLaunch",
        "user.domain": "IEWIN7",
        "user.name": "IEUser",
        "user.id": "S-1-5-18",
        "winlog.event_data.IntegrityLevel": "High",
        "host.name": "IEWIN7",
        "host.id": "iewin7",
        "host.os.type": "windows",
    }
    assert {field: ecs.get(process, field) for field in wanted} == wanted
    assert ecs.values(process, "process.args") == ["C:\\Windows\\System32\\mshta.exe", "-Embedding"]
    assert ecs.values(process, "casewright.derived") == ["host.id"]
    assert ecs.values(process, "event.type") == ["start"]


def test_the_connection_to_mshta_is_mapped_exactly(lethal):
    connection = lethal[1]
    wanted = {
        "@timestamp": "2019-05-14T01:29:00.318Z",
        "event.created": "2019-05-14T01:29:05.534521Z",
        "winlog.record_id": "17590",
        "process.entity_id": "{365abb72-19e0-5cda-0000-001006711000}",
        "network.transport": "tcp",
        "network.direction": "ingress",
        "source.ip": "10.0.2.16",
        "source.port": 49168,
        "source.domain": "IEWIN7",
        "destination.ip": "10.0.2.17",
        "destination.port": 55683,
        "event.category": "network",
        "event.type": "start",
    }
    assert {field: ecs.get(connection, field) for field in wanted} == wanted


def record(**changes):
    values = {
        "provider": "Microsoft-Windows-Sysmon", "provider_guid": "", "event_id": "1", "version": 5,
        "level": 4, "task": 1, "opcode": 0, "keywords": 0, "record_id": "7",
        "time_created": "2026-01-01T00:00:01.5Z",
        "channel": "Microsoft-Windows-Sysmon/Operational", "computer": "PC.corp.example", "user_sid": "",
        "process_id": 1, "thread_id": 2, "activity_id": "",
    }  # fmt: skip
    return WindowsRecord(**{**values, **changes})


def test_an_event_of_any_channel_is_kept_with_its_data():
    document = winlog.document_of(
        record(
            provider="Service Control Manager", channel="System", event_id="7045", data={"ServiceName": "x"}
        )
    )
    assert ecs.get(document, "event.code") == "7045"
    assert ecs.get(document, "winlog.event_data.ServiceName") == "x"
    assert ecs.get(document, "host.id") == "pc.corp.example"
    assert ecs.values(document, "event.category") == []


def test_an_unreadable_utc_time_stays_in_the_data_and_the_other_clock_counts():
    document = winlog.document_of(record(data={"UtcTime": "whenever"}))
    assert document["@timestamp"] == "2026-01-01T00:00:01.5Z"
    assert ecs.get(document, "winlog.event_data.UtcTime") == "whenever"


def test_an_event_without_a_time_is_a_bad_record():
    with pytest.raises(RecordError, match="TimeCreated"):
        winlog.document_of(record(time_created="yesterday"))
    with pytest.raises(RecordError, match="lacks Provider and EventID and TimeCreated"):
        of_decoded({"Event": {"System": None, "EventData": []}})


def test_an_unknown_process_has_neither_name_nor_entity():
    document = winlog.document_of(
        record(
            event_id="3",
            data={"Image": "<unknown process>", "ProcessGuid": "{00000000-0000-0000-0000-000000000000}"},
        )
    )
    assert document["process"] == {"executable": "<unknown process>"}


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ("DWORD (0x0000000a)", {"type": "SZ_DWORD", "strings": ["10"]}),
        ("QWORD (0x00000001-0x00000002)", {"type": "SZ_QWORD", "strings": ["4294967298"]}),
        ("Binary Data", {"type": "REG_BINARY", "strings": ["Binary Data"]}),
        ("%windir%\\x.exe", {"type": "REG_SZ", "strings": ["%windir%\\x.exe"]}),
        ("DWORD (0xzz)", {"type": "REG_SZ", "strings": ["DWORD (0xzz)"]}),
    ],
)
def test_registry_values_are_decoded(details, expected):
    document = winlog.document_of(
        record(event_id="13", data={"TargetObject": "HKEY_LOCAL_MACHINE\\Software\\K\\v", "Details": details})
    )
    assert document["registry"] == {
        "hive": "HKLM",
        "key": "Software\\K\\v",
        "path": "HKLM\\Software\\K\\v",
        "value": "v",
        "data": expected,
    }


def test_values_are_normalised_and_a_command_line_that_looks_like_a_guid_is_not():
    guid = "365ABB72-19E0-5CDA-0000-001006711000"
    decoded = of_decoded(
        {
            "Event": {
                "System": {
                    "Provider": {"#attributes": {"Name": "P"}},
                    "EventID": {"#attributes": {"Qualifiers": 0}, "#text": 7},
                    "TimeCreated": {"#attributes": {"SystemTime": "2026-01-01T00:00:00Z"}},
                    "Keywords": "0x8020000000000000",
                },
                "EventData": {
                    "ProcessGuid": guid,
                    "CommandLine": guid,
                    "Initiated": False,
                    "Text": "a\r\nb",
                    "Data": {"#text": ["x", None]},
                },
            }
        }
    )
    assert (decoded.event_id, decoded.keywords) == ("7", 0x8020000000000000)
    assert decoded.data == {
        "ProcessGuid": "{365abb72-19e0-5cda-0000-001006711000}",
        "CommandLine": guid,
        "Initiated": "false",
        "Text": "a\nb",
        "param1": "x",
        "param2": "",
    }
