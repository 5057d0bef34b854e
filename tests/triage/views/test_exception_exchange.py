"""The page that takes exception lists from Kibana and gives them back."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests.factories.exceptions import PLAIN, active
from tests.factories.rules import rule as make_rule
from triage.models import ExceptionVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def r1(store):
    return make_rule("r9")


# -- from and to Kibana


def export(*entries, **more):
    made = {"item_id": "i1", "list_id": "l1", "name": "One <b>", "type": "simple", "entries": list(entries)}
    return SimpleUploadedFile("list.ndjson", json.dumps({**made, **more}).encode())


KIBANA_ENTRY = {"field": "host.id", "operator": "included", "type": "match", "value": "host-1"}


def test_an_export_of_kibana_becomes_drafts_and_says_what_differs(as_analyst, r1):
    address = reverse("exception_exchange")
    refused = as_analyst.post(address, {"rule": r1.pk})
    assert (refused.status_code, "Choose at least one file." in refused.content.decode()) == (422, True)
    assert f'value="{r1.pk}" selected' in " ".join(refused.content.decode().split())
    files = [export(KIBANA_ENTRY), export(item_id="i2", name="Two")]
    done = as_analyst.post(address, {"rule": r1.pk, "lists": files})
    text = done.content.decode()
    assert "1 drafted, 0 here already, 1 refused" in text
    assert "It has no entries, so it would hide everything." in text
    assert "One &lt;b&gt;" in text
    assert "It has no end. Set one: nothing is hidden for ever." in text
    version = ExceptionVersion.objects.get()
    shown = as_analyst.get(reverse("exception_version", args=[version.item_id, 1])).content.decode()
    assert "It came from Kibana. What is different here:" in shown
    assert "&quot;host.id&quot;" in shown


def test_what_can_be_said_in_kibana_is_told_before_it_is_downloaded(as_analyst, r1, analyst, lead):
    plain = active(r1, PLAIN[0], by=analyst, approver=lead)
    active(r1, *PLAIN, by=analyst, approver=lead)
    told = as_analyst.get(reverse("exception_exchange"), {"look": 1, "rule": r1.pk}).content.decode()
    assert "1 written, 1 left out" in told
    assert "in Kibana an exception sees one event, and nothing around it." in told
    file = as_analyst.get(reverse("exception_export"), {"rule": r1.pk})
    assert file["Content-Disposition"].startswith('attachment; filename="exceptions-')
    assert [json.loads(line).get("item_id") for line in file.content.decode().splitlines()] == [
        None,
        f"casewright-{plain.item.number}",
        None,
    ]


def test_the_door_to_kibana_is_closed_to_who_may_not(client, otto, r1):
    client.force_login(otto)
    for address in ("exception_exchange", "exception_export"):
        answer = client.get(reverse(address), {"look": 1})
        assert answer.status_code == 403 or b"There is no exception here yet." in answer.content
    assert client.post(reverse("exception_exchange"), {"lists": [export(KIBANA_ENTRY)]}).status_code == 403
