"""What checks on rarity need of the store, looked up before the result of a pivot is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detections import ecs
from detections.stores.base import Window
from triage.guides.model import Guide
from triage.pivot_search import Row
from triage.rarity import Rarity, rarity

# Values looked up for one check; each is a search.
MOST_VALUES = 20
Rarities = Mapping[tuple[str, str], Rarity]


@dataclass(frozen=True, slots=True)
class _Wanted:
    field: str
    days: int


def look_up(guide: Guide, pivot: str, rows: Sequence[Row], window: Window) -> Rarities:
    """Rarity by field and value, for the values that the pivot's checks on rarity read. Raises StoreError."""
    wanted = {
        _Wanted(check.rare.field, check.rare.days)
        for check in guide.checks
        if check.pivot == pivot and check.rare is not None
    }
    found: dict[tuple[str, str], Rarity] = {}
    for one in sorted(wanted, key=lambda wish: (wish.field, wish.days)):
        values = dict.fromkeys(str(value) for row in rows for value in ecs.values(row.document, one.field))
        for value in list(values)[:MOST_VALUES]:
            found[one.field, value] = rarity(one.field, value, days=one.days, until=window.end)
    return found
