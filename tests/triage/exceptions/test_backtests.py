"""Back-tests: what an exception would have hidden, and what speaks against it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detections.actors import NotPermittedError
from detections.errors import StoreError
from detections.models import Alert
from detections.outbox import drain
from tests.factories.cases import alert
from tests.factories.events import attack, mapped, mshta_start
from tests.factories.exceptions import NO_CHILD, ONE_LOOKUP, PLAIN, active, content
from tests.factories.rules import rule as make_rule
from triage.enums import ExceptionOperator, ExceptionScope
from triage.errors import TriageError
from triage.exception_items import backtest_run as exception_backtest_run
from triage.exception_items import backtests as exception_backtests
from triage.exception_items import recovery as exception_recovery
from triage.exception_items import states as exception_states
from triage.exception_items.content import Content, Entry
from triage.exception_items.evaluation import subject_of
from triage.exception_items.matching import compiled_content, explain
from triage.exception_items.prefilter import Prefilter
from triage.models import BackTest, Case
from triage.routing import deliver_route

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)
LATER = AT + timedelta(hours=3)


@pytest.fixture
def rule(store):
    return make_rule()


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(LATER, tick=True) as traveller:
        yield traveller


def run(version, actor, **how):
    row = exception_backtests.start(version, actor=actor, **how)
    drain()
    row.refresh_from_db()
    return row


def hosts_and_strangers(rule, *hosts):
    for number, host in enumerate(hosts):
        alert(rule, attack(AT, host=host, entity=f"p-{number}"), AT, name=f"a{number}")
    deliver_route(None)


def test_it_says_what_would_have_been_hidden_and_where(rule, analyst):
    hosts_and_strangers(rule, "host-1", "host-1", "host-2", "host-3")
    version = exception_states.draft(content(rule), actor=analyst)
    row = run(version, analyst)
    assert (row.state, row.done, row.total, row.error) == ("succeeded", 4, 4, "")
    result = row.result
    assert (result["alerts"], result["hidden"], result["share"]) == (4, 3, 75.0)
    assert result["by_host"] == {"host-1": 2, "host-2": 1}
    assert (result["by_day"], result["by_source"]) == ({"2026-03-18": 3}, {"10.0.0.9": 3})
    assert (result["cases"], result["blocks"], len(result["against"])) == ({"open": 3}, [], 3)
    cases = set(Case.objects.filter(host_id__in=["host-1", "host-2"]).values_list("pk", flat=True))
    assert {one["case"] for one in result["listed"]} == cases
    near = result["near_misses"]
    assert (near["alerts"], [one["alerts"] for one in near["clauses"]]) == (1, [1, 0])
    assert near["listed"][0]["fails"][0]["why"] == "Found: host-3"
    assert "cursor" not in result


def test_a_malicious_case_blocks_the_approval(rule, analyst, lead):
    hosts_and_strangers(rule, "host-1", "host-2")
    bad = Case.objects.get(host_id="host-2")
    Case.objects.filter(pk=bad.pk).update(status="closed", disposition="malicious", closed_at=AT)
    version = exception_states.draft(content(rule), actor=analyst)
    row = run(version, analyst)
    assert row.result["cases"] == {"malicious": 1, "open": 1}
    assert row.result["blocks"] == [
        f"It would hide an alert on host-2 of 2026-03-18 09:41:00 UTC, which is in CW-{bad.pk}: malicious."
    ]
    version = exception_states.propose(version, actor=analyst, revision=version.revision)
    with pytest.raises(TriageError, match=f"CW-{bad.pk}: malicious"):
        exception_states.approve(version, actor=lead, seen_sha256=version.content_sha256)


def test_recovered_evidence_and_its_absence_count_as_in_routing(rule, analyst, store):
    start = mshta_start(AT, host="host-2", entity="p-1")
    child = {**start, "process": {"name": "cmd.exe", "entity_id": "c", "parent": {"entity_id": "p-1"}}}
    store.append(mapped(*attack(AT, entity="p-0"), child), batch="b")
    hosts_and_strangers(rule, "host-1", "host-2")
    row = run(exception_states.draft(content(rule, *PLAIN, NO_CHILD), actor=analyst), analyst)
    assert (row.result["hidden"], row.result["by_host"]) == (1, {"host-1": 1})
    assert row.result["near_misses"]["listed"][0]["fails"] == [
        {"entry": 2, "says": "no child process", "why": "1 of 1 say otherwise."}
    ]


def test_it_names_exceptions_in_force_that_hide_the_same(rule, analyst, lead):
    other = active(rule, by=analyst, approver=lead, since=AT - timedelta(days=1), name="Older")
    alert(rule, attack(AT), AT)
    deliver_route(None)
    row = run(exception_states.draft(content(rule), actor=analyst), analyst)
    assert (row.result["hidden"], row.result["already_hidden"], row.result["cases"]) == (1, 1, {"none": 1})
    assert row.result["overlaps"] == [
        {"item": other.item_id, "version": other.pk, "label": other.label, "alerts": 1}
    ]


def test_telemetry_is_searched_and_nothing_is_stored(rule, analyst, store):
    store.append(mapped(*attack(AT), *attack(AT, host="host-3")), batch="b")
    store.append(mapped(*attack(AT - timedelta(days=40), host="host-2")), batch="old")
    row = run(exception_states.draft(content(rule), actor=analyst), analyst, kind="telemetry")
    assert (row.state, row.error, row.result["alerts"], row.result["hidden"]) == ("succeeded", "", 2, 1)
    assert row.result["listed"][0]["alert"] is None
    assert row.result["near_misses"]["alerts"] == 1
    assert not Alert.objects.exists()


def test_a_match_across_a_seam_counts_once(rule, analyst, store):
    seam = LATER - timedelta(days=1)
    store.append(mapped(*attack(seam - timedelta(seconds=1))), batch="b")
    row = run(exception_states.draft(content(rule), actor=analyst), analyst, kind="telemetry", days=3)
    assert (row.total, row.result["alerts"], row.result["hidden"]) == (3, 1, 1)


def test_a_killed_worker_goes_on_where_it_was(rule, analyst, monkeypatch):
    hosts_and_strangers(rule, *["host-1"] * 5, "host-3")
    monkeypatch.setattr(exception_backtest_run, "CHUNK", 2)
    version = exception_states.draft(content(rule), actor=analyst)
    row = exception_backtests.start(version, actor=analyst)
    steps = []
    step = exception_backtest_run._AlertsRun.step

    def dying(self):
        steps.append(self.done)
        if len(steps) in (2, 4):
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(exception_backtest_run._AlertsRun, "step", dying)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            exception_backtests.deliver_back_test(row.pk)
    exception_backtests.deliver_back_test(row.pk)
    row.refresh_from_db()
    assert steps == [0, 2, 2, 4, 4, 6]
    assert (row.state, row.result["alerts"], row.result["hidden"]) == ("succeeded", 6, 5)
    assert row.result["near_misses"]["alerts"] == 1


def test_cancelling_ends_it_and_discards_what_is_at_hand(rule, analyst, outsider, monkeypatch):
    hosts_and_strangers(rule, *["host-1"] * 3)
    monkeypatch.setattr(exception_backtest_run, "CHUNK", 1)
    row = exception_backtests.start(exception_states.draft(content(rule), actor=analyst), actor=analyst)
    with pytest.raises(NotPermittedError):
        exception_backtests.cancel(row, actor=outsider)
    step = exception_backtest_run._AlertsRun.step

    def cancelling(self):
        if self.done == 1:
            assert exception_backtests.cancel(row, actor=analyst)
        return step(self)

    monkeypatch.setattr(exception_backtest_run._AlertsRun, "step", cancelling)
    drain()
    row.refresh_from_db()
    assert (row.state, row.done, row.error) == ("cancelled", 1, "Cancelled by Ana at 1 of 3.")
    assert not exception_backtests.cancel(row, actor=analyst)


def test_asking_twice_is_one_back_test_and_an_edit_makes_it_void(rule, analyst):
    version = exception_states.draft(content(rule), actor=analyst)
    row = exception_backtests.start(version, actor=analyst)
    assert exception_backtests.start(version, actor=analyst) == row
    wider = content(rule, *PLAIN, ONE_LOOKUP)
    exception_states.edit(version, wider, actor=analyst, revision=version.revision)
    drain()
    row.refresh_from_db()
    assert (row.state, row.error[:24]) == ("failed", "The exception was edited")


def test_an_event_store_that_can_not_be_read_is_said(rule, analyst, monkeypatch):
    hosts_and_strangers(rule, "host-1")

    def broken(*_args, **_kwargs):
        raise StoreError("The folder of events is gone.")

    monkeypatch.setattr(exception_recovery, "recover", broken)
    row = run(exception_states.draft(content(rule, *PLAIN, NO_CHILD), actor=analyst), analyst)
    assert (row.state, row.error) == ("failed", "The folder of events is gone.")


def test_work_that_was_given_up_is_a_failure_and_not_a_wait(rule, analyst):
    from detections.models import OutboxRow

    row = exception_backtests.start(exception_states.draft(content(rule), actor=analyst), actor=analyst)
    assert exception_backtests.fail_lost() == 0
    OutboxRow.objects.filter(kind=exception_backtests.KIND).update(state="failed")
    assert exception_backtests.fail_lost() == 1
    assert BackTest.objects.get(pk=row.pk).error == exception_backtests.LOST


@pytest.mark.parametrize("days", [0, -1, 367])
def test_a_window_that_is_none_is_refused(rule, analyst, days):
    version = exception_states.draft(content(rule), actor=analyst)
    with pytest.raises(TriageError, match="between 1 and 366"):
        exception_backtests.start(version, actor=analyst, days=days)


VALUES = st.sampled_from(
    ["host-1", "10.0.0.9", "::ffff:10.0.0.9", 'ä\\"b', "Dist.Corp.Example", "4711", "true", "\x7f\u2028"]
)
FIELDS = st.sampled_from(
    ["host.id", "remote.ip", "source.ip", "dns.question.name", "process.pid", "user.name"]
)


@given(
    st.lists(
        st.tuples(FIELDS, st.sampled_from(["is", "matches"]), VALUES, st.booleans()), min_size=1, max_size=4
    ),
    st.dictionaries(FIELDS, VALUES | st.integers(0, 9) | st.booleans(), max_size=5),
    st.booleans(),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_look_at_the_text_rules_out_nothing_that_holds(rule, wanted, fields, is_ascii):
    entries = []
    for field, operator, value, is_negated in wanted:
        plain = "10.0.0.9" if field.endswith("ip") else value
        operator = "is" if field.endswith("ip") else operator
        asked = f"*{plain[1:]}" if operator == "matches" else plain
        scope = ExceptionScope.EVENT
        entries.append(Entry(scope, field, ExceptionOperator(operator), (asked,), negated=is_negated))
    document: dict = {}
    for field, value in fields.items():
        node = document
        *parents, last = field.split(".")
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value
    item = compiled_content(Content("", rule.current, tuple(entries)))
    one = subject_of(Alert(pk=1, rule=rule, events=[{"document": document}], origin="run", detected_at=AT,
                           first_event_at=AT, last_event_at=AT))  # fmt: skip
    failing = sum(not result.holds for result in explain(item, one))
    text = json.dumps([{"document": document}], ensure_ascii=is_ascii)
    assert Prefilter(item).ruled_out(text, enough=9) <= failing
