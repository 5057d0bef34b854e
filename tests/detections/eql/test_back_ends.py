"""SQL and Python mean the same, for any condition over any documents."""

from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from detections.eql import sql_functions
from detections.eql.evaluate import compile_condition
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.fragments import Fragment
from detections.eql.parser import parse_condition
from detections.eql.values import address_key, version_key
from detections.eql.verify import verify_condition
from tests.detections.eql.tables import Table

MOST = 60
NAMES = {
    "text": FieldType.KEYWORD,
    "name": FieldType.KEYWORD,
    "pid": FieldType.LONG,
    "size": FieldType.LONG,
    "ratio": FieldType.DOUBLE,
    "flag": FieldType.BOOLEAN,
    "ip": FieldType.IP,
    "when": FieldType.DATE,
    "version": FieldType.VERSION,
}
WORDS = [
    "",
    "a",
    "A",
    "cmd.exe",
    "CMD.EXE",
    "c*d",
    "K",
    "\u212a",
    "é",
    "É",
    "ß",
    "İ",
    "a\\b\nc",
    "100%",
    "a_b",
    "!x",
    "aXbXc",
]
NUMBERS = [-10, -7, -1, 0, 1, 2, 3, 7, 82, 2**40, 2**63 - 1, -(2**63)]
REALS = [-2.5, 0.0, 0.5, 1.0, 2.0, 41.0]
ADDRESSES = [
    "10.0.0.1",
    "10.255.0.9",
    "192.168.1.1",
    "::1",
    "0:0:0:0:0:0:0:1",
    "fe80::1",
    "2001:db8::ff",
    "::ffff:10.0.0.1",
]
MOMENTS = ["2026-01-31T10:00:00Z", "2026-01-31T10:00:00.123456Z", "2026-02-01", 1769853600000]
VERSIONS = ["1.2.4", "1.11.3", "1.5.0", "1.5.0-rc.1", "1.5.0-2", "bad"]
POOLS: dict[FieldType, list[Any]] = {
    FieldType.KEYWORD: WORDS,
    FieldType.LONG: NUMBERS,
    FieldType.DOUBLE: REALS,
    FieldType.BOOLEAN: [True, False],
    FieldType.IP: ADDRESSES,
    FieldType.DATE: MOMENTS,
    FieldType.VERSION: VERSIONS,
}


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def written(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else str(value).lower()


def named(*types: FieldType) -> st.SearchStrategy[str]:
    return st.sampled_from([name for name, type_ in NAMES.items() if type_ in types])


texts = st.sampled_from(WORDS).map(quoted)
wildcards = st.lists(
    st.sampled_from([*WORDS, "*", "?", "*a*", "?md*", "*.EXE", "É*"]), min_size=1, max_size=3
).map("".join)
patterns = st.lists(wildcards.map(quoted), min_size=1, max_size=3).map(", ".join)
regexes = st.sampled_from(
    ["cmd.*", "[a-c]+", ".*[.]exe", "c.d?", "(a|K|é)*", "a{1,3}", "[^a]*", r"\w+", r".*\s.*"]
).map(quoted)
orders = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
whole = st.sampled_from([-3, -1, 0, 1, 2, 5]).map(str)
text_values = st.recursive(
    st.one_of(
        named(FieldType.KEYWORD),
        named(FieldType.LONG, FieldType.BOOLEAN, FieldType.DATE, FieldType.KEYWORD).map("string({})".format),
    ),
    lambda inner: st.one_of(
        st.builds("substring({}, {})".format, inner, whole),
        st.builds("substring({}, {}, {})".format, inner, whole, st.one_of(whole, named(FieldType.LONG))),
        st.builds("concat({}, {})".format, inner, st.one_of(texts, named(FieldType.LONG, FieldType.BOOLEAN))),
        st.builds(
            "between{}({}, {}, {}, {})".format,
            st.sampled_from(["", "~"]),
            inner,
            texts,
            st.one_of(texts, named(FieldType.KEYWORD)),
            st.sampled_from(["true", "false"]),
        ),
    ),
    max_leaves=2,
)
number_values = st.recursive(
    st.one_of(
        named(FieldType.LONG, FieldType.DOUBLE),
        st.builds("length({})".format, text_values),
        st.builds("indexOf{}({}, {})".format, st.sampled_from(["", "~"]), text_values, texts),
        st.builds("indexOf({}, {}, {})".format, text_values, texts, whole),
        st.builds("number({})".format, text_values),
    ),
    lambda inner: st.one_of(
        st.builds(
            "({} {} {})".format,
            inner,
            st.sampled_from("+-*/%"),
            st.one_of(whole, inner, st.just("2.0")),
        ),
        st.builds("-{}".format, inner),
    ),
    max_leaves=2,
)
tests = st.sampled_from(
    ["startsWith", "endsWith", "stringContains", "startsWith~", "endsWith~", "stringContains~"]
)
blocks = st.sampled_from(["10.0.0.0/8", "10.6.48.157/16", "::/0", "0.0.0.0/0", "2001:db8::/32", "::1"]).map(
    quoted
)


def plain(type_: FieldType) -> st.SearchStrategy[str]:
    return st.builds("{} {} {}".format, named(type_), orders, st.sampled_from(POOLS[type_]).map(written))


leaves = st.one_of(
    *(plain(type_) for type_ in POOLS if type_ is not FieldType.BOOLEAN),
    named(FieldType.BOOLEAN),
    st.builds("{} {} null".format, st.sampled_from([*NAMES, "absent"]), st.sampled_from(["==", "!="])),
    st.builds(
        "{} {} ({})".format,
        named(FieldType.KEYWORD),
        st.sampled_from(["in", "in~", "not in"]),
        st.lists(texts, min_size=1, max_size=3).map(", ".join),
    ),
    st.builds(
        "{} in ({})".format,
        named(FieldType.LONG),
        st.lists(st.sampled_from(NUMBERS).map(str), min_size=1).map(", ".join),
    ),
    st.builds(
        "{} in ({})".format,
        named(FieldType.IP),
        st.lists(st.one_of(blocks, st.sampled_from(ADDRESSES).map(quoted)), min_size=1).map(", ".join),
    ),
    st.builds("{} {} ({})".format, text_values, st.sampled_from([":", "like", "like~"]), patterns),
    st.builds("{} {} {}".format, text_values, st.sampled_from(["regex", "regex~"]), regexes),
    st.builds("{} {} {}".format, text_values, orders, texts),
    st.builds("{} {} {}".format, number_values, orders, st.sampled_from([-1, 0, 1, 2.5, 41]).map(str)),
    st.builds("{} {} null".format, st.one_of(number_values, text_values), st.sampled_from(["==", "!="])),
    st.builds("{}({}, {})".format, tests, text_values, st.one_of(texts, text_values)),
    st.builds("cidrMatch({}, {})".format, named(FieldType.IP), blocks),
    st.builds("null == ({} > 1)".format, number_values),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({}) or ({})".format, inner, inner),
    ),
    max_leaves=4,
)


def value(name: str) -> st.SearchStrategy[Any]:
    scalar = st.sampled_from(POOLS[NAMES[name]])
    return st.one_of(scalar, st.lists(st.one_of(scalar, st.none()), max_size=3), st.none())


documents = st.lists(
    st.lists(st.sampled_from(list(NAMES)), unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: value(name) for name in names})
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=MOST, deadline=None, suppress_health_check=list(HealthCheck))
@given(conditions, documents)
@example('substring(concat(text, "a"), -3, size) : ("a")', [{"text": "", "size": []}])
@example("size > 9007199254740992.0", [{"size": 9007199254740993}, {"size": 9007199254740992}])
@example("size < 9223372036854775808", [{"size": 2**63 - 1}])
@example('text regex~ "\\u{212A}|k"', [{"text": "K"}, {"text": "k"}, {"text": "\u212a"}])
@example('text regex~ "a[\\u{100}-\\u{300}]|as"', [{"text": "AS"}, {"text": "as"}, {"text": "a\u017f"}])
def test_sql_and_python_agree(text: str, found: list[dict[str, Any]]) -> None:
    several = {name for document in found for name, held in document.items() if isinstance(held, list)}
    catalogue = FieldCatalogue(Field(name, type_, name in several) for name, type_ in NAMES.items())
    catalogue = catalogue.merged([Field("absent", FieldType.KEYWORD)])
    condition = verify_condition(parse_condition(text), catalogue)
    test = compile_condition(condition, catalogue)
    expected = [number for number, document in enumerate(found) if test(document)]
    with Table(found, catalogue) as table:
        del table.columns["absent"]
        assert table.rows(condition) == expected
        assert table.rows(condition, nullable=True) == expected
        assert table.nulls(condition) == 0


@pytest.mark.parametrize(
    "text", [*ADDRESSES, "::", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4", "FE80::A", "64:ff9b::1.2.3.4"]
)
def test_addresses_have_the_same_key_in_sql(text: str) -> None:
    assert sql_value("address_key", text) == address_key(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1.2.3",
        "1.2.3.256",
        "01.2.3.4",
        ":::",
        "1:2",
        "1::2::3",
        "g::",
        "12345::",
        "1:2:3:4:5:6:7:8:9",
    ],
)
def test_what_is_no_address_has_no_key(text: str) -> None:
    assert sql_value("address_key", text) is None


@pytest.mark.parametrize("text", [*VERSIONS, "1", "1.2.3.4", "1.0.0-alpha+build", "1.0.0-x.7.z", ""])
def test_versions_have_the_same_key_in_sql(text: str) -> None:
    assert sql_value("version_key", text) == version_key(text)


def sql_value(function: str, text: str) -> Any:
    key = getattr(sql_functions, function)(Fragment("entry"))
    with duckdb.connect(config={"threads": 1}) as connection:
        sql = f"SELECT {key.sql} FROM (SELECT ?::VARCHAR AS entry)"
        return connection.execute(sql, [text]).fetchone()[0]
