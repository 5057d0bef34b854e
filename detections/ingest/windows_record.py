"""One Windows event in plain form: the values of its System block and its data as text.

The decoder gives GUIDs upper-case without braces, typed booleans and numbers, and CRLF; Windows' own API,
and so every rule that was written against it, has `{lower-case}` GUIDs, text, and LF.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from detections.errors import RecordError

_GUID = re.compile(r"\{?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?")


@dataclass(frozen=True, slots=True)
class WindowsRecord:
    """System values and data of one event. Absent values are "" or None.

    data: EventData by name, values as text. user_data: the same of UserData, whose element is user_data_of.
    """

    provider: str
    provider_guid: str
    event_id: str
    version: int
    level: int
    task: int
    opcode: int
    keywords: int
    time_created: str
    record_id: str
    channel: str
    computer: str
    user_sid: str
    process_id: int | None
    thread_id: int | None
    activity_id: str
    data: dict[str, str] = field(default_factory=dict)
    user_data: dict[str, str] = field(default_factory=dict)
    user_data_of: str = ""


def of_decoded(event: dict[str, Any]) -> WindowsRecord:
    """The record of what the decoder gave as JSON. Raises RecordError if System lacks what an event needs."""
    body = _object(event.get("Event"))
    system = _object(body.get("System"))
    provider, execution = _attributes(system.get("Provider")), _attributes(system.get("Execution"))
    user_data_of, user_data = _user_data(body.get("UserData"))
    record = WindowsRecord(
        provider=str(provider.get("Name") or ""),
        provider_guid=guid(str(provider.get("Guid") or "")),
        event_id=_text(system.get("EventID")),
        version=_number(system.get("Version")) or 0,
        level=_number(system.get("Level")) or 0,
        task=_number(system.get("Task")) or 0,
        opcode=_number(system.get("Opcode")) or 0,
        keywords=_number(system.get("Keywords")) or 0,
        time_created=str(_attributes(system.get("TimeCreated")).get("SystemTime") or ""),
        record_id=_text(system.get("EventRecordID")),
        channel=_text(system.get("Channel")),
        computer=_text(system.get("Computer")),
        user_sid=str(_attributes(system.get("Security")).get("UserID") or ""),
        process_id=_number(execution.get("ProcessID")),
        thread_id=_number(execution.get("ThreadID")),
        activity_id=guid(str(_attributes(system.get("Correlation")).get("ActivityID") or "")),
        data=_data(body.get("EventData")),
        user_data=user_data,
        user_data_of=user_data_of,
    )
    missing = [
        name
        for name, value in (
            ("Provider", record.provider),
            ("EventID", record.event_id),
            ("TimeCreated", record.time_created),
        )
        if not value
    ]
    if missing:
        raise RecordError(f"The event's System block lacks {' and '.join(missing)}.")
    return record


@lru_cache(maxsize=8192)
def guid(text: str) -> str:
    """A GUID as Windows renders it, `{lower-case}`; anything else as it is."""
    return "{" + text.strip("{}").lower() + "}" if _GUID.fullmatch(text) else text


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _attributes(value: Any) -> dict[str, Any]:
    return _object(_object(value).get("#attributes"))


def _number(value: Any) -> int | None:
    """A number, from its text too (`0x8020000000000000`, an element with attributes)."""
    if type(value) is int:
        return value
    if value is None:
        return None
    text = _text(value)
    try:
        return int(text, 16 if text[:2].lower() == "0x" else 10)
    except ValueError:
        return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.replace("\r\n", "\n") if "\r" in value else value
    if isinstance(value, dict):
        return _text(value.get("#text"))
    if isinstance(value, list):
        return "\n".join(_text(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value).replace("\r\n", "\n")


def _data(block: Any) -> dict[str, str]:
    """Data by name; nameless elements become param1, param2 ... as Windows' subscribers call them."""
    found: dict[str, str] = {}
    for name, value in _object(block).items():
        if name in ("#attributes", "#text"):
            continue
        if name == "Data":
            found.update(_nameless(value))
        else:
            found[name] = data_text(name, value)
    return found


def _nameless(value: Any) -> dict[str, str]:
    values = _object(value).get("#text") if isinstance(value, dict) else value
    items = values if isinstance(values, list) else [values]
    return {f"param{number}": _text(item) for number, item in enumerate(items, 1)}


def data_text(name: str, value: Any) -> str:
    """A value of the data as text; a field that is named as a GUID gets Windows' form of one."""
    # Only fields named as GUIDs: a command line that happens to be one must stay as it was typed.
    text = value if type(value) is str and "\r" not in value else _text(value)
    return guid(text) if _is_guid(name) else text


@lru_cache(maxsize=8192)
def _is_guid(name: str) -> bool:
    return name.lower().endswith(("guid", "uuid"))


def _user_data(block: Any) -> tuple[str, dict[str, str]]:
    for name, value in _object(block).items():
        if name != "#attributes" and isinstance(value, dict):
            return name, _data(value)
    return "", {}
