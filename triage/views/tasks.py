"""The tasks of everybody: mine, for my role, overdue, done."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from detections.actors import Actor
from triage import case_tasks
from triage.errors import TriageError
from triage.forms import TaskForm
from triage.models import CaseTask
from triage.views.case_page import load
from triage.views.doors import Asked, page
from triage.views.notes import back

A_PAGE = 50
TABS = {"mine": "Mine", "role": "For my role", "overdue": "Overdue", "all": "All waiting", "done": "Done"}


@page
def tasks(request: Asked) -> HttpResponse:
    return render(request, "tasks/list.html", _context(request, request.GET.get("tab", "")))


def _context(request: Asked, tab: str, **more: object) -> dict[str, object]:
    shown = tab if tab in TABS else "mine"
    found = {key: _tab(key, request.actor) for key in TABS}
    rows = Paginator(_sorted(shown, found[shown]), A_PAGE).get_page(request.GET.get("page"))
    return {
        "tab": shown,
        "tabs": [(key, label, found[key].count()) for key, label in TABS.items()],
        "page": rows,
        "rows": [(task, case_tasks.may_finish(task, request.actor), case_tasks.whose(task)) for task in rows],
        "now": timezone.now(),
        **more,
    }


def _tab(key: str, actor: Actor) -> "QuerySet[CaseTask]":
    visible = CaseTask.objects.visible_to(actor)
    if key == "done":
        return visible.filter(done_at__isnull=False)
    if key == "overdue":
        return visible.overdue(now=timezone.now())
    if key == "mine":
        return visible.waiting().filter(owner=actor.user)
    return case_tasks.of_actor(actor).filter(owner__isnull=True) if key == "role" else visible.waiting()


def _sorted(key: str, found: "QuerySet[CaseTask]") -> "QuerySet[CaseTask]":
    related = found.select_related("case", "owner", "done_by")
    if key == "done":
        return related.order_by("-done_at", "-pk")
    return related.order_by(F("due_at").asc(nulls_last=True), "pk")


@page
@require_POST
def task_add(request: Asked, pk: int) -> HttpResponse:
    """Ask somebody, or anybody, for something on a case."""
    case, form = load(request, pk), TaskForm(request.POST)

    def work() -> None:
        if not form.is_valid():
            raise TriageError(" ".join(str(fault) for faults in form.errors.values() for fault in faults))
        case_tasks.ask(case, actor=request.actor, **form.cleaned_data)

    return back(request, case, work, "The task is opened.", task_typed=request.POST.get("title", ""))


@page
@require_POST
def task_finish(request: Asked, pk: int) -> HttpResponse:
    task = get_object_or_404(CaseTask.objects.visible_to(request.actor).select_related("owner"), pk=pk)
    note = request.POST.get("note", "")
    try:
        case_tasks.finish_task(task, actor=request.actor, note=note)
    except TriageError as refused:
        tab = request.POST.get("tab", "")
        context = _context(request, tab, refusal=str(refused), refused=pk, typed=note)
        return render(request, "tasks/list.html", context, status=422)
    messages.success(request, "The task is finished.")
    return redirect(_back(request))


def _back(request: Asked) -> str:
    target = request.POST.get("back", "")
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if target and is_ours else "tasks"
