"""What the guide refuses is refused in the form, in an import, in the shell and in the admin."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from tests.factories.cases import alert, shipped_rule
from tests.factories.events import attack
from tests.factories.exceptions import back_tested, content
from tests.factories.twins import HOSTS, SERVER
from triage.errors import GuardrailsError
from triage.exception_items import states as exception_states
from triage.exception_items.guardrails import of_version
from triage.models import ExceptionVersion

pytestmark = pytest.mark.django_db


def entry(field, *values, operator="is", scope="event"):
    return {"scope": scope, "field": field, "operator": operator, "values": list(values)}


WORKFLOW = {
    "hosts": entry("host.id", *HOSTS, operator="is_one_of"),
    "source": entry("source.ip", SERVER),
    "parent": entry("process.parent.executable", "C:\\Windows\\System32\\svchost.exe"),
    "command": entry("process.command_line", "C:\\Windows\\System32\\mshta.exe -Embedding"),
    "name": entry("dns.question.name", "swdist01.corp.example", scope="dns"),
}


def without(name):
    return [one for key, one in WORKFLOW.items() if key != name]


# What is written -> the kinds of objection, and words of the guide's own sentence behind the first.
BUILD, NEVER = "Build an exception", "Do not build it on the `process.name`"
REFUSED = {
    "process.name alone": ([entry("process.name", "mshta.exe")], {"no_anchor", "alone"}, NEVER),
    "ports alone": ([entry("destination.port", "50002")], {"no_anchor", "alone"}, NEVER),
    "user.name alone": ([entry("user.name", "svc")], {"no_anchor", "alone"}, NEVER),
    **{f"without its {name}": (without(name), {"no_anchor"}, BUILD) for name in WORKFLOW},
    "a wildcard that takes everything": (
        [*WORKFLOW.values(), entry("process.name", "*", operator="matches")],
        {"takes_everything"},
        "",
    ),
}


@pytest.fixture
def rule(store):
    return shipped_rule()


def codes(error):
    return {one.code for one in error.refusals}


@pytest.mark.parametrize(("entries", "expected", "quotes"), REFUSED.values(), ids=REFUSED)
def test_what_the_guide_refuses_passes_no_door(
    rule, analyst, lead, client, ana, tmp_path, entries, expected, quotes
):
    # The shell, or any other caller of the domain.
    version = exception_states.draft(content(rule, *entries), actor=analyst)
    with pytest.raises(GuardrailsError) as refused:
        exception_states.propose(version, actor=analyst, revision=1)
    assert codes(refused.value) == expected
    assert any(one.quotes.startswith(quotes) for one in refused.value.refusals)
    # The page, which says the same and keeps the draft.
    client.force_login(ana)
    address = reverse("exception_decide", args=[version.item_id, 1])
    told = client.post(address, {"act": "propose", "revision": 1})
    assert told.status_code == 422
    assert [one in told.context["refused"] for one in (g.says for g in refused.value.refusals)] == [
        True
    ] * len(refused.value.refusals)
    # Who gets it into the queue by a statement of SQL finds it refused when it is approved.
    ExceptionVersion.objects.filter(pk=version.pk).update(state="proposed", requested_by=analyst.user)
    back_tested(version)
    with pytest.raises(GuardrailsError):
        exception_states.approve(version, actor=lead, seen_sha256=version.content_sha256)
    version.refresh_from_db()
    assert (version.state, version.approved_by) == ("proposed", None)


@pytest.mark.parametrize("name", ["process.name", "destination.port", "user.name"])
def test_an_import_by_command_is_a_draft_that_is_refused_alike(rule, ana, analyst, tmp_path, name):
    path = tmp_path / "list.ndjson"
    said = {"field": name, "operator": "included", "type": "match", "value": "1"}
    path.write_text(json.dumps({"item_id": "i", "list_id": "l", "name": "Wide", "entries": [said]}))
    call_command("exceptions", "import", str(path), "--as", "ana", "--rule", rule.rule_id)
    version = ExceptionVersion.objects.get()
    with pytest.raises(GuardrailsError) as refused:
        exception_states.propose(version, actor=analyst, revision=version.revision)
    assert codes(refused.value) == {"no_anchor", "alone", "no_expiry", "no_reason", "no_owner"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"reason": ""}, "no_reason"),
        ({"owner": "", "change_record": ""}, "no_owner"),
        ({"expires_at": None}, "no_expiry"),
    ],
)
def test_a_draft_that_lacks_what_is_owed_is_not_proposed_and_the_database_agrees(
    rule, analyst, client, ana, change, code
):
    version = exception_states.draft(content(rule, *WORKFLOW.values()), actor=analyst)
    ExceptionVersion.objects.filter(pk=version.pk).update(**change)
    version.refresh_from_db()
    assert code in {one.code for one in of_version(version)}
    with pytest.raises(GuardrailsError) as refused:
        exception_states.propose(version, actor=analyst, revision=1)
    assert codes(refused.value) == {code}
    client.force_login(ana)
    told = client.post(
        reverse("exception_decide", args=[version.item_id, 1]), {"act": "propose", "revision": 1}
    )
    assert told.status_code == 422


def test_more_than_its_share_needs_a_leads_word_in_each_door(rule, analyst, lead, lin, client):
    now = timezone.now()
    for number in range(10):
        documents = attack(now - timedelta(minutes=number), host=HOSTS[0], entity=f"p{number}")
        for one in documents:
            one["process"] |= {
                "parent": {"executable": "C:\\Windows\\System32\\svchost.exe"},
                "command_line": "C:\\Windows\\System32\\mshta.exe -Embedding",
            }
            one["source"] = {"ip": SERVER}
        alert(rule, documents, now, name=f"a{number}")
    version = exception_states.draft(content(rule, *WORKFLOW.values()), actor=analyst)
    back_tested(version)
    version = exception_states.propose(version, actor=analyst, revision=1)
    with pytest.raises(GuardrailsError) as refused:
        exception_states.approve(version, actor=lead, seen_sha256=version.content_sha256)
    assert codes(refused.value) == {"share"}
    client.force_login(lin)
    address = reverse("exception_decide", args=[version.item_id, 1])
    said = {"act": "approve", "sha256": version.content_sha256}
    assert client.post(address, said).status_code == 422
    assert client.post(address, {**said, "exceed_share": "on"}).status_code == 302
    version.refresh_from_db()
    assert (version.state, version.exceeds_share_by) == ("active", lin)
