"""Lists of values that exceptions refer to, each version approved by a second person."""

import re
from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from detections import journal as chains
from detections.actors import Actor
from triage import approvals
from triage.enums import ExceptionState, ValueListType
from triage.errors import ContentFaultsError, StaleEditError, TriageError
from triage.exception_items.evaluation import address, domain
from triage.exception_items.forms import Fault, address_fault, domain_fault, network_fault
from triage.exception_items.states import PROPOSE
from triage.models import ExceptionVersion, ValueList, ValueListVersion
from triage.models.exception_item import ON_ITS_WAY, value_list_sha256

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
    user = _person(actor)
    if not name.strip() or kind not in ValueListType.values:
        raise ContentFaultsError([Fault("name", "Give the list a name and a type.")])
    if ValueList.objects.filter(name=name.strip()).exists():
        raise ContentFaultsError([Fault("name", f"There is a list {name.strip()!r} already.")])
    plain = plain_values(kind, values)
    with transaction.atomic():
        made = ValueList.objects.create(name=name.strip(), type=kind, note=note, created_by=user)
        row = _version(made, 1, plain, reason, user)
        _write(row, "value_list_drafted", actor)
    return row


def edit_list(
    version: ValueListVersion, values: Sequence[str], *, actor: Actor, revision: int, reason: str
) -> ValueListVersion:
    """A draft in place; else a new draft, by which a version on its way is superseded. Raises
    NotPermittedError, ContentFaultsError, StaleEditError."""
    user = _person(actor)
    plain = plain_values(version.value_list.type, values)
    with transaction.atomic():
        row = _locked(version)
        _check_revision(row, revision)
        if row.state == _S.DRAFT:
            row.values, row.reason, row.last_edited_by = plain, reason.strip(), user
            row.content_sha256 = value_list_sha256(row.value_list, plain, row.reason)
            _set(row, _S.DRAFT)
            changed = row
        else:
            changed = _next(row, plain, reason, user)
        _write(changed, "value_list_edited", actor, before=str(row))
    return changed


def propose_list(version: ValueListVersion, *, actor: Actor, revision: int) -> ValueListVersion:
    """Ask for approval. Raises NotPermittedError, StaleEditError, TriageError."""
    user = _person(actor)
    with transaction.atomic():
        row = _locked(version)
        _check_revision(row, revision)
        _require(row, _S.DRAFT, "proposed")
        if not row.reason:
            raise TriageError("Say what the list is for, or why it changes.")
        row.requested_by, row.requested_at = user, timezone.now()
        _set(row, _S.PROPOSED)
        _write(row, "value_list_proposed", actor, before=_S.DRAFT)
    return row


def approve_list(version: ValueListVersion, *, actor: Actor, seen_sha256: str) -> ValueListVersion:
    """Approve and put in force; the version before it is superseded in the same moment. Raises
    NotPermittedError, StaleEditError, TriageError."""
    with transaction.atomic():
        row = _locked(version)
        user = approvals.require_another(row, actor=actor, what="approve the value list")
        _require(row, _S.PROPOSED, "approved")
        approvals.check_content(row, seen_sha256)
        if row.sha256_of_content() != row.content_sha256:
            raise TriageError(f"{row} does not have the content that its hash was taken of. Edit it.")
        now = timezone.now()
        for before in row.value_list.versions.filter(state=_S.ACTIVE):
            before.ended_at = now
            _set(before, _S.SUPERSEDED)
        row.approved_by, row.approved_at, row.approved_sha256 = user, now, row.content_sha256
        row.active_from = now
        _set(row, _S.ACTIVE)
        _write(row, "value_list_approved", actor, before=_S.PROPOSED)
    return row


def decline_list(
    version: ValueListVersion, *, actor: Actor, reason: str, seen_sha256: str
) -> ValueListVersion:
    """Say no, with a reason. Raises NotPermittedError, StaleEditError, TriageError."""
    if not reason.strip():
        raise TriageError("Say why: who proposed it has to know what to change.")
    with transaction.atomic():
        row = _locked(version)
        approvals.require_another(row, actor=actor, what="decline the value list")
        _require(row, _S.PROPOSED, "declined")
        approvals.check_content(row, seen_sha256)
        row.decided_reason = reason.strip()
        _set(row, _S.DECLINED)
        _write(row, "value_list_declined", actor, before=_S.PROPOSED, reason=reason.strip())
    return row


def revoke_list(version: ValueListVersion, *, actor: Actor, reason: str) -> ValueListVersion:
    """Take the active version out of force. Raises NotPermittedError, StaleEditError, TriageError while an
    active exception refers to the list: without it nobody could tell what that one hides."""
    actor.require(approvals.PERMISSION, "revoke value lists")
    if not reason.strip():
        raise TriageError("Say why the list is taken back.")
    with transaction.atomic():
        row = _locked(version)
        _require(row, _S.ACTIVE, "revoked")
        if users := _users(row.value_list):
            raise TriageError(f"{', '.join(users)} refer to it. Revoke or change them first.")
        row.ended_at, row.decided_reason = timezone.now(), reason.strip()
        _set(row, _S.REVOKED)
        _write(row, "value_list_revoked", actor, before=_S.ACTIVE, reason=reason.strip())
    return row


def _users(value_list: ValueList) -> list[str]:
    """Labels of active and approved exceptions that refer to the list."""
    in_use = ExceptionVersion.objects.filter(state__in=[_S.ACTIVE, _S.APPROVED]).select_related("item")
    return [
        row.label
        for row in in_use
        if any(entry.get("value_list") == value_list.name for entry in row.entries)
    ]


def _person(actor: Actor) -> User:
    actor.require(PROPOSE, "propose value lists")
    if actor.user is None:
        raise TriageError("Only a person can propose a value list.")
    return actor.user


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
    waiting = row.value_list.versions.filter(state__in=ON_ITS_WAY).first()
    if waiting is not None and waiting.pk != row.pk:
        raise StaleEditError(f"{waiting} is {waiting.state} already: go on with that one.", theirs=waiting)
    if row.state in ON_ITS_WAY:
        _set(row, _S.SUPERSEDED)
    number = row.value_list.versions.order_by("-number").values_list("number", flat=True)[0] + 1
    return _version(row.value_list, number, values, reason, user)


def _locked(version: ValueListVersion) -> ValueListVersion:
    ValueList.objects.select_for_update().get(pk=version.value_list_id)
    found = ValueListVersion.objects.select_related("value_list", "requested_by", "last_edited_by")
    return found.get(pk=version.pk)


def _check_revision(row: ValueListVersion, revision: int) -> None:
    if row.revision != revision:
        raise StaleEditError(
            f"{row} was changed by somebody else meanwhile and is {row.state} now. Look at it again.",
            theirs=row,
        )


def _require(row: ValueListVersion, state: ExceptionState, deed: str) -> None:
    if row.state != state:
        raise StaleEditError(f"{row} is {row.state}: it can't be {deed}.", theirs=row)


def _set(row: ValueListVersion, state: ExceptionState) -> None:
    row.state, row.revision = state, row.revision + 1
    row.save()


def _write(row: ValueListVersion, verb: str, actor: Actor, *, before: str = "", reason: str = "") -> None:
    data = {"version": row.pk, "number": row.number, "content_sha256": row.content_sha256}
    chains.record(
        row.value_list.stream, verb, actor=actor, before=before, after=row.state, reason=reason, data=data
    )
