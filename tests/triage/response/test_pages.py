"""The pages of a response: what is offered and why not, decided by another, taken back."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from detections import outbox
from tests.factories.actions import approved, observable, preserved, requested, scripted
from tests.factories.cases import cases_of
from triage.models import Case, ResponseAction

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def static_files(settings):
    settings.STATIC_ROOT.mkdir(exist_ok=True)


@pytest.fixture
def as_analyst(client, ana):
    client.force_login(ana)
    return client


def text(answer):
    return " ".join(answer.text.split())


def test_the_ladder_says_what_is_open_and_why_the_rest_is_not(as_analyst, store):
    case = cases_of("malicious")[0]
    shown = text(as_analyst.get(reverse("case_response", args=[case.pk])))
    for rung in (
        "Preserve the evidence",
        "Contain what can be taken back",
        "Remove and repair",
        "Harden afterwards",
    ):
        assert rung in shown
    assert "Preserve the evidence first: containing and removing changes what is there." in shown
    assert "The verdict is not malicious: give it first" in shown
    assert "What the guide says" in shown


def test_an_action_is_asked_for_decided_and_undone_on_its_pages(client, ana, lin, make_case, analyst):
    scripted()
    case = make_case()
    preserved(case)
    row = observable(case)
    form = reverse("action_request", args=[case.pk]) + "?kind=block_destination&stage=contain"
    client.force_login(ana)
    assert "203.0.113.57" in client.get(form).text
    typed = {"kind": "block_destination", "stage": "contain", "target": row.pk, "reason": ""}
    refused = client.post(form, typed | {"ends_at": "2099-01-01 10:00", "override": "kept"})
    assert refused.status_code == 422
    assert "Say why it is asked for" in refused.text
    assert "2099-01-01 10:00" in refused.text
    made = client.post(form, typed | {"reason": "It <b>spreads</b>."})
    action = ResponseAction.objects.get(kind__key="block_destination")
    assert made.url == reverse("action", args=[action.pk])
    own = text(client.get(made.url))
    assert "You asked for it, so another person must decide." in own
    assert "It &lt;b&gt;spreads&lt;/b&gt;." in own
    deed = reverse("action_do", args=[action.pk, "approve"])
    assert client.post(deed, {"seen": action.content_sha256}).status_code == 403
    client.force_login(lin)
    assert client.post(deed, {"seen": "0" * 64}).status_code == 422
    assert client.post(deed, {"seen": action.content_sha256}).status_code == 302
    outbox.drain()
    ladder = text(client.get(reverse("case_response", args=[case.pk])))
    assert f"{action.number} is in force" in ladder
    assert "1 containment is in force." in ladder
    close = text(client.get(reverse("case_close", args=[case.pk])))
    assert "undo it, or hand it over by name" in close
    assert "Contained" in client.get("/").text
    assert action.number in client.get("/containments/").text
    refused = client.post(
        reverse("action_do", args=[action.pk, "hand-over"]), {"to_whom": "Net team", "reason": ""}
    )
    assert (refused.status_code, "Net team" in refused.text) == (422, True)
    client.post(reverse("action_do", args=[action.pk, "undo"]), {"reason": "It is over."})
    outbox.drain()
    action.refresh_from_db()
    assert action.state == "undone"


def test_what_is_done_by_hand_is_recorded_with_a_file(client, ana, make_case, analyst, lead):
    from django.core.files.uploadedfile import SimpleUploadedFile

    action = approved(make_case(), analyst, lead)
    outbox.drain()
    client.force_login(ana)
    deed = reverse("action_do", args=[action.pk, "record"])
    file = SimpleUploadedFile("rule.txt", b"deny 203.0.113.57")
    assert client.post(deed, {"came": "done", "proof": " ", "file": file}).status_code == 422
    file = SimpleUploadedFile("rule.txt", b"deny 203.0.113.57")
    assert client.post(deed, {"came": "done", "proof": "Rule 7.", "file": file}).status_code == 302
    action.refresh_from_db()
    assert (action.state, action.attachment.name, action.proof) == ("succeeded", "rule.txt", "holding")


def test_a_verdict_is_given_and_refused_on_the_ladder(client, ana, make_case):
    case = make_case()
    client.force_login(ana)
    page = reverse("case_verdict", args=[case.pk])
    refused = client.post(page, {"version": case.version, "reason": "It looks bad."})
    assert (refused.status_code, "No question points to escalate" in refused.text) == (422, True)
    case.questions.update(state="escalate")
    assert client.post(page, {"version": case.version, "reason": "It ran."}).status_code == 302
    case.refresh_from_db()
    assert case.disposition == "malicious"
    assert "Malicious" in client.get(reverse("case_response", args=[case.pk])).text
    client.post(page, {"version": case.version, "reason": "It was a test.", "withdraw": "1"})
    assert Case.objects.get(pk=case.pk).disposition == "undetermined"


def test_an_outsider_sees_no_action(client, otto, make_case, analyst):
    action = requested(make_case(), analyst)
    client.force_login(otto)
    pages = [
        reverse("action", args=[action.pk]),
        reverse("case_response", args=[action.case_id]),
        reverse("action_request", args=[action.case_id]),
    ]
    assert [client.get(page).status_code for page in pages] == [404, 404, 404]
    assert client.post(reverse("action_do", args=[action.pk, "cancel"])).status_code == 404
    assert client.get("/containments/").status_code == 403
    action.refresh_from_db()
    assert action.state == "requested"


def test_the_pages_ask_the_same_however_many_actions_there_are(as_analyst, make_case, analyst, lead):
    case = make_case()
    counts = []
    for number in (1, 6):
        for at in range(number):
            approved(case, analyst, lead, target=str(observable(case, f"203.0.113.{number * 10 + at}").pk))
        outbox.drain()
        found = []
        for page in (reverse("case_response", args=[case.pk]), "/containments/", "/"):
            as_analyst.get(page)
            with CaptureQueriesContext(connection) as queries:
                assert as_analyst.get(page).status_code == 200
            found.append(len(queries))
        counts.append(found)
    assert counts[0] == counts[1]


def test_a_request_waits_in_the_inbox_of_approvals(make_case, analyst, lead):
    from triage import approvals

    action = requested(make_case(), analyst)
    waiting = [one for one in approvals.pending(lead) if one.kind == "response action"]
    assert [(one.url, one.case_id, one.is_own(analyst)) for one in waiting] == [
        (f"/actions/{action.pk}/", action.case_id, True)
    ]


def test_admins_edit_kinds_and_connectors_and_read_actions(client, adi, make_case, analyst):
    from triage.models import ActionKind, Connector

    action = requested(make_case(), analyst)
    client.force_login(adi)
    kind = ActionKind.objects.get(key="kill_process")
    page = f"/admin/triage/actionkind/{kind.pk}/change/"
    data = {"request_minutes": 30, "check_minutes": 60, "instructions": ""}
    assert "another person always decides" in client.post(page, data).text
    assert client.post(page, data | {"needs_approval": "on"}).status_code == 302
    kind.refresh_from_db()
    assert kind.request_minutes == 30
    add = "/admin/triage/connector/add/"
    given = {
        "key": "w",
        "name": "W",
        "adapter": "webhook",
        "config": '{"url": "https://a.example/"}',
        "per_minute": 5,
    }
    wrong = client.post(add, given | {"secrets": '{"signing_key": "hunter2"}'})
    assert "the secret itself is never typed in here" in wrong.text
    assert client.post(add, given | {"secrets": '{"signing_key": "CONNECTOR_W"}'}).status_code == 302
    test = {"action": "test_connectors", "_selected_action": [Connector.objects.get(key="w").pk]}
    tested = client.post("/admin/triage/connector/", test, follow=True)
    assert "CONNECTOR_W is not set where the worker runs" in tested.text
    assert client.get(f"/admin/triage/responseaction/{action.pk}/change/").status_code == 200
    assert (
        client.post(f"/admin/triage/responseaction/{action.pk}/change/", {"state": "approved"}).status_code
        == 403
    )
