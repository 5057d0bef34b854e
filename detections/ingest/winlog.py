"""What every Windows event becomes in ECS, whichever log it comes from, and which mapping refines it."""

from collections.abc import Callable

from detections import ecs
from detections.ecs import Document
from detections.errors import RecordError
from detections.ingest import moments, sysmon, windows_security, windows_time
from detections.ingest.windows_json import JsonEvent
from detections.ingest.windows_record import WindowsRecord

ECS_VERSION = "8.17.0"
_LEVELS = {1: "critical", 2: "error", 3: "warning", 5: "verbose"}
_OPCODES = {0: "Info", 1: "Start", 2: "Stop"}
_AUDIT_SUCCESS, _AUDIT_FAILURE = 0x20000000000000, 0x10000000000000
# Data sets as the ecosystem's agents name them, so that rules which test data_stream.dataset hold here.
_DATASETS = {
    "microsoft-windows-sysmon/operational": ("sysmon", "windows.sysmon_operational"),
    "security": ("security", "system.security"),
    "system": ("system", "system.system"),
    "application": ("system", "system.application"),
    "microsoft-windows-powershell/operational": ("windows", "windows.powershell_operational"),
    "windows powershell": ("windows", "windows.powershell"),
    "microsoft-windows-windows defender/operational": ("windows", "windows.windows_defender"),
    "microsoft-windows-applocker/exe and dll": ("windows", "windows.applocker_exe_and_dll"),
}
_OTHER = ("windows", "winlog.winlogs")
_Refinement = Callable[[WindowsRecord, Document], None]
_REFINEMENTS: dict[str, _Refinement] = {
    "microsoft-windows-sysmon": sysmon.refine,
    "microsoft-windows-security-auditing": windows_security.refine,
}


def document_of(record: WindowsRecord) -> Document:
    """The ECS document of a Windows event.

    Sysmon and Security events get their fields; every other event keeps its data under `winlog`. Raises
    RecordError where the event has no usable time.
    """
    document = _common(record)
    refine = _REFINEMENTS.get(record.provider.lower())
    if refine is not None:
        refine(record, document)
    elif record.channel.lower() == "security":
        windows_security.refine(record, document)
    else:
        _put_all(document, "winlog.event_data", record.data)
    return document


def document_of_json(event: JsonEvent) -> Document:
    """The ECS document of a Windows event out of JSON: the event mapped, and what else its source said.

    A host.id of the source counts more than a derived one. A corrected time is marked with what was added, a
    collector's as derived. Raises RecordError as `document_of` does, and where the source has a value at the
    place of an object.
    """
    document = document_of(event.record)
    if ecs.get(event.rest, "host.id") is not None:
        document["host"].pop("id", None)
        document.pop("casewright", None)
    if event.is_received:
        derived = [*ecs.values(document, "casewright.derived"), "event.created"]
        ecs.put(document, "casewright.derived", derived)
    if event.correction:
        ecs.put(document, "casewright.time_corrected", windows_time.offset_text(event.correction))
    _add_rest(document, event.rest, "")
    return document


def _add_rest(document: Document, rest: Document, under: str) -> None:
    for name, value in rest.items():
        mapped = document.get(name)
        if mapped is None:
            document[name] = value
        elif isinstance(mapped, dict) and isinstance(value, dict):
            _add_rest(mapped, value, f"{under}{name}.")
        elif isinstance(mapped, dict) != isinstance(value, dict):
            raise RecordError(f"{under}{name} is an object in ECS and a value here, or the other way round.")


def _common(record: WindowsRecord) -> Document:
    created = _created(record)
    module, dataset = _DATASETS.get(record.channel.lower(), _OTHER)
    host: Document = {"os": {"type": "windows", "family": "windows"}}
    event: Document = {
        "kind": "event",
        "module": module,
        "dataset": dataset,
        "created": created,
        "code": record.event_id,
        "provider": record.provider,
    }
    if outcome := _outcome(record):
        event["outcome"] = outcome
    document: Document = {
        "@timestamp": created,
        "ecs": {"version": ECS_VERSION},
        "event": event,
        "data_stream": {"type": "logs", "dataset": dataset, "namespace": "default"},
        "host": host,
        "log": {"level": _LEVELS.get(record.level, "information")},
        "winlog": _winlog(record, outcome),
    }
    if record.user_sid:
        document["user"] = {"id": record.user_sid}
    if record.computer:
        # A stand-in for the machine's id, which a raw event lacks; without it no join by host works.
        host["name"], host["id"] = record.computer, record.computer.lower()
        document["casewright"] = {"derived": ["host.id"]}
    return document


def _created(record: WindowsRecord) -> str:
    try:
        moments.nanoseconds(record.time_created)
    except moments.TimeError as error:
        raise RecordError(f"TimeCreated: {error}.", position=f"record {record.record_id}") from None
    return record.time_created


def _winlog(record: WindowsRecord, outcome: str) -> Document:
    found: Document = {
        name: value
        for name, value in (
            ("channel", record.channel),
            ("computer_name", record.computer),
            ("event_id", record.event_id),
            ("record_id", record.record_id),
            ("provider_name", record.provider),
            ("provider_guid", record.provider_guid),
            ("activity_id", record.activity_id),
            ("opcode", _OPCODES.get(record.opcode)),
            ("version", record.version),
        )
        if value
    }
    if record.process_id is not None:
        found["process"] = {"pid": record.process_id}
    if record.thread_id is not None:
        found.setdefault("process", {})["thread"] = {"id": record.thread_id}
    if record.user_sid:
        found["user"] = {"identifier": record.user_sid}
    if outcome:
        found["keywords"] = [f"Audit {outcome.capitalize()}"]
    if record.user_data:
        known = {name: value for name, value in record.user_data.items() if value}
        found["user_data"] = {**known, "xml_name": record.user_data_of} if record.user_data_of else known
    return found


def _outcome(record: WindowsRecord) -> str:
    if record.keywords & _AUDIT_FAILURE:
        return "failure"
    return "success" if record.keywords & _AUDIT_SUCCESS else ""


def _put_all(document: Document, under: str, values: dict[str, str]) -> None:
    kept = {name: value for name, value in values.items() if value}
    if kept:
        ecs.put(document, under, kept)
