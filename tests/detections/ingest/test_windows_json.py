"""Windows events that others wrote as JSON: recognised, mapped by the same code, their clocks put right."""

import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detections import ecs
from detections.errors import RecordError
from detections.ingest import ndjson, readers
from detections.stores.base import MappedEvent

GUID = "{9F32B55F-D9DE-5F98-F006-000000000600}"
SYSMON = "Microsoft-Windows-Sysmon/Operational"
FLAT = {
    "Hostname": "WORKSTATION5.theshire.local", "EventID": 1, "Channel": SYSMON,
    "SourceName": "Microsoft-Windows-Sysmon", "ProviderGuid": "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}",
    "Keywords": -9223372036854775808, "Version": 5, "Task": 1, "OpcodeValue": 0, "Opcode": "Info",
    "RecordNumber": 42, "ExecutionProcessID": 3220, "ThreadID": 4796, "Severity": "INFO",
    "SeverityValue": 2, "UserID": "S-1-5-18", "AccountName": "SYSTEM", "Domain": "NT AUTHORITY",
    "AccountType": "User", "Message": "Process Create", "Category": "Process Create (rule: ProcessCreate)",
    "EventTime": "2020-09-21 18:44:42", "EventReceivedTime": "2020-09-21 18:44:45", "EventType": "INFO",
    "@timestamp": "2020-09-21T22:44:45.563Z", "@version": "1", "host": "wec", "port": 64545,
    "tags": ["set"], "SourceModuleName": "eventlog", "SourceModuleType": "im_msvistalog",
    "UtcTime": "2020-09-21 22:44:41.321", "ProcessGuid": GUID, "ProcessId": "6296",
    "Image": "C:\\Windows\\System32\\mshta.exe", "CommandLine": "mshta.exe  -Embedding",
    "User": "THESHIRE\\pgustavo", "LogonGuid": "{00000000-0000-0000-0000-000000000000}",
}  # fmt: skip
RAW = {
    "@timestamp": "2026-01-01T00:00:02.5Z",
    "message": "rendered",
    "agent": {"type": "winlogbeat"},
    "event": {"code": "3", "kind": "event", "provider": "Microsoft-Windows-Sysmon", "action": "rendered"},
    "host": {"name": "PC"},
    "log": {"level": "information"},
    "winlog": {
        "channel": SYSMON, "provider_name": "Microsoft-Windows-Sysmon", "event_id": "3", "record_id": 7,
        "computer_name": "PC", "opcode": "Info", "process": {"pid": 4, "thread": {"id": 5}},
        "user": {"identifier": "S-1-5-18", "name": "SYSTEM"}, "api": "wineventlog",
        "event_data": {"UtcTime": "2026-01-01 00:00:01.125", "Initiated": False, "SourcePort": 49168,
                       "ProcessGuid": GUID, "Protocol": "tcp", "Image": "C:\\x\r\ny.exe"},
    },
}  # fmt: skip


def read(*values):
    text = "\n".join(json.dumps(value) for value in values).encode()
    return list(ndjson.events(io.BytesIO(text), "x.json"))


def fields(document, *names):
    return {name: ecs.get(document, name) for name in names}


def capture(tmp_path, *values):
    path = tmp_path / "set.json"
    path.write_text("\n".join(json.dumps(value) for value in values))
    return list(readers.open_capture(path))


def test_an_unmapped_event_of_winlogbeat_is_mapped_and_keeps_what_its_sender_said():
    (event,) = read(RAW)
    wanted = {
        "@timestamp": "2026-01-01T00:00:01.125Z", "event.created": "2026-01-01T00:00:02.5Z",
        "event.category": "network", "event.action": "Network connection", "event.code": "3",
        "network.direction": "ingress", "source.port": 49168, "process.executable": "C:\\x\ny.exe",
        "process.entity_id": GUID.lower(), "host.id": "pc", "winlog.record_id": "7", "message": "rendered",
        "agent.type": "winlogbeat", "winlog.user.name": "SYSTEM", "user.id": "S-1-5-18",
    }  # fmt: skip
    assert fields(event.document, *wanted) == wanted
    assert "event_data" not in event.document["winlog"]


def test_an_id_that_the_sender_gives_the_host_is_kept():
    (event,) = read({**RAW, "host": {"name": "PC", "id": "machine-guid"}})
    assert fields(event.document, "host.id", "casewright.derived") == {
        "host.id": "machine-guid", "casewright.derived": None,
    }  # fmt: skip


def test_the_agent_names_the_data_set_before_any_pipeline_has_run():
    named = {**RAW, "data_stream": {"dataset": "windows.sysmon_operational"}}
    (event,) = read(named)
    assert ecs.values(event.document, "event.type") == ["start", "connection", "protocol"]
    unknown = {**named, "winlog": {**RAW["winlog"], "provider_name": "Other"}}
    assert read(unknown)[0].document == unknown


def test_events_of_winlogbeat_before_7_are_mapped_too():
    old = {
        "@timestamp": "2019-05-14T01:29:05.534Z", "beat": {"version": "6.7.0"}, "type": "wineventlog",
        "computer_name": "IEWIN7", "event_id": 4624, "log_name": "Security", "record_number": "9",
        "source_name": "Microsoft-Windows-Security-Auditing", "process_id": 468, "thread_id": 500,
        "keywords": ["Audit Success"], "level": "Information", "task": "Logon", "message": "m",
        "event_data": {"TargetUserName": "ann", "LogonType": "3", "IpAddress": "10.0.0.9"},
    }  # fmt: skip
    (event,) = read(old)
    wanted = {
        "event.action": "logged-in", "event.outcome": "success", "user.name": "ann", "source.ip": "10.0.0.9",
        "winlog.logon.type": "Network", "winlog.task": "Logon", "winlog.process.pid": 468, "message": "m",
        "agent.version": "6.7.0", "winlog.record_id": "9", "event.created": "2019-05-14T01:29:05.534Z",
    }  # fmt: skip
    assert fields(event.document, *wanted) == wanted


def test_a_flattened_event_is_mapped_and_its_local_clock_put_right(tmp_path):
    (event,) = capture(tmp_path, FLAT)
    wanted = {
        "@timestamp": "2020-09-21T22:44:41.321Z", "event.created": "2020-09-21T22:44:42Z",
        "casewright.time_corrected": "+04:00", "event.code": "1", "event.action": "Process creation",
        "process.entity_id": GUID.lower(), "process.pid": 6296, "process.name": "mshta.exe",
        "process.args_count": 2, "user.domain": "THESHIRE", "user.name": "pgustavo", "user.id": "S-1-5-18",
        "host.name": "WORKSTATION5.theshire.local", "host.id": "workstation5.theshire.local",
        "winlog.process.pid": 3220, "winlog.user.name": "SYSTEM", "winlog.record_id": "42",
        "message": "Process Create", "tags": "set", "log.level": "information", "winlog.event_data": None,
    }  # fmt: skip
    assert fields(event.document, *wanted) == wanted
    assert "event_data" not in event.document["winlog"]


def test_the_whole_file_shares_one_correction_whatever_its_order(tmp_path):
    logon = {
        **{name: FLAT[name] for name in ("Hostname", "EventTime", "@timestamp")},
        "EventID": 4624, "Channel": "Security", "EventType": "AUDIT_SUCCESS", "RecordNumber": 1,
        "TargetUserName": "ann",
    }  # fmt: skip
    odd = {**FLAT, "UtcTime": "2020-09-21 09:44:42.000", "RecordNumber": 2}
    late = {**FLAT, "EventID": 3, "UtcTime": "2020-09-01 00:00:00.000", "RecordNumber": 3}
    events = capture(tmp_path, logon, late, late, late, odd, FLAT, {**FLAT, "RecordNumber": 5})
    created = {ecs.text(event.document, "event.created") for event in events}
    marks = {ecs.text(event.document, "casewright.time_corrected") for event in events}
    assert (created, marks) == ({"2020-09-21T22:44:42Z"}, {"+04:00"})
    assert fields(events[0].document, "event.outcome", "event.provider") == {
        "event.outcome": "success", "event.provider": "Microsoft-Windows-Security-Auditing",
    }  # fmt: skip


def test_a_clock_that_is_right_is_left_alone_with_or_without_a_zone(tmp_path):
    right = {**FLAT, "EventTime": "2020-09-21 22:44:42"}
    stamped = {**right, "TimeCreated": "2020-09-21T22:44:42.5Z", "RecordNumber": 43}
    events = capture(tmp_path, right, stamped)
    assert [ecs.get(event.document, "event.created") for event in events] == [
        "2020-09-21T22:44:42Z", "2020-09-21T22:44:42.5Z",
    ]  # fmt: skip
    assert [ecs.get(event.document, "casewright.time_corrected") for event in events] == [None, None]


def test_a_local_time_that_nothing_proves_gives_way_to_the_collectors_time(tmp_path):
    (event,) = capture(tmp_path, {**FLAT, "EventID": 22})
    assert fields(event.document, "event.created", "casewright.time_corrected") == {
        "event.created": "2020-09-21T22:44:45.563Z", "casewright.time_corrected": None,
    }  # fmt: skip
    assert ecs.values(event.document, "casewright.derived") == ["host.id", "event.created"]
    alone = {name: value for name, value in FLAT.items() if name != "@timestamp"}
    (fault,) = capture(tmp_path, {**alone, "EventID": 22})
    assert fault.position == "line 1"
    assert str(fault).startswith("EventTime: '2020-09-21T18:44:42' has no time zone; write a Z")


def test_a_file_that_grows_keeps_its_identities_even_if_its_correction_changes(tmp_path):
    first = capture(tmp_path, FLAT)
    others = [{**FLAT, "UtcTime": "2020-09-21 23:44:42.000", "RecordNumber": n} for n in range(3)]
    second = capture(tmp_path, FLAT, *others)
    assert ecs.get(second[0].document, "casewright.time_corrected") == "+05:00"
    assert second[0].identity == first[0].identity
    assert len({event.identity for event in second}) == 4


def test_events_without_a_record_number_are_told_apart_by_their_content(tmp_path):
    nameless = {name: value for name, value in FLAT.items() if name != "RecordNumber"}
    events = capture(tmp_path, nameless, nameless, {**nameless, "ProcessId": "1"})
    assert events[0].identity == events[1].identity != events[2].identity


def test_sysmons_own_event_type_and_an_account_of_the_data_are_data():
    own = {"EventTypeOrignal": "INFO", "EventType": "SetValue", "TargetObject": "HKLM\\a\\b"}
    (value,) = read({**FLAT, "EventID": 13, **own, "EventTime": "2020-09-21T22:44:42Z"})
    assert ecs.get(value.document, "winlog.event_data.EventType") == "SetValue"
    session = {
        "Hostname": "h", "EventID": "4778", "Channel": "Security", "EventTime": "2020-09-21T22:44:42Z",
        "AccountName": "ann", "AccountDomain": "CORP", "ClientAddress": "10.0.0.9", "LogonID": "0x1f",
    }  # fmt: skip
    (event,) = read(session)
    wanted = {"user.name": "ann", "user.domain": "CORP", "source.ip": "10.0.0.9", "winlog.logon.id": "0x1f"}
    assert fields(event.document, *wanted) == wanted


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({**RAW, "event": "text"}, "event is an object in ECS and a value here"),
        ({**RAW, "@timestamp": "yesterday"}, "TimeCreated: 'yesterday' is not an ISO 8601 date and time"),
        ({**FLAT, "Channel": "Other", "SourceName": ""}, "names neither its provider"),
        ({**FLAT, "EventTime": "1500-01-01T00:00:00Z"}, "EventTime: .* lies outside of the years"),
    ],
)
def test_a_bad_event_is_named_and_its_neighbours_are_kept(value, reason):
    zoned = {**FLAT, "EventTime": "2020-09-21T22:44:42Z"}
    before, bad, after = read(zoned, value, RAW)
    assert isinstance(bad, RecordError)
    with pytest.raises(RecordError, match=reason):
        raise bad
    assert isinstance(before, MappedEvent)
    assert isinstance(after, MappedEvent)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)


# Building the recursive strategy for the first time takes seconds on a busy machine.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(base=st.sampled_from([FLAT, RAW, RAW["winlog"]]), changes=st.data())
def test_whatever_stands_in_an_event_it_is_mapped_or_refused(base, changes):
    names = changes.draw(st.lists(st.sampled_from(sorted(base)), max_size=3))
    value = {**base, **{name: changes.draw(anything) for name in names}}
    whole = {**RAW, "winlog": value} if base is RAW["winlog"] else value
    (item,) = read(whole)
    assert isinstance(item, MappedEvent | RecordError)
