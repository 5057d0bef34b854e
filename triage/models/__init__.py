"""The facts of triage."""

from triage.models.access import OneTimeSignIn
from triage.models.action import ActionCheck, ActionKind, BlockEntry, Connector, ReplyLink, ResponseAction
from triage.models.asset import Asset
from triage.models.attachment import Attachment
from triage.models.case import Case, CaseLink, Escalation, Occurrence
from triage.models.case_pack import CasePack
from triage.models.evidence import CheckResult, Evidence, LookUp, PivotRun
from triage.models.exception_item import (
    BackTest,
    ExceptionItem,
    ExceptionReview,
    ExceptionVersion,
    Suppression,
    ValueList,
    ValueListVersion,
)
from triage.models.guide import GuideVersion
from triage.models.merge import CaseMerge, GateOverride
from triage.models.note import Mention, Note, NoteVersion
from triage.models.notification import Notification
from triage.models.observable import EventSummary, Observable
from triage.models.overlay import OverlayProposal
from triage.models.question import Answer, Citation, Confirmation, Draft, Question
from triage.models.scope import ScopeCell, ScopeColumn, ScopeHost, ScopeRun
from triage.models.task import CaseTask

__all__ = [
    "ActionCheck",
    "ActionKind",
    "Answer",
    "Asset",
    "Attachment",
    "BackTest",
    "BlockEntry",
    "Case",
    "CaseLink",
    "CaseMerge",
    "CasePack",
    "CaseTask",
    "CheckResult",
    "Citation",
    "Confirmation",
    "Connector",
    "Draft",
    "Escalation",
    "EventSummary",
    "Evidence",
    "ExceptionItem",
    "ExceptionReview",
    "ExceptionVersion",
    "GateOverride",
    "GuideVersion",
    "LookUp",
    "Mention",
    "Note",
    "NoteVersion",
    "Notification",
    "Observable",
    "Occurrence",
    "OneTimeSignIn",
    "OverlayProposal",
    "PivotRun",
    "Question",
    "ReplyLink",
    "ResponseAction",
    "ScopeCell",
    "ScopeColumn",
    "ScopeHost",
    "ScopeRun",
    "Suppression",
    "ValueList",
    "ValueListVersion",
]
