"""What becomes of an exception: who drafts, edits, approves and ends it, and what the clock does. The way
itself, and its locks, are `way.Way`'s: here the item's row, after its case's where there is one.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from detections.actors import Actor
from triage import approvals, cases, journal
from triage.enums import BackTestKind, BackTestState, ExceptionOrigin, ExceptionState
from triage.errors import GuardrailsError, TriageError
from triage.exception_items import guardrails as exception_guardrails
from triage.exception_items.content import Content, content_of, entry_data
from triage.exception_items.guardrails import Guardrail, Level
from triage.exception_items.way import Entry, Way
from triage.models import BackTest, Case, ExceptionItem, ExceptionVersion
from triage.models.approved_version import ON_ITS_WAY

EXCEED = "triage.exceed_share"
_S = ExceptionState


# -- drafting


def draft(
    content: Content,
    *,
    actor: Actor,
    case: Case | None = None,
    origin: str = ExceptionOrigin.NATIVE,
    source: dict[str, Any] | None = None,
    item_owner: User | None = None,
) -> ExceptionVersion:
    """A new item with its first version, a draft. item_owner: who is asked when it drifts or ends; None:
    the actor. Raises NotPermittedError."""
    user = _WAY.person(actor)
    with transaction.atomic():
        row = cases.locked(case.pk) if case else None
        item = ExceptionItem.objects.create(
            rule=content.rule_version.rule,
            name=content.name,
            owner=item_owner or user,
            origin=origin,
            source=source or {},
            created_by=user,
        )
        version = _version(item, 1, content, user, row)
        version.save()
        _WAY.write(version, "drafted", actor)
    return version


def edit(version: ExceptionVersion, content: Content, *, actor: Actor, revision: int) -> ExceptionVersion:
    """Change a version: a draft in place; a proposal or an approved version is superseded by a new draft,
    which voids the approval; beside an active or ended one a new draft is made.

    revision: of the version as it was shown. Raises NotPermittedError, StaleEditError, TriageError.
    """
    user = _WAY.person(actor)
    with transaction.atomic():
        row = _locked(version)
        _WAY.check_revision(row, revision)
        if row.item.rule_id != content.rule_version.rule_id:
            raise TriageError("An exception stays with its rule. Make a new one for another rule.")
        before = row.label
        changed = _rewrite(row, content, user) if row.state == _S.DRAFT else _next(row, content, user)
        _WAY.write(changed, "edited", actor, before=before)
    return changed


def renew(
    version: ExceptionVersion, *, actor: Actor, expires_at: datetime, reason: str = ""
) -> ExceptionVersion:
    """A draft with the same content against the rule as it is now, and a new end. It needs its own back-test
    and approval. Raises NotPermittedError, TriageError."""
    user = _WAY.person(actor)
    with transaction.atomic():
        row = _locked(version)
        old = content_of(row)
        current = row.item.rule.current or old.rule_version
        if row.state in ON_ITS_WAY or row.state == _S.DECLINED:
            raise TriageError(f"{row.label} is {row.state}: edit it instead.")
        content = replace(
            old, rule_version=current, reason=reason or old.reason, starts_at=None, expires_at=expires_at
        )
        renewed = _next(row, content, user)
        renewed.renewal_of = row
        renewed.save(update_fields=["renewal_of"])
        _WAY.write(renewed, "renewal_drafted", actor, before=row.label)
    return renewed


def _version(
    item: ExceptionItem, number: int, content: Content, user: User, case: Case | None
) -> ExceptionVersion:
    version = ExceptionVersion(item=item, number=number, case=case)
    _fill(version, content, user)
    return version


def _fill(version: ExceptionVersion, content: Content, user: User) -> None:
    version.entries = [entry_data(entry) for entry in content.entries]
    version.reason, version.change_record = content.reason, content.change_record
    version.owner, version.rule_version = content.owner, content.rule_version
    version.starts_at, version.expires_at = content.starts_at, content.expires_at
    version.content_sha256, version.last_edited_by = content.sha256, user


def _rewrite(row: ExceptionVersion, content: Content, user: User) -> ExceptionVersion:
    _fill(row, content, user)
    row.revision += 1
    row.save()
    if row.item.name != content.name:
        row.item.name = content.name
        row.item.save(update_fields=["name"])
    return row


def _next(row: ExceptionVersion, content: Content, user: User) -> ExceptionVersion:
    """The item's next version; one that is on its way gives way to it."""
    made = _version(row.item, _WAY.make_room(row), content, user, row.case)
    made.save()
    if row.state == _S.SUPERSEDED and row.superseded_by_id is None:
        row.superseded_by = made
        row.save(update_fields=["superseded_by"])
    return made


# -- deciding


def propose(version: ExceptionVersion, *, actor: Actor, revision: int) -> ExceptionVersion:
    """Ask for approval. Raises NotPermittedError, StaleEditError, GuardrailsError, TriageError."""
    _WAY.person(actor)
    _refuse(version, may_exceed=True)
    return _WAY.propose(version, actor=actor, revision=revision)


def approve(
    version: ExceptionVersion, *, actor: Actor, seen_sha256: str, exceed_share: bool = False
) -> ExceptionVersion:
    """Approve a proposal; it becomes active at once unless it starts later.

    seen_sha256: of the content as it was shown. exceed_share: let it hide more of the rule's alerts than its
    share, for which a permission of its own is needed. Raises NotPermittedError, StaleEditError,
    GuardrailsError, and TriageError where the back-test is missing or speaks against it.
    """
    actor.require(approvals.PERMISSION, "approve exceptions")
    exceeds = _refuse(version, may_exceed=exceed_share)
    if exceeds:
        actor.require(EXCEED, "let an exception hide more of a rule's alerts than its share")

    def check(row: ExceptionVersion, user: User) -> None:
        _check_binding(row)
        _require_back_test(row)
        row.exceeds_share, row.exceeds_share_by = bool(exceeds), user if exceeds else None

    now = timezone.now()
    with transaction.atomic():
        row = _WAY.approve(version, actor=actor, seen_sha256=seen_sha256, check=check, now=now)
        if row.starts_at is None or row.starts_at <= now:
            _activate(row, now, actor)
    return row


def decline(version: ExceptionVersion, *, actor: Actor, reason: str, seen_sha256: str) -> ExceptionVersion:
    """Say no to a proposal, with a reason that its case's journal gets too. Raises NotPermittedError,
    StaleEditError, TriageError."""
    return _WAY.decline(version, actor=actor, reason=reason, seen_sha256=seen_sha256)


def revoke(version: ExceptionVersion, *, actor: Actor, reason: str) -> ExceptionVersion:
    """End an approved or active version now. What it hid stays hidden and listed. One person is enough: it
    makes detection say more. Raises NotPermittedError, StaleEditError, TriageError."""
    return _WAY.revoke(version, actor=actor, reason=reason)


# -- time


def let_time_pass(*, actor: Actor, now: datetime | None = None) -> int:
    """Activate what starts, expire what is over. Returns how many changed. Idempotent."""
    now = now or timezone.now()
    over = ExceptionVersion.objects.filter(state=_S.ACTIVE, expires_at__lte=now)
    due = ExceptionVersion.objects.filter(state=_S.APPROVED, starts_at__lte=now)
    return sum(_expire(row, now, actor) for row in over) + sum(_start(row, now, actor) for row in due)


def _expire(version: ExceptionVersion, now: datetime, actor: Actor) -> bool:
    with transaction.atomic():
        row = _locked(version)
        if row.state != _S.ACTIVE or row.expires_at is None or row.expires_at > now:
            return False
        row.ended_at = row.expires_at
        _WAY.move(row, _S.EXPIRED)
        _WAY.write(row, "expired", actor, before=_S.ACTIVE)
    return True


def _start(version: ExceptionVersion, now: datetime, actor: Actor) -> bool:
    with transaction.atomic():
        row = _locked(version)
        if row.state != _S.APPROVED or row.expires_at is None:
            return False
        if row.expires_at <= now:
            row.ended_at = row.expires_at
            _WAY.move(row, _S.EXPIRED)
            _WAY.write(row, "expired", actor, before=_S.APPROVED)
        else:
            _activate(row, now, actor)
    return True


def _activate(row: ExceptionVersion, now: datetime, actor: Actor) -> None:
    for before in _WAY.activate(row, now, actor):
        before.superseded_by = row
        before.save(update_fields=["superseded_by"])


# -- what all of them do


def _locked(version: ExceptionVersion) -> ExceptionVersion:
    """The version as it is now, its case and its item locked until the transaction ends."""
    if version.case_id is not None:
        cases.locked(version.case_id)
    ExceptionItem.objects.select_for_update().get(pk=version.item_id)
    found = ExceptionVersion.objects.select_related(
        "item__rule__current", "rule_version__rule", "case", "requested_by", "last_edited_by"
    )
    return found.get(pk=version.pk)


def _check_binding(row: ExceptionVersion) -> None:
    """The stored content is what its hash says, and was made for the rule as it is now."""
    if content_of(row).sha256 != row.content_sha256:
        raise TriageError(f"{row.label} does not have the content that its hash was taken of. Edit it.")
    if row.needs_review:
        raise TriageError(
            f"The rule has a new version since {row.label} was written. Edit it against that one first."
        )


def _require_back_test(row: ExceptionVersion) -> None:
    test = (
        BackTest.objects.filter(
            version__item=row.item,
            kind=BackTestKind.ALERTS,
            state=BackTestState.SUCCEEDED,
            content_sha256=row.content_sha256,
        )
        .order_by("-pk")
        .first()
    )
    if test is None:
        raise TriageError(f"{row.label} has no finished back-test of this content. Run one before you sign.")
    if blocks := test.result.get("blocks"):
        raise TriageError("The back-test speaks against it. " + " ".join(map(str, blocks)))


def _refuse(version: ExceptionVersion, *, may_exceed: bool) -> list[Guardrail]:
    """Raise GuardrailsError for what is refused. Returns the share that would be exceeded, if any."""
    version = ExceptionVersion.objects.select_related("item__rule__current", "rule_version__rule").get(
        pk=version.pk
    )
    found = exception_guardrails.of_version(version)
    bad = [one for one in found if one.level is Level.REFUSED]
    exceeds = [one for one in found if one.level is Level.SHARE]
    if bad or (exceeds and not may_exceed):
        raise GuardrailsError([*bad, *([] if may_exceed else exceeds)])
    return exceeds


def _tell_case(row: ExceptionVersion, entry: Entry, actor: Actor) -> None:
    if row.case is not None:
        journal.record(
            row.case,
            entry.verb,
            actor=actor,
            subject=f"{row.label}, {row.item.name}",
            before=entry.before,
            after=row.state,
            reason=entry.reason,
            data={"exception": row.item_id, **entry.data},
        )


_WAY = Way("exception", _locked, _tell_case)
