"""Lists of values that exceptions refer to, each version approved by a second person."""

import re
from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from detections.actors import Actor
from triage.enums import ExceptionState, ValueListType
from triage.errors import ContentFaultsError, TriageError
from triage.exception_items.evaluation import address, domain
from triage.exception_items.forms import Fault, address_fault, domain_fault, network_fault
from triage.exception_items.way import Way
from triage.models import ExceptionVersion, ValueList, ValueListVersion
from triage.models.exception_item import value_list_sha256

MOST_VALUES = 50_000
MOST_FAULTS = 20
_HASH = re.compile(r"[0-9a-fA-F]{32,128}")
_S = ExceptionState


def plain_values(kind: str, values: Sequence[str]) -> list[str]:
    """The values in their one spelling, sorted, each once. Raises ContentFaultsError with faults."""
    if len(values) > MOST_VALUES:
        says = f"{len(values):,} values: at most {MOST_VALUES:,} fit into a list. Split it, or name networks."
        raise ContentFaultsError([Fault("values", says)])
    faults = [
        Fault("values", f"Line {number}: {says}")
        for number, value in enumerate(values, start=1)
        if (says := _fault(kind, value.strip()))
    ]
    if faults:
        raise ContentFaultsError(faults[:MOST_FAULTS])
    found = sorted({_plain(kind, value) for value in values if value.strip()})
    if not found:
        raise ContentFaultsError([Fault("values", "Give at least one value.")])
    return found


def _fault(kind: str, value: str) -> str:
    if not value:
        return ""
    if kind == ValueListType.IP:
        return (
            f"{value[:80]!r} is no address. For networks, make a list of networks."
            if address_fault(value)
            else ""
        )
    if kind == ValueListType.CIDR:
        return network_fault(value)
    if kind == ValueListType.HASH and not _HASH.fullmatch(value):
        return f"{value[:80]!r} is no hash."
    return domain_fault(value) if kind == ValueListType.DOMAIN else ""


def _plain(kind: str, value: str) -> str:
    if kind == ValueListType.KEYWORD:
        return value
    stripped = value.strip()
    if kind == ValueListType.IP:
        return address(stripped)
    return domain(stripped) if kind == ValueListType.DOMAIN else stripped.lower()


def draft_list(
    name: str, kind: str, values: Sequence[str], *, actor: Actor, reason: str, note: str = ""
) -> ValueListVersion:
    """A new list with its first version, a draft. Raises NotPermittedError, ContentFaultsError."""
    user = _WAY.person(actor)
    if not name.strip() or kind not in ValueListType.values:
        raise ContentFaultsError([Fault("name", "Give the list a name and a type.")])
    if ValueList.objects.filter(name=name.strip()).exists():
        raise ContentFaultsError([Fault("name", f"There is a list {name.strip()!r} already.")])
    plain = plain_values(kind, values)
    with transaction.atomic():
        made = ValueList.objects.create(name=name.strip(), type=kind, note=note, created_by=user)
        row = _version(made, 1, plain, reason, user)
        _WAY.write(row, "drafted", actor)
    return row


def edit_list(
    version: ValueListVersion, values: Sequence[str], *, actor: Actor, revision: int, reason: str
) -> ValueListVersion:
    """A draft in place; else a new draft, by which a version on its way is superseded. Raises
    NotPermittedError, ContentFaultsError, StaleEditError."""
    user = _WAY.person(actor)
    plain = plain_values(version.value_list.type, values)
    with transaction.atomic():
        row = _locked(version)
        _WAY.check_revision(row, revision)
        if row.state == _S.DRAFT:
            row.values, row.reason, row.last_edited_by = plain, reason.strip(), user
            row.content_sha256 = value_list_sha256(row.value_list, plain, row.reason)
            _WAY.move(row, _S.DRAFT)
            changed = row
        else:
            changed = _next(row, plain, reason, user)
        _WAY.write(changed, "edited", actor, before=str(row))
    return changed


def propose_list(version: ValueListVersion, *, actor: Actor, revision: int) -> ValueListVersion:
    """Ask for approval. Raises NotPermittedError, StaleEditError, TriageError."""

    def check(row: ValueListVersion) -> None:
        if not row.reason:
            raise TriageError("Say what the list is for, or why it changes.")

    return _WAY.propose(version, actor=actor, revision=revision, check=check)


def approve_list(version: ValueListVersion, *, actor: Actor, seen_sha256: str) -> ValueListVersion:
    """Approve and put in force; the version before it is superseded in the same moment. Raises
    NotPermittedError, StaleEditError, TriageError."""

    def check(row: ValueListVersion, _user: User) -> None:
        if row.sha256_of_content() != row.content_sha256:
            raise TriageError(f"{row} does not have the content that its hash was taken of. Edit it.")

    now = timezone.now()
    with transaction.atomic():
        row = _WAY.approve(version, actor=actor, seen_sha256=seen_sha256, check=check, now=now)
        _WAY.activate(row, now, actor)
    return row


def decline_list(
    version: ValueListVersion, *, actor: Actor, reason: str, seen_sha256: str
) -> ValueListVersion:
    """Say no, with a reason. Raises NotPermittedError, StaleEditError, TriageError."""
    return _WAY.decline(version, actor=actor, reason=reason, seen_sha256=seen_sha256)


def revoke_list(version: ValueListVersion, *, actor: Actor, reason: str) -> ValueListVersion:
    """Take the active version out of force. Raises NotPermittedError, StaleEditError, TriageError while an
    active exception refers to the list: without it nobody could tell what that one hides."""

    def check(row: ValueListVersion) -> None:
        if users := _users(row.value_list):
            raise TriageError(f"{', '.join(users)} refer to it. Revoke or change them first.")

    return _WAY.revoke(version, actor=actor, reason=reason, check=check)


def _users(value_list: ValueList) -> list[str]:
    """Labels of active and approved exceptions that refer to the list."""
    in_use = ExceptionVersion.objects.filter(state__in=[_S.ACTIVE, _S.APPROVED]).select_related("item")
    return [
        row.label
        for row in in_use
        if any(entry.get("value_list") == value_list.name for entry in row.entries)
    ]


def _version(
    value_list: ValueList, number: int, values: list[str], reason: str, user: User
) -> ValueListVersion:
    return ValueListVersion.objects.create(
        value_list=value_list,
        number=number,
        values=values,
        reason=reason.strip(),
        content_sha256=value_list_sha256(value_list, values, reason.strip()),
        last_edited_by=user,
    )


def _next(row: ValueListVersion, values: list[str], reason: str, user: User) -> ValueListVersion:
    return _version(row.value_list, _WAY.make_room(row), values, reason, user)


def _locked(version: ValueListVersion) -> ValueListVersion:
    ValueList.objects.select_for_update().get(pk=version.value_list_id)
    found = ValueListVersion.objects.select_related("value_list", "requested_by", "last_edited_by")
    return found.get(pk=version.pk)


_WAY = Way("value list", _locked)
