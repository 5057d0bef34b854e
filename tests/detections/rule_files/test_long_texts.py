"""Long texts are read as tomllib reads them, faults included."""

import tarfile
import tomllib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detections.rule_files.long_texts import loads
from tests.shared import shared

PAD = "x" * 250
PIECES = [
    '"""',
    "'''",
    '"',
    "'",
    "\\",
    "\\\\",
    "\\n",
    '\\"',
    "\\u00e9",
    "\\q",
    "\n",
    "\r\n",
    "#",
    "=",
    "a",
    "[t]",
]
PIECES += [" ", "\t", "\x00", PAD, f'k = """\n{PAD}', f"\nz = '''{PAD}'''\n", f'"""{PAD}"""', "[[t]]\n", ","]


def read(reader, text):
    try:
        return reader(text)
    except tomllib.TOMLDecodeError as error:
        return str(error)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example(f'a = """{PAD}"""""')
@example(f'a = """{PAD}\\\n   b"""')
@example(f'"""{PAD}""" = 1')
@example(f'# it"s """ {PAD}\na = 1 # """\nb = """{PAD}"""\n')
@example(f"a = '''{PAD}' # '''\nb = \"\"\"{PAD}# no comment\"\"\" # '''\n")
@example(f'a = ["""{PAD}""", {{ b = """{PAD}\\t""" }}]')
def test_any_text_is_read_as_tomllib_reads_it(text):
    assert read(loads, text) == read(tomllib.loads, text)


@pytest.mark.slow
def test_public_rules_are_read_as_tomllib_reads_them():
    with tarfile.open(shared("rules/elastic-rules.tar.gz")) as archive:
        for member in archive:
            if member.name.endswith(".toml"):
                text = archive.extractfile(member).read().decode()
                assert loads(text) == tomllib.loads(text)
