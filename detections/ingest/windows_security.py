"""Events of the Security log in ECS: logons, sessions, processes, and the account that others name.

Differences from what other shippers do are deliberate and listed in docs/telemetry.md.
"""

from detections import ecs
from detections.ecs import Document
from detections.ingest import command_line
from detections.ingest.windows_fields import add_related, address, base_name, number, put_file
from detections.ingest.windows_record import WindowsRecord

# id: event.category, event.type, event.action
_MEANINGS: dict[str, tuple[list[str], list[str], str]] = {
    "1102": (["iam"], ["admin", "change"], "audit-log-cleared"),
    "4624": (["authentication"], ["start"], "logged-in"),
    "4625": (["authentication"], ["start"], "logon-failed"),
    "4634": (["authentication"], ["end"], "logged-out"),
    "4647": (["authentication"], ["end"], "logged-out"),
    "4648": (["authentication"], ["start"], "logged-in-explicit"),
    "4672": (["iam"], ["admin"], "logged-in-special"),
    "4688": (["process"], ["start"], "created-process"),
    "4689": (["process"], ["end"], "exited-process"),
    "4697": (["iam", "configuration"], ["admin", "change"], "service-installed"),
    "4698": (["iam", "configuration"], ["creation", "admin"], "scheduled-task-created"),
    "4699": (["iam", "configuration"], ["deletion", "admin"], "scheduled-task-deleted"),
    "4702": (["iam", "configuration"], ["change", "admin"], "scheduled-task-updated"),
    "4768": (["authentication"], ["start"], "kerberos-authentication-ticket-requested"),
    "4769": (["authentication"], ["start"], "kerberos-service-ticket-requested"),
    "4776": (["authentication"], ["start"], "credential-validated"),
    "5140": (["network", "file"], ["info", "access"], "network-share-object-accessed"),
    "5145": (["network", "file"], ["info", "access"], "network-share-object-access-checked"),
}
_TARGET_IS_USER = frozenset({"4624", "4625", "4634", "4647", "4768", "4769", "4776"})
_EFFECTIVE = frozenset({"4648", "4688"})
_TARGET_SESSION = frozenset({"4634", "4647"})
_BOTH_RELATED = frozenset({"4624", "4648"})
_LOGON_TYPES = {
    "0": "System",
    "2": "Interactive",
    "3": "Network",
    "4": "Batch",
    "5": "Service",
    "7": "Unlock",
    "8": "NetworkCleartext",
    "9": "NewCredentials",
    "10": "RemoteInteractive",
    "11": "CachedInteractive",
    "12": "CachedRemoteInteractive",
    "13": "CachedUnlock",
}
_SERVICE_TYPES = {
    "0x1": "Kernel Driver",
    "0x2": "File System Driver",
    "0x10": "Win32 Own Process",
    "0x20": "Win32 Share Process",
    "0x110": "Interactive Own Process",
    "0x120": "Interactive Share Process",
}
_PRIVILEGES = frozenset({"4672", "4673", "4674"})
_NOTHING = ("", "-")
_Data = dict[str, str]


def refine(record: WindowsRecord, document: Document) -> None:
    """Fill in what a Security event means. What no field takes stays in `winlog.event_data`."""
    data = {name: value for name, value in record.data.items() if value}
    category, kind, action = _MEANINGS.get(record.event_id, ([], [], ""))
    ecs.put(document, "event.category", category or None)
    ecs.put(document, "event.type", kind or None)
    ecs.put(document, "event.action", action)
    _put_users(document, {**record.user_data, **data}, record.event_id)
    _put_logon(document, data, record.event_id)
    _put_process(document, data, record.event_id)
    _put_source(document, data)
    if record.event_id in ("5140", "5145"):
        _put_share(document, data)
    if record.event_id == "4697":
        ecs.put(document, "service.name", _known(data, "ServiceName"))
        ecs.put(document, "service.type", _SERVICE_TYPES.get(data.get("ServiceType", "")))
    kept: dict[str, object] = dict(data)
    if record.event_id in _PRIVILEGES and data.get("PrivilegeList", "-") != "-":
        kept["PrivilegeList"] = data["PrivilegeList"].split()
    if kept:
        ecs.put(document, "winlog.event_data", kept)


def _known(data: _Data, name: str) -> str:
    value = data.get(name, "")
    return "" if value in _NOTHING else value


def _put_users(document: Document, data: _Data, event_id: str) -> None:
    whose = "Target" if event_id in _TARGET_IS_USER else "Subject"
    _put_user(document, data, whose, "user")
    if event_id in _EFFECTIVE:
        _put_user(document, data, "Target", "user.effective")
    add_related(document, "user", ecs.text(document, "user.name"))
    if event_id in _BOTH_RELATED:
        add_related(document, "user", _known(data, "TargetUserName"), _known(data, "SubjectUserName"))


def _put_user(document: Document, data: _Data, whose: str, under: str) -> None:
    ecs.put(document, f"{under}.id", _known(data, f"{whose}UserSid") or _known(data, f"{whose}Sid"))
    ecs.put(document, f"{under}.name", _known(data, f"{whose}UserName").partition("@")[0])
    ecs.put(document, f"{under}.domain", _known(data, f"{whose}DomainName"))


def _put_logon(document: Document, data: _Data, event_id: str) -> None:
    session = "TargetLogonId" if event_id in _TARGET_SESSION else "SubjectLogonId"
    ecs.put(document, "winlog.logon.id", _known(data, session))
    ecs.put(document, "winlog.logon.type", _LOGON_TYPES.get(data.get("LogonType", "")))


def _put_process(document: Document, data: _Data, event_id: str) -> None:
    if event_id == "4688":
        _put_image(document, data.pop("NewProcessName", ""), data.pop("NewProcessId", ""), "process")
        _put_image(document, data.pop("ParentProcessName", ""), data.get("ProcessId", ""), "process.parent")
        _put_command_line(document, _known(data, "CommandLine"))
        return
    image = data.pop("ProcessName", "") or data.pop("CallerProcessName", "")
    pid = data.pop("ProcessId", "") or data.pop("CallerProcessId", "")
    _put_image(document, image, pid, "process")


def _put_image(document: Document, image: str, pid: str, under: str) -> None:
    image = "" if image in _NOTHING else image
    ecs.put(document, f"{under}.executable", image)
    ecs.put(document, f"{under}.name", base_name(image))
    ecs.put(document, f"{under}.pid", number(pid))


def _put_command_line(document: Document, text: str) -> None:
    ecs.put(document, "process.command_line", text)
    arguments = command_line.arguments(text)
    if arguments:
        ecs.put(document, "process.args", arguments)
        ecs.put(document, "process.args_count", len(arguments))


def _put_source(document: Document, data: _Data) -> None:
    ip = address(_known(data, "IpAddress"))
    if ip:
        ecs.put(document, "source.ip", ip)
        add_related(document, "ip", ip)
        del data["IpAddress"]
    port = number(_known(data, "IpPort"))
    if port is not None:
        ecs.put(document, "source.port", port)
        del data["IpPort"]
    workstation = _known(data, "WorkstationName")
    if workstation:
        ecs.put(document, "source.domain", workstation)
        del data["WorkstationName"]


def _put_share(document: Document, data: _Data) -> None:
    relative = _known(data, "RelativeTargetName")
    folder = _known(data, "ShareLocalPath").removeprefix("\\??\\").rstrip("\\")
    if folder and relative:
        put_file(document, f"{folder}\\{relative}")
    share = _known(data, "ShareName")
    ecs.put(document, "file.target_path", f"{share}\\{relative}" if relative else share)
