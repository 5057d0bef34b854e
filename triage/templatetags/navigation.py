"""Links that know where the reader is."""

from collections.abc import Callable
from typing import Any

from django import template
from django.template import RequestContext
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from detections.actors import Actor, of_user
from triage.approvals import waiting
from triage.case_tasks import of_actor
from triage.models import Notification
from triage.notes import mentions_of
from triage.templatetags.marks import icon

register = template.Library()

# URL names that belong to a section of the rail, by their first word.
_SECTIONS = {
    "queue": {"queue", "case", "question", "pivot", "evidence", "next", "storm", "scope", "pack", "action"},
    "tasks": {"tasks", "task"},
    "rules": {"rules", "rule", "searches", "search"},
    "health": {"health"},
    "imports": {"imports", "import", "quarantine"},
    "notifications": {"notifications"},
    "exceptions": {"exceptions", "exception", "value"},
    "approvals": {"approvals", "containments"},
}


@register.simple_tag(takes_context=True)
def nav_link(context: RequestContext, name: str, glyph: str, label: str, count: str = "") -> SafeString:
    match = getattr(context.get("request"), "resolver_match", None)
    here = str(getattr(match, "url_name", "") or "").split("_")[0] in _SECTIONS[name]
    return format_html(
        '<a class="rail-link" href="{}"{}>{}{}{}</a>',
        reverse(name),
        format_html(' aria-current="{}"', "page") if here else "",
        icon(glyph),
        label,
        count,
    )


@register.simple_tag(takes_context=True)
def notifications_link(context: RequestContext) -> SafeString | str:
    """The link to the notifications with how many wait; nothing for who may not see them."""
    actor = _actor(context)
    if actor is None or not actor.can("triage.view_notification"):
        return ""
    unread = Notification.objects.visible_to(actor).waiting().count()
    unread += mentions_of(actor).filter(read_at__isnull=True).count()
    return nav_link(context, "notifications", "alert", "Alarms", _count(unread))


@register.simple_tag(takes_context=True)
def tasks_link(context: RequestContext) -> SafeString | str:
    """The link to the tasks with how many wait for the reader; nothing for who may not see them."""
    actor = _actor(context)
    if actor is None or not actor.can("triage.view_casetask"):
        return ""
    return nav_link(context, "tasks", "check", "Tasks", _count(of_actor(actor).count()))


@register.simple_tag(takes_context=True)
def may(context: RequestContext, permission: str) -> bool:
    """Whether the reader has a permission: `{% may "triage.view_case" as sees_cases %}`."""
    actor = _actor(context)
    return actor is not None and actor.can(permission)


@register.simple_tag(takes_context=True)
def approvals_link(context: RequestContext) -> SafeString | str:
    """The link to the inbox with how many requests the reader may decide on; nothing for who may see none."""
    actor = _actor(context)
    if actor is None or not actor.can("triage.view_exceptionversion"):
        return ""
    return nav_link(context, "approvals", "approvals", "Approvals", _count(waiting(actor)))


@register.simple_tag(takes_context=True)
def exceptions_link(context: RequestContext) -> SafeString | str:
    """The link to the exceptions; nothing for who may see none."""
    actor = _actor(context)
    if actor is None or not actor.can("triage.view_exceptionitem"):
        return ""
    return nav_link(context, "exceptions", "exceptions", "Exceptions")


def row_address(name: str) -> Callable[[int], str]:
    """A page's address for any row: looked up once, since looking it up takes longer than a row does."""
    before, _zero, after = reverse(name, args=[0]).rpartition("0")
    return lambda row: f"{before}{row}{after}"


def _actor(context: RequestContext) -> Actor | None:
    """Who reads the page; error pages have no actor of their own and ask anew."""
    request = context.get("request")
    user = getattr(request, "user", None)
    found: Actor | None = getattr(request, "actor", None) or (of_user(user) if user is not None else None)
    return found


def _count(number: int) -> SafeString | str:
    if not number:
        return ""
    return format_html(
        '<span class="rail-count" aria-hidden="true">{}</span><span class="hide">, {} waiting</span>',
        number if number < 100 else "99+",
        number,
    )


@register.simple_tag(takes_context=True)
def query(context: RequestContext, **changes: Any) -> str:
    """This page's query string with some parameters changed; an empty value drops one."""
    parameters = context["request"].GET.copy()
    for key, value in changes.items():
        if value in (None, ""):
            parameters.pop(key, None)
        else:
            parameters[key] = value
    return f"?{parameters.urlencode()}"
