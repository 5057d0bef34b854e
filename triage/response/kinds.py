"""The kinds of response actions that the product knows, and the row of each with what admins set."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate

from triage.enums import ObservableType as T
from triage.guides.model import StageAction
from triage.models import ActionKind

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class KindSpec:
    """One kind. targets: types of observables that it is done to, none for the case as a whole.

    requires: preconditions of its own, beside its stage's. undo: the kind that takes it back, "" for none.
    is_containment: it stays in force until it is undone, so a case can't close over it. lasts: how long it is
    asked for. fields: what the form asks beside the target. is_door: a page does it, no action is made.
    usual_reason: of what is done at one click where it needs neither approval nor a target.
    """

    key: str
    label: str
    targets: tuple[T, ...] = ()
    requires: tuple[str, ...] = ()
    undo: str = ""
    needs_approval: bool = True
    is_destructive: bool = False
    is_containment: bool = False
    lasts: timedelta | None = None
    auto_undo: bool = False
    fields: tuple[str, ...] = ()
    is_door: bool = False
    instructions: str = ""
    usual_reason: str = ""


PRESERVE, SEARCH = "preserve_evidence", "search_other_hosts"
_PRESERVED = "evidence_preserved"
_HOST_CUT = (_PRESERVED, "malicious_or_payload", "isolation_permitted")
SPECS: Mapping[str, KindSpec] = {
    spec.key: spec
    for spec in (
        KindSpec(
            PRESERVE,
            "Preserve the evidence",
            needs_approval=False,
            usual_reason="Preserve the evidence before anything is changed.",
            instructions="Casewright freezes what the guide names, asks for what nobody has asked yet, and "
            "makes the case pack.",
        ),
        KindSpec("collect_file", "Collect a file", (T.HASH,), needs_approval=False),
        KindSpec("list_processes", "List the running processes", (T.HOST,), needs_approval=False),
        KindSpec(
            SEARCH,
            "Search other hosts",
            needs_approval=False,
            usual_reason="Find the other hosts before anything is removed for good.",
            instructions="Casewright looks for the case's usual indicators on all hosts, a week before to a "
            "day after. To choose others or another window, use the Scope tab: that counts as well.",
        ),
        KindSpec(
            "ask_owner",
            "Ask an owner",
            needs_approval=False,
            fields=("address", "question", "confirmation"),
            instructions="Ask the owner, and record the answer as a confirmation of the case.",
        ),
        KindSpec(
            "watch_entity",
            "Watch a host or an account more closely",
            (T.HOST, T.USER),
            undo="unwatch_entity",
            needs_approval=False,
            lasts=7 * _DAY,
            auto_undo=True,
        ),
        KindSpec("unwatch_entity", "Stop watching", (T.HOST, T.USER), needs_approval=False),
        KindSpec(
            "block_dcom",
            "Block DCOM between source and host",
            (T.IP,),
            (_PRESERVED,),
            undo="unblock_dcom",
            is_containment=True,
            lasts=_DAY,
            instructions="Block TCP 135 and the dynamic ports from the source to the host, in the firewall "
            "between them or on the host. Note the rule's name.",
        ),
        KindSpec("unblock_dcom", "Allow DCOM between source and host again", (T.IP,), needs_approval=False),
        KindSpec(
            "block_destination",
            "Block the retrieval destination",
            (T.IP, T.DOMAIN, T.URL),
            (_PRESERVED,),
            undo="unblock_destination",
            is_containment=True,
            lasts=7 * _DAY,
        ),
        KindSpec(
            "unblock_destination", "Unblock the destination", (T.IP, T.DOMAIN, T.URL), needs_approval=False
        ),
        KindSpec(
            "block_indicators",
            "Block a malicious name, address or hash",
            (T.IP, T.DOMAIN, T.HASH),
            ("disposition_malicious",),
            undo="unblock_indicators",
            is_containment=True,
            lasts=30 * _DAY,
        ),
        KindSpec("unblock_indicators", "Unblock the value", (T.IP, T.DOMAIN, T.HASH), needs_approval=False),
        KindSpec(
            "isolate_host",
            "Isolate the host",
            (T.HOST,),
            _HOST_CUT,
            undo="release_host",
            is_containment=True,
            lasts=_DAY,
            instructions="Isolate the host in the endpoint product, or take it off the network.",
        ),
        KindSpec("release_host", "Release the host", (T.HOST,), needs_approval=False),
        KindSpec(
            "contain_source",
            "Contain the source system",
            (T.IP, T.HOST),
            ("disposition_malicious", "isolation_permitted"),
            undo="release_source",
            is_containment=True,
            lasts=_DAY,
        ),
        KindSpec("release_source", "Release the source system", (T.IP, T.HOST), needs_approval=False),
        KindSpec(
            "disable_account",
            "Disable the account",
            (T.USER,),
            ("disposition_malicious",),
            undo="enable_account",
            is_containment=True,
            lasts=_DAY,
        ),
        KindSpec("enable_account", "Enable the account", (T.USER,), needs_approval=False),
        KindSpec(
            "suspend_process",
            "Suspend a process",
            (T.PROCESS,),
            (_PRESERVED, "ids_recorded"),
            is_destructive=False,
        ),
        KindSpec(
            "kill_process", "End a process", (T.PROCESS,), (_PRESERVED, "ids_recorded"), is_destructive=True
        ),
        KindSpec(
            "delete_files",
            "Delete identified files",
            (T.HASH,),
            (_PRESERVED, "ids_recorded", "scope_known"),
            is_destructive=True,
        ),
        KindSpec(
            "reset_credentials",
            "Reset credentials",
            (T.USER,),
            ("scope_known",),
            is_destructive=True,
        ),
        KindSpec(
            "restrict_dcom",
            "Repair the DCOM exposure",
            (),
            ("scope_known",),
            undo="restore_dcom",
        ),
        KindSpec("restore_dcom", "Restore DCOM as it was", needs_approval=False),
        KindSpec("release_containment", "Take back temporary containment", is_door=True),
        KindSpec("propose_exception", "Propose an exception", is_door=True),
        KindSpec("revoke_exception", "Revoke the exception", is_door=True),
    )
}


def spec_of(key: str, action: StageAction | None = None) -> KindSpec:
    """What is known of a kind. One that only an overlay names is done by hand, and needs an approval."""
    if key in SPECS:
        return SPECS[key]
    label = action.label if action else key.replace("_", " ").capitalize()
    return KindSpec(
        key,
        label,
        undo=action.undo if action else "",
        is_destructive=bool(action and action.is_destructive),
        is_containment=bool(action and action.undo),
        lasts=_DAY if action and action.undo else None,
    )


def kind_of(key: str, action: StageAction | None = None) -> ActionKind:
    """The row of a kind, with what admins set; made from what the product knows if it is not there yet."""
    spec = spec_of(key, action)
    row, _created = ActionKind.objects.get_or_create(key=key, defaults=_defaults(spec))
    return row


def _defaults(spec: KindSpec) -> dict[str, Any]:
    return {
        "label": spec.label[:200],
        "needs_approval": spec.needs_approval or spec.is_destructive,
        "is_destructive": spec.is_destructive,
        "is_containment": spec.is_containment,
        "lasts_minutes": int(spec.lasts.total_seconds() // 60) if spec.lasts else None,
        "auto_undo": spec.auto_undo,
        "instructions": spec.instructions,
    }


def connect(app: AppConfig) -> None:
    """Make the rows of the known kinds after each migrate, since flush deletes what a migration made."""
    post_migrate.connect(_after_migrate, sender=app, dispatch_uid="action_kinds")


def _after_migrate(*, using: str, **_: Any) -> None:
    if ActionKind._meta.db_table not in connections[using].introspection.table_names():
        return
    known = set(ActionKind.objects.using(using).values_list("key", flat=True))
    ActionKind.objects.using(using).bulk_create(
        ActionKind(key=spec.key, **_defaults(spec))
        for spec in SPECS.values()
        if spec.key not in known and not spec.is_door
    )
