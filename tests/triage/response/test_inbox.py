"""What waits for a second person stands in one list, and what is contained stands beside it with its age."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from detections import outbox
from detections.actors import of_user
from tests.conftest import person
from tests.factories.actions import approved, observable, requested, scripted
from tests.factories.cases import SHIPPED, shipped_rule
from tests.factories.exceptions import proposed
from tests.factories.rules import rule as make_rule
from triage import approvals, overlay_proposals
from triage.models import ResponseAction

pytestmark = pytest.mark.django_db
INBOX = "/approvals/"


@pytest.fixture(autouse=True)
def static_files(settings):
    settings.STATIC_ROOT.mkdir(exist_ok=True)


def an_overlay(actor):
    rule = shipped_rule()
    text = (SHIPPED / "rules" / "lateral_movement_dcom_mshta.guide.toml").read_text() + "\n# Read again.\n"
    draft = overlay_proposals.save_draft(rule, text=text, reason="A note.", actor=actor)
    return overlay_proposals.propose(draft, actor=actor, version=draft.version)


def waiting(page):
    return '<span class="hide">, 3 waiting</span>' in page


def test_actions_exceptions_and_overlays_wait_in_one_list(client, ana, lin, store, make_case, analyst):
    case, other = make_case(1), make_case(2)
    action = requested(case, analyst)
    proposed(make_rule("r9"), by=analyst, case=other)
    an_overlay(of_user(person("bob", "Lead")))
    client.force_login(lin)
    page = client.get(INBOX)
    assert sorted(line.request.kind for line in page.context["lines"]) == [
        "exception", "guide overlay", "response action",
    ]  # fmt: skip
    assert [line.why_not for line in page.context["lines"]] == ["", "", ""]
    assert waiting(page.text)
    assert f"{action.number} {action.title}" in page.text
    only = client.get(INBOX, {"kind": "response action"})
    assert [line.request.url for line in only.context["lines"]] == [reverse("action", args=[action.pk])]
    assert waiting(client.get("/").text)
    queue = client.get("/", {"tab": "approval"}).context["found"]
    assert {one.pk for one in queue.page} == {case.pk, other.pk}
    client.force_login(ana)
    own = client.get(INBOX).context["lines"]
    assert "You asked for it: another person has to decide." in [line.why_not for line in own]


def test_the_number_at_the_rail_takes_one_query_and_leaves_out_ones_own(
    store, make_case, analyst, lead, django_assert_num_queries
):
    another = of_user(person("bob", "Lead"))
    requested(make_case(1), lead)
    with django_assert_num_queries(1):
        assert (approvals.waiting(lead), approvals.waiting(analyst)) == (0, 0)
    proposed(make_rule("r9"), by=analyst, case=make_case(2))
    an_overlay(another)
    with django_assert_num_queries(2):
        assert (approvals.waiting(lead), approvals.waiting(another)) == (2, 2)


def test_open_containments_stand_in_inbox_and_queue_with_their_age(client, lin, make_case, analyst, lead):
    scripted()
    case = make_case()
    action = approved(case, analyst, lead)
    outbox.drain()
    begun = timezone.now() - timedelta(hours=3)
    ResponseAction.objects.filter(pk=action.pk).update(started_at=begun)
    client.force_login(lin)
    text = " ".join(client.get(INBOX).text.split())
    assert action.title in text
    assert "In force for 3 h" in text
    queue = client.get("/", {"tab": "contained"})
    assert [one.contained_since for one in queue.context["found"].page] == [begun]
    assert "Contained 3 h" in queue.text
    with CaptureQueriesContext(connection) as few:
        client.get(INBOX)
    for number in range(4):
        approved(case, analyst, lead, target=str(observable(case, f"203.0.113.{number}").pk))
    outbox.drain()
    with CaptureQueriesContext(connection) as many:
        assert len(client.get(INBOX).context["containments"]) == 5
    assert len(few) == len(many)
