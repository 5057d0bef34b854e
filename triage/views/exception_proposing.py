"""Write an exception: from a case's evidence, from nothing, or as the next version of one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from detections.event_store import event_store
from detections.models import Rule
from triage import look_ups
from triage.errors import ContentFaultsError, StaleEditError, TriageError
from triage.exception_items import proposal as exception_proposal
from triage.exception_items import states as exception_states
from triage.exception_items.content import REMOTE_IP, Content, content_of
from triage.exception_items.forms import read_content
from triage.exception_items.guardrails import guide_of_rule, seen_in
from triage.exception_items.selectivity import Host, Recent, alone, hosts_of, recent_alerts
from triage.exception_items.ticks import Judged, judged
from triage.exception_items.way import PROPOSE
from triage.facts import first_alert
from triage.models import Case, ExceptionVersion, ValueList
from triage.templatetags.values import flat
from triage.views import exception_rows
from triage.views.case_page import load
from triage.views.doors import Asked, page
from triage.views.exception_rows import Form, number_of
from triage.views.exception_tests import begin
from triage.views.pivot_asking import shown_look_up

Write = Callable[[Content], ExceptionVersion]
RELATED_SHOWN = 5
USUAL_FIELDS = (REMOTE_IP, "host.id", "process.parent.executable", "process.command_line",
                "process.executable", "user.name", "dns.question.name", "destination.ip",
                "file.path", "dll.path", "process.hash.sha256")  # fmt: skip


@dataclass
class Told:
    """What can be told of a form before it is saved. refused: why it was not saved."""

    judged: Judged | None = None
    hosts: list[Host] = field(default_factory=list)
    looked_at: int = 0
    refused: list[str] = field(default_factory=list)
    theirs: ExceptionVersion | None = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the form is written. lacking: what the evidence does not show of what the guide asks for."""

    rule: Rule | None
    write: Write
    case: Case | None = None
    version: ExceptionVersion | None = None
    lacking: Sequence[str] = ()


@page
@require_http_methods(["GET", "POST"])
def case_exception(request: Asked, pk: int) -> HttpResponse:
    """An exception proposed from a case, filled from its evidence."""
    request.actor.require(PROPOSE, "propose exceptions")
    case = load(request, pk)
    try:
        made = exception_proposal.suggest(case, actor=request.actor)
    except TriageError as refused:
        messages.warning(request, str(refused))
        return redirect("case", pk)

    def write(content: Content) -> ExceptionVersion:
        return exception_states.draft(content, actor=request.actor, case=case)

    desk = Desk(case.rule, write, case=case, lacking=made.lacking)
    form = exception_rows.of_post(request.POST) if request.POST else exception_rows.of_suggestion(made)
    return _at_desk(request, desk, form)


@page
@require_http_methods(["GET", "POST"])
def exception_new(request: Asked) -> HttpResponse:
    """An exception of a rule, from nothing."""
    request.actor.require(PROPOSE, "propose exceptions")
    rules = Rule.objects.visible_to(request.actor).filter(current__isnull=False)
    asked = request.POST.get("rule") or ""
    found = rules.filter(rule_id=asked) if asked else rules.filter(pk=number_of(request.GET.get("rule", "")))

    def write(content: Content) -> ExceptionVersion:
        return exception_states.draft(content, actor=request.actor)

    desk = Desk(found.select_related("current").first(), write)
    if request.POST:
        return _at_desk(request, desk, exception_rows.of_post(request.POST))
    form = Form(dict.fromkeys(exception_rows.TEXTS, ""), [])
    form.texts["rule"] = desk.rule.rule_id if desk.rule else ""
    form.add()
    return _at_desk(request, desk, form)


@page
@require_http_methods(["GET", "POST"])
def exception_edit(request: Asked, item: int, number: int) -> HttpResponse:
    """A change of a version: a draft in place, anything else as the item's next version."""
    request.actor.require(PROPOSE, "propose exceptions")
    version = version_of(request, item, number)

    def write(content: Content) -> ExceptionVersion:
        revision = number_of(request.POST.get("revision", ""))
        return exception_states.edit(version, content, actor=request.actor, revision=revision)

    desk = Desk(version.item.rule, write, case=version.case, version=version)
    if request.POST:
        return _at_desk(request, desk, exception_rows.of_post(request.POST))
    try:
        entries = content_of(version).entries
    except ValueError as broken:
        messages.error(request, f"{version.label} can't be read: {broken} Write a new exception.")
        return redirect("exception_version", item, number)
    return _at_desk(request, desk, exception_rows.of_version(version, entries))


def version_of(request: Asked, item: int, number: int) -> ExceptionVersion:
    """The version, if the person may see it; 404 otherwise."""
    seen = ExceptionVersion.objects.visible_to(request.actor).select_related(
        "item__rule__current",
        "item__owner",
        "rule_version__rule",
        "case",
        "requested_by",
        "last_edited_by",
        "approved_by",
        "exceeds_share_by",
        "superseded_by",
        "renewal_of",
    )
    return get_object_or_404(seen, item=item, number=number)


# -- one step at the desk


def _at_desk(request: Asked, desk: Desk, form: Form) -> HttpResponse:
    act, _, about = request.POST.get("act", "").partition("-")
    if act == "add":
        form.add()
    elif act == "remove":
        form.remove(number_of(about))
    elif act == "hosts":
        form.take_hosts(request.POST.getlist("host"))
    elif act in ("save", "test"):
        _take_ticked(request, form)
        return _save(request, desk, form, is_tested=act == "test")
    told = _told(request, desk, form, is_fresh=not request.POST or act != "check")
    if act == "check" and request.htmx:
        return render(request, "exceptions/judged.html", {"form": form, "told": told, "is_live": True})
    return _shown(request, desk, form, told)


def _take_ticked(request: Asked, form: Form) -> None:
    """Hosts that were ticked and not taken over yet: who saves means them."""
    ticked, before = set(request.POST.getlist("host")), set(request.POST.getlist("host_was"))
    if ticked != before:
        form.change_hosts(add=ticked - before, remove=before - ticked)


def _save(request: Asked, desk: Desk, form: Form, *, is_tested: bool) -> HttpResponse:
    """Keep the draft; whatever stands against that is told with the form as it was typed."""
    try:
        version = desk.write(read_content(form.data(), is_draft=True))
    except ContentFaultsError as refused:
        form.blame(refused.faults)
        words = "fault is" if len(refused.faults) == 1 else "faults are"
        told = Told(refused=[f"It is not saved: {len(refused.faults)} {words} marked below."], status=422)
    except StaleEditError as stale:
        told = _told(request, desk, form, is_fresh=False)
        told.refused, told.status = [str(stale), "Yours is below as you typed it; nothing was saved."], 409
        told.theirs = stale.theirs if isinstance(stale.theirs, ExceptionVersion) else None
    except TriageError as refused:
        told = _told(request, desk, form, is_fresh=False)
        told.refused, told.status = [str(refused)], 422
    else:
        messages.success(request, f"{version.label} is kept as a draft. Nothing is hidden by it.")
        if is_tested:
            begin(request, version)
        return redirect("exception_version", version.item_id, version.number)
    return _shown(request, desk, form, told)


def _told(request: Asked, desk: Desk, form: Form, *, is_fresh: bool) -> Told:
    """Guardrails, selectivity and hosts for what is typed. is_fresh: nothing is blamed for being
    unfinished."""
    if desk.rule is None or not form.kept:
        return Told()
    try:
        content = read_content(form.data(), is_draft=True)
    except ContentFaultsError as faulty:
        if not is_fresh:
            form.blame(faulty.faults)
        return Told()
    now = timezone.now()
    recent = recent_alerts(desk.rule, actor=request.actor, now=now)
    singles = alone(content.entries, recent, actor=request.actor)
    exception_rows.with_selectivity(form.kept, content.entries, singles)
    return Told(
        judged=_judged(content, desk.rule, recent),
        hosts=hosts_of(content, recent, own=desk.case.host_id if desk.case else ""),
        looked_at=len(recent),
    )


def _judged(content: Content, rule: Rule, recent: Sequence[Recent]) -> Judged | None:
    """None where a value list that it names is not in force: then nothing can be told."""
    try:
        seen = seen_in(content, [one.subject for one in recent])
    except ValueError:
        return None
    return judged(content, guide_of_rule(rule), seen=seen, now=timezone.now())


def _shown(request: Asked, desk: Desk, form: Form, told: Told) -> HttpResponse:
    exception_rows.with_origins(form.rows, actor=request.actor)
    lists = ValueList.objects.visible_to(request.actor).order_by("name")
    context = {
        "desk": desk,
        "case": desk.case,
        "rule": desk.rule,
        "version": desk.version,
        "form": form,
        "told": told,
        "lists": list(lists.values_list("name", flat=True)),
        "fields": _fields(desk.case),
        "rules": [] if desk.rule else _rules(request),
        "others": _others(request, desk),
        **exception_rows.choices(),
    }
    return render(request, "exceptions/form.html", context, status=told.status)


def _fields(case: Case | None) -> list[str]:
    """Names to choose from: those of the alert, and what exceptions usually speak of."""
    alert = first_alert(case) if case else None
    seen = {name for event in alert.events for name, _value in flat(event["document"])} if alert else set()
    return [*USUAL_FIELDS, *sorted(seen - set(USUAL_FIELDS))][:300]


def _rules(request: Asked) -> list[Rule]:
    rules = Rule.objects.visible_to(request.actor).filter(current__isnull=False)
    return list(rules.order_by("-enabled", "name").only("rule_id", "name")[:1000])


def _others(request: Asked, desk: Desk) -> list[ExceptionVersion]:
    """What was proposed from the same case before."""
    if desk.case is None or desk.version is not None:
        return []
    rows = ExceptionVersion.objects.visible_to(request.actor).filter(case=desk.case)
    return list(rows.select_related("item").order_by("-pk")[:RELATED_SHOWN])


# -- what only the store can say


@page
@require_POST
def case_exception_rarity(request: Asked, pk: int) -> HttpResponse:
    """How many hosts and events have an entry's value: asked of the store by a worker."""
    case = load(request, pk)
    name, value = request.POST.get("field", "")[:255], request.POST.get("value", "")[:8000]
    if not value or name not in event_store().known_fields():
        raise Http404
    return shown_look_up(request, look_ups.of_rarity(case, name, value, actor=request.actor))
