"""`manage.py import_rules`."""

import pytest
from django.core.management import CommandError, call_command

from detections.models import Rule
from tests.factories.rule_exports import closing_line, exception_list, lines, rule_values

pytestmark = pytest.mark.django_db


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "export.ndjson"
    path.write_text(lines(rule_values("a"), exception_list(), closing_line(1, 1)))
    return path


def test_a_preview_says_what_would_come_and_stores_nothing(export, capsys):
    call_command("import_rules", export, "--preview")
    assert capsys.readouterr().out.splitlines() == [
        "Not imported with the rules: 1 exception list.",
        "           exception list A list",
        "new        Rule a (a)",
        "1 new, 0 changed, 0 unchanged, 0 older than installed, 0 refused.",
        "Nothing was changed. Import with --yes.",
    ]
    assert Rule.objects.count() == 0


def test_yes_imports_and_a_second_time_there_is_nothing(export, capsys):
    call_command("import_rules", export, "--yes")
    assert capsys.readouterr().out.splitlines()[-1] == "Imported: 1 new (disabled), 0 changed."
    call_command("import_rules", export, "--yes")
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing to import."


def test_a_difference_is_printed(export, capsys):
    call_command("import_rules", export, "--yes")
    export.write_text(lines(rule_values("a", query="file where true"), closing_line(1)))
    capsys.readouterr()
    call_command("import_rules", export, "--preview")
    assert "    +file where true" in capsys.readouterr().out.splitlines()


def test_a_name_drives_no_terminal(export, capsys):
    export.write_text(lines(rule_values("a", name="x\x1b[31m\ny\u202ez"), closing_line(1)))
    call_command("import_rules", export, "--preview")
    assert "new        x\\x1b[31m\\ny\\u202ez (a)" in capsys.readouterr().out.splitlines()


def test_characters_that_no_database_keeps_are_refused_and_the_others_load(export, capsys):
    rules = [
        rule_values("a"),
        rule_values("b", note="x\0y"),
        rule_values("c", tags=["HALF"]),
        rule_values("d", query='process where process.name == "HALF"'),
    ]
    export.write_text(lines(*rules, closing_line(4)).replace("HALF", r"\ud800"))
    with pytest.raises(CommandError, match="Refused: 3, see above"):
        call_command("import_rules", export, "--yes")
    assert [rule.rule_id for rule in Rule.objects.all()] == ["a"]
    told = capsys.readouterr().err.splitlines()
    assert [line.partition("ndjson:")[2].partition(" Take")[0] for line in told] == [
        "2: note: holds a NUL or half of a surrogate pair.",
        "3: tags: holds a NUL or half of a surrogate pair.",
        "4: query: holds a NUL or half of a surrogate pair.",
    ]


def test_a_refusal_ends_with_a_failure(export, capsys):
    export.write_text(export.read_text()[:-40])
    with pytest.raises(CommandError, match="Refused: 1, see above"):
        call_command("import_rules", export, "--yes")
    assert "ends in the middle of a line" in capsys.readouterr().err
    assert Rule.objects.count() == 0
