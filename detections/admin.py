"""The admin of detection: schedules are edited here and nowhere else; all the rest is read."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django_celery_beat.admin import PeriodicTaskAdmin as BeatTaskAdmin
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from detections import outbox, rule_loading, schedules
from detections.actors import of_user
from detections.door import tokens
from detections.forms import RuleForm
from detections.models import (
    Alert,
    CoverageGap,
    Import,
    JournalEntry,
    OutboxRow,
    QuarantinedRecord,
    Rule,
    RuleRun,
    RuleVersion,
    Segment,
    SenderToken,
)
from detections.read_only_admin import ReadOnlyAdmin

if TYPE_CHECKING:
    RuleBase = admin.ModelAdmin[Rule]
else:
    RuleBase = admin.ModelAdmin

CLUSTER = "In the cluster"


class ShippedFilter(admin.BooleanFieldListFilter):
    """In words: by where a rule came from."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.title = "shipped with Casewright"


@admin.register(Rule)
class RuleAdmin(RuleBase):
    """A rule comes from its file; its schedule and whether it is enabled are the admin's."""

    form = RuleForm
    list_display = [
        "name",
        "severity",
        "enabled",
        "runs_every",
        "look_back",
        "tolerance",
        "last_run_at",
    ]
    list_filter = ["enabled", "severity", "type", ("is_shipped", ShippedFilter)]
    search_fields = ["name", "rule_id"]
    list_select_related = ["current"]
    readonly_fields = [
        "name",
        "rule_id",
        "type",
        "severity",
        "risk_score",
        "current",
        "lag_tolerance",
        "covered_until",
        "mark",
        "last_run_at",
        "due_since",
    ]
    fieldsets = [
        (None, {"fields": ["name", "rule_id", "type", "severity", "risk_score", "current"]}),
        (
            "Schedule",
            {
                "fields": [
                    "enabled",
                    "interval_seconds",
                    "lookback_seconds",
                    "lag_tolerance",
                    "max_cases",
                    "settle_seconds",
                    "version",
                ]
            },
        ),
        (CLUSTER, {"fields": ["true_up", "clock_repaired"]}),
        (
            "Searched so far",
            {
                "fields": ["covered_until", "mark", "last_run_at", "due_since"],
                "description": (
                    "Searched is what lies before <em>covered until</em> and came in a batch up to number "
                    "<em>mark</em>, except what the coverage gaps list. <em>Due since</em> is when telemetry "
                    "came that is to be searched before the schedule says so. All times are UTC."
                ),
            },
        ),
    ]
    actions = None

    class Media:
        js = ["js/rule_form.js"]
        css = {"all": ["admin.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: Rule | None = None) -> Any:
        """What concerns a cluster is asked only where there is one."""
        shown = super().get_fieldsets(request, obj)
        return [one for one in shown if settings.ELASTICSEARCH_URL or one[0] != CLUSTER]

    @admin.display(description="runs every", ordering="interval_seconds")
    def runs_every(self, rule: Rule) -> str:
        return schedules.said(rule.interval)

    @admin.display(description="look-back", ordering="lookback_seconds")
    def look_back(self, rule: Rule) -> str:
        return schedules.said(rule.lookback)

    @admin.display(description="lag tolerance")
    def tolerance(self, rule: Rule) -> str:
        """How late an event may arrive and still surely be found."""
        tolerance = schedules.tolerance_of(rule)
        if tolerance is None:
            return "unknown: no version"
        short = tolerance < schedules.SHORT_TOLERANCE
        return f"{'-' * (tolerance < timedelta())}{schedules.said(abs(tolerance))}{', too short' * short}"

    @admin.display(description="lag tolerance")
    def lag_tolerance(self, rule: Rule) -> str:
        """The same in a sentence."""
        return schedules.tolerance_sentence(schedules.tolerance_of(rule))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rule]:
        # Its schedule is the canary's own.
        return super().get_queryset(request).filter(is_canary=False)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Rule | None = None) -> bool:
        # By codename: a superuser has no duty by that alone.
        return of_user(request.user).can("detections.change_rule")

    def save_model(self, request: HttpRequest, obj: Rule, form: "ModelForm[Rule]", change: bool) -> None:
        """Both edits go through the domain; the admin's own transaction holds them together."""
        actor, wanted = of_user(request.user), form.cleaned_data
        schedules.change_schedule(
            obj,
            actor=actor,
            interval_seconds=wanted["interval_seconds"],
            lookback_seconds=wanted["lookback_seconds"],
            max_cases=wanted["max_cases"],
            settle_seconds=wanted["settle_seconds"],
            true_up=wanted.get("true_up"),
            clock_repaired=wanted.get("clock_repaired"),
        )
        saved = schedules.set_enabled(obj, wanted["enabled"], actor=actor)
        obj.refresh_from_db()
        twins = rule_loading.twin_warnings(saved) if saved.enabled else []
        for warning in [*schedules.tolerance_warnings(saved), *twins]:
            messages.warning(request, warning)


@admin.register(RuleVersion)
class RuleVersionAdmin(ReadOnlyAdmin):
    list_display = ["rule", "number", "upstream_version", "sha256", "created_at"]
    search_fields = ["rule__name", "rule__rule_id"]
    list_select_related = ["rule"]


@admin.register(RuleRun)
class RuleRunAdmin(ReadOnlyAdmin):
    list_display = [
        "rule",
        "started_at",
        "status",
        "trigger",
        "window_start",
        "window_end",
        "alerts_new",
        "alerts_known",
        "duration_ms",
        "error",
    ]
    list_filter = ["status", "trigger"]
    search_fields = ["rule__name", "error"]
    list_select_related = ["rule"]
    date_hierarchy = "started_at"


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ["title", "host_name", "time_basis", "origin", "last_event_at", "detected_at", "routed_at"]
    list_filter = ["time_basis", "origin", "severity"]
    search_fields = ["title", "host_name", "host_id", "alert_id"]


@admin.register(CoverageGap)
class CoverageGapAdmin(ReadOnlyAdmin):
    list_display = ["rule", "from_time", "to_time", "mark_from", "mark_to", "reason", "detail", "filled_at"]
    list_filter = ["reason", ("filled_at", admin.EmptyFieldListFilter)]
    search_fields = ["rule__name", "detail"]
    list_select_related = ["rule"]


@admin.register(Import)
class ImportAdmin(ReadOnlyAdmin):
    list_display = ["pk", "started_at", "status", "events_new", "events_known", "records_bad", "error"]
    list_filter = ["status"]


@admin.register(QuarantinedRecord)
class QuarantinedRecordAdmin(ReadOnlyAdmin):
    list_display = ["file", "position", "reason", "capture", "created_at"]
    list_filter = ["created_at", "capture__status"]
    search_fields = ["file", "position", "reason"]
    list_select_related = ["capture"]


@admin.register(SenderToken)
class SenderTokenAdmin(ReadOnlyAdmin):
    """Who may send events. Tokens are made on the command line, where their key can be shown once."""

    list_display = ["name", "key_id", "data_streams", "events_received", "last_used_at", "revoked_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "key_id"]
    exclude = ["token_sha256"]
    actions = ["revoke"]

    @admin.action(description="Revoke: what comes with it is refused from now on", permissions=["revoke"])
    def revoke(self, request: HttpRequest, rows: QuerySet[Model]) -> None:
        actor = of_user(request.user)
        chosen = SenderToken.objects.visible_to(actor).filter(pk__in=[row.pk for row in rows])
        done = sum(tokens.revoke_token(token, actor=actor, reason="in the admin") for token in chosen)
        messages.info(request, f"{done} {'token is' if done == 1 else 'tokens are'} revoked.")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return of_user(request.user).can("detections.change_sendertoken")


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    list_display = ["stream", "number", "at", "actor", "verb", "before", "after", "reason"]
    list_filter = ["verb"]
    search_fields = ["stream__name", "actor", "reason"]
    list_select_related = ["stream"]


@admin.register(Segment)
class SegmentAdmin(ReadOnlyAdmin):
    list_display = [
        "path",
        "ingest",
        "state",
        "rows",
        "bytes",
        "min_timestamp",
        "max_timestamp",
        "last_error",
    ]
    list_filter = ["state"]
    search_fields = ["path", "batch"]


@admin.register(OutboxRow)
class OutboxRowAdmin(ReadOnlyAdmin):
    list_display = ["kind", "subject", "state", "attempts", "not_before", "claimed_until", "error", "done_at"]
    list_filter = ["state", "kind"]
    search_fields = ["key", "error"]
    actions = ["try_again"]

    @admin.action(description="Try given-up work again", permissions=["retry"])
    def try_again(self, request: HttpRequest, rows: QuerySet[Model]) -> None:
        again = outbox.retry_rows([row.pk for row in rows], actor=of_user(request.user))
        messages.info(request, f"{again} rows are tried again.")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return of_user(request.user).can("detections.change_rule")


class BeatEntryAdmin(BeatTaskAdmin):  # type: ignore[misc]  # django-celery-beat is untyped
    """Beat's entries. Those of rules mirror the rule's own form and are read here."""

    actions = None
    # The package's own form carries an inline script, which the security policy refuses.
    change_form_template = "admin/change_form.html"

    def has_change_permission(self, request: HttpRequest, obj: PeriodicTask | None = None) -> bool:
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and not _is_of_rule(obj)

    def has_delete_permission(self, request: HttpRequest, obj: PeriodicTask | None = None) -> bool:
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and not _is_of_rule(obj)


def _is_of_rule(entry: PeriodicTask | None) -> bool:
    return entry is not None and entry.task == schedules.RULE_TASK


class ScheduleAdmin(ReadOnlyAdmin):
    """Schedules are shared between entries: to edit one would change rules past their form."""

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return ["__str__"]


for model in (PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule):
    admin.site.unregister(model)
admin.site.register(PeriodicTask, BeatEntryAdmin)
admin.site.register([IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule], ScheduleAdmin)
