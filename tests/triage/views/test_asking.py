"""The pages that ask: nothing typed is lost, and what would be searched is said before."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from detections import outbox
from tests.factories.events import attack, mapped, mshta_connection
from tests.triage.test_pivots import AT, newest, open_case
from triage.models import LookUp, PivotRun

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
REACH = {"before": "24h", "after": "1h", "scope": "all"}


@pytest.fixture
def case(store):
    store.append(mapped(*attack(AT)), batch="b")
    made = open_case()
    outbox.drain()
    return made


def words(reply):
    return " ".join(reply.text.split())


def test_a_wrong_query_stays_in_the_form_with_a_caret(as_analyst, case):
    text = "process where\r\n  proces.name == 1"
    reply = as_analyst.post(reverse("case_ask", args=[case.pk]), {"language": "eql", "text": text, **REACH})
    assert reply.status_code == 422
    assert "line 2, column 3: unknown column [proces.name]" in reply.text
    assert "process where\n  proces.name == 1</textarea>" in reply.text
    assert '<option value="all" selected>' in words(reply)
    assert not PivotRun.objects.exclude(origin="guide").exists()


def test_a_wrong_row_stays_and_is_marked(as_analyst, case):
    given = {"language": "filters", "field": ["process.nam", "user.name"], "operator": ["is", "is_not"]}
    reply = as_analyst.post(
        reverse("case_ask", args=[case.pk]), {**given, "value": ["<b>x", "y"], **REACH, "before": "soon"}
    )
    assert reply.status_code == 422
    for kept in ('value="process.nam"', 'value="&lt;b&gt;x"', 'value="soon"', "is no length of time"):
        assert kept in reply.text


@pytest.mark.parametrize("button", [{}, {"preview": "1"}])
def test_the_row_at_fault_is_counted_as_it_stands_in_the_form(as_analyst, case, button):
    given = {"language": "filters", "field": ["", "host.name", "proces.nam"], "operator": ["is"] * 3}
    reply = as_analyst.post(
        reverse("case_ask", args=[case.pk]), {**given, "value": ["", "h", "x"], **REACH, **button}
    )
    assert reply.context["refusal"].startswith('Row 3: there is no field "proces.nam".')
    assert reply.context["wrong_row"] == 3


def test_the_preview_says_what_would_be_searched_and_runs_nothing(as_analyst, case):
    given = {"language": "eql", "text": "file where file.path != null", **REACH, "preview": "1"}
    shown = words(as_analyst.post(reverse("case_ask", args=[case.pk]), given))
    assert "It would search all hosts" in shown
    assert "in file telemetry" in shown
    assert not PivotRun.objects.exclude(origin="guide").exists()


def test_an_own_query_is_shown_at_its_question_and_can_be_changed(as_analyst, case):
    given = {"language": "eql", "text": "network where true", "question": "retrieval", **REACH}
    reply = as_analyst.post(reverse("case_ask", args=[case.pk]), given)
    run = PivotRun.objects.get(origin="own")
    assert reply.url == f"{reverse('question', args=[case.pk, 'retrieval'])}#pivot-{run.key}"
    outbox.drain()
    shown = words(as_analyst.get(reverse("question", args=[case.pk, "retrieval"])))
    assert "Asked by Ana" in shown
    again = as_analyst.get(reverse("case_ask", args=[case.pk]) + f"?from={run.key}")
    assert "network where true</textarea>" in again.text


def test_the_window_is_shown_before_it_is_asked(as_analyst, case):
    target = reverse("pivot_window", args=[case.pk, "network"])
    shown = as_analyst.get(target, {"before": "0h", "after": "1h", "scope": "written"}, headers=HTMX)
    assert "09:41:00" in shown.text
    assert "gate and checks go on by what the guide asked" in shown.text
    refused = as_analyst.post(target, {"before": "soon", "after": "1h", "scope": "written"})
    assert (refused.status_code, 'value="soon"' in refused.text) == (422, True)
    as_analyst.post(target, {"before": "0h", "after": "1h", "scope": "written"})
    assert case.pivots.get(key="network", attempt=2).counts is False
    outbox.drain()
    as_analyst.post(target, {"reset": "1"})
    assert case.pivots.get(key="network", attempt=3).counts is True


def test_a_value_is_asked_from_its_row_and_its_rarity_on_demand(as_analyst, case):
    row = newest(case, "network").rows.get()
    where = {"field": "source.ip", "row": row.pk, "n": "0", "question": "retrieval"}
    panel = as_analyst.get(reverse("case_value", args=[case.pk]), where, headers=HTMX)
    assert "10.0.0.9" in panel.text
    as_analyst.post(reverse("case_value", args=[case.pk]), {**where, **REACH, "scope": "others"})
    assert PivotRun.objects.get(origin="follow_up").from_row == row
    given = {"field": "source.ip", "value": "10.0.0.9"}
    waits = as_analyst.post(reverse("case_rarity", args=[case.pk]), given, headers=HTMX)
    assert "Looking in the event store" in waits.text
    outbox.drain()
    shown = as_analyst.get(reverse("look_up", args=[LookUp.objects.get().pk]), headers=HTMX)
    assert "1 host, 1 event" in shown.text


def test_how_rare_the_facts_are_is_asked_in_one_go(as_analyst, case):
    asked = reverse("facts_rarity", args=[case.pk])
    assert (
        as_analyst.post(asked, headers=HTMX).text.count("Looking in the event store")
        == LookUp.objects.count()
    )
    outbox.drain()
    again = as_analyst.post(asked)
    assert "Source" in again.text
    assert "1 host, 1 event" in again.text
    assert "Live against frozen" not in again.text
    assert f'action="{asked}"' in as_analyst.get(reverse("case", args=[case.pk]), follow=True).text


def test_what_changed_since_is_shown_and_not_stored(as_analyst, store, case):
    store.append(mapped(mshta_connection(AT, source="10.0.0.77")), batch="c")
    as_analyst.post(reverse("pivot_changes", args=[case.pk, "network"]), headers=HTMX)
    outbox.drain()
    shown = words(as_analyst.get(reverse("look_up", args=[LookUp.objects.get().pk]), headers=HTMX))
    assert "1 added, 0 gone, 0 changed, 1 the same" in shown
    assert case.pivots.filter(key="network").count() == 1


def test_an_outsider_and_another_case_s_row_are_kept_out(client, as_analyst, case, otto, make_case):
    row = newest(case, "network").rows.get()
    other = make_case(9)
    asked = {"field": "source.ip", "row": row.pk}
    assert as_analyst.get(reverse("case_value", args=[other.pk]), asked).status_code == 404
    client.force_login(otto)
    for name, arguments in (("case_ask", [case.pk]), ("pivot_window", [case.pk, "network"])):
        assert client.get(reverse(name, args=arguments)).status_code in (403, 404)


def test_the_evidence_tab_costs_the_same_however_much_was_asked(as_analyst, case):
    def queries():
        with CaptureQueriesContext(connection) as found:
            assert as_analyst.get(reverse("case_evidence", args=[case.pk])).status_code == 200
        return len(found)

    def ask():
        given = {"language": "eql", "text": "network where true", **REACH}
        as_analyst.post(reverse("case_ask", args=[case.pk]), given)
        outbox.drain()
        as_analyst.get(reverse("case_evidence", args=[case.pk]))

    ask()
    few = queries()
    ask()
    ask()
    assert queries() == few
