"""The groups Analyst, Lead and Admin. Made after every migrate, since flush deletes what a migration made."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

VIEWS = (
    (
        "detections.view_rule detections.view_rulerun detections.view_alert detections.view_coverageGap "
        "detections.view_coveredwindow detections.view_import detections.view_journalentry "
        "detections.view_backsearch detections.view_canary "
        "triage.view_case triage.view_observable triage.view_asset triage.view_notification "
        "triage.view_overlayproposal "
        "triage.view_casetask triage.view_attachment triage.view_note "
        "triage.view_exceptionitem triage.view_exceptionversion triage.view_suppression triage.view_backtest "
        "triage.view_exceptionreview triage.view_valuelist triage.view_valuelistversion "
        "triage.view_responseaction triage.view_actionkind triage.view_blockentry "
        "triage.view_scoperun triage.view_casepack"
    )
    .lower()
    .split()
)
ANALYST = [
    *VIEWS,
    "triage.answer_question",
    "triage.assign_case",
    "triage.close_case",
    "triage.propose_exception",
    "triage.request_action",
    "triage.merge_case",
    "triage.add_casetask",
    "triage.change_casetask",
    "triage.add_attachment",
    "triage.change_attachment",
    "triage.add_note",
    "triage.change_note",
    "triage.acknowledge_notification",
    "detections.add_import",
    "triage.add_scoperun",
    "triage.add_casepack",
]
LEAD = [
    *ANALYST,
    "detections.add_rule",
    "triage.add_overlayproposal",
    "triage.approve",
    "triage.exceed_share",
    "triage.add_asset",
    "triage.change_asset",
    "triage.override_gate",
    "triage.override_precondition",
]
ADMIN = [
    *VIEWS,
    "triage.add_casetask",
    "triage.change_casetask",
    "triage.acknowledge_notification",
    "detections.add_import",
    "detections.view_quarantinedrecord",
    "detections.view_segment",
    "detections.view_outboxrow",
    # To see that a rule's entry is there; it is edited in the rule's own form.
    "django_celery_beat.view_periodictask",
    "django_celery_beat.view_intervalschedule",
    "detections.view_ruleversion",
    "detections.view_sendertoken",
    "detections.add_sendertoken",
    "detections.change_sendertoken",
    "detections.add_rule",
    "detections.change_rule",
    "triage.add_overlayproposal",
    "triage.add_asset",
    "triage.change_asset",
    "triage.delete_asset",
    "triage.change_actionkind",
    "triage.view_connector",
    "triage.add_connector",
    "triage.change_connector",
    "auth.view_user",
    "auth.add_user",
    "auth.change_user",
    "auth.view_group",
]
GROUPS = {"Analyst": ANALYST, "Lead": LEAD, "Admin": ADMIN}


def connect(app: AppConfig) -> None:
    """Make the groups after each migrate of `app`."""
    post_migrate.connect(_after_migrate, sender=app, dispatch_uid="roles")


def _after_migrate(*, using: str, **_: Any) -> None:
    make_groups(using=using)


def make_groups(*, using: str = "default") -> None:
    """Create the groups and add the permissions they lack; permissions an admin added stay."""
    from django.apps import apps
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission

    for label in ("auth", "detections", "triage", "django_celery_beat"):
        create_permissions(apps.get_app_config(label), verbosity=0, using=using)
    known = {
        f"{app}.{codename}": pk
        for pk, app, codename in Permission.objects.using(using).values_list(
            "pk", "content_type__app_label", "codename"
        )
    }
    for name, wanted in GROUPS.items():
        group, _created = Group.objects.using(using).get_or_create(name=name)
        group.permissions.add(*(known[permission] for permission in wanted))
