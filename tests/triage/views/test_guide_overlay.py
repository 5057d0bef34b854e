"""The page on which an overlay is written, tried and decided on."""

import pytest
from django.urls import reverse

from tests.conftest import person
from tests.factories.cases import cases_of, shipped_rule
from triage.guide_versions import in_force
from triage.models import OverlayProposal

pytestmark = pytest.mark.django_db

BROKEN = 'format = 1\n\n[[check]]\nkey = "odd"\npoints = "sideways"\nhuh = "<script>x</script>"\n'


@pytest.fixture
def rule(store):
    return shipped_rule()


@pytest.fixture
def weak(rule):
    """The shipped overlay without its checks and without one refusal."""
    return "\n".join(
        "# gone" if line.startswith("says = ") and "switch the rule off" in line else line
        for line in in_force(rule).overlay.split("[[check]]")[0].splitlines()
    )


@pytest.fixture
def as_lead(client, lin):
    client.force_login(lin)
    return client


def post(client, rule, text, act="save", **more):
    return client.post(
        reverse("rule_overlay", args=[rule.pk]), {"text": text, "reason": "Why not.", "act": act, **more}
    )


def test_every_fault_is_told_at_once_with_its_place(as_lead, rule):
    reply = as_lead.post(reverse("overlay_try", args=[rule.pk]), {"text": BROKEN})
    assert [
        (shown.fault.location.line, shown.line, shown.caret) for shown in reply.context["judged"].faults
    ] == [
        (3, "[[check]]", "^"),
        (3, "[[check]]", "^"),
        (3, "[[check]]", "^"),
        (3, "[[check]]", "^"),
        (3, "[[check]]", "^"),
        (5, 'points = "sideways"', "^"),
        (6, 'huh = "<script>x</script>"', "^"),
    ]
    assert "<script>x" not in reply.text


def test_a_text_with_faults_is_kept_as_typed(as_lead, rule):
    reply = post(as_lead, rule, BROKEN, act="propose")
    assert reply.status_code == 422
    assert "kept as a draft, and not proposed: 7 faults" in reply.text
    assert (OverlayProposal.objects.get().state, OverlayProposal.objects.get().text) == ("draft", BROKEN)
    assert reply.context["text"] == BROKEN


def test_what_it_weakens_is_said_before_it_is_proposed(as_lead, rule, weak):
    reply = as_lead.post(reverse("overlay_try", args=[rule.pk]), {"text": weak})
    assert "It weakens the gate in" in reply.text
    assert any("The check" in one.says for one in reply.context["judged"].weaker)


def test_it_is_tried_on_a_real_case(as_lead):
    (case,) = cases_of("malicious")
    text = in_force(case.rule).overlay
    reply = as_lead.post(reverse("overlay_try", args=[case.rule.pk]), {"text": text, "case": case.pk})
    trial = reply.context["judged"].trial
    stored = dict(case.checks.values_list("key", "state"))
    assert {one.check.key: one.verdict.state.value for one in trial.checks} == stored
    assert trial.case == case
    fired = next(one for one in trial.checks if one.rows)
    assert reverse("evidence_row", args=[fired.rows[0].pk]) in reply.text
    case.refresh_from_db()
    assert case.guide.overlay == text


def test_without_a_case_an_alert_is_made_up(as_lead, rule):
    reply = as_lead.get(reverse("rule_overlay", args=[rule.pk]))
    assert "an alert that is made up" in reply.text
    assert "sample-host-id" in reply.text


def test_the_newest_alert_serves_checks_over_its_own_events(as_lead):
    (case,) = cases_of("malicious")
    text = in_force(case.rule).overlay
    trial = as_lead.post(reverse("overlay_try", args=[case.rule.pk]), {"text": text}).context["judged"].trial
    stored = dict(case.checks.values_list("key", "state"))
    tried = {one.check.key: one.verdict.state.value for one in trial.checks if one.check.pivot == "alert"}
    assert tried == {key: stored[key] for key in tried}
    assert "fired" in tried.values()


def test_one_proposes_and_another_approves(client, as_lead, rule, weak):
    link = post(as_lead, rule, weak, act="propose").url
    assert "You asked for it or edited it last" in as_lead.get(link).text
    row = OverlayProposal.objects.get()
    assert as_lead.post(link, {"act": "approve", "sha256": row.content_sha256}).status_code == 403
    client.force_login(person("bob", "Lead"))
    assert client.post(link, {"act": "approve", "sha256": "stale"}).status_code == 409
    assert client.post(link, {"act": "approve", "sha256": row.content_sha256}).status_code == 302
    assert in_force(rule).overlay == row.text


def test_a_stale_edit_shows_both_texts(client, as_lead, rule):
    post(as_lead, rule, "# mine")
    row = OverlayProposal.objects.get()
    client.force_login(person("bob", "Lead"))
    post(client, rule, "# theirs", number=row.number, version=row.version)
    reply = post(client, rule, "# mine again", number=row.number, version=row.version)
    assert (reply.status_code, reply.context["text"]) == (409, "# mine again")
    assert "# theirs" in reply.text
    again = reply.context["row"]
    assert post(client, rule, "# mine again", number=again.number, version=again.version).status_code == 302


def test_a_decline_without_a_reason_decides_nothing(client, as_lead, rule, weak):
    link = post(as_lead, rule, weak, act="propose").url
    client.force_login(person("bob", "Lead"))
    client.post(link, {"act": "decline", "reason": " "})
    assert OverlayProposal.objects.get().state == "proposed"
    client.post(link, {"act": "decline", "reason": "No."})
    assert (OverlayProposal.objects.get().state, OverlayProposal.objects.get().decided_reason) == (
        "declined",
        "No.",
    )


def test_analysts_read_and_outsiders_do_not(client, as_analyst, lin, rule, weak, otto, ana):
    client.force_login(lin)
    link = post(client, rule, weak, act="propose").url
    client.force_login(ana)
    assert client.get(link).status_code == 200
    assert client.get(reverse("rule_overlay", args=[rule.pk])).status_code == 403
    client.force_login(otto)
    assert client.get(link).status_code == 404
