"""Windows events that others wrote as JSON, before any mapping: recognised, and read into plain form.

Three shapes: Winlogbeat's and the Elastic Agent's (`winlog.event_data`), that of Winlogbeat before 7
(`event_data` and `event_id` at the top), and the flattened one of public data sets (`Hostname`, `EventID`,
`Channel` and the data side by side, as nxlog and Logstash leave them).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from detections import ecs
from detections.ecs import Document
from detections.errors import RecordError
from detections.ingest import sysmon, windows_security, windows_time
from detections.ingest.windows_record import WindowsRecord, data_text, guid
from detections.ingest.windows_time import Clock

Value = dict[str, Any]


@dataclass(frozen=True, slots=True)
class JsonEvent:
    """A Windows event out of JSON.

    record: its plain form, the time corrected where the file's clock is known to be off. rest: fields of the
    source that are no part of the event (`message`, `agent`). logged: the time as it stands in the source.
    correction: hours that were added, or None. is_received: the time is the collector's, for want of another.
    """

    record: WindowsRecord
    rest: Document
    logged: str
    correction: int | None = None
    is_received: bool = False


# Takes the object, which it leaves as it is, and the clock of the object's file.
Reader = Callable[[Value, Clock], JsonEvent]


def reader_of(value: Value) -> Reader | None:
    """How to read an object, or None for one that is no unmapped Windows event (an ECS document)."""
    if "winlog" in value:
        return _of_winlogbeat if _is_unmapped(value) else None
    if "EventID" in value and ("Channel" in value or "SourceName" in value):
        return _of_flattened
    if "event_id" in value and isinstance(value.get("event_data", value.get("user_data")), dict):
        return _of_old_winlogbeat
    return None


# What a pipeline, or the agent on its way to one, adds to an event.
_MAPPED = ("event.category", "event.type")
_ROUTED = ("event.module", "event.dataset", "data_stream.dataset")


def _is_unmapped(value: Value) -> bool:
    """Whether no pipeline has been at it. The agent names the data set before any pipeline runs, so then the
    event's own kind decides: one that a pipeline would have given a type has none yet."""
    winlog = value["winlog"]
    if not isinstance(winlog, dict) or "event_id" not in winlog:
        return False
    if any(ecs.get(value, field) is not None for field in _MAPPED):
        return False
    if all(ecs.get(value, field) is None for field in _ROUTED):
        return True
    provider, code = str(winlog.get("provider_name", "")).lower(), str(winlog["event_id"])
    known = {"microsoft-windows-sysmon": sysmon.CODES}.get(provider, windows_security.CODES)
    return (
        provider in windows_security.PROVIDERS or provider == "microsoft-windows-sysmon"
    ) and code in known


def _of_winlogbeat(value: Value, clock: Clock) -> JsonEvent:
    value = dict(value)
    winlog = dict(value.pop("winlog"))
    logged = str(winlog.pop("time_created", None) or ecs.text(value, "@timestamp"))
    user_data = dict(_object(winlog.pop("user_data", None)))
    record = WindowsRecord(
        provider=str(winlog.get("provider_name") or ecs.text(value, "event.provider")),
        provider_guid=guid(str(winlog.get("provider_guid") or "")),
        event_id=_text(winlog["event_id"]),
        version=_number(winlog.get("version")),
        level=_level(winlog.pop("level", None) or ecs.text(value, "log.level")),
        task=0,
        opcode=_OPCODES.get(_text(winlog.get("opcode")).lower(), -1),
        keywords=_keywords(winlog.get("keywords"), ecs.text(value, "event.outcome")),
        time_created=windows_time.text_of(logged),
        record_id=_text(winlog.get("record_id")),
        channel=_text(winlog.get("channel")),
        computer=_text(winlog.get("computer_name")) or ecs.text(value, "host.name"),
        user_sid=ecs.text(winlog, "user.identifier"),
        process_id=_integer(ecs.get(winlog, "process.pid")),
        thread_id=_integer(ecs.get(winlog, "process.thread.id")),
        activity_id=guid(_text(winlog.get("activity_id"))),
        data=_data(winlog.pop("event_data", None)),
        user_data_of=_text(user_data.pop("xml_name", None)),
        user_data=_data(user_data),
    )
    value.pop("@timestamp", None)
    return JsonEvent(record, {**value, "winlog": winlog}, logged)


def _of_old_winlogbeat(value: Value, clock: Clock) -> JsonEvent:
    """The fields of Winlogbeat before 7, under the names that the later ones have."""
    moved = {
        "channel": "log_name", "computer_name": "computer_name", "event_id": "event_id", "task": "task",
        "event_data": "event_data", "user_data": "user_data", "provider_name": "source_name",
        "provider_guid": "provider_guid", "record_id": "record_number", "opcode": "opcode",
        "keywords": "keywords", "level": "level", "version": "version", "activity_id": "activity_id",
        "user": "user",
    }  # fmt: skip
    value = dict(value)
    winlog = {new: value.pop(old) for new, old in moved.items() if old in value}
    pid, thread = value.pop("process_id", None), value.pop("thread_id", None)
    if pid is not None:
        winlog["process"] = {"pid": pid, "thread": {"id": thread}}
    winlog["event_id"] = _text(winlog["event_id"])
    beat = value.pop("beat", None)
    if isinstance(beat, dict):
        value["agent"] = beat
    value.pop("type", None)
    return _of_winlogbeat({**value, "winlog": winlog}, clock)


# The data sets' names for values of the System block, the first that is there counts.
_CHANNELS = {
    "microsoft-windows-sysmon/operational": "Microsoft-Windows-Sysmon",
    "security": "Microsoft-Windows-Security-Auditing",
}
_COLLECTOR = (
    "@timestamp", "@version", "host", "port", "type", "EventReceivedTime", "EventTime", "TimeCreated",
    "SourceModuleName", "SourceModuleType", "Severity", "SeverityValue", "EventTypeOrignal",
    "EventTypeOriginal",
)  # fmt: skip
_OPCODES = {"info": 0, "start": 1, "stop": 2}
_NXLOG_TYPES = frozenset(
    {"INFO", "AUDIT_SUCCESS", "AUDIT_FAILURE", "WARNING", "ERROR", "CRITICAL", "VERBOSE", "DEBUG"}
)


def _of_flattened(value: Value, clock: Clock) -> JsonEvent:
    time = windows_time.corrected(value, clock)
    data = dict(value)
    rest = _rest_of_flattened(data)
    channel = _text(data.pop("Channel", None))
    level = _level(data.pop("Level", None) or value.get("Severity"))
    named = _OPCODES.get(_take(data, "Opcode").lower(), 0)
    opcode = _number(data.pop("OpcodeValue", named))
    record = WindowsRecord(
        provider=_take(data, "SourceName", "ProviderName", "Provider") or _CHANNELS.get(channel.lower(), ""),
        provider_guid=guid(_take(data, "ProviderGuid", "ProviderGUID")),
        event_id=_take(data, "EventID"),
        version=_number(data.pop("Version", None)),
        level=level,
        task=_number(data.pop("Task", None)),
        opcode=opcode,
        keywords=_keywords(data.pop("Keywords", None), _outcome_of(value)),
        time_created=time.utc,
        record_id=_take(data, "RecordNumber", "EventRecordID", "RecordID"),
        channel=channel,
        computer=_take(data, "Hostname", "Computer"),
        user_sid=_take(data, "UserID"),
        process_id=_integer(_take(data, "ExecutionProcessID", "ProcessID")),
        thread_id=_integer(_take(data, "ThreadID", "ExecutionThreadID")),
        activity_id=guid(_take(data, "ActivityID")),
        data=_data(data),
    )
    if not record.provider:
        raise RecordError("The event names neither its provider (SourceName) nor a channel that tells it.")
    return JsonEvent(record, rest, time.logged, time.correction, is_received=time.is_received)


def _rest_of_flattened(data: Value) -> Document:
    """Take out of the data what the collector added; keep of it what says something about the event."""
    rest: Document = {}
    original_type = "EventTypeOrignal" in data or "EventTypeOriginal" in data
    for name in _COLLECTOR:
        data.pop(name, None)
    if not original_type and str(data.get("EventType")) in _NXLOG_TYPES:
        del data["EventType"]
    ecs.put(rest, "message", _take(data, "Message"))
    ecs.put(rest, "tags", data.pop("tags", None))
    ecs.put(rest, "winlog.task", _take(data, "Category"))
    if data.get("UserID"):  # else these names belong to the event's own data
        for name, field in (("AccountName", "name"), ("Domain", "domain"), ("AccountType", "type")):
            ecs.put(rest, f"winlog.user.{field}", _take(data, name))
    return rest


def _outcome_of(value: Value) -> str:
    kind = value.get("EventType")
    outcomes = {"AUDIT_SUCCESS": "success", "AUDIT_FAILURE": "failure"}
    return outcomes.get(kind, "") if isinstance(kind, str) else ""


def _take(data: Value, *names: str) -> str:
    """The first of the values that is there, as text; it leaves the data."""
    for name in names:
        if data.get(name) not in (None, ""):
            return _text(data.pop(name))
    return ""


def _object(value: Any) -> Value:
    return value if isinstance(value, dict) else {}


def _data(block: Any) -> dict[str, str]:
    """The data as text. A value that is an object is kept as its JSON, a list line by line."""
    return {
        name: data_text(name, value if isinstance(value, str) else _simple(value))
        for name, value in _object(block).items()
    }


def _simple(value: Any) -> Any:
    if isinstance(value, list):
        return [_simple(item) for item in value]
    return orjson.dumps(value).decode() if isinstance(value, dict) else value


def _text(value: Any) -> str:
    if isinstance(value, str) and "\r" not in value:
        return value
    return data_text("", _simple(value))


def _integer(value: Any) -> int | None:
    if type(value) is int:
        return value
    text = str(value if value is not None else "")
    return int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else None


def _number(value: Any) -> int:
    return _integer(value) or 0


_LEVELS = {"critical": 1, "error": 2, "warning": 3, "information": 4, "info": 4, "verbose": 5, "debug": 5}


def _level(value: Any) -> int:
    text = str(value or "")
    return _LEVELS.get(text.lower(), _number(text))


_AUDIT_SUCCESS, _AUDIT_FAILURE = 0x20000000000000, 0x10000000000000


def _keywords(value: Any, outcome: str) -> int:
    """The keywords' bits, from the number (signed, or `0x..`), or from their names and the outcome."""
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]{1,16}|-?\d{1,20}", value, re.ASCII):
        return int(value, 16 if value.startswith("0x") else 10)
    names = " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    if "Audit Failure" in names or outcome == "failure":
        return _AUDIT_FAILURE
    return _AUDIT_SUCCESS if "Audit Success" in names or outcome == "success" else 0
