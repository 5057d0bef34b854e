"""The response ladder: the guide's rungs, and which of their actions the case allows now, each with why."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any

from detections.enums import TelemetryKind
from triage import verdicts
from triage.enums import ActionState, CheckState, Disposition, ObservableType, Points
from triage.gate import gate
from triage.guide_versions import guide_of
from triage.guides.model import Guide, ResponseStage, StageAction, StageFor
from triage.models import Asset, Case, CheckResult, Observable, ResponseAction
from triage.response_kinds import KindSpec, spec_of

# Questions about retrieval, staged files and execution: their checks speak of a payload.
_PAYLOAD_QUESTIONS = ("retrieval", "artifacts", "execution")
_PAYLOAD_KINDS = frozenset((TelemetryKind.DNS, TelemetryKind.FILE, TelemetryKind.LIBRARY))
_OF_HOSTS = ("isolate_host", "contain_source")
PRESERVE = "preserve_evidence"


@dataclass(frozen=True, slots=True)
class Condition:
    """One precondition of an action on a case. says: what must hold. why: what holds or lacks here."""

    key: str
    says: str
    holds: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """An action that a rung proposes. It is offered where every condition holds."""

    spec: KindSpec
    label: str
    conditions: tuple[Condition, ...] = ()

    @property
    def lacking(self) -> list[Condition]:
        return [condition for condition in self.conditions if not condition.holds]

    @property
    def is_offered(self) -> bool:
        return not self.lacking

    @property
    def why_not(self) -> str:
        """The sentence under a greyed action."""
        return " ".join(condition.why or condition.says for condition in self.lacking)


@dataclass(frozen=True, slots=True)
class Rung:
    """One stage. text: the guide's own words. is_advice: the guide says it in prose and names no actions."""

    key: str
    title: str
    text: str
    applies: StageFor
    offers: tuple[Offer, ...] = ()
    is_advice: bool = False

    @property
    def is_open(self) -> bool:
        return any(offer.is_offered for offer in self.offers)


def _stage(key: str, title: str, applies: StageFor, *kinds: str) -> ResponseStage:
    actions = tuple(
        StageAction(kind, spec_of(kind).label, spec_of(kind).undo, spec_of(kind).is_destructive)
        for kind in kinds
    )
    return ResponseStage(key, title, applies, "", (), actions)


_MALICIOUS_STEPS = (
    "contain_source",
    "disable_account",
    "block_indicators",
    "suspend_process",
    "kill_process",
)
# For guides that say it in prose alone: the same order, with the product's own preconditions.
STANDARD = (
    _stage("preserve", "Preserve", StageFor.ANY, PRESERVE, "collect_file", "list_processes", "ask_owner"),
    _stage(
        "contain", "Contain, reversible", StageFor.ANY, "block_destination", "watch_entity", "isolate_host"
    ),
    _stage("confirmed_malicious", "Contain the intrusion", StageFor.MALICIOUS, *_MALICIOUS_STEPS),
    _stage("scope", "Find the other hosts", StageFor.ANY, "search_other_hosts"),
    _stage("eradicate", "Remove and repair", StageFor.MALICIOUS, "delete_files", "reset_credentials"),
    _stage("harden", "Harden afterwards", StageFor.ANY, "record_hardening"),
)
# What every ladder has beside what its guide names, by the rung it belongs to.
_ALSO = {
    "preserve": ("collect_file", "list_processes", "ask_owner"),
    "confirmed_malicious": ("suspend_process",),
}


def rungs_of(guide: Guide) -> list[ResponseStage]:
    """The guide's stages; behind those that are prose alone, the standard ones."""
    if any(stage.actions for stage in guide.response):
        return list(guide.response)
    return [*guide.response, *STANDARD]


def ladder(case: Case, guide: Guide | None = None) -> list[Rung]:
    """Every rung of a case in the guide's order, with what it offers now. A fixed number of queries."""
    facts = CaseState(case, guide)
    return [_rung(stage, facts) for stage in rungs_of(facts.guide)]


def _rung(stage: ResponseStage, facts: "CaseState") -> Rung:
    named = {action.key for action in stage.actions}
    also = [
        StageAction(key, spec_of(key).label)
        for key in _ALSO.get(stage.key, ())
        if stage.actions and key not in named
    ]
    offers = tuple(
        Offer(spec_of(action.key, action), action.label, tuple(conditions(stage, action, facts)))
        for action in (*stage.actions, *also)
    )
    return Rung(stage.key, stage.title, stage.text, stage.applies, offers, not stage.actions)


def conditions(
    stage: ResponseStage | None, action: StageAction, facts: "CaseState", type_: str = "", value: str = ""
) -> list[Condition]:
    """The preconditions of an action, those of its rung and those of its kind, each once.

    type_, value: what it is to be done to, "" as long as nothing is chosen.
    """
    spec = spec_of(action.key, action)
    if spec.key == "contain_source" and not value:
        # As long as nothing is chosen, it is about the remote side.
        type_, value = ObservableType.IP, facts.case.remote_ip
    said = {one.key: one.says for one in stage.preconditions} if stage else {}
    wanted = [key for key in said if key != "isolation_permitted" or spec.key in _OF_HOSTS]
    if stage is not None and stage.applies is StageFor.MALICIOUS:
        wanted.append("disposition_malicious")
    if stage is not None and stage.applies is StageFor.BENIGN:
        wanted.append("gate_open")
    if spec.is_destructive:
        wanted += ["evidence_preserved"]
    found = [
        facts.condition(key, said.get(key, ""), type_, value)
        for key in dict.fromkeys([*wanted, *spec.requires])
    ]
    if any(one.key == "disposition_malicious" for one in found):
        found = [one for one in found if one.key != "malicious_or_payload"]
    return found


class CaseState:
    """What preconditions ask of a case, each looked up once."""

    def __init__(self, case: Case, guide: Guide | None = None) -> None:
        self.case = case
        self._guide = guide

    @cached_property
    def guide(self) -> Guide:
        return self._guide or guide_of(self.case)

    def condition(self, key: str, says: str, type_: str, value: str) -> Condition:
        """One precondition, evaluated. A key that nobody knows never holds: it is not overlooked."""
        ask = _CONDITIONS.get(key)
        if ask is None:
            return Condition(key, says or key, False, f"This version knows no precondition {key!r}.")
        default, evaluate = ask
        holds, why = evaluate(self, type_, value)
        return Condition(key, says or default, holds, why)

    @cached_property
    def is_malicious(self) -> bool:
        return verdicts.is_malicious(self.case)

    @cached_property
    def is_preserved(self) -> bool:
        done = ResponseAction.objects.filter(case=self.case, kind__key=PRESERVE, state=ActionState.SUCCEEDED)
        return done.exists()

    @cached_property
    def benign_blocks(self) -> int:
        opening = gate(self.case).of(Disposition.BENIGN)
        is_closed_so = not self.case.is_open and self.case.disposition in ("benign", "false_positive")
        return 0 if is_closed_so else len(opening.blocks)

    @cached_property
    def payload_signs(self) -> list[str]:
        """What checks fired that speak of retrieval, children, files or libraries."""
        fired = CheckResult.objects.filter(
            case=self.case, state=CheckState.FIRED, points=Points.ESCALATE
        ).select_related("pivot")
        return [row.says for row in fired if self._is_payload(row)]

    def _is_payload(self, row: CheckResult) -> bool:
        if row.question_key in _PAYLOAD_QUESTIONS:
            return True
        kinds = set(row.pivot.kinds) if row.pivot and not row.pivot.key.startswith("alert") else set()
        return bool(kinds & {kind.value for kind in _PAYLOAD_KINDS})

    @cached_property
    def assets(self) -> list[Asset]:
        return list(Asset.objects.all())

    def asset_of(self, type_: str, value: str) -> Asset | None:
        """The record of a host or an address; of the case's own host where nothing is chosen."""
        if type_ == ObservableType.IP:
            return next((one for one in self.assets if value in one.addresses), None)
        name = (value or self.case.host_name).lower()
        host_id = "" if value and name != self.case.host_name.lower() else self.case.host_id
        return next(
            (
                one
                for one in self.assets
                if (name and one.host_name.lower() == name) or (host_id and one.host_id == host_id)
            ),
            None,
        )

    @cached_property
    def observed(self) -> Mapping[str, bool]:
        """Which types of observables are recorded with evidence."""
        kept = Observable.objects.filter(case=self.case, event_count__gt=0)
        return dict.fromkeys(kept.order_by().values_list("type", flat=True).distinct(), True)

    @cached_property
    def scope(self) -> Any:
        """The newest search of other hosts, None where none ran."""
        try:
            scoping = import_module("triage.scoping")
        except ImportError:
            return None
        return scoping.latest(self.case)


Evaluate = Callable[[CaseState, str, str], tuple[bool, str]]


def _gate_open(facts: CaseState, _type: str, _value: str) -> tuple[bool, str]:
    if not facts.benign_blocks:
        return True, "The gate allows benign."
    number = facts.benign_blocks
    return (
        False,
        f"Benign is not open: {number} {'thing stands' if number == 1 else 'things stand'} in the way.",
    )


def _preserved(facts: CaseState, _type: str, _value: str) -> tuple[bool, str]:
    if facts.is_preserved:
        return True, "The evidence is preserved."
    return False, "Preserve the evidence first: containing and removing changes what is there."


def _malicious(facts: CaseState, _type: str, _value: str) -> tuple[bool, str]:
    if facts.is_malicious:
        return True, "The verdict is malicious."
    return False, "The verdict is not malicious: give it first, at the top of the ladder."


def _malicious_or_payload(facts: CaseState, _type: str, _value: str) -> tuple[bool, str]:
    if facts.is_malicious:
        return True, "The verdict is malicious."
    if facts.payload_signs:
        return True, f"A payload is at work: {facts.payload_signs[0]}"
    return (
        False,
        "Neither is the verdict malicious, nor has a check seen retrieval, a child or a library at work.",
    )


def _isolation(facts: CaseState, type_: str, value: str) -> tuple[bool, str]:
    asset = facts.asset_of(type_, value)
    name = value or facts.case.host_name or "the host"
    if asset is None:
        return (
            False,
            f"No asset record says that {name} may be isolated. A lead adds one under Administration.",
        )
    if asset.isolation_permitted:
        return True, f"The role of {asset} allows isolation."
    role = f" ({asset.role})" if asset.role else ""
    return False, f"The role of {asset}{role} does not allow isolation. Ask {asset.owner or 'its owner'}."


def _ids(facts: CaseState, type_: str, _value: str) -> tuple[bool, str]:
    wanted = [type_] if type_ else [ObservableType.PROCESS.value, ObservableType.HASH.value]
    if any(facts.observed.get(one) for one in wanted):
        return True, "Ids are recorded in the evidence."
    return False, "No process id or hash of it is in the frozen evidence: record it before it is gone."


def _scope(facts: CaseState, _type: str, _value: str) -> tuple[bool, str]:
    if facts.scope is not None:
        return True, "Other hosts were searched."
    return False, "Nobody has searched the other hosts yet: search them before anything is removed for good."


_CONDITIONS: Mapping[str, tuple[str, Evaluate]] = {
    "gate_open": ("The gate allows benign.", _gate_open),
    "evidence_preserved": ("The evidence is preserved.", _preserved),
    "disposition_malicious": ("The verdict is malicious.", _malicious),
    "malicious_or_payload": ("The verdict is malicious, or a payload is at work.", _malicious_or_payload),
    "isolation_permitted": ("The host's role allows isolation.", _isolation),
    "ids_recorded": ("Process ids and hashes are recorded.", _ids),
    "scope_known": ("The other hosts are known.", _scope),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where on a ladder an action stands."""

    stage: ResponseStage
    action: StageAction


def place_of(guide: Guide, kind: str, stage: str = "") -> Place | None:
    """The rung that proposes the kind: the named one, else the first. None where no rung does."""
    found = [Place(one, action) for one in rungs_of(guide) for action in _actions(one) if action.key == kind]
    return next((place for place in found if place.stage.key == stage), found[0] if found else None)


def _actions(stage: ResponseStage) -> Iterable[StageAction]:
    also = _ALSO.get(stage.key, ()) if stage.actions else ()
    return (*stage.actions, *(StageAction(key, spec_of(key).label) for key in also))


@dataclass(slots=True)
class Judged:
    """What a request or an approval finds of the preconditions."""

    conditions: list[Condition] = field(default_factory=list)

    @property
    def lacking(self) -> list[Condition]:
        return [one for one in self.conditions if not one.holds]


def judge(case: Case, kind: str, stage: str, type_: str, value: str, guide: Guide | None = None) -> Judged:
    """The preconditions of one action now. An action that no rung proposes has its kind's alone."""
    facts = CaseState(case, guide)
    place = place_of(facts.guide, kind, stage)
    action = place.action if place else StageAction(kind, spec_of(kind).label)
    return Judged(conditions(place.stage if place else None, action, facts, type_, value))
