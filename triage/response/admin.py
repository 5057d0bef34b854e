"""Response in the admin: kinds and connectors are edited there, actions are read."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join

from detections.actors import of_user
from detections.read_only_admin import ReadOnlyAdmin
from triage.actions.adapter import ConnectorFaultError, Described, adapters
from triage.actions.outcomes import Result
from triage.models import ActionCheck, ActionKind, BlockEntry, Connector, ReplyLink, ResponseAction
from triage.response import connectors
from triage.response import settings as response_settings

if TYPE_CHECKING:
    KindBase = admin.ModelAdmin[ActionKind]
    ConnectorBase = admin.ModelAdmin[Connector]
    KindFormBase = forms.ModelForm[ActionKind]
    ConnectorFormBase = forms.ModelForm[Connector]
else:
    KindBase = ConnectorBase = admin.ModelAdmin
    KindFormBase = ConnectorFormBase = forms.ModelForm


class KindForm(KindFormBase):
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name, value in cleaned.items():
            setattr(self.instance, name, value)
        for fault in response_settings.faults_of(self.instance) if not self.errors else []:
            self.add_error(None, fault)
        return cleaned


@admin.register(ActionKind)
class ActionKindAdmin(KindBase):
    """How actions of a kind are decided, by whom, and what does them."""

    form = KindForm
    list_display = ["label", "needs_approval", "is_destructive", "approver_group", "connector", "auto_undo"]
    list_filter = ["needs_approval", "is_destructive", "connector"]
    list_select_related = ["approver_group", "connector"]
    readonly_fields = ["key", "label", "is_destructive", "is_containment"]
    search_fields = ["key", "label"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ActionKind | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ActionKind, form: Any, change: bool) -> None:
        response_settings.save_kind(obj, actor=of_user(request.user))


def _settings(made: Described) -> tuple[str, str]:
    """An adapter, and what it wants to know."""
    told = (f"{name} ({says})" for name, says in made.fields.items())
    return made.label, "; ".join(told) or "no settings"


class ConnectorForm(ConnectorFormBase):
    adapter = forms.ChoiceField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = adapters()
        choice = self.fields.get("adapter")
        if isinstance(choice, forms.ChoiceField):
            choice.choices = [(key, made.label) for key, made in known.items()]
        if "config" in self.fields:
            self.fields["config"].help_text = format_html_join(
                "", "{}: {}<br>", map(_settings, known.values())
            )
        if "secrets" in self.fields:
            named = {name: says for made in known.values() for name, says in made.secrets.items()}
            told = format_html_join("", "<br>{}: {}", named.items())
            example = '{"api_key": "CONNECTOR_KIBANA_KEY"}'
            self.fields["secrets"].help_text = format_html(
                "Names of environment variables where the worker runs, such as {}.{}", example, told
            )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            for name, value in cleaned.items():
                setattr(self.instance, name, value)
            try:
                connectors.check(self.instance)
            except ConnectorFaultError as error:
                self.add_error(None, str(error))
        return cleaned


@admin.register(Connector)
class ConnectorAdmin(ConnectorBase):
    """Ways to other systems. Secrets stay in the environment: here stand only their names."""

    form = ConnectorForm
    list_display = ["name", "adapter", "enabled", "dry_run", "tested_at", "tested_ok", "failures"]
    list_filter = ["adapter", "enabled"]
    readonly_fields = ["tested_at", "tested_ok", "test_says", "failures", "open_until"]
    actions = ["test_connectors"]

    def has_delete_permission(self, request: HttpRequest, obj: Connector | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Connector, form: Any, change: bool) -> None:
        connectors.save(obj, actor=of_user(request.user))

    def response_change(self, request: HttpRequest, obj: Connector) -> HttpResponse:
        """Saved by "Save and test": tried without acting, and shown again with what came of it."""
        if "_test" not in request.POST:
            return super().response_change(request, obj)
        self.test_connectors(request, Connector.objects.filter(pk=obj.pk))
        return HttpResponseRedirect(request.path)

    @admin.action(description="Test the selected connectors", permissions=["change"])
    def test_connectors(self, request: HttpRequest, queryset: QuerySet[Connector]) -> None:
        """Try each way without acting."""
        for connector in queryset:
            found = connectors.test(connector, actor=of_user(request.user))
            level = messages.SUCCESS if found.result is Result.DONE else messages.ERROR
            self.message_user(request, f"{connector.name}: {found.says}", level)


@admin.register(ResponseAction)
class ResponseActionAdmin(ReadOnlyAdmin):
    """Actions change on their own pages, where four eyes and the journal are."""

    list_display = ["number", "title", "case", "state", "proof", "requested_by", "approved_by", "started_at"]
    list_filter = ["state", "is_containment", "proof"]
    list_select_related = ["case", "requested_by", "approved_by"]
    search_fields = ["title", "target_value", "idempotency_key"]


@admin.register(BlockEntry)
class BlockEntryAdmin(ReadOnlyAdmin):
    list_display = ["type", "value", "action", "added_at", "removed_at"]
    list_filter = ["type"]
    list_select_related = ["action"]


@admin.register(ActionCheck, ReplyLink)
class ResponseRecordAdmin(ReadOnlyAdmin):
    list_display = ["pk", "action"]
    list_select_related = ["action"]
    exclude = ["token_sha256"]
