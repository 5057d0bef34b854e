"""Import captures, and read how it went."""

import uuid
from pathlib import Path, PurePosixPath, PureWindowsPath

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import get_valid_filename
from django.views.decorators.http import require_http_methods

from detections import import_jobs
from detections.errors import CasewrightError
from detections.models import Import, QuarantinedRecord
from triage.forms import ImportForm
from triage.views.doors import Asked, page

IMPORTS_A_PAGE = 25
RECORDS_A_PAGE = 100


@page
@require_http_methods(["GET", "POST"])
def imports(request: Asked) -> HttpResponse:
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    status = 200
    if request.method == "POST":
        request.actor.require("detections.add_import", "import captures")
        if form.is_valid() and _request_import(request, form):
            return redirect("imports")
        status = 422
    found = Import.objects.visible_to(request.actor).select_related("started_by")
    context = {
        "form": form,
        "page": Paginator(found, IMPORTS_A_PAGE).get_page(request.GET.get("page")),
        "may_import": request.actor.can("detections.add_import"),
        "may_read_quarantine": request.actor.can("detections.view_quarantinedrecord"),
    }
    return render(request, "imports/list.html", context, status=status)


def _request_import(request: Asked, form: ImportForm) -> bool:
    """Keep the files and ask for their import. False, with the reason on the form, if it was refused."""
    files = form.cleaned_data["captures"]
    try:
        kept = _keep(files)
        import_jobs.request_import(kept, actor=request.actor, retime=form.cleaned_data["retime"])
    except (CasewrightError, OSError) as refused:
        form.add_error("captures", f"The files were not imported: {refused}")
        return False
    noun = "file is" if len(files) == 1 else "files are"
    messages.success(request, f"{len(files)} {noun} waiting to be imported. This page shows how it goes.")
    return True


def _keep(files: "list[UploadedFile[bytes]]") -> list[Path]:
    """Write the uploads into a folder of their own, under names that can't lead out of it."""
    folder = Path(settings.UPLOADS_DIR) / uuid.uuid4().hex
    folder.mkdir(parents=True)
    kept: list[Path] = []
    for number, file in enumerate(files, start=1):
        target = folder / _safe_name(file.name or "", number)
        if target in kept:
            target = target.with_name(f"{number}-{target.name}")
        with target.open("xb") as out:
            for chunk in file.chunks():
                out.write(chunk)
        kept.append(target)
    return kept


def _safe_name(name: str, number: int) -> str:
    """The name as typed by somebody else's browser, without folders, dots in front or odd characters."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    try:
        clean = get_valid_filename(last).lstrip(".")[-120:]
    except SuspiciousFileOperation:
        clean = ""
    return clean or f"upload-{number}"


@page
def import_row(request: Asked, pk: int) -> HttpResponse:
    """One row of the list, asked for again while it runs."""
    shown = get_object_or_404(Import.objects.visible_to(request.actor).select_related("started_by"), pk=pk)
    may_read = request.actor.can("detections.view_quarantinedrecord")
    return render(request, "imports/row.html", {"import": shown, "may_read_quarantine": may_read})


@page
def quarantine(request: Asked, pk: int) -> HttpResponse:
    """The records that could not be used. Admins only: raw data of any host stands in them."""
    request.actor.require("detections.view_quarantinedrecord", "read the quarantine")
    shown = get_object_or_404(Import.objects.visible_to(request.actor), pk=pk)
    records = QuarantinedRecord.objects.visible_to(request.actor).filter(capture=shown)
    found = Paginator(records, RECORDS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "imports/quarantine.html", {"import": shown, "page": found})
