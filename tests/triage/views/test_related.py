"""Related cases by what they share, and alerts on the host."""

from datetime import timedelta
from hashlib import sha256

import pytest
from django.urls import reverse

from tests.factories import cases
from triage.enums import ObservableType as T
from triage.models import Observable
from triage.related import related_alerts, related_cases


@pytest.fixture
def has(make_case):
    def give(case, kind, value, *marks):
        return Observable.objects.create(
            case=case,
            type=kind,
            value=value,
            spelling=value,
            digest=sha256(value.encode()).hexdigest(),
            first_seen_at=case.first_event_at,
            last_seen_at=case.last_event_at,
            event_count=1,
            marks=list(marks),
        )

    return give


def test_what_few_share_weighs_more_than_what_all_share(make_case, has, analyst):
    mine, rare, usual, apart = (make_case(number) for number in range(1, 5))
    for case in (mine, rare):
        has(case, T.DOMAIN, "rare.example")
    for case in (mine, rare, usual, apart):
        has(case, T.DOMAIN, "usual.example")
    has(apart, T.HASH, "ab" * 16)
    found = related_cases(mine, actor=analyst)
    assert [one.case for one in found] == [rare, apart, usual]
    assert [one.observable.value for one in found[0].shared] == ["rare.example", "usual.example"]
    assert found[0].shared[0].cases == 2
    assert found[0].weight > found[1].weight == found[2].weight > 0


def test_accounts_of_the_system_relate_nothing(make_case, has, analyst):
    one, other = make_case(1), make_case(2)
    for case in (one, other):
        has(case, T.USER, "nt authority\\system", "system account")
    assert related_cases(one, actor=analyst) == []


def test_cases_that_may_not_be_seen_are_not_related(make_case, has, outsider):
    for case in (one := make_case(1), make_case(2)):
        has(case, T.DOMAIN, "rare.example")
    assert related_cases(one, actor=outsider) == []


def test_alerts_of_the_host_within_48_hours_of_any_rule(make_case, rule, analyst):
    case = make_case(1)
    document = {"host": {"id": "id-1", "name": "host-1"}}
    start = case.first_event_at
    cases.alert(rule, [document], start - timedelta(hours=47), name="near")
    cases.alert(None, [document], start + timedelta(hours=47), name="other rule")
    cases.alert(rule, [document], start - timedelta(hours=49), name="far")
    cases.alert(rule, [{"host": {"id": "id-2"}}], start, name="other host")
    found, total = related_alerts(case, actor=analyst)
    assert [one.alert.alert_id for one in found] == ["other rule", "near"]
    assert (total, found[0].hidden_by, found[0].case) == (2, "", None)


def test_the_right_column_names_the_first_few(as_analyst, make_case, has):
    one, other = make_case(1), make_case(2)
    for case in (one, other):
        has(case, T.DOMAIN, "rare.example")
    address = reverse("case_related", args=[one.pk])
    page = as_analyst.get(address, headers={"HX-Request": "true"}).content.decode()
    assert other.number in page
    assert "rare[.]example" in page
    assert as_analyst.get(address).url == reverse("case_observables", args=[one.pk]) + "#related"
