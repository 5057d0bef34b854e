"""The checks of a question as its page shows them: each with the rows that it fired on."""

from collections.abc import Collection
from dataclasses import dataclass

from triage.enums import CheckState
from triage.models import Case, CheckResult, Evidence
from triage.views.evidence_cards import Card

MOST_ROWS = 8


@dataclass(frozen=True, slots=True)
class FiredRow:
    """A row of evidence that made a check fire. label: its pivot's. is_shown: its table is on this page."""

    pk: int
    position: int
    label: str
    is_shown: bool


@dataclass(frozen=True, slots=True)
class CheckLine:
    """rows: the first that it fired on; more: how many others."""

    check: CheckResult
    rows: tuple[FiredRow, ...] = ()
    more: int = 0


def check_context(case: Case, shown: Collection[Card], checks: Collection[CheckResult]) -> dict[str, object]:
    """What fired or could not be checked, and apart what did not fire. One query.

    shown: the cards on the page.
    """
    fired = [check for check in checks if check.state == CheckState.FIRED]
    rows = _rows(case, shown, fired)
    return {
        "checks": [_line(check, rows) for check in fired]
        + [CheckLine(check) for check in checks if check.state == CheckState.UNKNOWN],
        "quiet": [check for check in checks if check.state == CheckState.QUIET],
        "checks_total": len(checks),
        "fired": len(fired),
    }


def _rows(case: Case, shown: Collection[Card], fired: Collection[CheckResult]) -> dict[int, FiredRow]:
    wanted = {pk for check in fired for pk in check.rows[:MOST_ROWS]}
    on_page = {row.pk for card in shown for row in card.rows}
    held = Evidence.objects.filter(pk__in=wanted, pivot__case=case)
    return {
        pk: FiredRow(pk, position, label, pk in on_page)
        for pk, position, label in held.values_list("pk", "position", "pivot__label")
    }


def _line(check: CheckResult, rows: dict[int, FiredRow]) -> CheckLine:
    first = check.rows[:MOST_ROWS]
    return CheckLine(check, tuple(rows[pk] for pk in first if pk in rows), len(check.rows) - len(first))
