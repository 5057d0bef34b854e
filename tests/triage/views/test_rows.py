"""Rows that are written without a template: what telemetry says stays text, and may be asked about."""

import re
from html.parser import HTMLParser

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.triage.conftest import HOSTILE
from triage.enums import PivotState
from triage.models import Evidence
from triage.observables import collect

pytestmark = pytest.mark.django_db

NONE = "\N{EN DASH}"
QUOTES = "\"'><img src=x onerror=alert(1)>&amp;"


class Tags(HTMLParser):
    """The elements of a page, and each attribute that would run script."""

    def __init__(self, page):
        super().__init__()
        self.names, self.handlers = set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.handlers += [name for name, _value in attrs if name.startswith("on")]


@pytest.fixture
def case_of(make_case, make_pivot):
    def make(*documents, columns=("process.name", "event.action")):
        case = make_case()
        run = make_pivot(case, PivotState.HITS, len(documents), columns=list(columns))
        for row, document in zip(run.rows.order_by("position"), documents, strict=True):
            row.document = document
            row.save()
        collect(case)
        return case

    return make


def cells(page):
    """The texts of the cells of values, row by row."""
    found = re.findall(r'<td class="cell">(.*?)</td>', page)
    return [re.sub(r"<[^>]*>", "", cell) for cell in found]


@pytest.mark.parametrize("value", [HOSTILE, QUOTES])
@pytest.mark.parametrize("name", ["question", "case_evidence", "pivot", "case_timeline", "case_observables"])
def test_a_hostile_value_makes_no_element(as_analyst, case_of, name, value):
    document = {
        "event": {"action": value, "category": ["process"], "type": ["start"]},
        "process": {"name": value, "entity_id": value, "command_line": value},
        "host": {"name": value, "id": value},
    }
    case = case_of(document)
    rest = {"question": ["verdict"], "pivot": [case.pivots.get().key]}.get(name, [])
    found = Tags(as_analyst.get(reverse(name, args=[case.pk, *rest])).text)
    assert (found.handlers, found.names & {"img", "iframe"}) == ([], set())


def test_a_cell_has_every_value_and_says_how_many_more(as_analyst, case_of):
    many = [f"a{number}.exe" for number in range(7)]
    case = case_of({"process": {"name": many}}, {"process": {"name": "one.exe"}})
    page = as_analyst.get(reverse("question", args=[case.pk, "verdict"])).text
    assert cells(page) == ["a0.exe, a1.exe, a2.exe, a3.exe, a4.exe +2", NONE, "one.exe", NONE]


def test_a_value_that_can_be_followed_names_its_row_and_place(as_analyst, case_of):
    case = case_of({"process": {"name": ["a.exe", 'b"&.exe']}, "event": {"action": "start"}})
    row = Evidence.objects.get()
    page = as_analyst.get(reverse("question", args=[case.pk, "verdict"]))
    links = re.findall(r'<a class="ask" href="([^"]*)" data-below', page.text)
    where = f"{reverse('case_value', args=[case.pk])}?field=process.name&amp;row={row.pk}"
    assert links == [f"{where}&amp;n=0", f"{where}&amp;n=1"]
    assert 'aria-label="Find b&quot;&amp;.exe elsewhere"' in page.text
    assert 'b"&.exe' in as_analyst.get(links[1].replace("&amp;", "&")).context["value"].value


def test_who_may_not_answer_sees_what_is_pinned_and_no_button(as_admin, case_of):
    case = case_of({"process": {"name": "a.exe"}})
    Evidence.objects.update(pinned_at=timezone.now())
    seen = as_admin.get(reverse("question", args=[case.pk, "verdict"])).text
    assert (seen.count("data-pin"), seen.count('title="Pinned as a fact"')) == (0, 1)
