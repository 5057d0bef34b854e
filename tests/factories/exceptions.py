"""Exceptions on their way, made through the product's own doors."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from detections.actors import Actor
from detections.models import Rule
from triage.enums import BackTestState
from triage.exception_items import states as exception_states
from triage.exception_items.content import Content
from triage.exception_items.forms import read_content
from triage.models import BackTest, Case, ExceptionVersion

# What ties an item to the workflow that `tests.factories.events.attack` shows.
PLAIN = (
    {"scope": "event", "field": "host.id", "operator": "is_one_of", "values": ["host-1", "host-2"]},
    {"scope": "network", "field": "remote.ip", "operator": "is", "values": ["10.0.0.9"]},
)
NO_CHILD = {"scope": "child", "field": "", "operator": "exists", "quantity": "none"}
ONE_LOOKUP = {"scope": "dns", "field": "dns.question.name", "operator": "is", "values": ["dist.corp.example"]}
NO_OTHER = {**ONE_LOOKUP, "quantity": "every"}


def form(rule: Rule, *entries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What a person types."""
    return {
        "rule": rule.rule_id,
        "name": "Software distribution",
        "entries": list(entries or PLAIN),
        "reason": "CHG-1 rolled out by the distribution server.",
        "owner": "Desktop Engineering",
        "expires_at": timezone.now() + timedelta(days=90),
        **fields,
    }


def content(rule: Rule, *entries: dict[str, Any], **fields: Any) -> Content:
    return read_content(form(rule, *entries, **fields))


def proposed(
    rule: Rule, *entries: dict[str, Any], by: Actor, case: Case | None = None, **fields: Any
) -> ExceptionVersion:
    """A proposal with a back-test that blocks nothing."""
    version = exception_states.draft(content(rule, *entries, **fields), actor=by, case=case)
    back_tested(version)
    return exception_states.propose(version, actor=by, revision=version.revision)


def back_tested(version: ExceptionVersion, **result: Any) -> BackTest:
    now = timezone.now()
    return BackTest.objects.create(
        version=version,
        kind="alerts",
        content_sha256=version.content_sha256,
        window_start=now - timedelta(days=30),
        window_end=now,
        state=BackTestState.SUCCEEDED,
        result={"alerts": 1, "hidden": 1, "blocks": [], **result},
        requested_by=version.last_edited_by,
    )


def active(
    rule: Rule,
    *entries: dict[str, Any],
    by: Actor,
    approver: Actor,
    since: datetime | None = None,
    **fields: Any,
) -> ExceptionVersion:
    """An exception in force; since: as if it had been approved then."""
    version = proposed(rule, *entries, by=by, **fields)
    made = exception_states.approve(version, actor=approver, seen_sha256=version.content_sha256)
    if since is not None:
        ExceptionVersion.objects.filter(pk=made.pk).update(active_from=since, approved_at=since)
        made.refresh_from_db()
    return made
