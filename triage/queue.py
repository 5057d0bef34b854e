"""The queue: which cases stand in which tab, searched, sorted and counted."""

import re
from dataclasses import dataclass

from django.core.paginator import Page, Paginator
from django.db.models import Case as When
from django.db.models import Count, Exists, IntegerField, OuterRef, Q, Subquery, Value
from django.db.models import When as Then

from detections.actors import Actor
from detections.enums import Severity
from triage.enums import ActionState, CaseStatus, ExceptionState
from triage.models import Case, ExceptionVersion, GateOverride, ResponseAction
from triage.models.action import ResponseActionQuerySet
from triage.models.case import CaseQuerySet

PAGE_SIZE = 50
_OPEN = ~Q(status=CaseStatus.CLOSED)
_RANK = {Severity.CRITICAL: 0, Severity.HIGH: 1, Severity.MEDIUM: 2, Severity.LOW: 3}
SORTS = {
    "severity": ("rank", "-risk_score", "-opened_at"),
    "due": ("due_at",),
    "age": ("opened_at",),
    "newest": ("-opened_at",),
    "activity": ("-last_activity_at",),
    "host": ("host_name",),
    "remote": ("remote_ip",),
    "title": ("title",),
    "assignee": ("assignee__username",),
    "status": ("status",),
    "occurrences": ("-occurrence_count",),
    "progress": ("-questions_answered",),
}
DEFAULT_TAB, DEFAULT_SORT = "all", "severity"
_SEARCHED = ("title", "host_name", "host_id", "remote_ip", "user_name", "process")
_NUMBER = re.compile(r"(?:CW-)?(\d{1,15})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class QueueTab:
    """One tab and how many cases stand in it, whatever is searched for."""

    key: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class QueuePage:
    """What the queue shows: one page of cases and the tabs above it."""

    page: Page[Case]
    tabs: tuple[QueueTab, ...]
    tab: str
    search: str
    sort: str


def _conditions(actor: Actor) -> dict[str, tuple[str, Q]]:
    user = actor.user.pk if actor.user else None
    nothing = Q(pk__in=[])
    return {
        "mine": ("Mine", _OPEN & Q(assignee=user) if user else nothing),
        "unassigned": ("Unassigned", _OPEN & Q(assignee__isnull=True)),
        "approval": ("Needs approval", _asked_for()),
        "contained": ("Contained", Q(pk__in=_open_containments().order_by().values("case"))),
        "blocked": ("Blocked", _OPEN & (Q(blocked_count__gt=0) | Q(no_telemetry_count__gt=0))),
        "new": ("New evidence", _OPEN & Q(has_new_evidence=True)),
        "all": ("All", _OPEN),
        "closed": ("Closed", Q(status=CaseStatus.CLOSED)),
    }


def _open_containments() -> ResponseActionQuerySet:
    return ResponseAction.objects.open_containments()


def _asked_for() -> Q:
    """Cases from which something waits for a second person, closed ones too: an exception is asked for of
    what was found to be harmless."""
    actions = ResponseAction.objects.filter(state=ActionState.REQUESTED)
    items = ExceptionVersion.objects.filter(state=ExceptionState.PROPOSED, case__isnull=False)
    return Q(pk__in=actions.order_by().values("case")) | Q(pk__in=items.order_by().values("case"))


def queue(
    *,
    actor: Actor,
    tab: str = DEFAULT_TAB,
    search: str = "",
    sort: str = DEFAULT_SORT,
    page: int = 1,
    size: int = PAGE_SIZE,
) -> QueuePage:
    """One page of the queue as the actor may see it. Three queries, however many cases.

    An unknown tab or sort falls back to the default; a page past the end is the last one.
    """
    conditions = _conditions(actor)
    tab = tab if tab in conditions else DEFAULT_TAB
    sort = sort if sort in SORTS else DEFAULT_SORT
    visible = Case.objects.visible_to(actor)
    overridden = Exists(GateOverride.objects.filter(case=OuterRef("pk")))
    held = _open_containments().filter(case=OuterRef("pk")).order_by("started_at", "pk")
    cases = found(visible.filter(conditions[tab][1]), search).annotate(
        rank=_rank(), overridden=overridden, contained_since=Subquery(held.values("started_at")[:1])
    )
    cases = cases.select_related("assignee", "rule").order_by(*SORTS[sort], "-pk")
    return QueuePage(
        page=Paginator(cases, size).get_page(page),
        tabs=_tabs(visible, conditions),
        tab=tab,
        search=search,
        sort=sort,
    )


def _rank() -> When:
    branches = [Then(severity=severity, then=Value(rank)) for severity, rank in _RANK.items()]
    return When(*branches, default=Value(9), output_field=IntegerField())


def _tabs(visible: CaseQuerySet, conditions: dict[str, tuple[str, Q]]) -> tuple[QueueTab, ...]:
    counts = visible.order_by().aggregate(
        **{f"n_{key}": Count("pk", filter=condition) for key, (_label, condition) in conditions.items()}
    )
    return tuple(QueueTab(key, label, counts[f"n_{key}"]) for key, (label, _condition) in conditions.items())


def found(cases: CaseQuerySet, search: str) -> CaseQuerySet:
    """The cases of which each word of the search is the number, or part of what the case is known by."""
    for word in search.replace("\x00", "\ufffd").split()[:10]:
        condition = Q()
        for column in _SEARCHED:
            condition |= Q(**{f"{column}__icontains": word})
        if number := _NUMBER.fullmatch(word):
            condition |= Q(pk=int(number[1]))
        cases = cases.filter(condition)
    return cases
