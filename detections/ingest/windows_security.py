"""Events of the Security log in ECS: logons, sessions, processes, accounts, groups, policies, shares.

Differences from what other shippers do are deliberate and listed in docs/telemetry.md.
"""

import re
from collections.abc import Callable

from detections import ecs
from detections.ecs import Document
from detections.ingest import command_line, windows_accounts, windows_values
from detections.ingest import windows_security_codes as codes
from detections.ingest.windows_fields import add_related, address, base_name, number, put_file
from detections.ingest.windows_record import WindowsRecord

PROVIDERS = frozenset({"microsoft-windows-security-auditing", "microsoft-windows-eventlog"})
CODES = frozenset(codes.MEANINGS)
_NOTHING = ("", "-")
_Data = dict[str, str]
_Kept = dict[str, object]


def refine(record: WindowsRecord, document: Document) -> None:
    """Fill in what a Security event means. What no field takes stays in `winlog.event_data`."""
    data = {name: value for name, value in record.data.items() if value}
    code = record.event_id
    if code in codes.MEANINGS:
        category, kind, action = codes.MEANINGS[code]
        event = document["event"]
        event["category"], event["type"], event["action"] = list(category), list(kind), action
    windows_accounts.put_accounts(document, {**record.user_data, **data}, code)
    _put_logon(document, data, code)
    _put_process(document, data, code)
    _put_source(document, data, code)
    if code in codes.SERVICES:
        ecs.put(document, "service.name", _known(data, "ServiceName"))
        ecs.put(document, "service.type", windows_values.SERVICE_TYPES.get(data.get("ServiceType", "")))
    kept: _Kept = dict(data)
    if code in codes.PRIVILEGES and "PrivilegeList" in data:
        kept["PrivilegeList"] = data["PrivilegeList"].split()
    for explain in _EXPLANATIONS.get(code, ()):
        explain(document, data, kept)
    if kept:
        ecs.put(document, "winlog.event_data", kept)


def _known(data: _Data, name: str) -> str:
    value = data.get(name, "")
    return "" if value in _NOTHING else value


def _put_logon(document: Document, data: _Data, code: str) -> None:
    session = "TargetLogonId" if code in codes.TARGET_SESSION else "SubjectLogonId"
    user_data = document["winlog"].get("user_data", {})
    ecs.put(
        document,
        "winlog.logon.id",
        _known(data, session) or _known(data, "LogonID") or _known(user_data, session),
    )
    ecs.put(document, "winlog.logon.type", windows_values.LOGON_TYPES.get(data.get("LogonType", "")))


def _put_process(document: Document, data: _Data, code: str) -> None:
    if code == "4688":
        _put_image(document, data.pop("NewProcessName", ""), data.pop("NewProcessId", ""), "process")
        _put_image(document, data.pop("ParentProcessName", ""), data.get("ProcessId", ""), "process.parent")
        command_line.put(document, _known(data, "CommandLine"))
        return
    # A caller stays in the data too, where rules look for it.
    image = data.pop("ProcessName", "") or data.get("CallerProcessName", "")
    pid = data.pop("ProcessId", "") or data.get("CallerProcessId", "")
    _put_image(document, image, pid, "process")


def _put_image(document: Document, image: str, pid: str, under: str) -> None:
    image = "" if image in _NOTHING else image
    ecs.put(document, f"{under}.executable", image)
    ecs.put(document, f"{under}.name", base_name(image))
    ecs.put(document, f"{under}.pid", number(pid))


def _put_source(document: Document, data: _Data, code: str) -> None:
    _put_ip(document, data, "IpAddress")
    port = number(_known(data, "IpPort"))
    if port is not None:
        ecs.put(document, "source.port", port)
        del data["IpPort"]
    workstation = _known(data, "WorkstationName")
    if workstation:
        ecs.put(document, "source.domain", workstation)
        del data["WorkstationName"]
    if code in codes.ACCOUNT_IS_USER:
        _put_client(document, data)


def _put_ip(document: Document, data: _Data, name: str) -> None:
    ip = address(_known(data, name))
    if ip:
        ecs.put(document, "source.ip", ip)
        add_related(document, "ip", ip)
        del data[name]


def _put_client(document: Document, data: _Data) -> None:
    """The client of a remote session; `LOCAL` is the machine itself. Both stay in the data too."""
    client = _known(data, "ClientAddress")
    ip = "127.0.0.1" if client == "LOCAL" else address(client)
    ecs.put(document, "source.ip", ip)
    add_related(document, "ip", ip)
    ecs.put(document, "source.domain", _known(data, "ClientName"))


def _put_share(document: Document, data: _Data, kept: _Kept) -> None:
    relative = _known(data, "RelativeTargetName")
    folder = _known(data, "ShareLocalPath").removeprefix("\\??\\").rstrip("\\")
    if folder and relative:
        put_file(document, f"{folder}\\{relative}")
    share = _known(data, "ShareName")
    ecs.put(document, "file.target_path", f"{share}\\{relative}" if relative else share)


def _put_failure(document: Document, data: _Data, kept: _Kept) -> None:
    reason = windows_values.LOGON_FAILURE_REASONS.get(data.get("FailureReason", ""))
    ecs.put(document, "winlog.logon.failure.reason", reason)
    for name, field in (("Status", "status"), ("SubStatus", "sub_status")):
        code = number(data.get(name, ""))
        if code is not None:
            meaning = windows_values.LOGON_FAILURES.get(code)
            ecs.put(document, f"winlog.logon.failure.{field}", meaning)


def _explain_ticket(document: Document, data: _Data, kept: _Kept) -> None:
    options, status = number(data.get("TicketOptions", "")), number(data.get("Status", ""))
    encryption = number(data.get("TicketEncryptionType", ""))
    if options is not None:
        kept["TicketOptionsDescription"] = windows_values.ticket_options(options)
    if status in windows_values.KERBEROS_STATUS:
        kept["StatusDescription"] = windows_values.KERBEROS_STATUS[status]
    if encryption in windows_values.TICKET_ENCRYPTION:
        kept["TicketEncryptionTypeDescription"] = windows_values.TICKET_ENCRYPTION[encryption]


def _explain_account(document: Document, data: _Data, kept: _Kept) -> None:
    if "UserAccountControl" in data:
        kept["UserAccountControl"] = data["UserAccountControl"].replace("%%", "").split()
    flags = windows_values.account_flags(number(data.get("NewUacValue", "")) or 0)
    if flags:
        kept["NewUACList"] = flags


def _explain_policy(document: Document, data: _Data, kept: _Kept) -> None:
    """What an audit policy's change was, in words; the numbers stay."""
    changes = re.split(r"[,\s]+", data.get("AuditPolicyChanges", ""))
    described = [
        windows_values.AUDIT_CHANGES[change] for change in changes if change in windows_values.AUDIT_CHANGES
    ]
    if described:
        kept["AuditPolicyChangesDescription"] = described
    for name, value in (
        ("Category", windows_values.AUDIT_CATEGORIES.get(data.get("CategoryId", ""), "")),
        ("SubCategory", windows_values.audit_subcategory(data.get("SubcategoryGuid", ""))),
    ):
        if value:
            kept[name] = value


def _explain_trust(document: Document, data: _Data, kept: _Kept) -> None:
    for name, field, names in (
        ("TdoDirection", "trustDirection", windows_values.TRUST_DIRECTIONS),
        ("TdoType", "trustType", windows_values.TRUST_TYPES),
        ("TdoAttributes", "trustAttribute", windows_values.TRUST_ATTRIBUTES),
    ):
        value = number(data.get(name, ""))
        ecs.put(document, f"winlog.{field}", None if value is None else names.get(value))


def _split_rights(document: Document, data: _Data, kept: _Kept) -> None:
    listed = data.get("AccessMask", "").split()
    if any(code.startswith("%%") for code in listed):
        kept["AccessMask"] = listed
        named = windows_values.rights(listed)
        if named:
            kept["AccessMaskDescription"] = named


def _split_sids(document: Document, data: _Data, kept: _Kept) -> None:
    if "SidList" in data:
        kept["SidList"] = data["SidList"].split()


_Explanation = Callable[[Document, _Data, _Kept], None]
_EXPLANATIONS: dict[str, tuple[_Explanation, ...]] = {
    **dict.fromkeys(("4625", "4776"), (_put_failure,)),
    **dict.fromkeys(("4768", "4769", "4770", "4771"), (_explain_ticket,)),
    **dict.fromkeys(("4720", "4738", "4741", "4742"), (_explain_account,)),
    **dict.fromkeys(("4719", "4912"), (_explain_policy,)),
    **dict.fromkeys(("4706", "4716"), (_explain_trust,)),
    **dict.fromkeys(("5140", "5145"), (_put_share,)),
    "4674": (_split_rights,),
    "4908": (_split_sids,),
}
