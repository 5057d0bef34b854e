"""The journal of a case: what is written to it, and how it reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detections import journal
from detections.actors import Actor
from detections.models import JournalEntry
from triage.models import Case

_SENTENCES = {
    "case_opened": "opened the case",
    "occurrence_added": "added an occurrence",
    "occurrences_added": "added",
    "occurrences_moved_here": "moved here",
    "occurrences_moved_away": "moved away",
    "alerts_superseded": "found that late telemetry supersedes",
    "alert_status_written": "brought the alerts in Elastic Security to",
    "basis_upgraded": "found the match in strict time order as well",
    "case_assigned": "assigned the case",
    "case_started": "started work on the case",
    "question_answered": "answered a question",
    "confirmation_added": "recorded a confirmation",
    "pivot_finished": "ran a pivot",
    "pivot_failed": "could not run a pivot",
    "pivot_requested": "asked for a pivot again",
    "pivot_asked": "asked",
    "late_look": "looked again for late evidence with",
    "question_reopened": "reopened a question",
    "evidence_pinned": "pinned evidence as a fact",
    "evidence_unpinned": "unpinned evidence",
    "case_closed": "closed the case",
    "exception_drafted": "drafted an exception",
    "exception_edited": "edited an exception",
    "exception_renewal_drafted": "drafted the renewal of an exception",
    "exception_proposed": "proposed an exception",
    "exception_approved": "approved an exception",
    "exception_declined": "declined an exception",
    "exception_activated": "put an exception into force",
    "exception_superseded": "replaced an exception by its next version",
    "exception_expired": "let an exception expire",
    "exception_revoked": "revoked an exception",
    "exception_applied": "applied an exception to alerts of this case",
    "back_test_started": "started a back-test",
    "back_test_ended": "ended a back-test",
    "exception_review_opened": "opened an alert that an exception hides, for review",
    "suppression_lifted": "let a hidden alert go to a case after all",
    "value_list_drafted": "drafted a value list",
    "value_list_edited": "edited a value list",
    "value_list_proposed": "proposed a value list",
    "value_list_approved": "approved a value list",
    "value_list_activated": "put a value list into force",
    "value_list_superseded": "replaced a value list by its next version",
    "value_list_declined": "declined a value list",
    "value_list_revoked": "revoked a value list",
    "task_opened": "opened a task",
    "task_finished": "finished a task",
    "file_attached": "attached a file",
    "file_withdrawn": "withdrew a file",
    "note_written": "wrote a note",
    "note_edited": "edited a note",
    "note_withdrawn": "withdrew a note",
    "case_linked": "linked the case",
    "case_unlinked": "removed a link",
    "case_merged_here": "merged a case into this one",
    "case_merged_away": "merged this case into another",
    "merge_undone": "undid a merge",
    "scope_asked": "asked all hosts for",
    "scope_finished": "searched all hosts:",
    "scope_row_added": "added what scoping found on",
    "pack_asked": "asked for the evidence to be preserved:",
    "pack_made": "made the case pack",
    "pack_failed": "could not make the case pack",
    "gate_overridden": "closed against the gate",
    "verdict_given": "gave the verdict",
    "verdict_withdrawn": "took the verdict back",
    "action_requested": "asked for a response action",
    "action_approved": "approved a response action",
    "action_declined": "declined a response action",
    "action_cancelled": "withdrew a response action",
    "action_expired": "let a response action lapse",
    "action_begun": "began a response action",
    "action_taken": "gave a response action to its target",
    "action_postponed": "put off a response action",
    "action_succeeded": "completed a response action",
    "action_failed": "saw a response action fail",
    "action_unknown": "does not know whether a response action was done",
    "action_undone": "took a response action back",
    "action_retried": "asked for a response action again",
    "action_handed_over": "handed a containment over",
    "action_extended": "moved the end of a containment",
    "action_checked": "looked whether a response action holds",
}


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One entry as people read it. `sentence` goes on after the actor's name; its parts are data."""

    number: int
    at: datetime
    actor: str
    verb: str
    sentence: str
    subject: str
    before: str
    after: str
    reason: str
    hash: str
    is_system: bool


def record(
    case: Case,
    verb: str,
    *,
    actor: Actor,
    subject: str = "",
    before: str = "",
    after: str = "",
    reason: str = "",
    data: dict[str, Any] | None = None,
) -> JournalEntry:
    """Append to the case's chain, inside the transaction of the change.

    subject: what of the case the change is about, for people ("Question 4", a pivot's label).
    """
    return journal.record(
        case.stream,
        verb,
        actor=actor,
        before=before[:200],
        after=after[:200],
        reason=reason,
        data={"subject": subject, **(data or {})},
    )


def case_journal(case: Case, *, actor: Actor, limit: int = 50) -> list[JournalLine]:
    """The newest entries of a case, newest first; none for who may not see the journal."""
    entries = JournalEntry.objects.visible_to(actor).filter(stream__name=case.stream)
    return lines_of(entries.order_by("-number")[:limit])


def lines_of(entries: Iterable[JournalEntry]) -> list[JournalLine]:
    """Entries of any chain as a person reads them."""
    return [_line(entry) for entry in entries]


def _line(entry: JournalEntry) -> JournalLine:
    return JournalLine(
        number=entry.number,
        at=entry.at,
        actor=entry.actor,
        verb=entry.verb,
        sentence=_SENTENCES.get(entry.verb, entry.verb.replace("_", " ")),
        subject=str(entry.data.get("subject", "")),
        before=entry.before,
        after=entry.after,
        reason=entry.reason,
        hash=entry.hash,
        is_system=entry.user_id is None,
    )
