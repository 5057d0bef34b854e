"""Rule files into the database."""

import pytest
from django.core.management import CommandError, call_command

from detections import rule_loading, schedules
from detections.actors import NotPermittedError, system
from detections.models import JournalEntry, Rule, RuleVersion
from detections.rule_loading import load_rules
from detections.signals import rule_version_stored

ACTOR = system("test")
RULE = """
[rule]
rule_id = "{rule_id}"
name = "{name}"
description = "A rule."
type = "eql"
language = "eql"
query = 'process where process.name == "x.exe"'
severity = "low"
risk_score = 21
from = "now-9m"
interval = "5m"
"""


@pytest.fixture
def write(tmp_path):
    def write(name="a", text=RULE, **values):
        path = tmp_path / f"{name}.toml"
        path.write_text(text.format(rule_id=name, name=values.get("title", f"Rule {name}")))
        return path

    return write


def load(*paths, **options):
    return load_rules(paths, actor=ACTOR, **options)


def test_a_rule_arrives_disabled_with_a_version_and_a_schedule(store, write):
    (rule,) = load(write()).new
    assert (rule.enabled, rule.current.number, rule.interval_seconds, rule.lookback_seconds) == (
        False,
        1,
        300,
        540,
    )
    assert schedules.entries()["rule a"].enabled is False


def test_the_same_text_again_stores_nothing(store, write):
    path = write()
    load(path)
    assert [rule.rule_id for rule in load(path).unchanged] == ["a"]
    assert RuleVersion.objects.count() == 1


def test_another_text_is_another_version_and_local_settings_survive(store, write):
    (rule,) = load(write(), enable=True).new
    schedules.change_schedule(rule, actor=ACTOR, interval_seconds=60, max_cases=7)
    (again,) = load(write(title="Renamed")).updated
    again.refresh_from_db()
    assert (again.name, again.current.number) == ("Renamed", 2)
    assert (again.interval_seconds, again.max_cases, again.enabled) == (60, 7, True)


def test_a_file_without_its_overlay_does_not_drop_the_one_installed(store, tmp_path):
    """Without it the guide would demand less of whoever closes a case."""
    shipped = next(path for path in rule_loading.SHIPPED.glob("*.toml") if ".guide." not in path.name)
    load(rule_loading.SHIPPED)
    before = RuleVersion.objects.get()
    alone = tmp_path / "alone.toml"
    alone.write_text(shipped.read_text().replace("risk_score = 73", "risk_score = 74"))
    summary = load(alone)
    after = RuleVersion.objects.latest("number")
    assert (after.number, after.overlay) == (2, before.overlay)
    assert summary.warnings == [
        f"{alone}: no guide overlay lies beside this file; the one installed for {after.rule.name} stays."
    ]


def test_each_stored_version_is_told_once(store, write):
    told = []

    def receive(*, rule_version, **_):
        told.append(rule_version.number)

    rule_version_stored.connect(receive)
    for _ in range(2):
        load(write())
    load(write(title="Renamed"))
    rule_version_stored.disconnect(receive)
    assert told == [1, 2]


def test_a_bad_file_is_listed_and_the_others_load(store, write, tmp_path):
    (tmp_path / "bad.toml").write_text("[rule]\nname = 1\n")
    write("good")
    summary = load(tmp_path)
    assert [rule.rule_id for rule in summary.new] == ["good"]
    (error,) = summary.errors
    assert "bad.toml:2" in str(error)


def test_new_shipped_rules_are_enabled_once_and_then_left_to_the_admin(store, write):
    path = write()
    (rule,) = load(path, shipped=True, enable_new=True).enabled
    schedules.set_enabled(rule, False, actor=ACTOR)
    assert load(path, shipped=True, enable_new=True).enabled == []
    assert Rule.objects.get().enabled is False


def test_two_enabled_rules_that_do_the_same_work_are_a_warning(store, write):
    load(write("a"), enable=True)
    Rule.objects.update(replaces=["b"])
    assert load(write("b"), enable=True).warnings == [
        "Rule b and Rule a (a) do the same work and are both enabled: what they find counts twice. "
        "Disable one of them."
    ]


def test_an_analyst_may_not_load_rules(store, write, analyst):
    with pytest.raises(NotPermittedError):
        load_rules([write()], actor=analyst)


def test_storing_a_version_is_journaled(store, write):
    load(write())
    entry = JournalEntry.objects.get(verb="rule_version_stored")
    assert (entry.after, entry.actor) == ("version 1", "System (test)")


def test_the_shipped_rules_load_enabled_without_a_fault(store, capsys):
    call_command("load_rules")
    assert Rule.objects.filter(is_shipped=True, enabled=True).count() == len(
        [p for p in rule_loading.SHIPPED.glob("*.toml") if not p.name.endswith(".guide.toml")]
    )
    rule = Rule.objects.get(name__icontains="mshta")
    assert (rule.interval_seconds, rule.lookback_seconds, rule.max_cases) == (300, 540, 100)
    assert (rule.current.maxspan_seconds, rule.severity, rule.risk_score) == (60, "high", 73)
    assert schedules.tolerance_of(rule).total_seconds() == 180


def test_the_command_says_every_error_and_fails(store, write, tmp_path, capsys):
    (tmp_path / "one.toml").write_text("nonsense")
    (tmp_path / "two.toml").write_text("[rule]\n")
    write("good")
    with pytest.raises(CommandError, match=r"2 files or rules did not load"):
        call_command("load_rules", tmp_path)
    said = capsys.readouterr()
    assert ("one.toml" in said.err, "two.toml" in said.err) == (True, True)
    assert said.out == "1 new, 0 updated, 0 unchanged, 0 enabled.\n"
