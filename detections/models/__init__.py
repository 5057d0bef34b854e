"""The facts of detection."""

from detections.models.alert import Alert
from detections.models.back_search import BackSearch
from detections.models.canary import Canary
from detections.models.capture import Import, QuarantinedRecord
from detections.models.coverage import CoverageGap, CoveredWindow
from detections.models.journal import JournalEntry, JournalStream
from detections.models.operation import Heartbeat, Lease, OutboxRow
from detections.models.outside_alert import OutsideAlert, OutsideSource
from detections.models.rule import Rule, RuleVersion
from detections.models.run import RuleRun
from detections.models.segment import IngestCounter, SeenField, Segment
from detections.models.sender import SenderDay, SenderToken
from detections.models.true_up import TrueUp

__all__ = [
    "Alert",
    "BackSearch",
    "Canary",
    "CoverageGap",
    "CoveredWindow",
    "Heartbeat",
    "Import",
    "IngestCounter",
    "JournalEntry",
    "JournalStream",
    "Lease",
    "OutboxRow",
    "OutsideAlert",
    "OutsideSource",
    "QuarantinedRecord",
    "Rule",
    "RuleRun",
    "RuleVersion",
    "SeenField",
    "Segment",
    "SenderDay",
    "SenderToken",
    "TrueUp",
]
