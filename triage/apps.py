"""Set-up of the triage app."""

from django.apps import AppConfig


class TriageConfig(AppConfig):
    name = "triage"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from detections import outbox
        from detections.signals import (
            alerts_superseded,
            alerts_upgraded,
            overlay_offered,
            rule_version_stored,
        )
        from triage import (
            exception_pending,
            exception_reviews,
            guide_versions,
            holds,
            invariants,
            outside_status,
            overlay_proposals,
            pivots,
            roles,
            routing,
        )
        from triage.signals import case_moved

        roles.connect(self)
        rule_version_stored.connect(guide_versions.on_rule_version_stored, dispatch_uid="pin_guide")
        overlay_offered.connect(overlay_proposals.on_overlay_offered, dispatch_uid="offer_overlay")
        alerts_upgraded.connect(routing.on_alerts_upgraded, dispatch_uid="upgrade_cases")
        alerts_superseded.connect(routing.on_alerts_superseded, dispatch_uid="superseded_cases")
        case_moved.connect(outside_status.on_case_moved, dispatch_uid="write_alert_status")
        # Importing them has registered what they do.
        assert holds.__name__
        assert invariants.__name__
        assert exception_pending.__name__
        assert exception_reviews.__name__
        assert {pivots.RUN, pivots.REFILL, routing.KIND} <= outbox.kinds()
