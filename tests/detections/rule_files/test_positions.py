"""Lines of keys in TOML."""

from detections.errors import Location
from detections.rule_files.positions import TomlPositions

TEXT = """a = 1 # [x]
[rule]
query = '''
first = 1
[second]
'''
list = [
  "x = 1", # y = 2
  { b = 3 },
]
"quoted.key" = "]"
[[rule.threat]]
id = 1
[rule.threat.tactic]
id = 2
[[rule.threat]]
id = 3
inline = "text"
"""


def line(*keys):
    return TomlPositions(TEXT, "f").location(*keys).line


def test_keys_have_their_lines():
    assert [line("a"), line("rule", "query"), line("rule", "list"), line("rule", "threat", 0, "id")] == [
        1,
        3,
        7,
        13,
    ]
    assert [line("rule", "threat", 0, "tactic", "id"), line("rule", "threat", 1, "id")] == [15, 17]


def test_text_that_looks_like_keys_is_none():
    positions = TomlPositions(TEXT, "f")
    assert positions.location("rule", "first").line == 2
    assert positions.location("second").line == 1


def test_a_place_inside_a_text_is_mapped_to_the_file():
    positions = TomlPositions(TEXT, "f")
    assert positions.inside("rule", "query", line=2, column=3) == Location("f", 5, 3)
    assert positions.inside("rule", "threat", 1, "inline", line=1, column=2) == Location("f", 18, 12)
