"""Exceptions: the list, an item with its versions, what it hides, and the decisions on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from detections.models import Rule
from triage import approvals
from triage.enums import BackTestKind, ExceptionState
from triage.errors import GuardrailsError, StaleEditError, TriageError
from triage.exception_items import overview as exception_overview
from triage.exception_items import query as exception_query
from triage.exception_items import reach as exception_reach
from triage.exception_items import states as exception_states
from triage.exception_items.content import Entry, content_of, entries_of
from triage.exception_items.forms import read_end
from triage.exception_items.guardrails import guide_of_rule, seen_of
from triage.exception_items.selectivity import Alone, alone, recent_alerts
from triage.exception_items.states import EXCEED
from triage.exception_items.ticks import Judged, judged
from triage.exception_items.way import PROPOSE
from triage.models import BackTest, Evidence, ExceptionItem, ExceptionVersion
from triage.views import exception_rows
from triage.views.case_page import load
from triage.views.doors import Asked, page
from triage.views.exception_proposing import version_of
from triage.views.exception_tests import begin, shown_tests

ITEMS_A_PAGE = 50
HIDDEN_A_PAGE = 25
REVIEWS_SHOWN = 10
_S = ExceptionState
_OPEN = (_S.DRAFT, _S.PROPOSED)


@dataclass(frozen=True, slots=True)
class Clause:
    """An entry as a row of the table. host_names: of the hosts that it names by their id."""

    number: int
    entry: Entry
    values: Sequence[tuple[str, str]]
    origin: Evidence | None
    alone: Alone | None


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the picture of hits, in percent of its width and height."""

    day: date
    count: int
    x: float
    width: float
    y: float
    height: float


@page
def exceptions(request: Asked) -> HttpResponse:
    now = timezone.now()
    asked = {name: request.GET.get(name, "").strip() for name in ("state", "rule", "owner", "q")}
    found = exception_overview.items(
        actor=request.actor,
        state=asked["state"],
        search=asked["q"],
        rule=asked["rule"],
        owner=asked["owner"],
        now=now,
    )
    shown = Paginator(found, ITEMS_A_PAGE).get_page(request.GET.get("page"))
    seen = ExceptionItem.objects.visible_to(request.actor).order_by()
    return render(
        request,
        "exceptions/list.html",
        {
            "page": shown,
            "lines": exception_overview.lines(list(shown), actor=request.actor, now=now),
            "asked": asked,
            "is_narrowing": any(asked.values()),
            "states": exception_overview.STATES,
            "rules": Rule.objects.filter(pk__in=seen.values("rule")).order_by("name").only("name"),
            "owners": User.objects.filter(pk__in=seen.values("owner")).order_by("username"),
            "total": seen.count(),
            "soon": now + exception_overview.ENDS_SOON,
            "may_propose": request.actor.can(PROPOSE),
        },
    )


@page
def exception(request: Asked, item: int) -> HttpResponse:
    """The item, opened on the version that matters most."""
    seen = ExceptionVersion.objects.visible_to(request.actor).filter(item=item)
    version = exception_overview.first_shown(seen.only("number", "state", "item"))
    shown = version_of(request, item, version.number if version else 0)
    return render(request, "exceptions/version.html", _context(request, shown))


@page
def exception_version(request: Asked, item: int, number: int) -> HttpResponse:
    return render(request, "exceptions/version.html", _context(request, version_of(request, item, number)))


@page
def case_exceptions(request: Asked, pk: int) -> HttpResponse:
    """What exceptions have to do with a case, for its right column; alone it is a part of the case's page."""
    case = load(request, pk)
    if not request.htmx:
        return redirect("case", pk)
    found = exception_reach.of_case(case, actor=request.actor, now=timezone.now())
    proposed = ExceptionVersion.objects.visible_to(request.actor).filter(case=case).select_related("item")
    return render(
        request,
        "exceptions/case_side.html",
        {
            "case": case,
            "found": found,
            "from_here": proposed.order_by("-pk")[:5],
            "may_propose": request.actor.can(PROPOSE),
        },
    )


# -- one version


def _context(request: Asked, version: ExceptionVersion, **more: Any) -> dict[str, Any]:
    item, actor, now = version.item, request.actor, timezone.now()
    versions = list(
        ExceptionVersion.objects.visible_to(actor)
        .filter(item=item)
        .select_related("requested_by", "approved_by", "last_edited_by")
        .order_by("-number")
    )
    for one in versions:
        one.item = item
    hidden = Paginator(exception_overview.hidden_by_item(item, actor=actor), HIDDEN_A_PAGE)
    hits = exception_overview.hits_a_day(item, actor=actor, now=now)
    reviews = exception_overview.reviews_of(item, actor=actor)
    tests = shown_tests(version, actor=actor)
    return {
        "item": item,
        "version": version,
        "versions": versions,
        "before": next((one for one in versions if one.number < version.number), None),
        "active": next((one for one in versions if one.state == _S.ACTIVE), None),
        **_content(request, version, versions, now),
        "tests": tests,
        "test": next((one for one in tests if _is_of(one.test, version)), None),
        "hidden": hidden.get_page(request.GET.get("page")),
        "hits": _bars(hits),
        "hits_total": sum(count for _day, count in hits),
        "hits_most": max((count for _day, count in hits), default=0),
        "reviews": reviews[:REVIEWS_SHOWN],
        "journal": exception_overview.chain_of(item.stream, actor=actor),
        "why_not": _why_not(request, version),
        "may_propose": actor.can(PROPOSE),
        "may_approve": actor.can(approvals.PERMISSION),
        "may_exceed": actor.can(EXCEED),
        "is_waiting": version.state == _S.PROPOSED,
        "soon": now + exception_overview.ENDS_SOON,
        "now": now,
        **more,
    }


def _is_of(test: BackTest, version: ExceptionVersion) -> bool:
    return test.content_sha256 == version.content_sha256 and test.kind == BackTestKind.ALERTS


def _content(
    request: Asked, version: ExceptionVersion, versions: Sequence[ExceptionVersion], now: datetime
) -> dict[str, Any]:
    """The entries in sentences, what is different, and the guardrails while something is to be decided."""
    try:
        entries = entries_of(version.entries)
    except ValueError as broken:
        return {"clauses": [], "unreadable": str(broken), "changes": [], "judged": None}
    is_open = version.state in _OPEN
    singles: Sequence[Alone | None] = [None] * len(entries)
    if is_open:
        recent = recent_alerts(version.item.rule, actor=request.actor, now=now)
        singles = alone(entries, recent, actor=request.actor)
    names = exception_overview.host_names(entries)
    origins = exception_rows.evidence_of((one.evidence or 0 for one in entries), actor=request.actor)
    return {
        "clauses": [
            Clause(n, entry, _values(entry, names), origins.get(entry.evidence or 0), singles[n])
            for n, entry in enumerate(entries)
        ],
        "changes": _changes(version, versions),
        "elsewhere": exception_query.elsewhere(version),
        "judged": _judged(version, now) if is_open else None,
    }


def _values(entry: Entry, names: dict[str, str]) -> list[tuple[str, str]]:
    return [(value, names.get(value, "") if entry.field == "host.id" else "") for value in entry.values]


def _changes(
    version: ExceptionVersion, versions: Sequence[ExceptionVersion]
) -> list[exception_overview.Change]:
    before = next((one for one in versions if one.number < version.number), None)
    if before is None:
        return []
    old = ExceptionVersion.objects.select_related("rule_version").get(pk=before.pk)
    try:
        return exception_overview.changes(old, version)
    except ValueError:
        return []


def _judged(version: ExceptionVersion, now: datetime) -> Judged | None:
    try:
        content = content_of(version)
        seen = seen_of(content, now=now)
    except ValueError:
        return None
    return judged(content, guide_of_rule(version.item.rule), seen=seen, now=now)


def _bars(hits: Sequence[tuple[date, int]]) -> list[Bar]:
    most = max((count for _day, count in hits), default=0) or 1
    width = 100 / max(len(hits), 1)
    return [
        Bar(
            day,
            count,
            round(n * width, 2),
            round(width * 0.8, 2),
            100 - 100 * count / most,
            100 * count / most,
        )
        for n, (day, count) in enumerate(hits)
    ]


def _why_not(request: Asked, version: ExceptionVersion) -> str:
    """Why this person can't decide on it, in words, or ""."""
    if not request.actor.can(approvals.PERMISSION):
        return "A lead decides on exceptions."
    if request.user == version.requested_by:
        return "You asked for it: another person has to decide."
    if request.user == version.last_edited_by:
        return "You edited it last: another person has to decide."
    return ""


@page
def exception_guardrails(request: Asked, item: int, number: int) -> HttpResponse:
    """The guardrails of a version in short, for a list; they read many alerts, so they come later."""
    version = version_of(request, item, number)
    found = _judged(version, timezone.now())
    return render(request, "exceptions/guardrails.html", {"judged": found})


# -- decisions


@page
@require_POST
def exception_decide(request: Asked, item: int, number: int) -> HttpResponse:
    """Propose, approve, decline, revoke, renew or back-test. What was typed stays on a refusal."""
    version = version_of(request, item, number)
    deed = _DEEDS.get(request.POST.get("act", ""))
    if deed is None:
        return redirect("exception_version", item, number)
    try:
        changed = deed(request, version)
    except GuardrailsError as refused:
        told, status = [one.says for one in refused.refusals], 422
    except StaleEditError as refused:
        told, status = [str(refused)], 409
    except TriageError as refused:
        told, status = [str(refused)], 422
    else:
        return redirect("exception_version", item, changed.number)
    context = _context(
        request,
        version_of(request, item, number),
        refused=told,
        typed={name: request.POST.get(name, "") for name in ("reason", "expires_at")},
        act=request.POST.get("act", ""),
    )
    return render(request, "exceptions/version.html", context, status=status)


def _propose(request: Asked, version: ExceptionVersion) -> ExceptionVersion:
    revision = exception_rows.number_of(request.POST.get("revision", ""))
    changed = exception_states.propose(version, actor=request.actor, revision=revision)
    messages.success(request, f"{changed.label} is proposed. Another person has to approve it.")
    return changed


def _approve(request: Asked, version: ExceptionVersion) -> ExceptionVersion:
    changed = exception_states.approve(
        version,
        actor=request.actor,
        seen_sha256=request.POST.get("sha256", ""),
        exceed_share=request.POST.get("exceed_share") == "on",
    )
    begins = "is in force" if changed.state == _S.ACTIVE else "begins when it says"
    messages.success(request, f"{changed.label} is approved and {begins}. What is a case already stays one.")
    return changed


def _decline(request: Asked, version: ExceptionVersion) -> ExceptionVersion:
    reason, seen = request.POST.get("reason", ""), request.POST.get("sha256", "")
    changed = exception_states.decline(version, actor=request.actor, reason=reason, seen_sha256=seen)
    messages.success(request, f"{changed.label} is declined. Its reason is in the journal.")
    return changed


def _revoke(request: Asked, version: ExceptionVersion) -> ExceptionVersion:
    changed = exception_states.revoke(version, actor=request.actor, reason=request.POST.get("reason", ""))
    messages.success(request, f"{changed.label} is revoked. What it hid stays hidden and listed.")
    return changed


def _renew(request: Asked, version: ExceptionVersion) -> ExceptionVersion:
    """A draft that ends later; the same checks of its end as in the form."""
    ends = read_end(request.POST.get("expires_at", ""), now=timezone.now())
    reason = request.POST.get("reason", "").strip()
    changed = exception_states.renew(version, actor=request.actor, expires_at=ends, reason=reason)
    messages.success(request, f"{changed.label} is drafted: back-test it, then propose it.")
    begin(request, changed)
    return changed


def _test(request: Asked, version: ExceptionVersion) -> ExceptionVersion:
    begin(request, version)
    return version


_DEEDS: dict[str, Callable[[Asked, ExceptionVersion], ExceptionVersion]] = {
    "propose": _propose,
    "approve": _approve,
    "decline": _decline,
    "revoke": _revoke,
    "renew": _renew,
    "test": _test,
}
