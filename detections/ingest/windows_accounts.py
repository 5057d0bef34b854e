"""Who acts and on whom in an event of the Security log: users, groups, members, computers."""

from detections import ecs
from detections.ecs import Document
from detections.ingest import windows_security_codes as codes
from detections.ingest.windows_fields import add_related

_NOTHING = ("", "-")
_Data = dict[str, str]


def put_accounts(document: Document, data: _Data, code: str) -> None:
    """`user`, and what the event does it to: `user.target`, `group`, `user.effective`, a computer account."""
    if code in codes.ACCOUNT_IS_USER:
        ecs.put(document, "user.name", _known(data, "AccountName"))
        ecs.put(document, "user.domain", _known(data, "AccountDomain"))
    else:
        _put_user(document, data, "Target" if code in codes.TARGET_IS_USER else "Subject", "user")
    add_related(document, "user", ecs.text(document, "user.name"))
    if code in codes.EFFECTIVE:
        _put_user(document, data, "Target", "user.effective")
    if code in codes.BOTH_RELATED:
        add_related(document, "user", _known(data, "TargetUserName"), _known(data, "SubjectUserName"))
    if code in codes.USER_TARGETS:
        _put_user(document, data, "Target", "user.target")
        add_related(document, "user", ecs.text(document, "user.target.name"))
    if code in codes.GROUPS:
        _put_group(document, data, code)
    if code in codes.COMPUTERS:
        _put_computer(document, data)
    if code == "4781":
        _put_renaming(document, data)


def _known(data: _Data, name: str) -> str:
    value = data.get(name, "")
    return "" if value in _NOTHING else value


def _put_user(document: Document, data: _Data, whose: str, under: str) -> None:
    ecs.put(document, f"{under}.id", _known(data, f"{whose}UserSid") or _known(data, f"{whose}Sid"))
    ecs.put(document, f"{under}.name", _known(data, f"{whose}UserName").partition("@")[0])
    ecs.put(document, f"{under}.domain", _known(data, f"{whose}DomainName"))


def _put_group(document: Document, data: _Data, code: str) -> None:
    fields = {
        "id": _known(data, "TargetSid"),
        "name": _known(data, "TargetUserName"),
        "domain": _known(data, "TargetDomainName"),
    }
    for field, value in fields.items():
        ecs.put(document, f"group.{field}", value)
        if code in codes.MEMBERSHIPS:
            ecs.put(document, f"user.target.group.{field}", value)
    if code in codes.MEMBERSHIPS:
        _put_member(document, _known(data, "MemberName"))


def _put_member(document: Document, distinguished_name: str) -> None:
    """A member by its distinguished name, `CN=Ann,CN=Users,DC=corp,DC=example`; commas in names are `\\,`."""
    parts = [part.strip().partition("=") for part in distinguished_name.replace("\\,", "\0").split(",")]
    values = [(kind.upper(), value.replace("\0", ",")) for kind, _, value in parts]
    name = next((value for kind, value in values if kind == "CN"), "")
    ecs.put(document, "user.target.name", name)
    ecs.put(document, "user.target.domain", ".".join(value for kind, value in values if kind == "DC"))
    add_related(document, "user", name)


def _put_computer(document: Document, data: _Data) -> None:
    ecs.put(document, "winlog.computerObject.id", _known(data, "TargetSid"))
    ecs.put(document, "winlog.computerObject.name", _known(data, "TargetUserName"))
    ecs.put(document, "winlog.computerObject.domain", _known(data, "TargetDomainName"))


def _put_renaming(document: Document, data: _Data) -> None:
    old, new = _known(data, "OldTargetUserName"), _known(data, "NewTargetUserName")
    ecs.put(document, "user.target.name", old)
    ecs.put(document, "user.changes.name", new)
    add_related(document, "user", new, old)
