"""What people write and bring to a case: notes, files, tasks, links."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from triage import case_tasks, notes
from triage.enums import CaseLinkKind
from triage.errors import TriageError
from triage.models import Case, CaseLink, CaseMerge, CaseTask, Note
from triage.views.case_page import CasePage, assignable, load
from triage.views.doors import Asked, page


@page
def case_notes(request: Asked, pk: int) -> HttpResponse:
    case = load(request, pk)
    notes.read_mentions(request.actor, case=case)
    return render(request, "notes/notes.html", notes_context(request, case))


def notes_context(request: Asked, case: Case, **more: object) -> dict[str, object]:
    """Everything on the page. more: what a refused form had in it, and why it was refused."""
    shown, actor = CasePage(case, request.actor), request.actor
    number = request.GET.get("page", "")[:6]
    tasks = CaseTask.objects.visible_to(actor).filter(case=case).select_related("owner", "done_by")
    return {
        **shown.context("notes"),
        "notes": notes.notes_of(case, actor=actor, page=int(number) if number.isdecimal() else None),
        "numbers": {question.key: question.position for question in shown.questions},
        "tasks": [(task, case_tasks.may_finish(task, actor), case_tasks.whose(task)) for task in tasks],
        "files": case.attachments.select_related("attached_by", "withdrawn_by"),
        "case_links": links_of(case),
        "merges": _merges(case),
        "assignable": assignable(),
        "people_to_mention": notes.can_be_mentioned(),
        "may_ask": actor.can("triage.add_casetask") and actor.user is not None,
        "may_note": actor.can("triage.add_note"),
        "may_attach": actor.can("triage.add_attachment"),
        "may_link": actor.can("triage.assign_case"),
        "may_merge": actor.can("triage.merge_case"),
        "is_lead": actor.can("triage.approve"),
        **more,
    }


_THEIRS = {CaseLinkKind.DUPLICATE_OF: "repeated by", CaseLinkKind.FOLLOWS: "followed by"}


def links_of(case: Case) -> list[tuple[CaseLink, Case, str]]:
    """All links of a case, those removed as well, each with the other case, and what this one is to it."""
    ours = case.links.select_related("target", "created_by")
    theirs = case.linked_from.select_related("source", "created_by")
    return [(link, link.target, link.get_kind_display().lower()) for link in ours] + [
        (link, link.source, _THEIRS.get(CaseLinkKind(link.kind), "related")) for link in theirs
    ]


def _merges(case: Case) -> list[tuple[CaseMerge, Case, str]]:
    """Each merge of a case, the other case, and what plainly forbids to undo it; undoing looks closer."""
    made = CaseMerge.objects.select_related("source", "target", "made_by", "undone_by")
    found = list(made.filter(source=case)) + list(made.filter(target=case))
    return [
        (
            merge,
            merge.target if merge.source_id == case.pk else merge.source,
            "" if merge.target.is_open else f"{merge.target.number} is closed.",
        )
        for merge in found
    ]


def back(request: Asked, case: Case, work: Callable[[], object], said: str, **typed: object) -> HttpResponse:
    """Do the work and show the notes again: with what it did, or with the refusal and what was typed."""
    try:
        work()
    except TriageError as refused:
        context = notes_context(request, load(request, case.pk), refusal=str(refused), **typed)
        return render(request, "notes/notes.html", context, status=422)
    messages.success(request, said)
    return redirect("case_notes", case.pk)


@page
@require_POST
def note_write(request: Asked, pk: int) -> HttpResponse:
    case, text, key = load(request, pk), request.POST.get("text", ""), request.POST.get("question", "")

    def work() -> None:
        notes.write_note(case, text=text, actor=request.actor, question_key=key)

    done = back(request, case, work, "The note is saved.", note_typed=text, note_question=key)
    return redirect("question", pk, key) if key and done.status_code == 302 else done


@page
@require_POST
def note_edit(request: Asked, pk: int) -> HttpResponse:
    note, text = _note(request, pk), request.POST.get("text", "")
    version = request.POST.get("version", "")

    def work() -> None:
        number = int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0
        notes.edit_note(note, text=text, actor=request.actor, version=number)

    return back(request, note.case, work, "The note has a new version.", edited=note.pk, edit_typed=text)


@page
@require_POST
def note_withdraw(request: Asked, pk: int) -> HttpResponse:
    note, reason = _note(request, pk), request.POST.get("reason", "")

    def work() -> None:
        notes.withdraw_note(note, actor=request.actor, reason=reason)

    return back(request, note.case, work, "The note is withdrawn. It stays readable.")


def _note(request: Asked, pk: int) -> Note:
    visible = Note.objects.visible_to(request.actor).select_related("case")
    note = get_object_or_404(visible, pk=pk)
    load(request, note.case_id)
    return note


@page
@require_POST
def mentions_read(request: Asked) -> HttpResponse:
    """Take all of one's mentions as read."""
    notes.read_mentions(request.actor)
    return redirect("notifications")
