"""Back-tests on the pages: begun, watched, cancelled, and what they found."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST

from detections.actors import Actor
from triage.enums import BackTestKind, BackTestState
from triage.errors import TriageError
from triage.exception_items import backtests as exception_backtests
from triage.models import BackTest, ExceptionVersion
from triage.templatetags.marks import words
from triage.views.doors import Asked, page
from triage.views.exception_rows import number_of

SHOWN = 5
ROWS_A_PAGE = 100
ROWS_SHOWN = 15
# A longer window is drawn by the month's worth of days that ends it.
MOST_DAYS = 92


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the picture, in percent of its width and height. near: nearly hidden, as far as listed."""

    day: date
    hidden: int
    near: int
    x: float
    width: float
    height: float
    near_height: float

    @property
    def y(self) -> float:
        return 100 - self.height

    @property
    def near_y(self) -> float:
        return self.y - self.near_height


@dataclass(frozen=True)
class ShownTest:
    """A back-test with its result as the page lays it out."""

    test: BackTest

    @property
    def result(self) -> dict[str, Any]:
        return self.test.result

    @property
    def is_open(self) -> bool:
        return self.test.state in exception_backtests.OPEN

    @property
    def is_done(self) -> bool:
        return self.test.state == BackTestState.SUCCEEDED

    @property
    def is_good(self) -> bool:
        return self.is_done and not self.result.get("blocks")

    @property
    def percent(self) -> int:
        return min(100, 100 * self.test.done // self.test.total) if self.test.total else 0

    @property
    def days(self) -> int:
        return max(1, round((self.test.window_end - self.test.window_start) / timedelta(days=1)))

    @cached_property
    def near(self) -> dict[str, Any]:
        """Near misses; the fewest differences first."""
        nothing = {"alerts": 0, "not_examined": 0, "clauses": [], "listed": []}
        found = {**nothing, **self.result.get("near_misses", {})}
        listed = [_dated(row) for row in found["listed"]]
        found["listed"] = sorted(listed, key=lambda row: len(row["fails"]))
        return found

    @cached_property
    def listed(self) -> list[dict[str, Any]]:
        return [_dated(row) for row in self.result.get("listed", [])]

    @property
    def against(self) -> list[dict[str, Any]]:
        return [_dated(row) for row in self.result.get("against", [])]

    @property
    def hosts(self) -> list[tuple[str, int]]:
        return _most(self.result.get("by_host", {}))

    @property
    def sources(self) -> list[tuple[str, int]]:
        return _most(self.result.get("by_source", {}))

    @property
    def standings(self) -> list[tuple[str, int]]:
        """What became of the alerts that it would hide, in words."""
        said = {"none": "in no case", "open": "in open cases"}
        found = _most(self.result.get("cases", {}))
        return [(said.get(name, f"closed as {words(name).lower()}"), count) for name, count in found]

    @cached_property
    def bars(self) -> list[Day]:
        """One for each day of the window, empty ones too."""
        hidden = self.result.get("by_day", {})
        near = Counter(f"{row['at']:%Y-%m-%d}" for row in self.near["listed"] if row["at"])
        last = self.test.window_end.astimezone(UTC).date()
        count = min(self.days + 1, MOST_DAYS)
        days = [last - timedelta(days=count - 1 - number) for number in range(count)]
        most = max((hidden.get(f"{day}", 0) + near[f"{day}"] for day in days), default=0) or 1
        width = 100 / count
        return [
            Day(
                day,
                hidden.get(f"{day}", 0),
                near[f"{day}"],
                number * width,
                width * 0.8,
                100 * hidden.get(f"{day}", 0) / most,
                100 * near[f"{day}"] / most,
            )
            for number, day in enumerate(days)
        ]


def _dated(row: Mapping[str, Any]) -> dict[str, Any]:
    moment: datetime | None = parse_datetime(str(row.get("at", "")))
    return {**row, "at": moment}


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def begin(request: Asked, version: ExceptionVersion) -> None:
    """Start a back-test as the form asks for it, over stored alerts of 30 days where it says nothing."""
    days = number_of(request.POST.get("days", "")) or 30
    kind = request.POST.get("kind", "")
    kind = kind if kind in BackTestKind.values else BackTestKind.ALERTS
    exception_backtests.start(version, actor=request.actor, kind=kind, days=days)
    messages.success(request, "The back-test has begun. Its progress is shown below.")


def shown_tests(version: ExceptionVersion, *, actor: Actor) -> list[ShownTest]:
    """The newest back-tests of a version, those of its present content first. One query."""
    rows = BackTest.objects.visible_to(actor).filter(version=version).select_related("requested_by")
    found = [ShownTest(row) for row in rows.order_by("-pk")[:SHOWN]]
    return sorted(found, key=lambda one: one.test.content_sha256 != version.content_sha256)


@page
def exception_test(request: Asked, pk: int) -> HttpResponse:
    """One back-test as far as it is: a part of the version's page, or all of what it lists."""
    test = _test(request, pk)
    one = ShownTest(test)
    context = {
        "one": one,
        "version": test.version,
        "may_propose": request.actor.can(exception_backtests.PROPOSE),
    }
    if request.htmx:
        part = render(request, "exceptions/test.html", context)
        if not one.is_open:
            # What can be done next, beside it, depends on what came of it.
            part["HX-Refresh"] = "true"
        return part
    rows = one.near["listed"] if request.GET.get("of") == "near" else one.listed
    shown = Paginator(rows, ROWS_A_PAGE).get_page(request.GET.get("page"))
    context |= {"page": shown, "of": request.GET.get("of", ""), "item": test.version.item}
    return render(request, "exceptions/test_page.html", context)


@page
@require_POST
def exception_test_cancel(request: Asked, pk: int) -> HttpResponse:
    test = _test(request, pk)
    try:
        was_open = exception_backtests.cancel(test, actor=request.actor)
    except TriageError as refused:
        messages.error(request, str(refused))
    else:
        said = "The back-test is cancelled." if was_open else "The back-test was over already."
        messages.success(request, said)
    return redirect("exception_version", test.version.item_id, test.version.number)


def _test(request: Asked, pk: int) -> BackTest:
    seen = BackTest.objects.visible_to(request.actor).select_related("version__item", "requested_by")
    return get_object_or_404(seen, pk=pk)
