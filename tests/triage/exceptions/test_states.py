"""An exception's way, and who may move it."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from detections.actors import NotPermittedError, of_user
from detections.models import JournalEntry, RuleVersion
from tests.conftest import person
from tests.factories.exceptions import PLAIN, active, back_tested, content, proposed
from tests.factories.rules import rule as make_rule
from triage import approvals
from triage.errors import GuardrailsError, StaleEditError, TriageError
from triage.exception_items import states as exception_states
from triage.exception_items.integrity import faults
from triage.models import ExceptionVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def rule(store):
    return make_rule()


@pytest.fixture
def other_lead(db):
    return of_user(person("leo", "Lead"))


def verbs(version):
    entries = JournalEntry.objects.filter(stream__name=version.item.stream)
    return list(entries.order_by("number").values_list("verb", flat=True))


def test_from_draft_to_active_each_step_is_written_once(rule, analyst, lead):
    made = active(rule, by=analyst, approver=lead)
    assert (made.state, made.number, made.approved_by) == ("active", 1, lead.user)
    assert made.active_from is not None
    assert verbs(made) == [
        "exception_drafted",
        "exception_proposed",
        "exception_approved",
        "exception_activated",
    ]


def test_nobody_approves_what_they_asked_for_or_edited_last(rule, analyst, lead, other_lead, product):
    own = proposed(rule, by=lead)
    for actor in (analyst, lead, product):
        with pytest.raises(NotPermittedError):
            exception_states.approve(own, actor=actor, seen_sha256=own.content_sha256)
    edited = exception_states.edit(
        own, content(rule, reason="Edited."), actor=other_lead, revision=own.revision
    )
    back_tested(edited)
    again = exception_states.propose(edited, actor=analyst, revision=edited.revision)
    with pytest.raises(NotPermittedError):
        exception_states.approve(again, actor=other_lead, seen_sha256=again.content_sha256)
    assert exception_states.approve(again, actor=lead, seen_sha256=again.content_sha256).state == "active"


def test_an_edit_makes_a_new_version_and_voids_the_approval(rule, analyst, lead):
    later = timezone.now() + timedelta(days=1)
    version = proposed(rule, by=analyst, starts_at=later)
    approved = exception_states.approve(version, actor=lead, seen_sha256=version.content_sha256)
    assert approved.state == "approved"
    edited = exception_states.edit(
        approved, content(rule, reason="Another."), actor=analyst, revision=approved.revision
    )
    approved.refresh_from_db()
    assert (edited.state, edited.number, edited.approved_by) == ("draft", 2, None)
    assert (approved.state, approved.superseded_by) == ("superseded", edited)
    assert exception_states.let_time_pass(actor=lead, now=later + timedelta(hours=1)) == 0


def test_approval_is_of_what_was_shown_and_of_the_rule_as_it_was(rule, analyst, lead):
    version = proposed(rule, by=analyst)
    with pytest.raises(StaleEditError):
        exception_states.approve(version, actor=lead, seen_sha256="0" * 64)
    rule.current = RuleVersion.objects.create(rule=rule, number=2, source="x", sha256="1" * 64)
    rule.save()
    with pytest.raises(TriageError, match="The rule has a new version"):
        exception_states.approve(version, actor=lead, seen_sha256=version.content_sha256)


def test_approval_needs_a_back_test_of_this_content_that_blocks_nothing(rule, analyst, lead):
    version = exception_states.draft(content(rule), actor=analyst)
    version = exception_states.propose(version, actor=analyst, revision=1)

    def approve():
        exception_states.approve(version, actor=lead, seen_sha256=version.content_sha256)

    with pytest.raises(TriageError, match="no finished back-test"):
        approve()
    back_tested(version, blocks=["CW-7 was malicious."])
    with pytest.raises(TriageError, match="CW-7 was malicious"):
        approve()


def test_a_refused_proposal_tells_its_case_why(rule, analyst, lead, make_case):
    case = make_case()
    version = proposed(rule, by=analyst, case=case)
    declined = exception_states.decline(
        version, actor=lead, reason="Name the server.", seen_sha256=version.content_sha256
    )
    entry = JournalEntry.objects.filter(stream__name=case.stream).order_by("-number")[0]
    assert (declined.state, entry.verb, entry.reason) == (
        "declined",
        "exception_declined",
        "Name the server.",
    )
    with pytest.raises(TriageError, match="Say why"):
        exception_states.decline(version, actor=lead, reason=" ", seen_sha256=version.content_sha256)


def test_a_renewal_takes_the_place_of_the_old_version_in_one_moment(rule, analyst, lead):
    old = active(rule, by=analyst, approver=lead)
    new = exception_states.renew(old, actor=analyst, expires_at=timezone.now() + timedelta(days=200))
    back_tested(new)
    new = exception_states.propose(new, actor=analyst, revision=new.revision)
    new = exception_states.approve(new, actor=lead, seen_sha256=new.content_sha256)
    old.refresh_from_db()
    assert (old.state, old.ended_at, old.superseded_by) == ("superseded", new.active_from, new)
    assert (new.renewal_of, new.state) == (old, "active")


def test_time_ends_it_and_a_lead_may_at_once(rule, analyst, lead, product):
    ends, revoked = active(rule, by=analyst, approver=lead), active(rule, by=analyst, approver=lead)
    assert exception_states.revoke(revoked, actor=lead, reason="The server is gone.").state == "revoked"
    with pytest.raises(StaleEditError):
        exception_states.revoke(revoked, actor=lead, reason="Again.")
    assert exception_states.let_time_pass(actor=product, now=ends.expires_at) == 1
    ends.refresh_from_db()
    assert (ends.state, ends.ended_at) == ("expired", ends.expires_at)


def test_what_is_refused_is_refused_when_proposed(rule, analyst):
    version = exception_states.draft(
        content(rule, {"scope": "event", "field": "process.name", "operator": "is", "values": ["mshta.exe"]}),
        actor=analyst,
    )
    with pytest.raises(GuardrailsError) as refused:
        exception_states.propose(version, actor=analyst, revision=1)
    assert {one.code for one in refused.value.refusals} == {"no_anchor", "alone"}


def test_analysts_propose_and_outsiders_do_nothing(rule, analyst, outsider):
    with pytest.raises(NotPermittedError):
        exception_states.draft(content(rule), actor=outsider)
    version = proposed(rule, by=analyst)
    with pytest.raises(NotPermittedError):
        exception_states.revoke(version, actor=analyst, reason="x")
    assert ExceptionVersion.objects.visible_to(outsider).count() == 0


def test_the_inbox_lists_it_for_who_may_see_it(rule, analyst, lead, outsider):
    version = proposed(rule, by=analyst)
    (request,) = approvals.pending(lead)
    assert (request.kind, request.title, request.is_own(lead)) == (
        "exception",
        f"{version.label} {version.item.name}",
        False,
    )
    assert "the alert's network event: remote.ip is 10.0.0.9" in request.says
    assert approvals.pending(outsider) == []


RAW = (
    "approved_by_id = requested_by_id",
    "approved_by_id = last_edited_by_id",
    "approved_by_id = NULL",
    "approved_at = NULL",
    "approved_sha256 = 'x'",
    "content_sha256 = 'x'",
    "expires_at = NULL",
    "expires_at = active_from",
    "reason = ''",
    "owner = '', change_record = ''",
    "active_from = NULL",
    "requested_by_id = NULL",
    "state = 'expired', approved_by_id = NULL",
    "state = 'draft', approved_sha256 = ''",
    "exceeds_share = 1, exceeds_share_by_id = NULL",
    "requested_by_id = approved_by_id",
)


@pytest.mark.parametrize("change", RAW)
def test_the_database_refuses_by_itself(rule, analyst, lead, change):
    version = active(rule, by=analyst, approver=lead)
    if connection.vendor == "postgresql":
        change = change.replace("exceeds_share = 1", "exceeds_share = true")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE triage_exceptionversion SET {change} WHERE id = %s", [version.pk])


def test_a_draft_is_not_made_active_behind_the_product(rule, analyst):
    version = exception_states.draft(content(rule), actor=analyst)
    for change in ("state = 'active'", "state = 'approved'", "active_from = created_at"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE triage_exceptionversion SET {change} WHERE id = %s", [version.pk])
    assert list(faults()) == []


def test_an_item_has_one_active_version_and_one_on_its_way(rule, analyst, lead):
    version = active(rule, by=analyst, approver=lead)
    draft = exception_states.edit(version, content(rule, *PLAIN), actor=analyst, revision=version.revision)
    with pytest.raises(StaleEditError, match="go on with that one"):
        exception_states.edit(version, content(rule), actor=analyst, revision=version.revision)
    assert draft.number == 2


def test_the_admin_is_no_way_around(rule, analyst, lead, admin, client):
    version = proposed(rule, by=analyst)
    client.force_login(admin.user)
    path = f"/admin/triage/exceptionversion/{version.pk}/change/"
    assert client.get(path).status_code == 200
    assert client.post(path, {"state": "active"}).status_code == 403
    assert client.post("/admin/triage/exceptionversion/add/", {}).status_code == 403
    assert client.post(path.replace("change", "delete"), {"post": "yes"}).status_code == 403
    version.refresh_from_db()
    assert version.state == "proposed"
