"""The admin of triage."""

from datetime import UTC, datetime

import pytest

from detections.actors import system
from tests.factories.cases import alert
from tests.factories.events import attack
from tests.factories.rules import rule
from triage.models import Asset, Case
from triage.routing import route_alerts

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


def test_an_asset_is_edited_there(client, adi):
    client.force_login(adi)
    answer = client.post("/admin/triage/asset/add/", {"host_name": "dc-1", "addresses": "[]"})
    assert answer.status_code == 302
    assert Asset.objects.get().host_name == "dc-1"


def test_a_case_is_only_read_there(client, adi, store):
    alert(rule(), attack(AT), AT)
    route_alerts(actor=system("test"))
    case = Case.objects.get()
    client.force_login(adi)
    page = f"/admin/triage/case/{case.pk}/"
    assert client.get(page + "change/").status_code == 200
    assert client.post(page + "change/", {"title": "forged"}).status_code == 403
    assert client.post(page + "delete/", {"post": "yes"}).status_code == 403
    assert Case.objects.get().title == case.title
