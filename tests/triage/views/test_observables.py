"""The observables page: true values only behind copy, constant queries, files."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.triage.conftest import HOSTILE
from triage.enums import PivotState
from triage.models import Evidence
from triage.observables import collect


@pytest.fixture
def filled(make_case, make_pivot):
    def fill(rows, number=1):
        case = make_case(number)
        run = make_pivot(case, PivotState.HITS, rows)
        for row in run.rows.all():
            row.document = {"destination": {"ip": f"203.0.113.{row.position}"}, "user": {"name": HOSTILE}}
            row.save()
        collect(case)
        return case

    return fill


def test_values_are_defanged_in_text_and_true_to_copy(as_analyst, filled):
    page = as_analyst.get(reverse("case_observables", args=[filled(1).pk])).content.decode()
    assert "203[.]0[.]113[.]1" in page
    assert 'data-copy="203.0.113.1"' in page
    assert "<script>alert" not in page
    assert 'href="203' not in page


def test_a_filter_takes_what_was_copied_defanged(as_analyst, filled):
    url = reverse("case_observables", args=[filled(12).pk])
    page = as_analyst.get(url, {"type": "ip", "q": "203[.]0[.]113[.]12"})
    assert [line.shown for line in page.context["observable_lines"]] == ["203[.]0[.]113[.]12"]


def test_queries_do_not_grow_with_rows(as_analyst, filled):
    few, many = filled(2, 1), filled(60, 2)
    as_analyst.get(reverse("case_observables", args=[few.pk]))
    counted = []
    for case in (few, many):
        with CaptureQueriesContext(connection) as queries:
            assert as_analyst.get(reverse("case_observables", args=[case.pk])).status_code == 200
        counted.append(len(queries))
    assert counted[0] == counted[1]


@pytest.mark.parametrize(("form", "sort"), [("csv", "text/csv"), ("ndjson", "application/x-ndjson")])
def test_files(as_analyst, filled, form, sort):
    case = filled(1)
    answer = as_analyst.get(reverse("observables_file", args=[case.pk, form]))
    assert answer["Content-Type"].startswith(sort)
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert b"203.0.113.1" in body
    assert as_analyst.get(reverse("observables_file", args=[case.pk, "exe"])).status_code == 404


def test_what_was_frozen_before_appears_on_first_view(as_analyst, make_case, make_pivot):
    case = make_case()
    make_pivot(case, PivotState.HITS, 1)
    Evidence.objects.update(document={"dns": {"question": {"name": "old.example"}}})
    page = as_analyst.get(reverse("case_observables", args=[case.pk]))
    assert [line.shown for line in page.context["observable_lines"]] == ["old[.]example"]
