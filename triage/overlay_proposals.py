"""Guide overlays written here: drafted, proposed, and approved by another person.

An overlay can weaken a gate, so no text of it comes into force by one person's will (design 4). What ships
with the product is excepted: it was reviewed there.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from detections import journal
from detections.actors import Actor, NotPermittedError
from detections.errors import RuleFileError
from detections.models import Rule
from triage import approvals
from triage.approvals import Pending, check_content, require_another
from triage.enums import ProposalState
from triage.errors import StaleEditError, TriageError
from triage.guide_versions import in_force, store_guide, worked_guide
from triage.guides import parse_guide
from triage.guides.weakening import Bearing, compare
from triage.models import GuideVersion, OverlayProposal

AUTHOR = "triage.add_overlayproposal"
LONGEST = 500_000
_OPEN = (ProposalState.DRAFT, ProposalState.PROPOSED)


def text_sha256(text: str) -> str:
    """SHA-256 hex of an overlay's text: what an approval is bound to."""
    return hashlib.sha256(text.encode()).hexdigest()


def faults_of(guide: GuideVersion, text: str) -> RuleFileError | None:
    """What is wrong with an overlay for the note of a guide, or None."""
    try:
        parse_guide(guide.note, guide.transforms, text, path="overlay")
    except RuleFileError as error:
        return error
    return None


# -- writing


def save_draft(
    rule: Rule,
    *,
    text: str,
    reason: str,
    actor: Actor,
    proposal: OverlayProposal | None = None,
    version: int = 0,
) -> OverlayProposal:
    """Keep a text as it is, faults and all. proposal: the one to write over, as it stood at `version`.

    An edit of a proposed text makes it a draft again. Raises NotPermittedError, StaleEditError if somebody
    wrote meanwhile, TriageError for one that is decided.
    """
    user = _author(actor)
    base = _in_force(rule)
    with transaction.atomic():
        _lock(rule)
        if proposal is None:
            row = OverlayProposal(rule=rule, number=_next_number(rule))
        else:
            row = _writable(proposal, version)
            row.version += 1
        row.text, row.reason, row.base = _text(text), reason.strip(), base
        row.content_sha256, row.last_edited_by = text_sha256(row.text), user
        was = row.state
        row.state = ProposalState.DRAFT
        row.requested_by, row.requested_at = None, None
        row.save()
        _record(row, "overlay_drafted", actor, before="" if proposal is None else was)
    return row


def propose(proposal: OverlayProposal, *, actor: Actor, version: int) -> OverlayProposal:
    """Ask for a draft to come into force. Who asks vouches for it, whoever wrote it.

    Raises NotPermittedError, StaleEditError, RuleFileError with all faults of the text, TriageError without a
    reason, for what changes nothing, and where another guide came into force since it was written.
    """
    user = _author(actor)
    with transaction.atomic():
        _lock(proposal.rule)
        row = _writable(proposal, version)
        base = _current_base(row)
        if not row.reason.strip():
            raise TriageError("Say why the overlay should change: the second person decides on that.")
        if row.text == base.overlay and not base.review:
            raise TriageError("The text is the one in force already, so there is nothing to propose.")
        if (broken := faults_of(base, row.text)) is not None:
            raise broken
        row.state, row.requested_by, row.requested_at = ProposalState.PROPOSED, user, timezone.now()
        row.last_edited_by = row.last_edited_by or user
        row.version += 1
        row.save()
        _record(row, "overlay_proposed", actor, before=ProposalState.DRAFT, reason=row.reason)
    return row


def offer(rule: Rule, *, text: str, source: str, actor: Actor) -> OverlayProposal | None:
    """Keep an overlay that a file brought for an installed rule, in the caller's transaction.

    A person's import proposes it; what the system read is a draft until somebody vouches for it. None where
    that text is in force, or was offered before and still waits or was declined.
    """
    base = in_force(rule)
    if base is None or text == base.overlay:
        return None
    digest = text_sha256(text)
    known = OverlayProposal.objects.filter(rule=rule, content_sha256=digest)
    if known.exclude(state=ProposalState.SUPERSEDED).exists():
        return None
    user = actor.user
    row = OverlayProposal.objects.create(
        rule=rule,
        number=_next_number(rule),
        base=base,
        text=text,
        content_sha256=digest,
        reason=f"It came with {source}."[:500],
        source=source[-500:],
        state=ProposalState.PROPOSED if user else ProposalState.DRAFT,
        last_edited_by=user,
        requested_by=user,
        requested_at=timezone.now() if user else None,
    )
    _record(row, "overlay_offered", actor, reason=row.reason)
    return row


def on_overlay_offered(*, rule: Rule, text: str, source: str, actor: Actor, **_: Any) -> str:
    """Receiver: what became of an overlay that a file brought, in a sentence, or ""."""
    made = offer(rule, text=text, source=source, actor=actor)
    if made is None:
        return ""
    waits = (
        "waits for another person's approval"
        if made.state == ProposalState.PROPOSED
        else "is kept as a draft until somebody proposes it on the rule's page"
    )
    return f"{rule.name}: the guide overlay of {source} {waits}. The one in force stays."


# -- deciding


def approve(proposal: OverlayProposal, *, seen_sha256: str, actor: Actor) -> GuideVersion:
    """Bring a proposed overlay into force: new cases get a new guide; open ones stay with theirs.

    seen_sha256: of the text that was shown. Raises NotPermittedError (four eyes), StaleEditError for a text
    or a guide that changed meanwhile, TriageError for what is decided, RuleFileError for what no longer fits.
    """
    with transaction.atomic():
        _lock(proposal.rule)
        row = OverlayProposal.objects.select_for_update().get(pk=proposal.pk)
        user = require_another(row, actor=actor, what="approve guide overlays")
        _require_proposed(row)
        check_content(row, seen_sha256)
        base = _current_base(row)
        if (broken := faults_of(base, row.text)) is not None:
            raise broken
        _supersede(row.rule)
        assert base.rule_version is not None  # a rule's guide, not one that came with an alert
        made = store_guide(base.rule_version, row.text, number=base.number + 1)
        row.state, row.guide = ProposalState.APPROVED, made
        row.approved_by, row.approved_at = user, timezone.now()
        row.approved_sha256 = row.content_sha256
        row.version += 1
        row.save()
        _follow(row, made)
        weaker = [one.says for one in compare(worked_guide(base), worked_guide(made)) if _weakens(one)]
        _record(
            row,
            "overlay_approved",
            actor,
            before=_guide_name(base),
            after=_guide_name(made),
            data={"weakens": weaker},
        )
    return made


def decline(proposal: OverlayProposal, *, reason: str, actor: Actor) -> OverlayProposal:
    """Refuse a proposed overlay, with a reason; the text stays to read. Who asked for it may take it back.

    Raises NotPermittedError, and TriageError without a reason or for what is not proposed.
    """
    if actor.user is None:
        raise NotPermittedError("Only a person may decline guide overlays.")
    if not reason.strip():
        raise TriageError("Say why it is declined: its author reads that.")
    with transaction.atomic():
        _lock(proposal.rule)
        row = OverlayProposal.objects.select_for_update().get(pk=proposal.pk)
        if actor.user != row.requested_by:
            actor.require(approvals.PERMISSION, "decline guide overlays")
        _require_proposed(row)
        row.state, row.decided_reason = ProposalState.DECLINED, reason.strip()
        row.version += 1
        row.save()
        _record(row, "overlay_declined", actor, before=ProposalState.PROPOSED, reason=row.decided_reason)
    return row


def _supersede(rule: Rule) -> None:
    OverlayProposal.objects.filter(rule=rule, state=ProposalState.APPROVED).update(
        state=ProposalState.SUPERSEDED
    )


def _follow(row: OverlayProposal, made: GuideVersion) -> None:
    """The rule stands in for those that its overlay names."""
    replaces = list(worked_guide(made).applies_to)
    if row.text and replaces != row.rule.replaces:
        Rule.objects.filter(pk=row.rule_id).update(replaces=replaces)


def _weakens(difference: Any) -> bool:
    return difference.bearing is Bearing.WEAKER


# -- what they share


def _author(actor: Actor) -> Any:
    actor.require(AUTHOR, "write guide overlays")
    if actor.user is None:
        raise NotPermittedError("Only a person may write guide overlays.")
    return actor.user


def _text(text: str) -> str:
    """The text with the line ends of a file. Raises TriageError for one that is no overlay by its size."""
    plain = text.replace("\r\n", "\n")
    if len(plain) > LONGEST:
        raise TriageError(f"The overlay has {len(plain):,} characters; at most {LONGEST:,} are kept.")
    return plain if plain.strip() else ""


def _in_force(rule: Rule) -> GuideVersion:
    found = in_force(rule)
    if found is None:
        raise TriageError("The rule has no version, so it has no guide. Load its rule file again.")
    return found


def _current_base(row: OverlayProposal) -> GuideVersion:
    """The guide in force, which must be the one that the text was written on."""
    current = _in_force(Rule.objects.select_related("current").get(pk=row.rule_id))
    if row.base_id != current.pk:
        raise StaleEditError(
            "Another guide came into force after this overlay was written. Compare it with that one, and "
            "save it again.",
            theirs=current,
        )
    return current


def _writable(proposal: OverlayProposal, version: int) -> OverlayProposal:
    row = OverlayProposal.objects.select_for_update().get(pk=proposal.pk)
    if row.version != version:
        raise StaleEditError("Somebody else changed this overlay meanwhile.", theirs=row)
    if row.state not in _OPEN:
        raise TriageError(f"This overlay is {row.get_state_display().lower()}. Write a new one.")
    return row


def _require_proposed(row: OverlayProposal) -> None:
    if row.state != ProposalState.PROPOSED:
        raise TriageError(f"This overlay is not waiting for a decision: it is {row.state}.")


def _lock(rule: Rule) -> None:
    """One writer a rule: numbers have no hole, and of two approvals one comes first."""
    Rule.objects.select_for_update().get(pk=rule.pk)


def _next_number(rule: Rule) -> int:
    return OverlayProposal.objects.filter(rule=rule).count() + 1


def _guide_name(guide: GuideVersion) -> str:
    assert guide.rule_version is not None
    return f"guide {guide.rule_version.number}.{guide.number}"


def _record(row: OverlayProposal, verb: str, actor: Actor, **said: Any) -> None:
    data = {"proposal": row.number, "sha256": row.content_sha256, **said.pop("data", {})}
    journal.record(row.stream, verb, actor=actor, after=said.pop("after", row.state), data=data, **said)


def _proposed(actor: Actor) -> QuerySet[OverlayProposal]:
    return OverlayProposal.objects.visible_to(actor).filter(state=ProposalState.PROPOSED)


@approvals.source(_proposed)
def pending(rows: QuerySet[OverlayProposal]) -> Iterable[Pending]:
    """The overlays that wait for a second person."""
    for row in rows.select_related("rule", "requested_by", "last_edited_by", "base"):
        # A proposed row has all three, by its constraints.
        assert row.requested_by is not None
        assert row.last_edited_by is not None
        assert row.requested_at is not None
        yield Pending(
            kind="guide overlay",
            title=row.rule.name,
            says=_gist(row),
            url=reverse("overlay", args=[row.rule_id, row.number]),
            requested_by=row.requested_by,
            last_edited_by=row.last_edited_by,
            requested_at=row.requested_at,
        )


def _gist(row: OverlayProposal) -> str:
    """What the proposal would do, in a sentence or two."""
    if row.base is None or faults_of(row.base, row.text) is not None:
        return row.reason
    draft = GuideVersion(note=row.base.note, transforms=row.base.transforms, overlay=row.text)
    weaker = [one.says for one in compare(worked_guide(row.base), worked_guide(draft)) if _weakens(one)]
    if not weaker:
        return f"It weakens nothing. {row.reason}"
    more = f" and {len(weaker) - 1} more" if weaker[1:] else ""
    return f"It weakens the gate: {weaker[0].rstrip('.')}{more}. {row.reason}"
