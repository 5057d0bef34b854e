"""What an import shows, stores and refuses."""

import tarfile
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from detections import invariants, rule_import, run, schedules
from detections.actors import NotPermittedError
from detections.enums import RunTrigger
from detections.models import CoveredWindow, JournalEntry, Rule, RuleVersion
from detections.rule_import import StalePreviewError
from detections.rule_lint import lint
from detections.rule_loading import SHIPPED, load_rules
from tests.factories.events import mapped, mshta_start
from tests.factories.rule_exports import (
    closing_line,
    connector,
    exception_item,
    exception_list,
    lines,
    rule_values,
    toml_rule,
)
from tests.shared import shared

pytestmark = pytest.mark.django_db


@pytest.fixture
def write(tmp_path):
    def write(text, name="export.ndjson"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def look(product, tmp_path):
    return lambda *paths: rule_import.preview(paths, actor=product, base=tmp_path)


@pytest.fixture
def load(look, product):
    return lambda *paths: rule_import.apply(look(*paths), actor=product)


def refusals(preview):
    return [str(fault) for fault in preview.refused]


def test_a_preview_changes_nothing(look, write):
    found = look(write(lines(rule_values("a"), rule_values("b"), closing_line(2))))
    assert [entry.file.rule_id for entry in found.new] == ["a", "b"]
    assert Rule.objects.count() == 0


def test_imported_rules_arrive_disabled_with_a_schedule_and_a_journal_entry(load, write, store):
    done = load(write(lines(rule_values("a"), closing_line(1))))
    (rule,) = done.new
    assert (rule.enabled, rule.is_shipped, rule.current.upstream_version) == (False, False, 3)
    assert schedules.entries()["rule a"].enabled is False
    assert JournalEntry.objects.get(verb="rules_imported").after == "1 new, 0 changed"


def test_the_same_export_again_is_unchanged_and_stores_nothing(load, look, write):
    path = write(lines(rule_values("a"), closing_line(1)))
    load(path)
    assert ([entry.file.rule_id for entry in look(path).unchanged], load(path).new) == (["a"], [])
    assert RuleVersion.objects.count() == 1


def test_kibana_s_own_bookkeeping_is_no_change(load, look, write):
    load(write(lines(rule_values("a"), closing_line(1))))
    later = rule_values("a", updated_at="2026-09-09T00:00:00Z", revision=9, enabled=False)
    assert len(look(write(lines(later, closing_line(1)))).unchanged) == 1


def test_a_change_is_shown_part_by_part(load, look, write):
    load(write(toml_rule("a"), "a.toml"))
    (entry,) = look(
        write(
            toml_rule(
                "a",
                query='process where process.name == "y.exe"',
                start="now-15m",
                note="Another.",
                updated="2026/02/01",
            ),
            "a.toml",
        )
    ).changed
    shown = {change.part: [str(line) for line in change.lines] for change in entry.changes}
    assert shown == {
        "Query": ['-process where process.name == "x.exe"', '+process where process.name == "y.exe"'],
        "Schedule": [" Every: 5 m", "-Look-back: 9 m", "+Look-back: 15 m", " Cases a run: at most 100"],
        "Guide": ["-A note.", "+Another."],
    }
    assert entry.says == (
        "The schedule set here stays as it is. Change it in the rule's form if you want the new one.",
    )


def test_a_changed_mapping_and_an_unread_setting_are_changes_too(load, look, write):
    load(write(lines(rule_values("a"), closing_line(1))))
    later = rule_values("a", threat=[], alert_suppression={"group_by": ["host.id"]}, version=4)
    (entry,) = look(write(lines(later, closing_line(1)))).changed
    assert [change.part for change in entry.changes] == ["Description", "Mapping", "Other settings"]


def test_local_settings_and_earlier_versions_survive_a_change(load, write, store, product):
    load(write(lines(rule_values("a"), closing_line(1))))
    rule = schedules.set_enabled(Rule.objects.get(), True, actor=product)
    schedules.change_schedule(rule, actor=product, interval_seconds=60, max_cases=7)
    load(write(lines(rule_values("a", query="file where true", version=4, interval="8m"), closing_line(1))))
    rule.refresh_from_db()
    assert (rule.enabled, rule.interval_seconds, rule.max_cases) == (True, 60, 7)
    assert [version.query[:4] for version in rule.versions.order_by("number")] == ["proc", "file"]


def test_the_overlay_of_an_installed_rule_survives(load, look, write, product):
    load_rules([SHIPPED], actor=product)
    rule = Rule.objects.get(rule_id__isnull=False)
    source = rule.current.source.replace('severity = "high"', 'severity = "low"')
    load(write(source, "a.toml"))
    rule.refresh_from_db()
    assert (rule.severity, rule.current.number) == ("low", 2)
    assert rule.current.overlay == rule.versions.get(number=1).overlay != ""
    assert rule.replaces != []


def test_the_twin_of_an_installed_rule_is_told(look, write, product):
    load_rules([SHIPPED], actor=product)
    rule = Rule.objects.get()
    (entry,) = look(write(lines(rule_values(rule.replaces[0]), closing_line(1)))).new
    assert entry.says == (
        f"{rule.name} is installed and does the same work. Enabling both makes each match count twice.",
    )


WIDENED = (
    "The file reads back 0:01:00 every 0:05:00: where a run looks back from now, what lies between two runs "
    "goes unsearched. Here a run begins where the last one ended, so that nothing does, and the look-back is "
    "as long as the interval."
)


def test_a_look_back_shorter_than_the_interval_is_widened_and_said(load, look, write, store, product):
    export = write(lines(rule_values("a", **{"from": "now-1m"}), rule_values("b"), closing_line(2)))
    assert [entry.says for entry in look(export).new] == [(WIDENED,), ()]
    done = load(export)
    assert done.warnings == [f"Rule a: {WIDENED}"]
    assert [(rule.interval_seconds, rule.lookback_seconds) for rule in done.new] == [(300, 300), (300, 540)]
    found = lint(Rule.objects.select_related("current"), actor=product).findings
    assert [(one.rule.rule_id, one.level.value, one.says) for one in found] == [("a", "note", WIDENED)]
    schedules.change_schedule(done.new[0], actor=product, lookback_seconds=600)
    assert lint(Rule.objects.select_related("current"), actor=product).findings == ()
    with pytest.raises(schedules.ScheduleError, match="shorter than the interval of 300 s"):
        schedules.change_schedule(done.new[0], actor=product, lookback_seconds=60)


def test_a_rule_that_was_widened_searches_all_that_lies_between_its_runs(load, write, store, product):
    query = 'process where process.name == "mshta.exe"'
    export = write(lines(rule_values("a", query=query, **{"from": "now-1m"}), closing_line(1)))
    rule = schedules.set_enabled(load(export).new[0], True, actor=product)
    began = timezone.now()
    for minutes in range(5, 26, 5):
        # A minute after the run before, four before this one: a look-back from now would not see it.
        at = began + timedelta(minutes=minutes - 4)
        with time_machine.travel(at, tick=False):
            store.append(mapped(mshta_start(at)), batch=f"test:{minutes}")
        now = began + timedelta(minutes=minutes)
        with time_machine.travel(now, tick=False):
            (made,) = run.run_rules([rule], actor=product, trigger=RunTrigger.SCHEDULE, now=now)
        assert (made.status, made.alerts_new) == ("succeeded", 1)
    rule.refresh_from_db()
    assert [(one.start, one.end) for one in CoveredWindow.objects.filter(rule=rule)] == [
        (None, rule.covered_until)
    ]
    assert list(invariants.broken()) == []


def test_a_type_that_does_not_run_here_loads_and_says_so(load, look, write):
    path = write(
        lines(
            rule_values("t", type="threshold", language="kuery", query="a : b", threshold={"value": 3}),
            rule_values("m", type="machine_learning", query=None, machine_learning_job_id="j"),
            closing_line(2),
        )
    )
    found = look(path)
    assert found.not_runnable == {"threshold": 1, "machine_learning": 1}
    assert found.new[0].says[0].startswith("Rules of type threshold do not run here yet.")
    assert [rule.type for rule in load(path).new] == ["threshold", "machine_learning"]


def test_what_is_no_rule_is_counted_and_left_for_later(look, write):
    found = look(
        write(
            lines(rule_values("a"), exception_list(), exception_item(), connector(), closing_line(1, 1, 1, 1))
        )
    )
    assert (len(found.new), found.refused) == (1, ())
    assert found.left == {"exception list": 1, "exception item": 1, "action connector": 1}


def test_an_older_export_counts_rules_alone(look, write):
    old = {"exported_count": 1, "missing_rules": [{"rule_id": "gone"}], "missing_rules_count": 1}
    found = look(write(lines(rule_values("a"), exception_list(), old)))
    assert (len(found.new), refusals(found)) == (1, [])
    assert found.notes == ("export.ndjson: Kibana says that 1 rules could not be exported.",)


def test_an_export_cut_in_the_middle_of_a_line_gives_nothing(look, load, write):
    text = lines(*(rule_values(str(number)) for number in range(6)), closing_line(6))
    path = write(text[: len(text) // 2])
    found = look(path)
    assert (found.entries, len(found.refused)) == ((), 1)
    assert "the file ends in the middle of a line" in refusals(found)[0]
    load(path)
    assert Rule.objects.count() == 0


def test_an_export_that_lost_lines_gives_nothing(look, write):
    found = look(write(lines(rule_values("a"), closing_line(5))))
    assert found.entries == ()
    assert refusals(found) == [
        "export.ndjson:2: the closing line counts 5 of sort rule, the file has 1: "
        "nothing of it is imported. Export the rules again."
    ]


def test_an_export_without_its_closing_line_says_that_nothing_proves_it_whole(look, write):
    found = look(write(lines(rule_values("a"), rule_values("b"))))
    assert found.notes == (
        "export.ndjson: no closing line counts its rules, so it can't be told whether the file is whole. "
        "It has 2.",
    )


def test_a_bad_line_is_refused_with_its_reason_and_the_others_load(look, write):
    found = look(
        write(
            lines(
                rule_values("a"),
                rule_values("b", query="process where :"),
                rule_values("c", risk_score=900),
                closing_line(3),
            )
        )
    )
    assert [entry.file.rule_id for entry in found.new] == ["a"]
    assert [fault.split(": ")[:2] for fault in refusals(found)] == [
        ["export.ndjson:2", "query"],
        ["export.ndjson:3", "risk_score"],
    ]


def test_two_rules_with_one_id_are_both_refused(look, write):
    found = look(
        write(lines(rule_values("a"), rule_values("b"), closing_line(2))),
        write(toml_rule("a", query="file where true"), "a.toml"),
    )
    assert [entry.file.rule_id for entry in found.new] == ["b"]
    assert [fault.split(": ")[0] for fault in refusals(found)] == ["export.ndjson:1", "a.toml"]
    assert "more than once, with different content (a.toml): none is imported" in refusals(found)[0]


def test_the_same_rule_twice_is_left_out_once(look, write):
    found = look(write(lines(rule_values("a"), rule_values("a", revision=5), closing_line(2))))
    assert (len(found.new), [str(fault) for fault in found.repeated]) == (
        1,
        ["export.ndjson:2: the same rule as in export.ndjson:1, left out."],
    )


def test_a_rule_older_than_the_installed_one_is_refused(load, look, write):
    load(write(lines(rule_values("a", version=7), closing_line(1))))
    path = write(lines(rule_values("a", version=6, query="file where true"), closing_line(1)))
    (entry,) = look(path).older
    assert entry.says == ("its version is 6, installed is 7.",)
    load(path)
    assert RuleVersion.objects.count() == 1


def test_a_file_changed_earlier_than_the_installed_one_is_refused(load, look, write):
    load(write(toml_rule("a", updated="2026/05/01"), "a.toml"))
    (entry,) = look(write(toml_rule("a", updated="2026/04/01", name="Old"), "a.toml")).older
    assert entry.says == ("it was last changed on 2026/04/01, the installed one on 2026/05/01.",)


def test_a_torn_archive_and_a_stranger_are_refused(look, tmp_path, write):
    (tmp_path / "half.tar.gz").write_bytes(b"\x1f\x8b\x08\x00half")
    found = look(tmp_path / "half.tar.gz", write("x", "rules.zip"), tmp_path / "absent.toml")
    assert [fault.split(":")[0] for fault in refusals(found)] == ["half.tar.gz", "rules.zip", "absent.toml"]


def test_an_archive_that_unpacks_to_too_much_is_refused(look, tmp_path, monkeypatch):
    (tmp_path / "a.toml").write_text(toml_rule("a"))
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a.toml", "a.toml")
    assert len(look(tmp_path / "all.tar.gz").new) == 1
    monkeypatch.setattr("detections.rule_files.loading.LARGEST_EXPORT", 100)
    assert refusals(look(tmp_path / "all.tar.gz")) == [
        "all.tar.gz: can't be read: its rule files have more than 100 bytes together. "
        "Nothing of it is imported. Check the path and the file."
    ]


def test_a_rule_that_changed_since_the_preview_stops_the_import(load, look, write, product):
    load(write(lines(rule_values("a"), closing_line(1))))
    stale = look(write(lines(rule_values("a", query="file where true"), rule_values("b"), closing_line(2))))
    load(write(lines(rule_values("a", query="dns where true"), closing_line(1))))
    with pytest.raises(StalePreviewError, match="nothing was imported"):
        rule_import.apply(stale, actor=product)
    assert list(Rule.objects.values_list("rule_id", flat=True)) == ["a"]


def test_nothing_is_stored_if_the_last_rule_fails(load, look, write, product, monkeypatch):
    found = look(write(lines(rule_values("a"), rule_values("b"), closing_line(2))))
    real = rule_import.applying.store_rule

    def failing(file, summary, *, actor):
        if file.rule_id == "b":
            raise OSError("disk")
        real(file, summary, actor=actor)

    monkeypatch.setattr("detections.rule_import.applying.store_rule", failing)
    with pytest.raises(OSError, match="disk"):
        rule_import.apply(found, actor=product)
    assert (Rule.objects.count(), RuleVersion.objects.count()) == (0, 0)


def test_leads_and_admins_import_and_analysts_do_not(write, analyst, lead, admin):
    path = write(lines(rule_values("a"), closing_line(1)))
    for actor in (lead, admin):
        assert len(rule_import.preview([path], actor=actor).new) == 1
    with pytest.raises(NotPermittedError):
        rule_import.preview([path], actor=analyst)


@pytest.mark.slow
def test_the_public_rules_load_whole(look, product):
    archive = shared("rules/elastic-rules.tar.gz")
    found = look(archive)
    assert (len(found.new), refusals(found)) == (1287, [])
    assert len(rule_import.apply(found, actor=product).new) == 1287
    assert (len(look(archive).unchanged), Rule.objects.filter(enabled=True).count()) == (1287, 0)


def test_exceptions_of_an_export_are_listed_for_their_own_import(store, admin, tmp_path):
    item = exception_item() | {
        "expire_time": "2027-01-01T00:00:00.000Z",
        "entries": [
            {"field": "process.name", "operator": "included", "type": "match", "value": "a.exe"},
            {"field": "user.id", "operator": "excluded", "type": "match_any", "value": ["S-1", "S-2"]},
            {
                "field": "dll",
                "type": "nested",
                "entries": [{"field": "name", "operator": "included", "type": "wildcard", "value": "x*"}],
            },
        ],
    }
    path = tmp_path / "export.ndjson"
    path.write_text(lines(rule_values("a"), exception_list(), item, closing_line(1, 1, 1)))
    found = rule_import.preview([path], actor=admin)
    assert [(one.is_item, one.list_id, one.name, one.entries) for one in found.exceptions] == [
        (False, "l1", "A list", ""),
        (
            True,
            "l1",
            "An item",
            "process.name match a.exe and user.id not match any S-1, S-2 and dll with (name wildcard x*)",
        ),
    ]
    assert len(found.wanted) == 1


def test_a_saved_query_loads_with_its_guide_and_does_not_run(store, admin, tmp_path):
    path = tmp_path / "export.ndjson"
    saved = rule_values("s", type="saved_query", language="kuery", saved_id="x", note="# Look")
    del saved["query"]
    path.write_text(lines(saved, closing_line(1)))
    found = rule_import.preview([path], actor=admin)
    assert (found.refused, dict(found.not_runnable)) == ((), {"saved_query": 1})
    (rule,) = rule_import.apply(found, actor=admin).new
    assert (rule.type, rule.is_runnable, rule.current.note) == ("saved_query", False, "# Look")
