"""What `lint_rules` finds."""

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command

from detections.eql.parser import parse
from detections.models import Rule
from detections.rule_lint import Level, excludes_sysmon, lint
from detections.stores.base import MappedEvent
from tests.factories.rules import rule

pytestmark = pytest.mark.django_db


@pytest.fixture
def sorts(product, store):
    """The sorts of what is found in all rules."""
    return lambda: [
        finding.sort for finding in lint(Rule.objects.select_related("current"), actor=product).findings
    ]


def test_a_sound_rule_has_no_finding(sorts):
    rule()
    assert sorts() == []


def test_a_look_back_shorter_than_maxspan_is_a_problem(sorts):
    rule(query="sequence by host.id with maxspan=30m [process where true] [file where true]", maxspan=1800)
    assert sorts() == ["look-back", "lag tolerance"]


def test_a_negative_lag_tolerance_is_a_warning(sorts):
    rule(query="sequence by host.id with maxspan=5m [process where true] [file where true]", maxspan=300)
    assert sorts() == ["lag tolerance"]


def test_an_unknown_field_makes_a_rule_not_applicable_here(product, store):
    rule(query='process where made.up.field == "x"', maxspan=None)
    (finding,) = lint(Rule.objects.select_related("current"), actor=product).findings
    assert (finding.level.value, finding.says) == (
        "warning",
        "Not applicable here: field made.up.field. It is neither declared nor seen.",
    )


def test_a_query_that_means_nothing_is_a_problem(sorts):
    rule(query='process where process.pid == "many" and length(process.pid) > "a"', maxspan=None)
    assert sorts() == ["query"]


def test_fields_that_no_telemetry_has_are_named_once_there_is_telemetry(product, store):
    rule(query='process where process.name == "x" and process.Ext.ancestry == "y" and ?user.id == "z"')
    assert lint(Rule.objects.select_related("current"), actor=product).findings == ()
    document = {
        "@timestamp": "2026-01-01T00:00:00Z",
        "event": {"category": ["process"]},
        "process": {"name": "x"},
    }
    store.append([MappedEvent("a" * 64, document)], batch="b")
    (finding,) = lint(Rule.objects.select_related("current"), actor=product).findings
    assert finding.says == "No telemetry here has process.Ext.ancestry: conditions on it are never met."


def test_index_patterns_of_which_nothing_was_sent_are_noted_as_not_seen_yet(product, store):
    made = rule(query='process where process.name == "x"', maxspan=None)
    made.current.indices = ["logs-okta*", "winlogbeat-*"]
    made.current.save()
    document = {
        "@timestamp": "2026-01-01T00:00:00Z",
        "process": {"name": "x"},
        "event": {"category": ["process"]},
    }

    def notes():
        cache.clear()
        return [
            (one.level, one.says)
            for one in lint(Rule.objects.select_related("current"), actor=product).findings
        ]

    assert notes() == []
    store.append(
        [MappedEvent("a" * 64, document | {"data_stream": {"dataset": "cloud_defend.file"}})], batch="a"
    )
    assert notes() == [
        (
            Level.NOTE,
            "None of its index patterns (logs-okta*, winlogbeat-*) takes in a dataset that was sent here. "
            "Sent were: cloud_defend.file.",
        )
    ]
    store.append(
        [MappedEvent("b" * 64, document | {"event": {"category": ["process"], "module": "windows"}})],
        batch="b",
    )
    assert notes() == []


def test_rules_of_other_types_are_counted_not_judged(product, store):
    rule("t", type="threshold", query="a : b")
    report = lint(Rule.objects.select_related("current"), actor=product)
    assert (report.checked, report.not_runnable) == (0, {"threshold": 1})


@pytest.mark.parametrize(
    ("condition", "excludes"),
    [
        ('not user.id : "S-1-5-18"', True),
        ('not user.id in ("S-1-5-19", "S-1-5-18")', True),
        ('user.id != "S-1-5-18"', True),
        ('not user.id like "S-1-5-1*"', True),
        ('process.name == "x" and not (user.id == "S-1-5-18" or process.pid == 4)', True),
        ('not (user.id == "S-1-5-18" and process.name == "x")', False),
        ('not user.id == "S-1-5-18" or data_stream.dataset == "windows.sysmon_operational"', False),
        ('user.id == "S-1-5-18"', False),
        ('not user.id == "S-1-5-20"', False),
    ],
)
def test_an_exclusion_that_no_sysmon_event_passes_is_recognised(condition, excludes):
    assert excludes_sysmon(parse(f"process where {condition}")) is excludes


def test_only_rules_that_read_sysmon_are_told_of_its_user_id(sorts):
    made = rule(query='process where not user.id : "S-1-5-18"', maxspan=None)
    assert sorts() == ["user.id on Sysmon"]
    made.current.indices = ["logs-endpoint.events.process-*"]
    made.current.save()
    assert sorts() == []


def test_the_command_ends_with_a_failure_on_a_problem_alone(store, capsys):
    rule("w", query="sequence by host.id with maxspan=5m [process where true] [file where true]", maxspan=300)
    call_command("lint_rules")
    assert capsys.readouterr().out.splitlines()[-1] == "1 rules checked: 0 problems, 1 warnings."
    with pytest.raises(CommandError):
        call_command("lint_rules", "--strict")
    rule("p", query="process where", maxspan=None)
    with pytest.raises(CommandError, match="There is something to correct"):
        call_command("lint_rules", "p")
    assert "The query can't be read" in " ".join(capsys.readouterr().out.split())
