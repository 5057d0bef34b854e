"""The case's pages: question, evidence, answer, merge, close."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from triage import questions
from triage.enums import PivotState
from triage.models import Draft, Evidence, GuideVersion, Question
from triage.templatetags.marks import progress

pytestmark = pytest.mark.django_db


def url(case, name="question", *args):
    return reverse(name, args=[case.pk, "verdict", *args])


def answer(client, case, **given):
    version = Question.objects.get(case=case).version
    return client.post(url(case, "question_answer"), {"version": version, **given})


def test_a_case_opens_at_its_first_open_question(as_analyst, make_case):
    case = make_case()
    assert as_analyst.get(reverse("case", args=[case.pk])).url == url(case)


@pytest.mark.parametrize(
    ("state", "pill", "says"),
    [
        (PivotState.HITS, "3 hits", ""),
        (PivotState.NO_HITS, "No hits · host reporting", "Searched and found nothing."),
        (PivotState.NO_TELEMETRY, "No telemetry", "an empty answer means nothing here"),
        (PivotState.PARTIAL, "Partial · 3 hits so far", "There may be more than what is shown."),
        (PivotState.BLOCKED, "Blocked", "It was not sent half-empty"),
        (PivotState.FAILED, "Failed", "Nothing was found and nothing was ruled out."),
        (PivotState.RUNNING, "Running", ""),
        (PivotState.NOT_RUN, "Not run", "Waits for the worker"),
    ],
)
def test_each_state_of_a_pivot_has_its_own_words(as_analyst, make_case, make_pivot, state, pill, says):
    case = make_case()
    has_rows = state in (PivotState.HITS, PivotState.PARTIAL)
    make_pivot(case, state, 3 if has_rows else 0, reason="because <of> it")
    shown = " ".join(as_analyst.get(url(case)).text.split())
    assert f"pill s-{'neutral' if state == 'not_run' else state.replace('_', '-')}" in shown
    assert pill in shown
    assert says in shown
    assert "because <of> it" not in shown


def test_a_silence_says_what_was_searched(as_analyst, make_case, make_pivot):
    case = make_case()
    make_pivot(case, PivotState.NO_HITS, key="follower", query=[], reason="The children found nothing.")
    own = {"field": "host.id", "operator": "is", "values": ["h"], "excluded": True}
    make_pivot(case, PivotState.NO_HITS, key="elsewhere", query=[[own]])
    make_pivot(case, PivotState.NO_HITS, key="alerts", kinds=["alert"])
    shown = " ".join(as_analyst.get(url(case)).text.split())
    assert "No hits · nothing to follow" in shown
    assert "No hits · other hosts" in shown
    assert "No hits · all alerts searched" in shown
    assert "Searched all alerts that are kept here and found no other." in shown
    assert "Searched all hosts but this one and found nothing." in shown
    assert "host reporting" not in shown
    assert "Searched and found nothing." not in shown


def test_a_waiting_card_asks_again_and_a_finished_one_does_not(as_analyst, make_case, make_pivot):
    case = make_case()
    run = make_pivot(case, PivotState.RUNNING)
    card = reverse("pivot", args=[case.pk, run.key])
    assert 'hx-trigger="every 2s"' in as_analyst.get(card, headers={"HX-Request": "true"}).text
    run.state, run.total = PivotState.NO_HITS, 0
    run.save()
    finished = as_analyst.get(card, headers={"HX-Request": "true"}).text
    assert "every 2s" not in finished
    assert 'id="checks"' in finished


def test_more_evidence_needs_no_more_queries(as_analyst, make_case, make_pivot):
    def seen(case):
        as_analyst.get(url(case))
        with CaptureQueriesContext(connection) as found:
            assert as_analyst.get(url(case)).status_code == 200
        return len(found)

    few, many = make_case(1), make_case(2)
    make_pivot(few, PivotState.HITS, 1)
    make_pivot(many, PivotState.HITS, 15)
    for state in (PivotState.PARTIAL, PivotState.FAILED):
        make_pivot(many, state, 15 if state == PivotState.PARTIAL else 0, reason="why")
    assert seen(many) == seen(few)


def test_long_evidence_is_cut_and_says_so(as_analyst, make_case, make_pivot):
    case = make_case()
    run = make_pivot(case, PivotState.HITS, 130, total=900)
    shown = " ".join(as_analyst.get(url(case)).text.split())
    assert "Show all 130 rows</a>; 770 more were counted and not kept" in shown
    assert shown.count("data-document") == 20
    whole = as_analyst.get(reverse("pivot", args=[case.pk, run.key]) + "?page=2").text
    assert whole.count("data-document") == 30


def test_a_document_is_shown_harmless(as_analyst, make_case, make_pivot):
    case = make_case()
    make_pivot(case, PivotState.HITS, 1)
    row = Evidence.objects.get()
    for headers in ({}, {"HX-Request": "true"}):
        shown = as_analyst.get(reverse("evidence_row", args=[row.pk]), headers=headers).text
        assert "<script>alert" not in shown
        assert "U+202E" in shown
        assert "process.name" in shown


def test_pinning_offers_the_row_to_be_cited(as_analyst, make_case, make_pivot):
    case = make_case()
    make_pivot(case, PivotState.HITS, 2)
    row = Evidence.objects.first()
    reply = as_analyst.post(
        reverse("evidence_pin", args=[row.pk]),
        {"pinned": "1", "question": "verdict"},
        headers={"HX-Request": "true"},
    )
    assert 'aria-pressed="true"' in reply.text
    assert f'value="{row.pk}"' in reply.text
    row.refresh_from_db()
    assert row.pinned_at is not None


def test_pinning_works_without_script(as_analyst, make_case, make_pivot):
    case = make_case()
    make_pivot(case, PivotState.HITS, 1)
    row = Evidence.objects.get()
    assert as_analyst.post(reverse("evidence_pin", args=[row.pk]), {"pinned": "1"}).url == url(case)


def test_an_answer_is_saved_and_goes_on(as_analyst, make_case):
    case = make_case()
    reply = answer(as_analyst, case, state="escalate", rationale="It is bad.")
    assert reply.url == url(case)
    question = Question.objects.get(case=case)
    assert (question.state, questions.current_answer(question).rationale) == ("escalate", "It is bad.")


def test_a_refused_answer_says_what_lacks_and_keeps_the_text(as_analyst, make_case):
    case = make_case()
    reply = answer(as_analyst, case, state="lower", rationale="Trust me.")
    assert reply.status_code == 422
    assert "The answer is not saved." in reply.text
    assert "Cite what shows it" in reply.text
    assert "Trust me.</textarea>" in reply.text
    assert Question.objects.get(case=case).state == "open"


def test_an_answer_without_a_way_is_refused_in_words(as_analyst, make_case):
    reply = answer(as_analyst, make_case(), rationale="Hm.")
    assert reply.status_code == 422
    assert "Choose which way the evidence points." in reply.text


def test_two_answers_at_once_are_merged_and_no_text_is_lost(as_analyst, make_case, ana, lead):
    case = make_case()
    question = Question.objects.get(case=case)
    questions.answer_question(
        question, state="unresolved", rationale="Their text.", actor=lead, version=question.version
    )
    stale = {"version": 1, "state": "escalate", "rationale": "My text."}
    reply = as_analyst.post(url(case, "question_answer"), stale)
    assert reply.status_code == 409
    assert reply.text.count("Their text.") == 2
    assert "Their text.\n\nMy text.</textarea>" in reply.text
    assert Draft.objects.get(author=ana).content["rationale"] == "My text."
    both = answer(as_analyst, case, state="escalate", rationale="Their text.\n\nMy text.")
    assert both.status_code == 302
    assert Question.objects.get(case=case).version == 3


def test_a_draft_is_kept_for_its_writer_alone(as_analyst, client, make_case, lin):
    case = make_case()
    draft = {"version": 1, "state": "escalate", "rationale": "Half a tho"}
    assert as_analyst.post(url(case, "question_draft"), draft).json()["others"] == 0
    assert "Half a tho</textarea>" in as_analyst.get(url(case)).text
    client.force_login(lin)
    assert "Half a tho" not in client.get(url(case)).text


def test_what_another_tab_wrote_is_shown_beside_the_draft(as_analyst, make_case):
    case = make_case()
    for text in ("From the first tab.", "From the second."):
        reply = as_analyst.post(url(case, "question_draft"), {"version": 1, "draft": "", "rationale": text})
    shown = as_analyst.get(url(case)).text
    assert reply.json()["others"] == 1
    assert f'value="{reply.json()["mark"]}"' in shown
    assert "Another tab of yours held this text." in shown
    assert "From the first tab." in shown
    assert "From the second.</textarea>" in shown


def test_a_draft_can_be_discarded(as_analyst, make_case):
    case = make_case()
    as_analyst.post(url(case, "question_draft"), {"version": 1, "rationale": "No"})
    assert as_analyst.post(url(case, "question_drop_draft")).url == url(case)
    assert Draft.objects.count() == 0


RECORD = {
    "kind": "change",
    "reference": "CHG-1",
    "confirmed_by": "K. Line",
    "confirmed_at": "2026-01-02T10:00",
    "statement": "Rollout to host-1",
}


def test_a_confirmation_is_recorded_and_the_answer_kept(as_analyst, make_case, ana):
    case = make_case()
    typed = {"version": 1, "state": "lower", "rationale": "So far"}
    assert as_analyst.post(url(case, "question_confirm"), RECORD | typed).url == url(case)
    record = case.confirmations.get()
    assert (record.reference, record.confirmed_at.isoformat()) == ("CHG-1", "2026-01-02T10:00:00+00:00")
    draft = Draft.objects.get(author=ana).content
    assert (draft["rationale"], draft["confirmations"]) == ("So far", [record.pk])


def test_a_confirmation_with_holes_names_them(as_analyst, make_case):
    case = make_case()
    given = RECORD | {"version": 1, "reference": "", "confirmed_at": "2999-01-01T00:00", "rationale": "Kept"}
    reply = as_analyst.post(url(case, "question_confirm"), given)
    assert reply.status_code == 422
    assert "That lies in the future." in reply.text
    assert "This field is required." in reply.text
    assert "Kept</textarea>" in reply.text
    assert case.confirmations.count() == 0


def test_why_lower_is_shut_stands_beside_it(as_analyst, make_case, make_pivot):
    case = make_case()
    make_pivot(case, PivotState.FAILED, reason="the store does not answer")
    shown = " ".join(as_analyst.get(url(case)).text.split())
    assert 'value="lower" aria-disabled="true" aria-describedby="why-not-lower"' in shown
    assert "The pivot &quot;Pivot failed&quot; failed: the store does not answer." in shown


def test_closing_lists_what_blocks_each_disposition(as_analyst, make_case):
    case = make_case()
    shown = " ".join(as_analyst.get(reverse("case_close", args=[case.pk])).text.split())
    assert "No question points to escalate" in shown
    assert f'href="{url(case)}">Question 1: it is not answered.</a>' in shown


def close(client, case, **given):
    case.refresh_from_db()
    return client.post(reverse("case_close", args=[case.pk]), {"version": case.version, **given})


def test_a_shut_disposition_is_refused_with_its_reasons(as_analyst, make_case):
    case = make_case()
    reply = close(as_analyst, case, disposition="benign", rationale="Fine.")
    assert reply.status_code == 422
    assert "The case is not closed." in reply.text
    assert "Fine.</textarea>" in reply.text
    case.refresh_from_db()
    assert case.is_open


def test_a_case_closes_as_malicious_and_says_so(as_analyst, make_case):
    case = make_case()
    answer(as_analyst, case, state="escalate", rationale="Bad.")
    assert close(as_analyst, case, disposition="malicious", rationale="Attack.").status_code == 302
    case.refresh_from_db()
    assert case.disposition == "malicious"
    shown = as_analyst.get(url(case)).text
    assert "Closed as malicious." in shown
    assert "Attack.</div>" in shown
    assert 'id="answer"' not in shown


def test_suspicious_needs_somebody_and_something_preserved(as_analyst, make_case):
    case = make_case()
    assert close(as_analyst, case, disposition="suspicious", rationale="Odd.").status_code == 422
    more = {"escalated_to": "Response team", "preserved": "Event logs"}
    assert close(as_analyst, case, disposition="suspicious", rationale="Odd.", **more).status_code == 302
    assert case.escalations.get().to == "Response team"


def test_a_duplicate_names_its_case_as_people_write_it(as_analyst, make_case):
    case, other = make_case(1), make_case(2)
    refused = close(as_analyst, case, disposition="duplicate", rationale="Same.", duplicate_of="CW-999999")
    assert "There is no case CW-999999." in refused.text
    closed = close(as_analyst, case, disposition="duplicate", rationale="Same.", duplicate_of=other.number)
    assert closed.status_code == 302


def test_the_journal_says_who_did_what(as_analyst, make_case):
    case = make_case()
    answer(as_analyst, case, state="escalate", rationale="Bad <b>.")
    shown = as_analyst.get(reverse("case_journal", args=[case.pk])).text
    assert "answered a question: Question 1" in " ".join(shown.split())
    assert "Ana" in shown
    assert "Bad <b>." not in shown


def test_an_admin_reads_and_can_not_answer(as_admin, make_case):
    case = make_case()
    shown = as_admin.get(url(case)).text
    assert "You can read this case, not answer it." in shown
    assert answer(as_admin, case, state="escalate", rationale="x").status_code == 403
    reply = as_admin.get(reverse("case_close", args=[case.pk]))
    assert 'type="button" aria-disabled="true"' in reply.text


def test_a_clock_repaired_case_says_so_in_words(as_analyst, make_case):
    case = make_case(time_basis="clock_repaired")
    shown = as_analyst.get(url(case)).text
    assert "The clock of this case was repaired." in shown
    assert "event.created" in shown


def test_assigning_a_changed_case_is_refused(as_analyst, make_case, ana):
    case = make_case()
    reply = as_analyst.post(reverse("case_assign", args=[case.pk]), {"version": 9, "to": ana.pk}, follow=True)
    assert "was changed by somebody else meanwhile" in reply.text
    case.refresh_from_db()
    assert case.assignee is None


def test_a_closed_case_waits_for_no_more_telemetry(as_analyst, make_case, make_pivot):
    now = timezone.now()
    case = make_case(status="closed", disposition="malicious", closed_at=now)
    make_pivot(case, PivotState.NO_HITS, refills_at=now + timedelta(hours=1))
    shown = as_analyst.get(url(case)).text
    assert "still filling" not in shown
    assert "the end of its window" in shown


def test_parts_of_the_guide_that_can_not_be_used_are_told_in_the_case(as_analyst, make_case):
    case = make_case()
    assert "can't be used" not in as_analyst.get(url(case)).text
    note = "#### Investigation steps\n\n- Is it so? !{investigate{broken\n- And $investigate_9?\n"
    case.guide = GuideVersion.objects.create(external_rule_id="x", note=note, sha256="0" * 64)
    case.save()
    assert "2 parts of the guide can't be used" in as_analyst.get(url(case)).text


@pytest.mark.parametrize("how_many", [1, 7, 15, 16, 100])
def test_the_bar_of_questions_fits_its_place(how_many):
    bars = re.findall(r'x="([\d.]+)" width="([\d.]+)"', progress(["open"] * how_many))
    assert len(bars) == how_many
    assert all(float(width) > 0 for _start, width in bars)
    assert float(bars[-1][0]) + float(bars[-1][1]) <= 46.5
