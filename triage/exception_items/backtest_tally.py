"""What a back-test has counted so far: kept as the JSON that pages read, so that it survives its worker.

Counts are of everything that was looked at; lists are bounded, newest first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from triage.enums import CaseStatus, Disposition
from triage.exception_items.content import sentence
from triage.exception_items.matching import ClauseResult, CompiledItem

MOST_LISTED = 1_000
MOST_NEAR = 100
MOST_BLOCKS = 50
# Beyond so many hosts, sources or days the rest is counted as one.
MOST_NAMES = 200
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class CaseSeen:
    """The case that an alert is in."""

    pk: int
    status: str
    disposition: str


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """One alert or match. alert: primary key, None for a match that is no stored alert."""

    alert: int | None
    alert_id: str
    at: datetime
    host: str
    source: str

    def listed(self, case: CaseSeen | None) -> dict[str, Any]:
        return {
            "alert": self.alert,
            "alert_id": self.alert_id,
            "at": self.at.isoformat(),
            "host": self.host,
            "source": self.source,
            "case": case.pk if case else None,
            "case_status": case.status if case else "",
            "disposition": case.disposition if case else "",
        }


def empty(item: CompiledItem) -> dict[str, Any]:
    """Nothing looked at yet. What each part means: docs/exceptions.md, back-tests."""
    return {
        "alerts": 0,
        "hidden": 0,
        "already_hidden": 0,
        "by_day": {},
        "by_host": {},
        "by_source": {},
        "cases": {},
        "listed": [],
        "against": [],
        "near_misses": {"alerts": 0, "not_examined": 0, "clauses": _clauses(item), "listed": []},
        "overlaps": [],
        "not_understood": 0,
        "notes": [],
        "blocks": [],
    }


def _clauses(item: CompiledItem) -> list[dict[str, Any]]:
    return [
        {"entry": number, "says": sentence(clause.entry), "alerts": 0}
        for number, clause in enumerate(item.clauses)
    ]


def add_hidden(result: dict[str, Any], one: AlertSeen, case: CaseSeen | None, *, is_hidden: bool) -> None:
    """Count an alert that the version would hide. is_hidden: an exception hides it already."""
    result["hidden"] += 1
    result["already_hidden"] += is_hidden
    _count(result["by_day"], f"{one.at:%Y-%m-%d}")
    _count(result["by_host"], one.host)
    _count(result["by_source"], one.source)
    _count(result["cases"], standing(case))
    row = one.listed(case)
    _list(result["listed"], row, MOST_LISTED)
    if case is None:
        return
    if case.disposition == Disposition.MALICIOUS:
        _block(result, one, case)
    is_open = case.status != CaseStatus.CLOSED
    if is_open or case.disposition in (Disposition.MALICIOUS, Disposition.SUSPICIOUS):
        _list(result["against"], row, MOST_LISTED)


def standing(case: CaseSeen | None) -> str:
    """What became of an alert: how its case was closed, "open" or "none"."""
    if case is None:
        return "none"
    return case.disposition if case.status == CaseStatus.CLOSED else "open"


def _block(result: dict[str, Any], one: AlertSeen, case: CaseSeen) -> None:
    says = f"It would hide an alert on {one.host or 'an unnamed host'} of {one.at:%Y-%m-%d %H:%M:%S} UTC, "
    says += f"which is in CW-{case.pk}: malicious."
    _list(result["blocks"], says, MOST_BLOCKS)


def add_near_miss(
    result: dict[str, Any], one: AlertSeen, case: CaseSeen | None, results: Sequence[ClauseResult]
) -> None:
    """Count an alert that fails a clause or two; results: of every clause."""
    near = result["near_misses"]
    near["alerts"] += 1
    fails = [
        {"entry": number, "says": sentence(clause.entry), "why": clause.why}
        for number, clause in enumerate(results)
        if not clause.holds
    ]
    for failed in fails:
        near["clauses"][failed["entry"]]["alerts"] += 1
    _list(near["listed"], {**one.listed(case), "fails": fails}, MOST_NEAR)


def add_overlaps(result: dict[str, Any], items: Iterable[CompiledItem]) -> None:
    """Count other items in force that hide an alert as well."""
    known = {row["version"]: row for row in result["overlaps"]}
    for item in items:
        if item.version_id not in known:
            known[item.version_id] = {"item": item.item_id, "version": item.version_id, "label": item.label,
                                      "alerts": 0}  # fmt: skip
            result["overlaps"].append(known[item.version_id])
        known[item.version_id]["alerts"] += 1


def note(result: dict[str, Any], says: str) -> None:
    """Say something about the whole, once."""
    if says not in result["notes"]:
        result["notes"].append(says)


def finished(result: Mapping[str, Any], *, share_limit: int) -> dict[str, Any]:
    """The result of everything, with the share of what was looked at."""
    share = round(100 * result["hidden"] / result["alerts"], 1) if result["alerts"] else 0.0
    left = {key: value for key, value in result.items() if key != "cursor"}
    left["overlaps"] = sorted(result["overlaps"], key=lambda row: -row["alerts"])
    return {**left, "share": share, "share_limit": share_limit}


def _count(counts: dict[str, int], name: str) -> None:
    key = name if name in counts or len(counts) < MOST_NAMES else OTHERS
    counts[key] = counts.get(key, 0) + 1


def _list(rows: list[Any], row: Any, most: int) -> None:
    if len(rows) < most:
        rows.append(row)
