"""Preserve in one click: what the guide names is frozen, what nobody asked is asked, and a pack is made."""

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from detections import outbox
from detections.actors import Actor, of_user, system
from detections.enums import OutboxState
from detections.errors import CasewrightError
from detections.models import OutboxRow
from triage import asking, cases, journal, observables
from triage.enums import PackState, PivotScope, PivotState
from triage.errors import TriageError
from triage.models import Case, CasePack, PivotRun
from triage.pivot_windows import Reach, usual_reach
from triage.preserve import case_pack, file_collection, preserved
from triage.preserve.preserved import KEPT, NEIGHBOURHOOD, NEIGHBOURS, Missing

log = logging.getLogger(__name__)
KIND = "case_pack"
# Pivots that were asked for it get this long; then the pack says which had not ended.
LOOK_EVERY, MOST_LOOKS = timedelta(seconds=5), 120
_WAITS = (PivotState.NOT_RUN, PivotState.RUNNING)


def preserve(case: Case, *, actor: Actor, since: datetime | None = None) -> CasePack:
    """Ask for a case pack, for the pivots that the guide's list lacks, and for files where a connector can
    collect them; a worker makes the pack when those have ended.

    Of a closed case a pack is made as it stands. One that is under way already is returned. since: so is one
    that was asked for or ended after that; who may have asked then does not ask twice. Raises
    NotPermittedError.
    """
    actor.require("triage.add_casepack", "preserve evidence")
    standing = _standing(case, since)
    if standing is not None:
        return standing
    asked = _ask_missing(case, actor) if case.is_open else []
    if case.is_open:
        file_collection.ask(case, actor=actor)
    with transaction.atomic():
        held = cases.locked(case.pk)
        standing = _standing(held, since)
        if standing is not None:
            return standing
        pack = CasePack.objects.create(
            case=held,
            number=held.packs.count() + 1,
            asked_by=actor.user,
            asked_at=timezone.now(),
            asked_for=[run.pk for run in asked],
        )
        outbox.put(KIND, f"{KIND}:{pack.pk}:0", pack.pk)
        journal.record(
            held,
            "pack_asked",
            actor=actor,
            subject=f"pack {pack.number}",
            data={"pack": pack.pk, "pivots": pack.asked_for},
        )
    return pack


def _standing(case: Case, since: datetime | None) -> CasePack | None:
    """The pack that stands for one asked for now."""
    wanted = Q(state__in=[PackState.WAITING, PackState.COLLECTING])
    if since is not None:
        wanted |= Q(asked_at__gte=since) | Q(finished_at__gte=since)
    return CasePack.objects.filter(wanted, case=case).order_by("-number").first()


def _ask_missing(case: Case, actor: Actor) -> list[PivotRun]:
    """Ask what no pivot of the case asks. What can't be asked stays on the list as lacking."""
    if actor.user is None or not actor.can("triage.answer_question"):
        return []
    found = []
    for one in preserved.missing(case):
        try:
            found.append(_asked(case, one, actor))
        except TriageError as refused:
            log.info("%s: %s is not asked: %s", case.number, one.key, refused)
    return found


def _asked(case: Case, one: Missing, actor: Actor) -> PivotRun:
    is_near = one.key == NEIGHBOURS
    reach = Reach(NEIGHBOURHOOD, NEIGHBOURHOOD, PivotScope.HOST) if is_near else usual_reach(PivotScope.HOST)
    return asking.own_filters(case, one.rows, reach=reach, actor=actor)


# -- making it


@outbox.handler(KIND)
def deliver(pack_id: int | None) -> None:
    """Outbox: make the pack once what it asked for has ended. Safe to deliver again at any point."""
    packs = CasePack.objects.select_related("case__guide", "case__rule", "asked_by").under_way()
    pack = packs.filter(pk=pack_id).first() if pack_id else None
    if pack is None or _waits(pack):
        return
    case = Case.objects.select_related("guide", "rule", "rule_version", "closed_by").get(pk=pack.case_id)
    pack.case = case
    observables.collect(case)
    try:
        made = case_pack.build(pack)
    except (CasewrightError, OSError) as error:
        _fail(pack, str(error) or type(error).__name__)
        return
    _store(pack, made)


def _waits(pack: CasePack) -> bool:
    """Whether what was asked for it has still to end; then another look is asked for."""
    is_open = PivotRun.objects.filter(pk__in=pack.asked_for, state__in=_WAITS).exists()
    if pack.looks >= MOST_LOOKS or not (is_open or file_collection.is_under_way(pack.case)):
        return False
    with transaction.atomic():
        row = CasePack.objects.select_for_update().get(pk=pack.pk)
        row.looks, row.state = row.looks + 1, PackState.COLLECTING
        row.save(update_fields=["looks", "state"])
        later = timezone.now() + LOOK_EVERY
        outbox.put(KIND, f"{KIND}:{pack.pk}:{uuid.uuid4().hex[:12]}", pack.pk, not_before=later)
    return True


def _store(pack: CasePack, made: case_pack.Made) -> None:
    with transaction.atomic():
        case = cases.locked(pack.case_id)
        row = CasePack.objects.select_for_update().get(pk=pack.pk)
        if not row.is_under_way:
            return
        row.case = case
        row.state, row.finished_at = PackState.SUCCEEDED, timezone.now()
        row.sha256, row.size, row.without_pdf = made.sha256, made.size, made.without_pdf
        row.kept, row.findings = [one.data() for one in made.kept], list(made.findings)
        row.save()
        journal.record(
            case,
            "pack_made",
            actor=_maker(pack),
            subject=row.name,
            data={
                "pack": row.pk,
                "pack_sha256": row.sha256,
                "size": row.size,
                "journal": made.journal_number,
                "findings": row.findings,
                "lacking": [one.key for one in made.kept if one.state != KEPT],
            },
        )


def _fail(pack: CasePack, why: str) -> None:
    with transaction.atomic():
        case = cases.locked(pack.case_id)
        row = CasePack.objects.select_for_update().get(pk=pack.pk)
        if not row.is_under_way:
            return
        row.state, row.reason, row.finished_at = PackState.FAILED, why, timezone.now()
        row.save(update_fields=["state", "reason", "finished_at"])
        data = {"pack": row.pk}
        journal.record(case, "pack_failed", actor=system("case pack"), reason=why, data=data)


def _maker(pack: CasePack) -> Actor:
    return of_user(pack.asked_by) if pack.asked_by is not None else system("case pack")


def fail_lost() -> int:
    """End packs whose worker was given up. Returns how many."""
    given_up = OutboxRow.objects.filter(kind=KIND, state=OutboxState.FAILED).values("subject")
    lost = list(CasePack.objects.under_way().filter(pk__in=given_up))
    for pack in lost:
        _fail(pack, "The worker failed too often at it. The health page has its error; ask again.")
    return len(lost)


def packs_of(case: Case, *, actor: Actor) -> Sequence[CasePack]:
    """The packs of a case, newest first."""
    found = list(
        CasePack.objects.visible_to(actor).filter(case=case).select_related("asked_by").order_by("-number")
    )
    for pack in found:
        pack.case = case
    return found
