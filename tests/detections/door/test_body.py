"""Whatever bytes come, a request is a list of actions or refused with words."""

import gzip
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from detections.door.body import BodyError, actions, is_index_name, unpacked

lines = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [b'{"create":{}}', b'{"index":{"_index":"a","_id":1}}', b'{"delete":{"_id":null}}', b"{}", b""]
    ),
)


@given(st.lists(lines, max_size=8), st.booleans(), st.sampled_from(["", "gzip", "zstd"]))
def test_any_bytes_are_actions_or_refused(parts, ended, encoding):
    sent = b"\n".join(parts) + (b"\n" if ended else b"")
    try:
        body = unpacked(io.BytesIO(sent), encoding, limit=1000)
        found = [action.operation for action in actions(body, "logs-a", limit=5)]
    except BodyError as error:
        found = [str(error.status)]
    assert set(found) <= {"create", "index", "delete"} or found in (["400"], ["413"], ["415"])


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), min_size=1, max_size=9), st.booleans()
)
def test_each_action_finds_its_own_document(documents, packed):
    sent = b"".join(b'{"create":{"_index":"a"}}\n' + json.dumps(one).encode() + b"\n" for one in documents)
    body = unpacked(
        io.BytesIO(gzip.compress(sent) if packed else sent), "gzip" if packed else "", limit=10**6
    )
    found = actions(body, "", limit=10)
    assert [json.loads(body.line(action)) for action in found] == documents
    assert [action.line for action in found] == [2 * n + 2 for n in range(len(documents))]


def test_packings_in_several_members_are_read_to_their_end():
    packed = gzip.compress(b'{"create":{"_index":"a"}}\n') + gzip.compress(b"{}\n")
    assert len(actions(unpacked(io.BytesIO(packed), "gzip", limit=100), "", limit=9)) == 1


def test_names_of_indices_are_what_elasticsearch_takes():
    good = ["logs-a.b-default", ".ds-logs", "winlogbeat-8.19.0", "é", "0"]
    bad = [
        "",
        ".",
        "..",
        "-a",
        "_a",
        "+a",
        "A",
        "a b",
        "a*",
        "a/b",
        "a,b",
        "a#b",
        "a:b",
        "a\\b",
        'a"',
        "x" * 256,
    ]
    assert [is_index_name(name) for name in good + bad] == [True] * len(good) + [False] * len(bad)
