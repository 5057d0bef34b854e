"""Which case an alert goes to."""

from datetime import UTC, datetime, timedelta

import pytest

from detections.actors import NotPermittedError
from detections.models import Alert, OutboxRow, RuleRun
from detections.signals import alerts_superseded, alerts_upgraded
from tests.factories.cases import alert
from tests.factories.events import attack, mshta_start
from tests.factories.rules import rule
from triage import case_opening, routing
from triage.enums import CaseLinkKind
from triage.models import Case, CaseLink, GuideVersion, Question
from triage.routing import RoutingError, deliver_route, route_alerts

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


def run_of(made, **fields):
    return RuleRun.objects.create(
        rule=made,
        rule_version=made.current,
        trigger="manual",
        fence=1,
        window_end=AT,
        mark_from=0,
        mark_to=1,
        started_at=AT,
        **fields,
    )


def test_an_alert_opens_a_case_with_all_that_belongs_to_it(store, product):
    found = alert(rule(), attack(AT), AT, join_keys=[["host.id", "host-1"], ["process.entity_id", "p-1"]])
    routed = route_alerts(actor=product)
    case = Case.objects.get()
    assert (routed.opened, routed.joined, routed.capped) == (1, 0, 0)
    assert case.key_fields == [["host.id", "host-1"], ["process.entity_id", "p-1"]]
    assert (case.occurrence_count, case.questions_total, case.remote_ip) == (1, 1, "10.0.0.9")
    assert case.occurrences.get().alert == found
    assert Alert.objects.unrouted().count() == 0


def test_routing_again_changes_nothing(store, product):
    alert(rule(), attack(AT), AT)
    route_alerts(actor=product)
    Alert.objects.update(routed_at=None)
    route_alerts(actor=product)
    assert (Case.objects.count(), Case.objects.get().occurrence_count) == (1, 1)


def test_a_later_match_of_the_same_process_is_an_occurrence(store, product):
    made = rule()
    later = AT + timedelta(hours=3)
    alert(made, attack(AT), AT, name="a1")
    alert(made, attack(later), later, name="a2")
    routed = route_alerts(actor=product)
    case = Case.objects.get()
    assert (routed.opened, routed.joined) == (1, 1)
    assert (case.occurrence_count, case.has_new_evidence) == (2, True)
    assert case.last_event_at == later + timedelta(seconds=2)
    assert {run.key for run in case.pivots.all()} >= {"alert", "alert-2"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [["host.id", "host-1"], ["process.entity_id", "p-1"]]),
        ({"process": {"name": "x"}, "user": {"id": "S-1"}}, [["host.id", "host-1"], ["user.id", "S-1"]]),
        ({"process": {"name": "x"}}, [["alert", "a1"]]),
        ({"host": {"name": "nameless"}}, [["alert", "a1"]]),
    ],
)
def test_without_join_keys_the_case_is_about_the_process_the_user_or_the_alert(
    change, expected, store, product
):
    alert(rule(), [{**mshta_start(AT), **change}], AT)
    route_alerts(actor=product)
    assert Case.objects.get().key_fields == expected


def test_an_alert_on_a_closed_case_opens_a_new_one_that_names_it(store, product, analyst):
    made = rule()
    alert(made, attack(AT), AT, name="a1")
    route_alerts(actor=product)
    first = Case.objects.get()
    Case.objects.update(status="closed", disposition="malicious", closed_at=AT)
    alert(made, attack(AT), AT, name="a2")
    route_alerts(actor=product)
    second = Case.objects.exclude(pk=first.pk).get()
    link = CaseLink.objects.get()
    assert (link.source, link.target, link.kind) == (second, first, CaseLinkKind.FOLLOWS)
    assert Case.objects.get(pk=first.pk).status == "closed"


def test_past_the_cap_alerts_gather_in_one_storm_case(store, product):
    made = rule(max_cases=2)
    run = run_of(made)
    for number in range(5):
        alert(made, attack(AT, entity=f"p-{number}"), AT, name=f"a{number}", run=run)
    routed = route_alerts(actor=product, limit=3)
    assert (routed.opened, routed.capped, routed.remaining) == (2, 1, True)
    route_alerts(actor=product)
    run.refresh_from_db()
    storm = Case.objects.get(is_storm=True)
    assert (run.cases_opened, run.cases_capped, storm.occurrence_count) == (2, 3, 3)
    assert Case.objects.count() == 3


def test_the_cap_holds_for_alerts_without_a_run_too(store, product):
    made = rule(max_cases=1)
    for number in range(3):
        alert(made, attack(AT, entity=f"p-{number}"), AT, name=f"a{number}")
    assert route_alerts(actor=product).opened == 1


def test_one_bad_alert_does_not_keep_the_others(store, product, monkeypatch):
    made = rule()
    for number in range(2):
        alert(made, attack(AT, entity=f"p-{number}"), AT, name=f"a{number}")
    bad = Alert.objects.get(alert_id="a0")
    original = case_opening.head_facts
    monkeypatch.setattr(case_opening, "head_facts", lambda one: 1 / 0 if one.pk == bad.pk else original(one))
    with pytest.raises(RoutingError, match=r"1 alerts could not be routed: alert .* division by zero"):
        deliver_route(None)
    assert list(Alert.objects.unrouted()) == [bad]
    assert Case.objects.count() == 1


def test_a_case_key_taken_in_the_same_moment_makes_an_occurrence(store, product, monkeypatch):
    """Another worker commits its case between our look and our insert."""
    made = rule()
    alert(made, attack(AT), AT, name="a1")
    route_alerts(actor=product)
    alert(made, attack(AT), AT, name="a2")
    looks = []
    original = routing.open_case_on

    def blind_once(key):
        looks.append(key)
        return None if len(looks) == 1 else original(key)

    monkeypatch.setattr(routing, "open_case_on", blind_once)
    routed = route_alerts(actor=product)
    assert (routed.opened, routed.joined, Case.objects.count()) == (0, 1, 1)


def test_a_strict_match_makes_its_case_strict(store, product):
    found = alert(rule(), attack(AT), AT, time_basis="clock_repaired")
    route_alerts(actor=product)
    assert Case.objects.get().time_basis == "clock_repaired"
    found.time_basis = "strict"
    found.save()
    alerts_upgraded.send(sender=Alert, alerts=[found])
    assert Case.objects.get().time_basis == "strict"


def test_an_alert_from_elsewhere_has_a_case_without_a_rule(store, product):
    alert(None, attack(AT), AT)
    route_alerts(actor=product)
    case = Case.objects.get()
    assert (case.rule, case.guide, case.questions_total) == (None, None, 1)


def test_a_rule_version_pins_one_guide(store, product):
    made = rule()
    for number in range(2):
        alert(made, attack(AT, entity=f"p-{number}"), AT, name=f"a{number}")
    route_alerts(actor=product)
    assert GuideVersion.objects.get().rule_version == made.current
    assert {case.guide for case in Case.objects.all()} == {GuideVersion.objects.get()}


def test_a_broken_overlay_makes_the_gate_stricter_not_the_alert_lost(store, product):
    made = rule()
    made.current.note = "## Triage and analysis\n\n### Investigation steps\n\n- Is it expected?\n"
    made.current.overlay = "format = 1\nnonsense = ["
    made.current.save()
    alert(made, attack(AT), AT)
    route_alerts(actor=product)
    from triage.standings import standings

    assert [standing.needs_confirmation for standing in standings(Case.objects.get())] == [True]


def test_people_do_not_route(analyst):
    with pytest.raises(NotPermittedError):
        route_alerts(actor=analyst)


def test_opening_is_all_or_nothing(store, product, monkeypatch):
    alert(rule(), attack(AT), AT)
    monkeypatch.setattr(case_opening.pivots, "plan", lambda *_a, **_k: 1 / 0)
    assert len(route_alerts(actor=product).failed) == 1
    assert (Case.objects.count(), Question.objects.count(), OutboxRow.objects.count()) == (0, 0, 0)


def test_a_case_says_that_late_telemetry_supersedes_its_alert(store, product, client, ana):
    found = alert(rule(), attack(AT), AT)
    route_alerts(actor=product)
    case = Case.objects.get()
    Alert.objects.update(superseded_at=AT)
    alerts_superseded.send(sender=Alert, alerts=[found])
    client.force_login(ana)
    assert "<b>Superseded</b>" in client.get(f"/cases/{case.pk}/evidence/").text
    assert (
        "found that late telemetry supersedes: 1 occurrence" in client.get(f"/cases/{case.pk}/journal/").text
    )
    shown = client.get(f"/cases/{case.pk}/", follow=True).text
    assert "Telemetry that came later supersedes this match" in shown
