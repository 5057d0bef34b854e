"""The way that a version of an exception or of a value list goes: drafted, proposed, approved by somebody
else, active, over.

Everybody who moves it locks what it is a version of first, so of many who decide in the same moment one wins
and the others are told why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from detections import journal as chains
from detections.actors import Actor
from triage import approvals
from triage.enums import ExceptionState
from triage.errors import StaleEditError, TriageError
from triage.models.approved_version import ON_ITS_WAY, ApprovedVersion

PROPOSE = "triage.propose_exception"
_S = ExceptionState
Row = TypeVar("Row", bound=ApprovedVersion)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is written down of a move. verb: in full. data: of the version."""

    verb: str
    before: str
    reason: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Way(Generic[Row]):
    """One kind of versions. what: in words, with which the journal's verbs begin too. locked: the version as
    it is now, with all that is above it locked until the transaction ends. also: who else writes a move down.
    """

    what: str
    locked: Callable[[Row], Row]
    also: Callable[[Row, Entry, Actor], None] | None = None

    def person(self, actor: Actor) -> User:
        """Who drafts and proposes. Raises NotPermittedError, TriageError for the system."""
        actor.require(PROPOSE, f"propose {self.what}s")
        if actor.user is None:
            raise TriageError(f"Only a person can propose {self.what}s.")
        return actor.user

    def make_room(self, row: Row) -> int:
        """The number of the next version, in the caller's transaction. One on its way gives way to it; raises
        StaleEditError if that is another one than this."""
        waiting = row.family().filter(state__in=ON_ITS_WAY).exclude(pk=row.pk).first()
        if waiting is not None:
            raise StaleEditError(
                f"{waiting.label} is {waiting.state} already: go on with that one.", theirs=waiting
            )
        if row.state in ON_ITS_WAY:
            self.move(row, _S.SUPERSEDED)
        newest: int = row.family().order_by("-number").values_list("number", flat=True)[0]
        return newest + 1

    @transaction.atomic
    def propose(
        self, version: Row, *, actor: Actor, revision: int, check: Callable[[Row], None] | None = None
    ) -> Row:
        """Ask for approval. Raises NotPermittedError, StaleEditError, and what the check does."""
        user = self.person(actor)
        row = self.locked(version)
        self.check_revision(row, revision)
        self._require(row, _S.DRAFT, "proposed")
        if check is not None:
            check(row)
        row.requested_by, row.requested_at = user, timezone.now()
        self.move(row, _S.PROPOSED)
        self.write(row, "proposed", actor, before=_S.DRAFT)
        return row

    @transaction.atomic
    def approve(
        self,
        version: Row,
        *,
        actor: Actor,
        seen_sha256: str,
        check: Callable[[Row, User], None],
        now: datetime,
    ) -> Row:
        """Approve a proposal as it was shown; `activate` puts it into force.

        check: of the row and its approver, in the transaction. Raises NotPermittedError, StaleEditError, and
        what the check does.
        """
        row = self.locked(version)
        user = approvals.require_another(row, actor=actor, what=f"approve the {self.what}")
        self._require(row, _S.PROPOSED, "approved")
        approvals.check_content(row, seen_sha256)
        check(row, user)
        row.approved_by, row.approved_at, row.approved_sha256 = user, now, row.content_sha256
        self.move(row, _S.APPROVED)
        self.write(row, "approved", actor, before=_S.PROPOSED)
        return row

    def activate(self, row: Row, now: datetime, actor: Actor) -> list[Row]:
        """Put an approved version into force, in the caller's transaction. Returns what was in force before:
        it is superseded in the same moment."""
        over = list(row.family().filter(state=_S.ACTIVE).exclude(pk=row.pk))
        for before in over:
            before.ended_at = now
            self.move(before, _S.SUPERSEDED)
            self.write(before, "superseded", actor, before=_S.ACTIVE)
        row.active_from = now
        self.move(row, _S.ACTIVE)
        self.write(row, "activated", actor, before=_S.APPROVED)
        return over

    @transaction.atomic
    def decline(self, version: Row, *, actor: Actor, reason: str, seen_sha256: str) -> Row:
        """Say no to a proposal, with a reason. Raises NotPermittedError, StaleEditError, TriageError."""
        if not reason.strip():
            raise TriageError("Say why: who proposed it has to know what to change.")
        row = self.locked(version)
        approvals.require_another(row, actor=actor, what=f"decline the {self.what}")
        self._require(row, _S.PROPOSED, "declined")
        approvals.check_content(row, seen_sha256)
        row.decided_reason = reason.strip()
        self.move(row, _S.DECLINED)
        self.write(row, "declined", actor, before=_S.PROPOSED, reason=row.decided_reason)
        return row

    @transaction.atomic
    def revoke(
        self, version: Row, *, actor: Actor, reason: str, check: Callable[[Row], None] | None = None
    ) -> Row:
        """End an approved or active version now. One person is enough: it makes detection say more. Raises
        NotPermittedError, StaleEditError, TriageError, and what the check does."""
        actor.require(approvals.PERMISSION, f"revoke {self.what}s")
        if not reason.strip():
            raise TriageError(f"Say why the {self.what} is taken back.")
        row = self.locked(version)
        if row.state not in (_S.APPROVED, _S.ACTIVE):
            raise StaleEditError(f"{row.label} is {row.state}: there is nothing to revoke.", theirs=row)
        if check is not None:
            check(row)
        before, row.ended_at, row.decided_reason = row.state, timezone.now(), reason.strip()
        self.move(row, _S.REVOKED)
        self.write(row, "revoked", actor, before=before, reason=row.decided_reason)
        return row

    # -- what all of them do

    def check_revision(self, row: Row, revision: int) -> None:
        """Raise StaleEditError if somebody wrote since the version was shown."""
        if row.revision != revision:
            raise StaleEditError(
                f"{row.label} was changed by somebody else meanwhile and is {row.state} now. Look at it "
                "again.",
                theirs=row,
            )

    def _require(self, row: Row, state: ExceptionState, deed: str) -> None:
        if row.state != state:
            raise StaleEditError(f"{row.label} is {row.state}: it can't be {deed}.", theirs=row)

    def move(self, row: Row, state: ExceptionState) -> None:
        """Save the row in a state; what was shown of it before is stale now."""
        row.state, row.revision = state, row.revision + 1
        row.save()

    def write(self, row: Row, deed: str, actor: Actor, *, before: str = "", reason: str = "") -> None:
        """One entry on the chain of what it is a version of, and wherever else this kind is written down."""
        data = {"version": row.pk, "number": row.number, "content_sha256": row.content_sha256}
        entry = Entry(f"{self.what.replace(' ', '_')}_{deed}", before, reason, data)
        chains.record(
            row.stream, entry.verb, actor=actor, before=before, after=row.state, reason=reason, data=data
        )
        if self.also is not None:
            self.also(row, entry, actor)
