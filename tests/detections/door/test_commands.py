"""The command and the admin's page of tokens."""

import re

import pytest
from django.core.management import CommandError, call_command

from detections.door.tokens import sender_of
from detections.models import SenderToken


def test_a_token_is_shown_once_in_each_client_s_form(db, capsys):
    call_command("sender_token", "create", "dc-01", "--data-streams", "logs-*, winlogbeat-*")
    said = capsys.readouterr().out
    header = re.search(r"Authorization: (ApiKey \S+)", said)[1]
    assert sender_of(header).token.data_streams == ["logs-*", "winlogbeat-*"]
    key_id, key = re.search(r'api_key: "(\w+):(\S+)"', said).groups()
    assert sender_of(f"Bearer {key}").token.key_id == key_id
    call_command("sender_token", "list")
    listed = capsys.readouterr().out
    assert (key in listed, listed.startswith(f"dc-01  id {key_id}  in use  last used never  events 0")) == (
        False,
        True,
    )


def test_a_token_is_revoked_by_its_name(token, capsys):
    call_command("sender_token", "revoke", "dc-01")
    assert sender_of(f"Bearer {token.key}") is None
    call_command("sender_token", "list")
    assert "revoked 20" in capsys.readouterr().out
    with pytest.raises(CommandError, match="dc-01 has no token in use"):
        call_command("sender_token", "revoke", "dc-01")


def test_a_second_token_of_a_name_is_refused(token):
    with pytest.raises(CommandError, match="dc-01 has a token already"):
        call_command("sender_token", "create", "dc-01")


def test_without_tokens_the_list_says_how_to_make_one(db, capsys):
    call_command("sender_token", "list")
    assert "sender_token create NAME" in capsys.readouterr().out


def test_an_admin_sees_tokens_without_their_hash_and_revokes_them(client, adi, token):
    client.force_login(adi)
    shown = client.get(f"/admin/detections/sendertoken/{token.row.pk}/change/").content.decode()
    assert ("dc-01" in shown, token.row.token_sha256 in shown) == (True, False)
    client.post(
        "/admin/detections/sendertoken/", {"action": "revoke", "_selected_action": [str(token.row.pk)]}
    )
    assert SenderToken.objects.get().revoked_at is not None


def test_a_superuser_without_the_duty_can_not_revoke(client, django_user_model, token):
    client.force_login(django_user_model.objects.create_superuser("root"))
    client.post(
        "/admin/detections/sendertoken/", {"action": "revoke", "_selected_action": [str(token.row.pk)]}
    )
    assert SenderToken.objects.get().revoked_at is None
