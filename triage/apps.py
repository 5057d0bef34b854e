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
            exception_backtests,
            exception_pending,
            exception_reviews,
            exception_watch,
            guide_versions,
            holds,
            invariants,
            outside_status,
            overlay_proposals,
            pivots,
            preserving,
            response_checks,
            response_evidence,
            response_invariants,
            response_kinds,
            response_pending,
            response_running,
            roles,
            routing,
            scoping,
            watching,
        )
        from triage.signals import case_moved

        roles.connect(self)
        response_kinds.connect(self)
        rule_version_stored.connect(guide_versions.on_rule_version_stored, dispatch_uid="pin_guide")
        overlay_offered.connect(overlay_proposals.on_overlay_offered, dispatch_uid="offer_overlay")
        alerts_upgraded.connect(routing.on_alerts_upgraded, dispatch_uid="upgrade_cases")
        alerts_superseded.connect(routing.on_alerts_superseded, dispatch_uid="superseded_cases")
        case_moved.connect(outside_status.on_case_moved, dispatch_uid="write_alert_status")
        # Importing them has registered what they do.
        assert holds.__name__
        assert invariants.__name__
        assert exception_backtests.__name__
        assert exception_pending.__name__
        assert exception_reviews.__name__
        assert response_pending.__name__
        assert response_evidence.__name__
        assert response_invariants.__name__
        assert watching.__name__
        assert {response_running.RUN, response_running.ASK, response_checks.CHECK} <= outbox.kinds()
        assert exception_watch.__name__
        assert {pivots.RUN, pivots.REFILL, routing.KIND} <= outbox.kinds()
        assert {preserving.KIND, scoping.KIND} <= outbox.kinds()
