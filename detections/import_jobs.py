"""Imports that a page asks for and a worker does."""

from collections.abc import Sequence
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from detections import journal, outbox
from detections.actors import Actor, NotPermittedError, of_user, system
from detections.enums import ImportStatus
from detections.errors import SourceError
from detections.event_store import event_store
from detections.imports import RUN_IMPORT, STREAM, import_captures
from detections.models import Import


def request_import(files: Sequence[Path], *, actor: Actor, retime: bool = False) -> Import:
    """Ask for an import of files that stay where they are until it is done.

    retime: move the events by one amount so that the newest happens now. Raises NotPermittedError.
    """
    actor.require("detections.add_import", "import captures")
    names = [str(file) for file in files]
    with transaction.atomic():
        row = Import.objects.create(started_by=actor.user, files=names, retimed=retime)
        journal.record(
            STREAM,
            "import_requested",
            actor=actor,
            data={"import": row.pk, "files": names, "retimed": retime},
        )
        outbox.put(RUN_IMPORT, f"{RUN_IMPORT}:{row.pk}", row.pk)
    return row


@outbox.handler(RUN_IMPORT)
def run_import(import_id: int | None) -> None:
    """Outbox: do an import that was asked for. One that ended already is left alone.

    A store that fails is tried again later; a file that is not there, or a requester who may not import any
    more, ends the import with its reason.
    """
    assert import_id is not None
    row = Import.objects.select_related("started_by").get(pk=import_id)
    if row.status in {ImportStatus.SUCCEEDED, ImportStatus.PARTIAL}:
        return
    actor = of_user(row.started_by) if row.started_by else system("import")
    try:
        import_captures(
            [Path(name) for name in row.files],
            actor=actor,
            store=event_store(),
            # The moment of the request, so that a second attempt moves every event to the same time.
            retime=row.started_at if row.retimed else None,
            row=row,
        )
    except (SourceError, NotPermittedError) as error:
        _refuse(row, str(error), actor=actor)


def _refuse(row: Import, reason: str, *, actor: Actor) -> None:
    with transaction.atomic():
        Import.objects.filter(pk=row.pk).update(
            status=ImportStatus.FAILED, error=reason, finished_at=timezone.now()
        )
        journal.record(
            STREAM,
            "import_ended",
            actor=actor,
            before=row.status,
            after=ImportStatus.FAILED,
            reason=reason,
            data={"import": row.pk},
        )
