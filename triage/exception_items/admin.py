"""Exceptions in the admin: to be read. They change only where four eyes, guardrails and the journal are."""

from django.contrib import admin

from detections.read_only_admin import ReadOnlyAdmin
from triage.models import (
    BackTest,
    ExceptionItem,
    ExceptionReview,
    ExceptionVersion,
    Suppression,
    ValueList,
    ValueListVersion,
)


@admin.register(ExceptionItem)
class ExceptionItemAdmin(ReadOnlyAdmin):
    list_display = ["number", "name", "rule", "owner", "origin", "created_at"]
    list_filter = ["origin"]
    list_select_related = ["rule", "owner"]


@admin.register(ExceptionVersion)
class ExceptionVersionAdmin(ReadOnlyAdmin):
    list_display = ["label", "state", "approved_by", "active_from", "expires_at", "hits", "last_hit_at"]
    list_filter = ["state"]
    list_select_related = ["item", "approved_by"]


@admin.register(Suppression)
class SuppressionAdmin(ReadOnlyAdmin):
    list_display = ["alert", "version", "at", "host", "source", "is_sample", "lifted_at"]
    list_filter = ["is_sample", "is_retroactive"]
    list_select_related = ["alert", "version__item"]


@admin.register(ValueList)
class ValueListAdmin(ReadOnlyAdmin):
    list_display = ["name", "type", "created_by", "created_at"]
    list_filter = ["type"]
    list_select_related = ["created_by"]


@admin.register(ValueListVersion)
class ValueListVersionAdmin(ReadOnlyAdmin):
    list_display = ["value_list", "number", "state", "approved_by", "active_from", "ended_at"]
    list_filter = ["state"]
    list_select_related = ["value_list", "approved_by"]


@admin.register(BackTest)
class BackTestAdmin(ReadOnlyAdmin):
    list_display = ["version", "kind", "state", "done", "total", "requested_by", "finished_at"]
    list_filter = ["kind", "state"]
    list_select_related = ["version__item", "requested_by"]


@admin.register(ExceptionReview)
class ExceptionReviewAdmin(ReadOnlyAdmin):
    list_display = ["suppression", "case", "opened_at"]
    list_select_related = ["suppression__alert", "suppression__version__item", "case"]
