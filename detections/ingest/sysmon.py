"""Sysmon events in ECS. Field by field after the public documentation of Sysmon and of ECS.

Differences from what other shippers do are deliberate and listed in docs/telemetry.md.
"""

from collections.abc import Callable

from detections import ecs
from detections.ecs import Document
from detections.ingest import command_line, moments, sysmon_network
from detections.ingest.windows_fields import (
    add_related,
    base_name,
    hashes,
    number,
    put_account,
    put_file,
)
from detections.ingest.windows_record import WindowsRecord

_NOTHING = frozenset({"", "-", "{00000000-0000-0000-0000-000000000000}"})

# id: event.category, event.type, event.action
_MEANINGS: dict[str, tuple[list[str], list[str], list[str] | str]] = {
    "1": (["process"], ["start"], "Process creation"),
    "2": (["file"], ["change"], "A process changed a file creation time"),
    "3": (["network"], ["start", "connection", "protocol"], "Network connection"),
    "4": (["process"], ["change"], "Sysmon service state changed"),
    "5": (["process"], ["end"], "Process terminated"),
    "6": (["driver"], ["start"], "Driver loaded"),
    # `start` is left out: with it every image load would be a process start to `event.type == "start"`.
    "7": (["process", "library"], ["change"], ["Image loaded", "load"]),
    "8": (["process"], ["change"], "CreateRemoteThread"),
    "9": (["process"], ["access"], "RawAccessRead"),
    "10": (["process"], ["access"], "ProcessAccess"),
    "11": (["file"], ["creation"], "FileCreate"),
    "12": (["configuration", "registry"], ["change"], "RegistryEvent (Object create and delete)"),
    "13": (["configuration", "registry"], ["change"], "RegistryEvent (Value Set)"),
    "14": (["configuration", "registry"], ["change"], "RegistryEvent (Key and Value Rename)"),
    "15": (["file"], ["access"], "FileCreateStreamHash"),
    "16": (["configuration"], ["change"], "Sysmon config state changed"),
    "17": (["file"], ["creation"], "PipeEvent (Pipe Created)"),
    "18": (["file"], ["access"], "PipeEvent (Pipe Connected)"),
    "19": (["process"], ["creation"], "WmiEvent (WmiEventFilter activity detected)"),
    "20": (["process"], ["creation"], "WmiEvent (WmiEventConsumer activity detected)"),
    "21": (["process"], ["access"], "WmiEvent (WmiEventConsumerToFilter activity detected)"),
    "22": (["network"], ["connection", "protocol", "info"], "DNSEvent (DNS query)"),
    "23": (["file"], ["deletion"], "FileDelete (File Delete archived)"),
    "24": ([], ["change"], "ClipboardChange (New content in the clipboard)"),
    "25": (["process"], ["change"], "ProcessTampering (Process image change)"),
    "26": (["file"], ["deletion"], "FileDeleteDetected (File Delete logged)"),
    "27": (["file"], ["creation", "denied"], "FileBlockExecutable"),
    "28": (["file"], ["deletion", "denied"], "FileBlockShredding"),
    "29": (["file"], ["creation"], "FileExecutableDetected"),
    "255": (["process"], ["error"], "Error"),
}
CODES = frozenset(_MEANINGS)
_PROCESS_HASHES = frozenset({"1", "23", "24", "25", "26"})
_FILE_HASHES = frozenset({"6", "7", "15", "29"})
_IMAGE_DETAILS = {
    "Company": "company",
    "Description": "description",
    "FileVersion": "file_version",
    "Product": "product",
}
_HIVES = {
    "HKEY_CLASSES_ROOT": "HKCR",
    "HKEY_CURRENT_USER": "HKCU",
    "HKEY_LOCAL_MACHINE": "HKLM",
    "HKEY_USERS": "HKU",
    "HKEY_CURRENT_CONFIG": "HKCC",
}
_Data = dict[str, str]


def refine(record: WindowsRecord, document: Document) -> None:
    """Fill in what a Sysmon event means. What no field takes stays in `winlog.event_data`."""
    data = {name: value for name, value in record.data.items() if value not in _NOTHING}
    category, kind, action = _MEANINGS.get(record.event_id, ([], [], ""))
    ecs.put(document, "event.category", category or None)
    ecs.put(document, "event.type", kind or None)
    ecs.put(document, "event.action", action)
    _put_time(document, data)
    ecs.put(document, "rule.name", data.pop("RuleName", ""))
    _put_process(document, data)
    put_account(document, data.pop("User", ""))
    _put_image_details(document, data, record.event_id)
    _put_hashes(document, data, record.event_id)
    for put in _PARTS.get(record.event_id, ()):
        put(document, data)
    if data:
        ecs.put(document, "winlog.event_data", data)


def _put_time(document: Document, data: _Data) -> None:
    """UtcTime has no zone in the text and is UTC by definition. An unreadable one stays in the data."""
    text = data.get("UtcTime", "").replace(" ", "T", 1) + "Z"
    try:
        moments.nanoseconds(text)
    except moments.TimeError:
        return
    document["@timestamp"] = text
    del data["UtcTime"]


def _take(data: _Data, *names: str) -> str:
    """The first of the values that is there; it leaves the data."""
    for name in names:
        if name in data:
            return data.pop(name)
    return ""


def _put_process(document: Document, data: _Data) -> None:
    image = _take(data, "Image", "SourceImage", "Destination")
    ecs.put(
        document, "process.entity_id", _take(data, "ProcessGuid", "SourceProcessGuid", "SourceProcessGUID")
    )
    ecs.put(document, "process.pid", number(_take(data, "ProcessId", "SourceProcessId")))
    ecs.put(document, "process.thread.id", number(_take(data, "SourceThreadId")))
    ecs.put(document, "process.executable", image)
    ecs.put(document, "process.name", base_name(image))
    ecs.put(document, "process.working_directory", _take(data, "CurrentDirectory"))
    command_line.put(document, _take(data, "CommandLine"))
    parent = _take(data, "ParentImage")
    ecs.put(document, "process.parent.entity_id", _take(data, "ParentProcessGuid"))
    ecs.put(document, "process.parent.pid", number(_take(data, "ParentProcessId")))
    ecs.put(document, "process.parent.executable", parent)
    ecs.put(document, "process.parent.name", base_name(parent))
    command_line.put(document, _take(data, "ParentCommandLine"), "process.parent")


def _put_image_details(document: Document, data: _Data, event_id: str) -> None:
    under = "file.pe" if event_id == "7" else "process.pe"
    ecs.put(document, f"{under}.original_file_name", _take(data, "OriginalFileName"))
    for name, field in _IMAGE_DETAILS.items():
        ecs.put(document, f"{under}.{field}", data.get(name))


def _put_hashes(document: Document, data: _Data, event_id: str) -> None:
    found = hashes(_take(data, "Hashes", "Hash"))
    add_related(document, "hash", *found.values())
    subject = "process" if event_id in _PROCESS_HASHES else "file" if event_id in _FILE_HASHES else ""
    for name, value in found.items():
        if subject:
            kind = "pe.imphash" if name == "imphash" else f"hash.{name}"
            ecs.put(document, f"{subject}.{kind}", value)


def _put_target_file(document: Document, data: _Data) -> None:
    put_file(document, _take(data, "TargetFilename", "Device"))
    _put_archive(document, data)


def _put_archive(document: Document, data: _Data) -> None:
    for name, field in (("Archived", "archived"), ("IsExecutable", "is_executable")):
        value = data.pop(name, "").lower()
        if value in ("true", "false"):
            ecs.put(document, f"sysmon.file.{field}", value == "true")


def _put_pipe(document: Document, data: _Data) -> None:
    ecs.put(document, "file.name", _take(data, "PipeName"))


def _put_image_loaded(document: Document, data: _Data) -> None:
    put_file(document, _take(data, "ImageLoaded"))
    status = data.get("SignatureStatus", "")
    ecs.put(document, "file.code_signature.subject_name", data.get("Signature"))
    ecs.put(document, "file.code_signature.status", status)
    if status:
        ecs.put(document, "file.code_signature.valid", status == "Valid")


def _put_library(document: Document, data: _Data) -> None:
    """The loaded image as `dll` too, which is where rules on libraries look."""
    for source, target in (
        ("file.path", "path"),
        ("file.name", "name"),
        ("file.hash.md5", "hash.md5"),
        ("file.hash.sha1", "hash.sha1"),
        ("file.hash.sha256", "hash.sha256"),
        ("file.pe.imphash", "pe.imphash"),
        ("file.pe.original_file_name", "pe.original_file_name"),
        ("file.code_signature.subject_name", "code_signature.subject_name"),
        ("file.code_signature.status", "code_signature.status"),
    ):
        ecs.put(document, f"dll.{target}", ecs.get(document, source))
    signed, status = data.get("Signed", ""), data.get("SignatureStatus", "")
    if signed in ("true", "false"):
        ecs.put(document, "dll.code_signature.exists", signed == "true")
        ecs.put(document, "dll.code_signature.trusted", signed == "true" and status == "Valid")
    elif signed:  # such as "failed: Invalid hash": a signature that proves nothing
        ecs.put(document, "dll.code_signature.status", status or signed)
        ecs.put(document, "dll.code_signature.trusted", False)
        ecs.put(document, "file.code_signature.trusted", False)


def _put_registry(document: Document, data: _Data) -> None:
    path = _take(data, "TargetObject")
    hive, _, key = path.partition("\\")
    ecs.put(document, "registry.hive", _HIVES.get(hive, hive))
    ecs.put(document, "registry.key", key)
    ecs.put(document, "registry.path", "\\".join(part for part in (_HIVES.get(hive, hive), key) if part))
    ecs.put(document, "registry.value", key.rpartition("\\")[2])
    _put_registry_data(document, _take(data, "Details"))


def _put_registry_data(document: Document, details: str) -> None:
    if not details:
        return
    kind, _, value = details.partition(" ")
    if kind in ("DWORD", "QWORD") and value.startswith("(0x") and value.endswith(")"):
        parts = [part.removeprefix("0x") for part in value[1:-1].split("-")]
        digits = number("0x" + "".join(part.zfill(8) for part in parts))
        if digits is not None:
            ecs.put(document, "registry.data.type", f"SZ_{kind}")
            ecs.put(document, "registry.data.strings", [str(digits)])
            return
    ecs.put(document, "registry.data.type", "REG_BINARY" if details == "Binary Data" else "REG_SZ")
    ecs.put(document, "registry.data.strings", [details])


def _put_message(document: Document, data: _Data) -> None:
    ecs.put(document, "message", _take(data, "Type"))


def _put_error(document: Document, data: _Data) -> None:
    ecs.put(document, "error.code", _take(data, "ID"))


_PARTS: dict[str, tuple[Callable[[Document, _Data], None], ...]] = {
    **dict.fromkeys(("2", "9", "11", "15", "23", "26", "27", "28", "29"), (_put_target_file,)),
    "3": (sysmon_network.put_connection,),
    "6": (_put_image_loaded,),
    "7": (_put_image_loaded, _put_library),
    **dict.fromkeys(("12", "13", "14"), (_put_registry,)),
    **dict.fromkeys(("17", "18"), (_put_pipe,)),
    "22": (sysmon_network.put_dns,),
    "24": (_put_archive,),
    "25": (_put_message,),
    "255": (_put_error,),
}
