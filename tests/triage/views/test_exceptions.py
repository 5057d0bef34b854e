"""The pages of exceptions: proposed from a case, back-tested, decided on, listed."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from detections import outbox
from tests.factories.cases import alert, cases_of
from tests.factories.events import attack
from tests.factories.exceptions import PLAIN, active, back_tested, content, proposed
from tests.factories.rules import rule as make_rule
from triage.exception_items import states as exception_states
from triage.exception_items.proposal import suggest
from triage.models import BackTest, ExceptionVersion, Suppression, ValueListVersion
from triage.routing import deliver_route

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_lead(client, lin):
    client.force_login(lin)
    return client


@pytest.fixture
def r1(store):
    return make_rule("r9")


def typed(rule, *entries, **others):
    """A posted form."""
    data = {
        "act": "save",
        "rule": rule.rule_id,
        "name": "Software distribution",
        "reason": "CHG-1",
        "owner": "Desktop Engineering",
        "expires_at": f"{timezone.now() + timedelta(days=90):%Y-%m-%d}",
        "row": [str(number) for number in range(len(entries))],
    }
    for number, entry in enumerate(entries):
        values = "\n".join(entry.get("values", []))
        data |= {f"{number}-{name}": value for name, value in {**entry, "values": values}.items()}
    return {**data, **others}


# -- proposed from a case


@pytest.mark.slow
def test_the_form_is_filled_with_the_workflow_that_the_case_confirms(store, client, ana, analyst):
    case = cases_of("benign")[0]
    made = suggest(case, actor=analyst)
    entries = [one.entry for one in made.entries]
    assert [(one.scope.value, one.field, one.values, one.quantity.value) for one in entries] == [
        ("network", "remote.ip", ("10.20.2.15",), "some"),
        ("process", "process.parent.executable", ("C:\\Windows\\System32\\svchost.exe",), "some"),
        ("process", "process.command_line", ("C:\\Windows\\System32\\mshta.exe -Embedding",), "some"),
        ("dns", "dns.question.name", ("swdist01.corp.example",), "some"),
        ("event", "host.id", (case.host_id,), "some"),
        ("dns", "dns.question.name", ("swdist01.corp.example",), "every"),
        ("connection", "remote.ip", ("10.20.2.15",), "every"),
        ("child", "", (), "none"),
    ]  # fmt: skip
    assert made.lacking == ()
    for one in made.entries[:-1]:
        assert one.row.pivot.case_id == case.pk
        assert one.entry.evidence == one.row.pk

    client.force_login(ana)
    link = reverse("case_exception", args=[case.pk])
    shown = client.get(link)
    told = shown.context["told"]
    assert [(host.alerts, host.is_own, host.is_taken) for host in told.hosts] == [
        (5, True, True),
        (5, False, False),
        (5, False, False),
    ]
    form = shown.context["form"]
    assert [(row.alone.alerts, row.alone.hosts) for row in form.rows if not row.is_recovered] == [
        (15, 3),
        (15, 3),
        (15, 3),
        (5, 1),
    ]
    assert [row.alone.cases for row in form.rows if row.scope == "dns"] == [15, None]

    # The three hosts, without JavaScript; then a draft with its back-test.
    data = typed(case.rule, *[row.data() for row in form.rows], reason="Confirmed by its owner.")
    for number, row in enumerate(form.rows):
        data[f"{number}-values"] = row.values
    hosts = [host.host_id for host in told.hosts]
    again = client.post(link, {**data, "act": "hosts", "host": hosts}).context["form"]
    assert (again.rows[4].operator, again.rows[4].values.split("\n")) == ("is_one_of", hosts)
    # Ticked, and saved without taking them over: who ticks them means them.
    own = [host.host_id for host in told.hosts if host.is_taken]
    assert f'name="host_was" value="{own[0]}"' in shown.text
    # What was typed there besides, such as a host without alerts, stays; what is not ticked any more goes.
    typed_too = {**data, "4-values": "\n".join([*own, "quiet-host"])}
    other = [one for one in hosts if one not in own]
    kept = {**typed_too, "name": "", "host": other, "host_was": own, "act": "save", "expires_at": "never"}
    refused = client.post(link, kept).context["form"]
    assert refused.rows[4].values.split("\n") == ["quiet-host", *sorted(other)]
    saved = client.post(link, {**data, "host": hosts, "host_was": own, "act": "test"})
    assert saved.status_code == 302
    outbox.drain()
    page = client.get(saved.url)
    one = page.context["test"]
    assert (one.result["hidden"], one.result["alerts"], one.is_good) == (15, 15, True)
    assert (
        sum(
            f'href="/cases/{pk}/"' in page.text
            for pk in one.test.version.case.rule.cases.values_list("pk", flat=True)
        )
        == 15
    )
    assert ExceptionVersion.objects.get().case == case


def test_an_entry_is_added_and_removed_and_nothing_is_lost(as_analyst, r1):
    link = reverse("exception_new")
    data = typed(r1, *PLAIN, reason="A reason\nof two lines", **{"0-negated": "on"})
    form = as_analyst.post(link, {**data, "act": "add"}).context["form"]
    assert [(row.number, row.field, row.values, row.negated) for row in form.rows] == [
        (0, "host.id", "host-1\nhost-2", True),
        (1, "remote.ip", "10.0.0.9", False),
        (2, "", "", False),
    ]
    form = as_analyst.post(link, {**data, "act": "remove-0"}).context["form"]
    assert [row.number for row in form.rows] == [1]
    assert form.texts["reason"] == "A reason\nof two lines"
    assert not ExceptionVersion.objects.exists()


BAD = [
    ({"operator": "matches", "field": "user.name", "values": ["^adm.*$"]}, "regular expression"),
    ({"operator": "cidr", "field": "source.ip", "values": ["10.20.2.15/24"]}, "Did you mean 10.20.2.0/24"),
    ({"operator": "is_one_of", "field": "user.name", "values": [f"u{n}" for n in range(100_000)]},
     "100,000 values: at most 100"),
    ({"operator": "is", "field": "user.nmae", "values": ["x"]}, "user.nmae is no field"),
    ({"operator": "is", "field": "dns.question.name", "values": ["swd\u0456st.example"]},
     "looks like another"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "says"), BAD)
def test_a_fault_stands_at_its_field_and_the_form_as_it_was_typed(as_analyst, r1, entry, says):
    data = typed(r1, PLAIN[0], {"scope": "event", **entry}, expires_at="2020-01-01")
    reply = as_analyst.post(reverse("exception_new"), data)
    assert reply.status_code == 422
    form = reply.context["form"]
    assert form.rows[0].faults == {}
    assert says in " ".join(fault for found in form.rows[1].faults.values() for fault in found)
    assert form.faults["expires_at"] == ["That moment is past. Choose a later one."]
    assert form.rows[1].values.split("\n") == entry["values"]
    assert not ExceptionVersion.objects.exists()


def test_a_fault_is_told_at_no_other_field(as_analyst, r1):
    wrong = {"scope": "event", "field": "host.idd", "operator": "is", "values": ["host-1"]}
    text = as_analyst.post(reverse("exception_new"), typed(r1, wrong)).content.decode()
    assert text.count("host.idd is no field") == 1
    told = as_analyst.post(reverse("value_list_new"), {"name": "", "type": "ip", "values": "10.0.0.1"})
    assert (told.status_code, told.content.decode().count("dict_values"), told.context["value_faults"]) == (
        422,
        0,
        [],
    )


def test_the_guardrails_are_told_before_anything_is_saved(as_analyst, store):
    from tests.factories.cases import shipped_rule

    rule = shipped_rule()
    entry = {"scope": "event", "field": "user.name", "operator": "is", "values": ["admin"]}
    reply = as_analyst.post(
        reverse("exception_new"), {**typed(rule, entry), "act": "check"}, headers={"HX-Request": "true"}
    )
    assert reply.context["told"].judged.refused == 6
    assert "Do not build it on the `process.name`" in reply.text
    assert "<html" not in reply.text


# -- decided on


def test_the_one_proposes_and_the_other_decides(client, ana, analyst, lin, r1):
    version = proposed(r1, *PLAIN, by=analyst)
    link = reverse("exception_version", args=[version.item_id, version.number])
    decide = reverse("exception_decide", args=[version.item_id, version.number])
    client.force_login(ana)
    assert "You asked for it" not in client.get(link).text
    assert "A lead decides on exceptions." in client.get(link).text
    assert client.post(decide, {"act": "approve", "sha256": version.content_sha256}).status_code == 403
    client.force_login(lin)
    assert client.post(decide, {"act": "approve", "sha256": "stale"}).status_code == 409
    reply = client.post(decide, {"act": "decline", "reason": " ", "sha256": version.content_sha256})
    assert (reply.status_code, reply.context["refused"]) == (
        422,
        ["Say why: who proposed it has to know what to change."],
    )
    assert client.post(decide, {"act": "approve", "sha256": version.content_sha256}).status_code == 302
    version.refresh_from_db()
    assert version.state == "active"
    assert client.post(decide, {"act": "revoke", "reason": "Over."}).status_code == 302
    version.refresh_from_db()
    assert (version.state, version.decided_reason) == ("revoked", "Over.")


def test_an_edit_of_a_proposal_is_a_new_version_with_its_difference(client, ana, analyst, r1):
    version = proposed(r1, *PLAIN, by=analyst)
    client.force_login(ana)
    link = reverse("exception_edit", args=[version.item_id, 1])
    data = typed(
        r1, {**PLAIN[0], "values": ["host-1"], "operator": "is"}, PLAIN[1], revision=version.revision
    )
    saved = client.post(link, data)
    assert saved.url == reverse("exception_version", args=[version.item_id, 2])
    changes = client.get(saved.url).context["changes"]
    assert [(one.sort, one.text) for one in changes][:2] == [
        ("del", "an event of the alert: host.id is one of host-1, host-2"),
        ("add", "an event of the alert: host.id is host-1"),
    ]
    stale = client.post(link, data)
    assert (stale.status_code, stale.context["form"].rows[0].values) == (409, "host-1")
    assert "is superseded now" in stale.text


def test_a_renewal_with_a_bad_end_keeps_what_was_typed(client, analyst, lead, lin, r1):
    version = active(r1, *PLAIN, by=analyst, approver=lead)
    client.force_login(lin)
    decide = reverse("exception_decide", args=[version.item_id, 1])
    reply = client.post(decide, {"act": "renew", "expires_at": "2099-01-01", "reason": "Still there"})
    assert reply.status_code == 422
    assert reply.context["typed"] == {"reason": "Still there", "expires_at": "2099-01-01"}
    ends = timezone.now() + timedelta(days=200)
    assert client.post(decide, {"act": "renew", "expires_at": f"{ends:%Y-%m-%d}"}).url.endswith(
        "/versions/2/"
    )
    assert version.item.versions.get(number=2).back_tests.count() == 1


# -- what it hides


@pytest.fixture
def hidden(r1, analyst, lead):
    """An exception with one alert hidden, and one that only its source keeps visible."""
    now = timezone.now()
    version = active(r1, *PLAIN, by=analyst, approver=lead, since=now - timedelta(hours=1))
    alert(r1, attack(now), now, name="hidden")
    other = attack(now, entity="p-2")
    other[1]["source"]["ip"] = "10.0.0.77"
    alert(r1, other, now, name="shown")
    deliver_route(None)
    return version


def test_what_is_hidden_is_listed_on_the_item_and_on_the_rule(as_analyst, hidden, r1):
    page = as_analyst.get(reverse("exception", args=[hidden.item_id]))
    assert [row.alert.alert_id for row in page.context["hidden"]] == ["hidden"]
    assert [bar.count for bar in page.context["hits"]][-1] == 1
    rule = as_analyst.get(reverse("rule", args=[r1.pk])).text
    assert f'href="/exceptions/{hidden.item_id}/versions/1/"' in rule
    assert f'EX-{hidden.item_id}</a> Software distribution, <b class="num">1</b>' in rule


def test_a_case_names_the_exception_that_nearly_hid_its_alert(as_analyst, hidden, r1):
    case = r1.cases.get()
    link = reverse("case_exceptions", args=[case.pk])
    part = as_analyst.get(link, headers={"HX-Request": "true"})
    (near,) = part.context["found"].near
    assert (near.version, near.sentences) == (
        hidden,
        ["the alert's network event: remote.ip is 10.0.0.9. Found: 10.0.0.77"],
    )
    assert as_analyst.get(link).url == reverse("case", args=[case.pk])


def test_a_lead_applies_it_to_what_is_there(client, ana, lin, analyst, lead, r1):
    now = timezone.now()
    old = alert(r1, attack(now), now - timedelta(days=2), name="old")
    deliver_route(None)
    version = active(r1, *PLAIN, by=analyst, approver=lead)
    link = reverse("exception_apply", args=[version.item_id, 1])
    client.force_login(ana)
    assert client.get(link).status_code == 403
    client.force_login(lin)
    assert [one.pk for one in client.get(link).context["found"].alerts] == [old.pk]
    reply = client.post(link, {"alert": [old.pk], "reason": ""})
    assert (reply.status_code, Suppression.objects.count()) == (422, 0)
    assert client.post(link, {"alert": [old.pk], "reason": "The same roll-out."}).status_code == 302
    assert Suppression.objects.get().is_retroactive


# -- lists and the inbox


def test_the_list_costs_the_same_for_few_and_many(as_analyst, r1, analyst, lead):
    active(r1, *PLAIN, by=analyst, approver=lead)
    counts = []
    for extra in ("Other", "More"):
        with CaptureQueriesContext(connection) as found:
            assert as_analyst.get(reverse("exceptions")).status_code == 200
        counts.append(len(found))
        for number in range(3):
            proposed(r1, *PLAIN, by=analyst, name=f"{extra}-{number}")
    assert counts[0] == counts[1]
    shown = as_analyst.get(reverse("exceptions"), {"state": "proposed", "q": "Other-1"})
    assert [line.item.name for line in shown.context["lines"]] == ["Other-1"]


def test_the_inbox_greys_one_s_own_and_counts_the_rest(client, analyst, lead, lin, r1, make_case):
    case = make_case(1)
    proposed(r1, *PLAIN, by=analyst, case=case)
    proposed(r1, *PLAIN, by=lead, name="Mine")
    client.force_login(lin)
    page = client.get(reverse("approvals"))
    assert [(line.why_not, line.test is not None) for line in page.context["lines"]] == [
        ("", True),
        ("You asked for it: another person has to decide.", True),
    ]
    assert '<span class="hide">, 1 waiting</span>' in page.text
    queue = client.get("/", {"tab": "approval"})
    assert list(queue.context["found"].page) == [case]
    with CaptureQueriesContext(connection) as few:
        client.get(reverse("approvals"))
    for number in range(3):
        proposed(r1, *PLAIN, by=analyst, name=f"More {number}", case=make_case(number + 2))
    with CaptureQueriesContext(connection) as many:
        client.get(reverse("approvals"))
    assert len(few) == len(many)


def test_exceptions_that_end_soon_stand_in_the_inbox(as_lead, analyst, lead, r1):
    soon = active(r1, *PLAIN, by=analyst, approver=lead, expires_at=timezone.now() + timedelta(days=9))
    active(r1, *PLAIN, by=analyst, approver=lead, expires_at=timezone.now() + timedelta(days=20))
    assert as_lead.get(reverse("approvals")).context["ending"] == [soon]


def test_a_value_list_is_written_proposed_and_approved_by_another(client, ana, lin):
    client.force_login(ana)
    bad = client.post(
        reverse("value_list_new"), {"name": "Servers", "type": "ip", "values": "10.0.0.9\nx.y\n"}
    )
    assert (bad.status_code, bad.context["faults"]["values"]) == (
        422,
        ["Line 2: 'x.y' is no address. For networks, make a list of networks."],
    )
    assert bad.context["typed"]["values"] == "10.0.0.9\nx.y\n"
    made = client.post(
        reverse("value_list_new"), {"name": "Servers", "type": "ip", "values": "10.0.0.9", "reason": "Why."}
    )
    version = ValueListVersion.objects.get()
    decide = reverse("value_list_decide", args=[version.value_list_id])
    client.post(decide, {"act": "propose", "revision": version.revision})
    assert client.post(decide, {"act": "approve", "sha256": version.content_sha256}).status_code == 403
    client.force_login(lin)
    client.post(decide, {"act": "approve", "sha256": version.content_sha256})
    version.refresh_from_db()
    assert version.state == "active"
    assert "10.0.0.9" in client.get(made.url).text


def test_outsiders_see_nothing_of_it(client, otto, analyst, lead, r1):
    version = active(r1, *PLAIN, by=analyst, approver=lead)
    client.force_login(otto)
    for link in (
        reverse("exception", args=[version.item_id]),
        reverse("exception_version", args=[version.item_id, 1]),
    ):
        assert client.get(link).status_code == 404
    assert "Software distribution" not in client.get(reverse("exceptions")).text
    assert client.get(reverse("exception_new")).status_code == 403
    assert client.get(reverse("approvals")).context["lines"] == []


@pytest.mark.parametrize(
    ("state", "error", "says"),
    [
        ("running", "", "4 of 10 alerts looked at"),
        ("cancelled", "Ana cancelled it.", "Nothing is known from it."),
        ("failed", "The event store is gone.", "Nothing is known from it."),
        ("succeeded", "", "It would have hidden none of the 1 alerts"),
    ],
)
def test_the_page_of_a_back_test_says_how_far_it_is(client, ana, analyst, r1, state, error, says):
    version = exception_states.draft(content(r1), actor=analyst)
    test = back_tested(version, hidden=0)
    BackTest.objects.filter(pk=test.pk).update(state=state, error=error, done=4, total=10)
    client.force_login(ana)
    page = client.get(reverse("exception_test", args=[test.pk])).text
    assert " ".join(says.split()) in " ".join(page.split())
    assert ("Cancel it" in page, "Would be hidden" in page) == (state == "running", state == "succeeded")
    assert error in page
