"""The fields that are known before any event was seen: ECS, and what integrations declare.

A field outside of this list and of the data is an unknown column: a query that names it is not applicable,
and one that names it as `?field` treats it as null. So the list is wide on purpose.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.resources import files

from detections.eql.fields import Field, FieldCatalogue, FieldType

# Whatever stands below these is text, unless it is listed further down or was seen with another type.
FAMILIES = (
    "auditd.data.",
    "aws.cloudtrail.",
    "azure.",
    "fortinet.firewall.",
    "gcp.audit.",
    "github.",
    "google_workspace.",
    "kibana.alert.",
    "kubernetes.audit.",
    "labels.",
    "network_traffic.",
    "o365.audit.",
    "okta.",
    "sysmon.",
    "winlog.event_data.",
    "winlog.user_data.",
    # Elastic Defend keeps its own fields under Ext.
    *(
        f"{owner}.Ext."
        for owner in (
            "dll",
            "dns",
            "driver",
            "file",
            "group",
            "host",
            "process",
            "process.parent",
            "process.group_leader",
            "process.entry_leader",
            "process.session_leader",
            "process.thread",
            "process.parent.thread",
            "registry",
            "Target.process",
            "Target.process.thread",
            "user",
            "user.effective",
        )
    ),
    "Effective_process.",
    "Endpoint.",
    "Memory_protection.",
    "Persistence.",
    "Ransomware.",
    "Target.process.",
    "Target.dll.",
)

_KEYWORDS = """
azure.correlation_id data_stream.dataset data_stream.namespace data_stream.type event.Ext.correlation.id
Persistence.name processor.name
winlog.activity_id winlog.api winlog.channel winlog.computer_name winlog.event_id winlog.keywords
winlog.level winlog.opcode winlog.outcome winlog.provider_guid winlog.provider_name winlog.record_id
winlog.related_activity_id winlog.task winlog.trustAttribute winlog.trustDirection winlog.trustType
winlog.logon.id winlog.logon.type winlog.logon.failure.reason winlog.logon.failure.status
winlog.logon.failure.sub_status winlog.time_created
winlog.user.domain winlog.user.identifier winlog.user.name winlog.user.type
"""
_LISTS = """
dll.Ext.code_signature.subject_name process.Ext.ancestry process.Ext.token.privileges.name
process.parent.Ext.ancestry kibana.alert.ancestors.id kibana.alert.rule.tags winlog.keywords
winlog.event_data.AccessList winlog.event_data.PrivilegeList winlog.event_data.AccessMaskDescription
"""
_LONGS = """
Target.process.pid Target.process.thread.id auditd.data.socket.port
azure.signinlogs.properties.status.error_code
dll.Ext.load_index dll.Ext.size event.Ext.correlation.sequence file.Ext.entry_modified kibana.alert.depth
kibana.alert.risk_score kibana.alert.rule.version process.Ext.effective_parent.pid
process.Ext.session_info.id
process.parent.Ext.real.pid process.parent.Ext.pid sysmon.file.depth winlog.process.pid
winlog.process.thread.id
winlog.version
"""
_DOUBLES = """
dll.Ext.relative_file_creation_time dll.Ext.relative_file_name_modify_time file.Ext.entropy
process.Ext.relative_file_creation_time process.Ext.relative_file_name_modify_time
"""
_BOOLEANS = """
aws.cloudtrail.session_credential_from_console azure.signinlogs.properties.device_detail.is_managed
azure.signinlogs.properties.is_interactive file.Ext.is_executable flow.final
google_workspace.drive.owner_is_team_drive process.Ext.token.elevation process.Ext.token.is_appcontainer
process.Ext.code_signature.exists process.Ext.code_signature.trusted Target.process.code_signature.exists
Target.process.code_signature.trusted process.Ext.session_info.is_admin sysmon.file.archived
sysmon.file.is_executable
"""
_DATES = "kibana.alert.original_time kibana.alert.start process.Ext.session_info.logon_time"


def _integration_fields() -> Iterator[Field]:
    declared = (
        (_KEYWORDS, FieldType.KEYWORD),
        (_LONGS, FieldType.LONG),
        (_DOUBLES, FieldType.DOUBLE),
        (_BOOLEANS, FieldType.BOOLEAN),
        (_DATES, FieldType.DATE),
    )
    for names, type_ in declared:
        yield from (Field(name, type_) for name in names.split())
    yield from (Field(name, FieldType.KEYWORD, is_list=True) for name in _LISTS.split())


class KnownFields(FieldCatalogue):
    """A catalogue in which every field of a family is known too, as text."""

    def __init__(self, fields: Iterable[Field] = (), families: tuple[str, ...] = FAMILIES) -> None:
        super().__init__(fields)
        self.families = families

    def __getitem__(self, name: str) -> Field:
        found = self._fields.get(name)
        if found is not None:
            return found
        if name.startswith(self.families):
            return Field(name, FieldType.KEYWORD)
        raise KeyError(name)

    def merged(self, others: Iterable[Field]) -> "KnownFields":
        """This catalogue and more fields; what is listed here keeps its type, a family gives way."""
        merged = KnownFields((), self.families)
        merged._fields = {**{field.name: field for field in others}, **self._fields}
        return merged


@lru_cache(maxsize=1)
def catalogue() -> KnownFields:
    """ECS and the declared integration fields."""
    text = files("detections.eql").joinpath("ecs_fields.tsv").read_text(encoding="utf-8")
    lines = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    ecs = [Field(name, FieldType(type_), bool(mark)) for name, type_, *mark in lines]
    return KnownFields([*_integration_fields(), *ecs])
