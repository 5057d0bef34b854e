"""Write a rule's guide overlay, try it, propose it, and decide on what others propose."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from detections.errors import CasewrightError, RuleFault, RuleFileError
from detections.models import Rule
from detections.rule_import.comparison import DiffLine, difference
from triage import approvals, overlay_proposals, overlay_trial
from triage.enums import ProposalState
from triage.errors import StaleEditError, TriageError
from triage.guide_versions import in_force, worked_guide
from triage.guides.weakening import Bearing, Difference, compare
from triage.models import Case, GuideVersion, OverlayProposal
from triage.overlay_trial import Trial
from triage.views.doors import Asked, page

HISTORY_SHOWN = 20
START = """format = 1
version = 1

# One [[question]] for each question of the guide that needs more than its prose; numbers count from 1.
"""


@dataclass(frozen=True, slots=True)
class ShownFault:
    """A fault with the line that it is about and a caret under the place."""

    fault: RuleFault
    line: str
    caret: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What a text would come to: its faults, or how it differs from what is in force, tried on something."""

    faults: tuple[ShownFault, ...] = ()
    differences: tuple[Difference, ...] = ()
    lines: tuple[DiffLine, ...] = ()
    trial: Trial | None = None

    @property
    def weaker(self) -> list[Difference]:
        return [one for one in self.differences if one.bearing is Bearing.WEAKER]


@dataclass
class Edit:
    """The editor's state. row: what is written over; theirs: what somebody else saved meanwhile."""

    text: str
    reason: str
    row: OverlayProposal | None = None
    theirs: OverlayProposal | None = None
    refused: tuple[str, ...] = ()
    status: int = 200


@page
@require_http_methods(["GET", "POST"])
def rule_overlay(request: Asked, pk: int) -> HttpResponse:
    """The editor. POST keeps the text as a draft, or proposes it; on an error the text stays as typed."""
    rule = _rule(request, pk)
    request.actor.require(overlay_proposals.AUTHOR, "write guide overlays")
    base = in_force(rule)
    if base is None:
        messages.warning(request, "The rule has no version, so it has no guide. Load its rule file again.")
        return redirect("rule", pk=pk)
    row = _draft(request, rule)
    if request.method == "GET":
        edit = Edit(row.text if row else base.overlay or START, row.reason if row else "", row)
        return _editor(request, rule, base, edit)
    edit = _written(request, rule, row)
    if edit.row is None or edit.status != 200:
        return _editor(request, rule, base, edit)
    if edit.row.state == ProposalState.DRAFT:
        return redirect(f"{request.path}?number={edit.row.number}")
    return redirect("overlay", pk=pk, number=edit.row.number)


def _written(request: Asked, rule: Rule, row: OverlayProposal | None) -> Edit:
    """What came of a POST. A text is kept before it is judged, so that no fault of it loses it."""
    edit = Edit(request.POST.get("text", "").replace("\r\n", "\n"), request.POST.get("reason", ""), row)
    try:
        edit.row = overlay_proposals.save_draft(
            rule,
            text=edit.text,
            reason=edit.reason,
            actor=request.actor,
            proposal=row,
            version=_number(request.POST.get("version", "")),
        )
        if request.POST.get("act") == "propose":
            edit.row = overlay_proposals.propose(edit.row, actor=request.actor, version=edit.row.version)
    except StaleEditError as stale:
        edit.status = 409
        edit.refused = (str(stale), "Your text is below as you typed it. Save it to keep it.")
        if isinstance(stale.theirs, OverlayProposal):
            edit.row = edit.theirs = stale.theirs
    except RuleFileError as broken:
        count = len(broken.faults)
        edit.status = 422
        edit.refused = (f"It is kept as a draft, and not proposed: {count} faults are listed below.",)
    except TriageError as refused:
        edit.status, edit.refused = 422, (str(refused),)
    else:
        _told(request, edit.row)
    return edit


def _told(request: Asked, row: OverlayProposal) -> None:
    if row.state == ProposalState.PROPOSED:
        messages.success(request, "Proposed. Another person has to approve it before it is in force.")
    else:
        messages.success(request, "The draft is kept. Nothing is in force by it.")


def _editor(request: Asked, rule: Rule, base: GuideVersion, edit: Edit) -> HttpResponse:
    return render(
        request,
        "rules/overlay_edit.html",
        {
            "rule": rule,
            "base": base,
            "row": edit.row,
            "text": edit.text,
            "reason": edit.reason,
            "faults": edit.refused,
            "theirs": edit.theirs,
            "cases": overlay_trial.cases_to_try(rule, actor=request.actor),
            "history": _history(request, rule),
            "judged": _judged(request, rule, base, edit.text, _case(request, rule)),
        },
        status=edit.status,
    )


@page
@require_POST
def overlay_try(request: Asked, pk: int) -> HttpResponse:
    """What the text in the editor comes to, while it is typed."""
    rule = _rule(request, pk)
    request.actor.require(overlay_proposals.AUTHOR, "write guide overlays")
    base = in_force(rule)
    text = request.POST.get("text", "").replace("\r\n", "\n")
    judged = _judged(request, rule, base, text, _case(request, rule)) if base else None
    return render(request, "rules/overlay_judged.html", {"judged": judged, "rule": rule})


@page
@require_http_methods(["GET", "POST"])
def overlay(request: Asked, pk: int, number: int) -> HttpResponse:
    """One overlay, to read and to decide on."""
    rule = _rule(request, pk)
    found = OverlayProposal.objects.visible_to(request.actor).select_related(
        "rule", "base__rule_version", "guide", "requested_by", "last_edited_by", "approved_by"
    )
    row = get_object_or_404(found, rule=rule, number=number)
    base, status = row.base or in_force(rule), 200
    if request.method == "POST":
        try:
            _decide(request, row)
            return redirect("overlay", pk=pk, number=number)
        except CasewrightError as refused:
            messages.error(request, str(refused))
            status = 409
            row.refresh_from_db()
    return render(
        request,
        "rules/overlay.html",
        {
            "rule": rule,
            "row": row,
            "base": base,
            "judged": _judged(request, rule, base, row.text, _case(request, rule)) if base else None,
            "cases": overlay_trial.cases_to_try(rule, actor=request.actor),
            "chosen": request.GET.get("case", ""),
            "is_outdated": _is_outdated(rule, row),
            "why_not": _why_not(request, row),
            "is_own": row.requested_by == request.user,
            "declined_text": request.POST.get("reason", ""),
            "may_write": request.actor.can(overlay_proposals.AUTHOR),
            "history": _history(request, rule),
        },
        status=status,
    )


def _decide(request: Asked, row: OverlayProposal) -> None:
    if request.POST.get("act") == "approve":
        overlay_proposals.approve(row, seen_sha256=request.POST.get("sha256", ""), actor=request.actor)
        messages.success(request, "Approved. New cases are worked by it; open ones stay with their guide.")
    else:
        overlay_proposals.decline(row, reason=request.POST.get("reason", ""), actor=request.actor)
        messages.success(request, "Declined. The guide in force stays.")


def _why_not(request: Asked, row: OverlayProposal) -> str:
    """Why this person can't approve it, in words, or ""."""
    if not request.actor.can(approvals.PERMISSION):
        return "A lead approves guide overlays."
    if request.user in (row.requested_by, row.last_edited_by):
        return "You asked for it or edited it last: another person has to approve it."
    return ""


def _is_outdated(rule: Rule, row: OverlayProposal) -> bool:
    current = in_force(rule)
    return row.state == ProposalState.PROPOSED and current is not None and row.base_id != current.pk


def _rule(request: Asked, pk: int) -> Rule:
    return get_object_or_404(Rule.objects.visible_to(request.actor).select_related("current"), pk=pk)


def _draft(request: Asked, rule: Rule) -> OverlayProposal | None:
    """The overlay that is being written: the one named, else the person's own newest draft."""
    rows = OverlayProposal.objects.visible_to(request.actor).filter(
        rule=rule, state__in=[ProposalState.DRAFT, ProposalState.PROPOSED]
    )
    number = _number(request.POST.get("number") or request.GET.get("number") or "")
    if number:
        return rows.filter(number=number).first()
    return rows.filter(last_edited_by=request.user, state=ProposalState.DRAFT).order_by("-number").first()


def _case(request: Asked, rule: Rule) -> Case | None:
    key = _number(request.POST.get("case") or request.GET.get("case") or "")
    cases = Case.objects.visible_to(request.actor).select_related("guide", "rule")
    return cases.filter(rule=rule, pk=key).first() if key else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _history(request: Asked, rule: Rule) -> Sequence[OverlayProposal]:
    rows = OverlayProposal.objects.visible_to(request.actor).filter(rule=rule)
    people = rows.select_related("requested_by", "approved_by", "last_edited_by")
    return list(people.order_by("-number")[:HISTORY_SHOWN])


def _judged(request: Asked, rule: Rule, base: GuideVersion, text: str, case: Case | None) -> Judged:
    broken = overlay_proposals.faults_of(base, text)
    lines = tuple(difference(base.overlay, text))
    if broken is not None:
        return Judged(tuple(_shown(broken.faults, text)), lines=lines)
    draft = GuideVersion(
        rule_version_id=base.rule_version_id, note=base.note, transforms=base.transforms, overlay=text
    )
    return Judged(
        differences=tuple(compare(worked_guide(base), worked_guide(draft))),
        lines=lines,
        trial=overlay_trial.trial(draft, case=case, rule=rule, actor=request.actor),
    )


def _shown(faults: Sequence[RuleFault], text: str) -> Iterator[ShownFault]:
    lines = text.splitlines()
    for fault in faults:
        number = fault.location.line or 0
        line = lines[number - 1] if 0 < number <= len(lines) else ""
        start = fault.location.column or len(line) - len(line.lstrip()) + 1
        # Tabs stay tabs, so that the caret stands where the eye expects it.
        margin = "".join(one if one == "\t" else " " for one in line[: start - 1])
        yield ShownFault(fault, line, f"{margin}^" if line else "")
