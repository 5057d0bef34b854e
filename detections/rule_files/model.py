"""A rule file as data: what `[metadata] [rule] [[rule.threat]] [transform]` says, checked and typed."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from detections.enums import RuleType, Severity
from detections.errors import RuleFault, RuleFileError


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One detection rule as its file says it. Format: Elastic's detection-rules TOML or Kibana's export.

    lookback: how far a run reads back, from `from = "now-9m"`; Kibana lets it be shorter than the interval.
    transforms: the raw entries of
    `[[transform.investigate]]` and `[[transform.osquery]]` in file order, each with its sort under
    `provider`; the N-th of a sort is what `$investigate_N` in the note means. overlay: the text of the guide
    overlay beside the rule, or ""; only its `applies_to` is read here, into `replaces`: the ids of the rules
    that this one stands in for. sha256: over source and overlay.
    """

    rule_id: str
    name: str
    description: str
    type: RuleType
    language: str
    query: str
    index: tuple[str, ...]
    severity: Severity
    risk_score: int
    interval: timedelta
    lookback: timedelta
    max_signals: int
    version: int
    tags: tuple[str, ...]
    references: tuple[str, ...]
    author: tuple[str, ...]
    license: str
    setup: str
    note: str
    false_positives: tuple[str, ...]
    threat: tuple[dict[str, Any], ...]
    timestamp_override: str
    tiebreaker_field: str
    timestamp_field: str
    event_category_override: str
    building_block: bool
    transforms: tuple[dict[str, Any], ...]
    path: str
    source: str
    overlay: str
    replaces: tuple[str, ...]
    sha256: str

    @property
    def widened(self) -> str:
        """Why the rule's look-back is its interval here, in a sentence; "" where it is what the file says."""
        if self.lookback >= self.interval:
            return ""
        return (
            f"The file reads back {self.lookback} every {self.interval}: where a run looks back from now, "
            "what lies between two runs goes unsearched. Here a run begins where the last one ended, so that "
            "nothing does, and the look-back is as long as the interval."
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a set of paths gave. A bad file is an error here and does not stop the others.

    skipped: what is no rule and was left out on purpose (an export's summary line, an exception list).
    """

    rules: tuple[RuleFile, ...] = ()
    errors: tuple[RuleFileError, ...] = ()
    skipped: tuple[RuleFault, ...] = ()
