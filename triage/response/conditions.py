"""What preconditions of response actions ask of a case, and the sentence with which each holds or lacks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from detections.enums import TelemetryKind
from triage import verdicts
from triage.enums import CheckState, Disposition, ObservableType, Points
from triage.gate import gate
from triage.guide_versions import guide_of
from triage.guides.model import Guide
from triage.models import Asset, Case, CheckResult, Observable, ScopeRun
from triage.preserve import preservation
from triage.preserve.preservation import Preservation

# Questions about retrieval, staged files and execution: their checks speak of a payload.
_PAYLOAD_QUESTIONS = ("retrieval", "artifacts", "execution")
_PAYLOAD_KINDS = frozenset((TelemetryKind.DNS, TelemetryKind.FILE, TelemetryKind.LIBRARY))


@dataclass(frozen=True, slots=True)
class Condition:
    """One precondition of an action on a case. says: what must hold. why: what holds or lacks here."""

    key: str
    says: str
    holds: bool
    why: str = ""


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
    def preservation(self) -> Preservation:
        return preservation.of_case(self.case)

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
    def scope_runs(self) -> list[ScopeRun]:
        """Searches of other hosts that have a result or are under way, newest first."""
        return list(ScopeRun.objects.filter(case=self.case).exclude(state="failed").order_by("-number"))


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
    return facts.preservation.is_current, facts.preservation.says


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
    done = next((run for run in facts.scope_runs if not run.is_under_way), None)
    if done is not None:
        told = f"Search {done.number} of {done.asked_at:%Y-%m-%d %H:%M} UTC covered the other hosts."
        return True, f"{told} {done.reason}".strip()
    if facts.scope_runs:
        return False, f"Search {facts.scope_runs[0].number} of other hosts is under way: wait for its result."
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
