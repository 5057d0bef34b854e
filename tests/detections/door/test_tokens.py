"""Tokens: who gets in, who makes them, what is kept of them."""

import base64

import pytest

from detections.actors import NotPermittedError
from detections.door.tokens import SenderError, create_token, revoke_token, sender_of
from detections.models import JournalEntry, SenderToken


def basic(who, key):
    return f"Basic {base64.b64encode(f'{who}:{key}'.encode()).decode()}"


def test_each_kind_of_header_lets_the_sender_in(token):
    headers = [
        f"ApiKey {token.encoded}",
        f"apikey {token.encoded}",
        f"Bearer {token.key}",
        f"Bearer {token.encoded}",
        basic("dc-01", token.key),
        basic(token.row.key_id, token.key),
    ]
    assert [sender_of(header).name for header in headers] == ["dc-01"] * 6


def test_nothing_else_lets_anybody_in(token):
    wrong_id = base64.b64encode(f"other:{token.key}".encode()).decode()
    headers = [
        "",
        "ApiKey",
        "ApiKey !!!",
        f"ApiKey {token.key}",
        f"ApiKey {wrong_id}",
        f"Bearer {token.row.key_id}",
        f"Bearer {token.row.token_sha256}",
        "Bearer ",
        basic("dc-02", token.key),
        basic("dc-01", ""),
        f"Digest {token.key}",
        "Bearer \u0000\udcff",
    ]
    assert [sender_of(header) for header in headers] == [None] * len(headers)


def test_only_the_hash_of_a_key_is_kept(token):
    row = SenderToken.objects.values().get()
    assert [name for name, value in row.items() if token.key in str(value)] == []
    entry = JournalEntry.objects.get(stream__name="senders")
    assert (entry.verb, entry.after, token.key in str(entry.data)) == ("token_created", "dc-01", False)


def test_a_revoked_token_lets_nobody_in_and_its_name_is_free(token, admin):
    assert revoke_token(token.row, actor=admin, reason="stolen")
    assert not revoke_token(token.row, actor=admin)
    assert sender_of(f"ApiKey {token.encoded}") is None
    entry = JournalEntry.objects.filter(stream__name="senders").last()
    assert (entry.verb, entry.actor, entry.reason) == ("token_revoked", admin.label, "stolen")
    assert create_token("dc-01", actor=admin).row.created_by == admin.user


def test_a_name_in_use_and_odd_names_and_patterns_are_refused(token, admin):
    with pytest.raises(SenderError, match="dc-01 has a token already"):
        create_token("dc-01", actor=admin)
    for name in ("", "a b", "../x", "é", "x" * 65, "-a"):
        with pytest.raises(SenderError, match="is no name for a sender"):
            create_token(name, actor=admin)
    with pytest.raises(SenderError, match="is no pattern of data streams"):
        create_token("b", actor=admin, data_streams=["Logs-*"])
    assert SenderToken.objects.count() == 1


def test_analysts_and_outsiders_neither_make_nor_revoke_nor_see_tokens(token, analyst, outsider):
    for actor in (analyst, outsider):
        with pytest.raises(NotPermittedError, match="may not make a sender's token"):
            create_token("x", actor=actor)
        with pytest.raises(NotPermittedError, match="may not revoke a sender's token"):
            revoke_token(token.row, actor=actor)
        assert SenderToken.objects.visible_to(actor).count() == 0


@pytest.mark.parametrize(
    ("patterns", "stream", "may"),
    [
        (["*"], "anything", True),
        (["logs-*", "winlogbeat-*"], "winlogbeat-8.19.0", True),
        (["logs-*"], "metrics-x", False),
        (["logs-*-default"], "logs-a-default", True),
        (["logs-*-default"], "logs-a-other", False),
        (["a.b"], "axb", False),
        ([], "logs-x", False),
    ],
)
def test_a_sender_writes_to_its_own_data_streams_alone(token, patterns, stream, may):
    token.row.data_streams = patterns
    token.row.save()
    assert sender_of(f"Bearer {token.key}").may_write(stream) is may
