"""The *Implication* of a question, cut into what escalates, what lowers, and what missing telemetry means."""

import re
from typing import NamedTuple

# Clauses that speak for less suspicion, in the words that published guides use.
_LOWERING = re.compile(
    r"(?:only |then )?(?:lower|narrow|keep|close|reduce|de-?escalate|deprioriti[sz]e|downgrade|suppress"
    r"|treat as benign|clear|relax|limit|confine|hold|stay|stop|do not (?:expand|broaden)|less\b|weaker"
    r"|easier to explain|more explainable|consistent only|less concerning|benign when)\b",
    re.IGNORECASE,
)
_LOWERS = re.compile(r"\blowers\b", re.IGNORECASE)
_ESCALATING = re.compile(
    r"(?:escalate|expand|broaden|raise|suspicious|more concerning|stronger)\b"
    r"|.*\b(?:supports? (?:escalation|unauthori[sz]ed|concern|deliberate)|more likely when)\b"
    r"|.*\brisk (?:rises|increases)\b",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"(?:missing|absen(?:t|ce)|unavailable|lack of|no )\b.*\b(?:unresolved|benign|clear|telemetry)\b"
    r"|missing\b|if .* telemetry (?:is|are) (?:missing|absent|unavailable)",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"(?<=;)\s+|(?<=[.!?])\s+(?=[A-Z\"`])")


class Implication(NamedTuple):
    """Each part in the guide's words, or ""."""

    escalate_when: str
    lower_when: str
    missing_means: str


def split(text: str) -> Implication:
    """The parts of an implication, in its own words.

    Clauses end at semicolons and sentences. One that begins as lowering, escalating or missing goes there;
    any other belongs with the one before it. If the text fits none of these words, all parts are "": the
    question keeps the whole sentence in any case.
    """
    parts: dict[str, list[str]] = {"escalate": [], "lower": [], "missing": [], "": []}
    state = ""
    for clause in _CLAUSE_END.split(text.strip()):
        state = _sort(clause) or ("" if state == "missing" else state)
        parts[state].append(clause)
    if not parts["escalate"] and parts["lower"]:
        parts["escalate"] = parts[""]
    return Implication(*(" ".join(parts[sort]).rstrip("; ") for sort in ("escalate", "lower", "missing")))


def _sort(clause: str) -> str:
    if _MISSING.match(clause):
        return "missing"
    if _LOWERING.match(clause) or _LOWERS.search(clause):
        return "lower"
    return "escalate" if _ESCALATING.match(clause) else ""
