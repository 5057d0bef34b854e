"""Rule files: what loads, and what a wrong one is told."""

from datetime import timedelta

import pytest

from detections.enums import RuleType, Severity
from detections.errors import RuleFileError
from detections.rule_files import load_rule_text

GOOD = '''[rule]
rule_id = "r-1"
name = "Shell from Word"
description = "Word starts a shell."
type = "eql"
language = "eql"
severity = "high"
risk_score = 73
from = "now-9m"
note = """## Triage
"""
query = """
process where process.name : "cmd.exe"
"""
[[rule.threat]]
framework = "MITRE ATT&CK"
[transform]
[[transform.investigate]]
label = "one"
[[transform.investigate]]
label = "two"
'''


def faults(text, **kwargs):
    with pytest.raises(RuleFileError) as caught:
        load_rule_text(text, "x.toml", **kwargs)
    return [str(fault) for fault in caught.value.faults]


def test_a_rule_file_becomes_typed_data():
    rule = load_rule_text(GOOD, "x.toml")
    assert (rule.type, rule.severity, rule.interval, rule.lookback) == (
        RuleType.EQL,
        Severity.HIGH,
        timedelta(minutes=5),
        timedelta(minutes=9),
    )
    assert rule.query.strip() == 'process where process.name : "cmd.exe"'
    assert [entry["label"] for entry in rule.transforms] == ["one", "two"]
    assert rule.threat == ({"framework": "MITRE ATT&CK"},)
    assert (rule.max_signals, rule.version, rule.building_block, rule.overlay) == (100, 1, False, "")


def test_every_fault_is_reported_at_once_with_line_and_remedy():
    text = GOOD.replace('"high"', '"hihg"').replace("= 73", "= 730").replace('"now-9m"', '"now"')
    text = text.replace('name = "Shell from Word"\n', "")
    assert faults(text) == [
        'x.toml:1: rule.name: is missing. Add name = "...".',
        "x.toml:6: rule.severity: 'hihg' is not known. Use one of: low, medium, high, critical.",
        "x.toml:7: rule.risk_score: must be a whole number from 0 to 100, not 730.",
        "x.toml:8: rule.from: 'now' is no time before now. Write how far to read back: \"now-9m\".",
    ]


def test_an_eql_fault_is_placed_in_the_file():
    (fault,) = faults(GOOD.replace('process.name : "cmd.exe"', "process.name : :"))
    assert fault.startswith("x.toml:13:30: query: line 1, column 30: ")
    assert "^" in fault


def test_broken_toml_is_placed_by_line_and_column():
    assert faults("[rule]\nname = \n") == [
        "x.toml:2:8: not TOML: Invalid value. Correct the syntax at this place."
    ]


def test_a_file_without_a_rule_table_says_what_it_needs():
    (fault,) = faults("[metadata]\nx = 1\n")
    assert "the table is missing" in fault


def test_a_behaviour_rule_of_the_endpoint_is_called_so_and_its_query_placed():
    text = (
        '[rule]\nid = "x"\nname = "n"\nos_list = ["windows"]\nversion = "1.0.1"\n'
        "query = '''\nprocess where\n  descendant of [process where true]\n'''\n"
    )
    assert [fault.splitlines()[0] for fault in faults(text)] == [
        "x.toml:4: rule.os_list: a behaviour rule of Elastic Endpoint, which runs it by itself, in a dialect "
        "of its own. To search with its query, give it type, language, rule_id, severity and risk_score.",
        "x.toml:8:14: query: line 2, column 14: expected the end of the query, but found 'of'",
    ]


def test_a_hunting_query_is_called_so():
    assert faults('[hunt]\nquery = ["from logs-*"]\n') == [
        "x.toml:1: rule: a hunting query, no rule: the table is missing. "
        "A rule file has [metadata], [rule] and [[rule.threat]]."
    ]


def test_a_nul_is_refused_in_rule_pivots_and_overlay():
    text = GOOD.replace("Word starts a shell.", "a\\u0000b").replace('label = "two"', 'label = "a\\u0000"')
    found = faults(text, overlay='title = "\\u0000"\n', overlay_path="o")
    assert [fault.split(" Take")[0] for fault in found] == [
        "o:1: title: holds a NUL or half of a surrogate pair.",
        "x.toml:4: rule.description: holds a NUL or half of a surrogate pair.",
        "x.toml:18: transform.investigate: holds a NUL or half of a surrogate pair.",
    ]


def test_an_unknown_type_is_one_fault():
    text = GOOD.replace('type = "eql"', 'type = "magic"').replace('language = "eql"', 'language = "vql"')
    [fault] = faults(text)
    assert "rule.type: 'magic' is not known." in fault


def test_faults_below_a_text_with_a_line_separator_have_their_lines():
    text = GOOD.replace("Word starts a shell.", "Word\u2028starts a shell.").replace('"high"', '"hihg"')
    [fault] = faults(text)
    assert fault.startswith("x.toml:7: rule.severity")


def test_broken_overlay_toml_is_a_fault_of_the_overlay():
    assert faults(GOOD, overlay="format =\n", overlay_path="x.guide.toml") == [
        "x.guide.toml:1:9: not TOML: Invalid value. Correct the syntax at this place."
    ]


def test_filters_that_would_be_lost_are_refused():
    text = GOOD.replace('from = "now-9m"', 'from = "now-9m"\nfilters = [{ meta = 1 }]')
    (fault,) = faults(text)
    assert fault.startswith("x.toml:10: rule.filters: are not supported")


def test_an_end_other_than_now_is_refused():
    (fault,) = faults(GOOD.replace('from = "now-9m"', 'from = "now-9m"\nto = "now-2m"'))
    assert fault.startswith("x.toml:10: rule.to: 'now-2m' is not supported.")


def test_the_overlay_names_what_the_rule_replaces_and_changes_the_hash():
    plain = load_rule_text(GOOD, "x.toml")
    rule = load_rule_text(GOOD, "x.toml", overlay='applies_to = ["other"]', overlay_path="x.guide.toml")
    assert rule.replaces == ("other",)
    assert rule.sha256 != plain.sha256


@pytest.mark.parametrize("value", ["5", "m5", "-5m", "now-5m", ""])
def test_an_interval_that_is_none_is_refused(value):
    (fault,) = faults(GOOD.replace('severity = "high"', f'severity = "high"\ninterval = "{value}"'))
    assert fault.startswith(f"x.toml:8: rule.interval: {value!r} is not a span of time.")
