"""The facts of triage."""

from triage.models.access import OneTimeSignIn
from triage.models.asset import Asset
from triage.models.case import Case, CaseLink, Escalation, Occurrence
from triage.models.evidence import CheckResult, Evidence, PivotRun
from triage.models.guide import GuideVersion
from triage.models.notification import Notification
from triage.models.question import Answer, Citation, Confirmation, Draft, Question

__all__ = [
    "Answer",
    "Asset",
    "Case",
    "CaseLink",
    "CheckResult",
    "Citation",
    "Confirmation",
    "Draft",
    "Escalation",
    "Evidence",
    "GuideVersion",
    "Notification",
    "Occurrence",
    "OneTimeSignIn",
    "PivotRun",
    "Question",
]
