"""Set-up of the triage app."""

from importlib import import_module

from django.apps import AppConfig

# Importing these registers what they do: kinds of work of the outbox, invariants, what the inbox of approvals
# lists, what a response action is.
_REGISTERING = (
    "exception_items.backtests",
    "exception_items.pending",
    "exception_items.reviews",
    "exception_items.watch",
    "holds",
    "invariants",
    "pivots",
    "preserve.preserving",
    "response.checks",
    "response.evidence",
    "response.invariants",
    "response.pending",
    "response.running",
    "response.watching",
    "scope.scoping",
)


class TriageConfig(AppConfig):
    name = "triage"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from detections.signals import (
            alerts_superseded,
            alerts_upgraded,
            overlay_offered,
            rule_version_stored,
        )
        from triage import guide_versions, outside_status, overlay_proposals, roles, routing
        from triage.response import kinds as response_kinds
        from triage.signals import case_moved

        for name in _REGISTERING:
            import_module(f"triage.{name}")
        roles.connect(self)
        response_kinds.connect(self)
        rule_version_stored.connect(guide_versions.on_rule_version_stored, dispatch_uid="pin_guide")
        overlay_offered.connect(overlay_proposals.on_overlay_offered, dispatch_uid="offer_overlay")
        alerts_upgraded.connect(routing.on_alerts_upgraded, dispatch_uid="upgrade_cases")
        alerts_superseded.connect(routing.on_alerts_superseded, dispatch_uid="superseded_cases")
        case_moved.connect(outside_status.on_case_moved, dispatch_uid="write_alert_status")
