"""The admin of triage: assets are edited there, everything else is read."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from detections.read_only_admin import ReadOnlyAdmin
from triage.exception_items import admin as exception_admin  # noqa: F401 -- importing them registers their models
from triage.models import (
    Answer,
    Asset,
    Attachment,
    Case,
    CaseLink,
    CaseMerge,
    CaseTask,
    CheckResult,
    Confirmation,
    Escalation,
    Evidence,
    GateOverride,
    GuideVersion,
    Mention,
    Note,
    NoteVersion,
    Occurrence,
    OverlayProposal,
    PivotRun,
    Question,
)
from triage.response import admin as response_admin  # noqa: F401 -- importing them registers their models

if TYPE_CHECKING:
    AssetBase = admin.ModelAdmin[Asset]
else:
    AssetBase = admin.ModelAdmin


@admin.register(Asset)
class AssetAdmin(AssetBase):
    list_display = ["host_name", "host_id", "role", "owner", "isolation_permitted", "is_management_host"]
    list_filter = ["isolation_permitted", "is_management_host"]
    search_fields = ["host_name", "host_id", "owner", "role"]


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin):
    list_display = ["number", "title", "host_name", "status", "disposition", "assignee", "opened_at"]
    list_filter = ["status", "disposition", "severity", "time_basis", "is_storm"]
    search_fields = ["title", "host_name", "host_id", "remote_ip", "user_name"]
    list_select_related = ["assignee"]


@admin.register(PivotRun)
class PivotRunAdmin(ReadOnlyAdmin):
    list_display = ["case", "key", "attempt", "state", "total", "kept", "took_ms", "finished_at"]
    list_filter = ["state"]
    list_select_related = ["case"]


@admin.register(Evidence)
class EvidenceAdmin(ReadOnlyAdmin):
    list_display = ["pivot", "position", "event_at", "identity", "pinned_at"]
    list_select_related = ["pivot"]


@admin.register(Question)
class QuestionAdmin(ReadOnlyAdmin):
    list_display = ["case", "position", "title", "state", "version"]
    list_filter = ["state"]
    list_select_related = ["case"]


@admin.register(
    Answer,
    Attachment,
    CaseLink,
    CaseMerge,
    CaseTask,
    CheckResult,
    Confirmation,
    Escalation,
    GateOverride,
    GuideVersion,
    Mention,
    Note,
    NoteVersion,
    Occurrence,
)
class RecordAdmin(ReadOnlyAdmin):
    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return ["pk", "__str__"]


@admin.register(OverlayProposal)
class OverlayProposalAdmin(ReadOnlyAdmin):
    """Overlays are written and decided on the rule's own pages, where they are tried first."""

    list_display = ["rule", "number", "state", "last_edited_by", "approved_by", "updated_at", "page"]
    list_filter = ["state"]
    search_fields = ["rule__name", "reason"]
    list_select_related = ["rule", "last_edited_by", "approved_by"]

    @admin.display(description="page")
    def page(self, row: OverlayProposal) -> str:
        link = reverse("overlay", args=[row.rule_id, row.number])
        return format_html('<a href="{}">Open</a>', link)
