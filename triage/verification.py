"""Is everything as it was written down? Journal, evidence, files, approvals, cases against their journal."""

from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps

from detections import anchors
from detections import journal as chains
from detections.models import JournalEntry, JournalStream
from triage.attachments import ChangedFileError, open_checked
from triage.enums import CaseStatus, Disposition, QuestionState
from triage.evidence import document_sha256, run_sha256
from triage.models import Case, CaseMerge, NoteVersion, PivotRun
from triage.models.four_eyes import FourEyes

Source = Callable[[Case | None], Iterator[str]]
_sources: list[Source] = []


def finding(source: Source) -> Source:
    """Register what else is checked, of one case or, with None, of everything. For use as a decorator.

    It reads only, and yields a sentence for each finding.
    """
    if source not in _sources:
        _sources.append(source)
    return source


def verify_case(case: Case) -> Iterator[str]:
    """Everything about one case that is not as it was written down, a sentence each."""
    stream = JournalStream.objects.filter(name=case.stream).first()
    if stream is None:
        yield f"{case.stream}: the chain is missing."
    else:
        yield from chains.verify(stream)
        yield from differences(case)
    yield from anchors.faults(case.stream)
    yield from _evidence(case)
    yield from _files(case)
    for source in _sources:
        yield from source(case)


def verify_all() -> Iterator[str]:
    """The same of all cases; and the other chains, the anchors, approvals."""
    for case in Case.objects.order_by("pk").iterator(chunk_size=200):
        if not JournalStream.objects.filter(name=case.stream).exists():
            yield f"{case.stream}: the chain is missing."
        yield from differences(case)
        yield from _evidence(case)
        yield from _files(case)
    for stream in JournalStream.objects.order_by("pk"):
        yield from chains.verify(stream)
    yield from anchors.faults()
    yield from _approvals()
    for source in _sources:
        yield from source(None)


# -- evidence and files


def _evidence(case: Case) -> Iterator[str]:
    journaled = dict(_finished(case))
    for run in PivotRun.objects.filter(case=case).order_by("pk"):
        yield from _run(case, run)
        if run.pk in journaled and journaled[run.pk] != run.sha256:
            yield f"{case.number}: pivot {run.pk} ({run.label}) has another hash than the journal says."


def _finished(case: Case) -> Iterator[tuple[int, str]]:
    """The runs whose end the journal tells, with the hash that it gives; the last entry of a run counts."""
    for entry in _entries(case):
        if "pivot" in entry.data and "sha256" in entry.data:
            yield entry.data["pivot"], entry.data["sha256"]


def _run(case: Case, run: PivotRun) -> Iterator[str]:
    hashes, changed = [], False
    for row in run.rows.order_by("position").iterator(chunk_size=500):
        hashes.append(row.sha256)
        if document_sha256(row.document) != row.sha256:
            changed = True
            yield f"{case.number}: evidence row {row.position} of pivot {run.pk} ({run.label}) was changed."
    if run.sha256 and not changed and run_sha256(run, hashes) != run.sha256:
        yield f"{case.number}: pivot {run.pk} ({run.label}): query, window or rows are not those that ran."


def _files(case: Case) -> Iterator[str]:
    for file in case.attachments.all():
        file.case = case
        try:
            open_checked(file).close()
        except ChangedFileError as error:
            yield str(error)


# -- the case against its journal


def _entries(case: Case) -> list[JournalEntry]:
    return list(JournalEntry.objects.filter(stream__name=case.stream).order_by("number"))


def differences(case: Case) -> Iterator[str]:
    """Where the rows of a case say something else than the entries about them."""
    entries = _entries(case)
    status, disposition = _status(case, entries)
    if entries and (case.status, case.disposition) != (status, disposition):
        yield (
            f"{case.number} stands as {case.status}, {case.disposition}; by its journal it is {status}, "
            f"{disposition}."
        )
    states = _states(entries)
    for question in case.questions.all():
        told = states.get(question.key, QuestionState.OPEN)
        if entries and question.state != told:
            stands = f"question {question.position} stands as {question.state}"
            yield f"{case.number}: {stands}; its journal says {told}."
    for what, written, shown in _texts(case, entries):
        if shown is None:
            yield f"{case.number}: {what} is in the journal and is not there."
        elif shown != written:
            yield f"{case.number}: {what} says something else than the journal."


def _status(case: Case, entries: list[JournalEntry]) -> tuple[str, str]:
    status, disposition = str(CaseStatus.OPEN), str(Disposition.UNDETERMINED)
    merges = {made.pk: made for made in CaseMerge.objects.filter(source=case)}
    for entry in entries:
        if entry.verb == "case_closed":
            status, disposition = CaseStatus.CLOSED, entry.after
        elif entry.verb == "merge_undone" and entry.data.get("merge") in merges:
            status, disposition = merges[entry.data["merge"]].status_before, Disposition.UNDETERMINED
        elif entry.verb in ("verdict_given", "verdict_withdrawn"):
            disposition = entry.after
        elif entry.verb.startswith("case_") and entry.after in CaseStatus.values:
            status = entry.after
    return str(status), str(disposition)


def _states(entries: list[JournalEntry]) -> dict[str, str]:
    """The state that each question has by the journal."""
    return {
        str(entry.data["question"]): entry.after
        for entry in entries
        if "question" in entry.data and entry.after in QuestionState.values
    }


def _texts(case: Case, entries: list[JournalEntry]) -> Iterator[tuple[str, Any, Any]]:
    """What people wrote: its name, what the journal has of it, and what its row says, None if it is gone."""
    answers = {
        pk: (state, rationale, fields)
        for pk, state, rationale, fields in case.questions.filter(answers__isnull=False).values_list(
            "answers", "answers__state", "answers__rationale", "answers__fields"
        )
    }
    confirmed = dict(case.confirmations.values_list("pk", "statement"))
    files = dict(case.attachments.values_list("pk", "sha256"))
    overrides = dict(case.overrides.values_list("pk", "reason"))
    notes = {
        (note, number): text
        for note, number, text in NoteVersion.objects.filter(note__case=case).values_list(
            "note", "number", "text"
        )
    }
    for entry in entries:
        data = entry.data
        if entry.verb == "question_answered":
            answer = data.get("answer")
            written = (entry.after, entry.reason, data.get("fields", {}))
            yield f"answer {answer} ({data.get('subject')})", written, answers.get(answer)
        elif entry.verb == "confirmation_added":
            pk = data.get("confirmation")
            yield f"confirmation {pk}", entry.reason, confirmed.get(pk)
        elif entry.verb == "file_attached":
            pk = data.get("attachment")
            yield f"file {pk}", data.get("sha256"), files.get(pk)
        elif entry.verb == "gate_overridden":
            pk = data.get("override")
            yield f"override {pk}", entry.reason, overrides.get(pk)
        elif entry.verb in ("note_written", "note_edited"):
            version = (data.get("note"), data.get("version"))
            yield f"note {version[0]}, version {version[1]}", entry.reason, notes.get(version)


# -- approvals


@finding
def occurrences(case: Case | None) -> Iterator[str]:
    """Whether a merge that stands kept its occurrences out of the case that it emptied."""
    merges = CaseMerge.objects.filter(undone_at__isnull=True).select_related("source")
    for made in merges.filter(source=case) if case else merges:
        if made.source.occurrences.exists():
            yield f"{made.source.number} was merged away and has occurrences."


def _approvals() -> Iterator[str]:
    """Four eyes, in every table that needs them."""
    for model in apps.get_models():
        if issubclass(model, FourEyes):
            for row in model._default_manager.filter(approved_by__isnull=False):
                yield from _approval(row)


def _approval(row: FourEyes) -> Iterator[str]:
    what = f"{row._meta.verbose_name} {row.pk}"
    if row.requested_by_id is None or row.approved_by_id in (row.requested_by_id, row.last_edited_by_id):
        yield f"{what}: it was not approved by a second person."
    if row.approved_at is None or not row.approved_sha256:
        yield f"{what}: when and what was approved is not kept."
    computed = getattr(row, "computed_sha256", None)
    if callable(computed) and computed() != row.content_sha256:
        yield f"{what}: its content is not the one that its hash was taken of."
