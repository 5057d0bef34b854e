"""Files of a case: sent, handed out as bytes, withdrawn."""

from typing import BinaryIO, cast

from django.contrib import messages
from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST

from detections.hidden_characters import plain
from triage import attachments
from triage.attachments import ChangedFileError
from triage.errors import TriageError
from triage.models import Attachment
from triage.views.case_page import load
from triage.views.doors import Asked, page
from triage.views.notes import back, notes_context


@page
@require_POST
def attachment_add(request: Asked, pk: int) -> HttpResponse:
    case, sent = load(request, pk), request.FILES.getlist("files")

    def work() -> None:
        if not sent:
            raise TriageError("Choose a file first.")
        for file in sent:
            content = cast("BinaryIO", file.file)
            made = attachments.attach(case, name=file.name or "", content=content, actor=request.actor)
            if made.is_mismatch:
                messages.warning(
                    request,
                    f"{plain(made.name)} is named as {made.named_type}, and its content is "
                    f"{made.content_type}.",
                )

    count = len(sent)
    return back(
        request, case, work, f"{count} {'file is' if count == 1 else 'files are'} kept with the case."
    )


@page
def attachment(request: Asked, pk: int) -> FileResponse | HttpResponse:
    """The bytes, and nothing that a browser would show or run: always a download, whatever it is."""
    row = _attachment(request, pk)
    try:
        file = attachments.open_checked(row)
    except ChangedFileError as changed:
        context = notes_context(request, load(request, row.case_id), refusal=str(changed))
        return render(request, "notes/notes.html", context, status=409)
    response = FileResponse(
        file, as_attachment=True, filename=row.name, content_type="application/octet-stream"
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cache-Control"] = "private, no-store"
    return response


@page
@require_POST
def attachment_withdraw(request: Asked, pk: int) -> HttpResponse:
    row = _attachment(request, pk)

    def work() -> None:
        attachments.withdraw(row, actor=request.actor, reason=request.POST.get("reason", ""))

    return back(request, row.case, work, "The file is withdrawn. It stays, marked.")


def _attachment(request: Asked, pk: int) -> Attachment:
    row = get_object_or_404(Attachment.objects.visible_to(request.actor).select_related("case"), pk=pk)
    load(request, row.case_id)
    return row
