"""The tokens of senders: made, shown once, recognised, revoked. Only a key's SHA-256 is kept."""

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from detections import journal
from detections.actors import Actor
from detections.errors import CasewrightError
from detections.models import SenderToken

STREAM = "senders"
EVERYTHING = "*"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# As Elasticsearch names indices, with `*` for any run of characters.
_PATTERN = re.compile(r"[a-z0-9*.][a-z0-9*._-]{0,254}")


class SenderError(CasewrightError):
    """A sender's token can't be made or revoked as asked."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made. `key` is known here and nowhere else; show it once."""

    row: SenderToken
    key: str

    @property
    def api_key(self) -> str:
        """As Beats, Elastic Agent and Logstash take it: `id:key`."""
        return f"{self.row.key_id}:{self.key}"

    @property
    def encoded(self) -> str:
        """As clients put it behind `Authorization: ApiKey`."""
        return base64.b64encode(self.api_key.encode()).decode()


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends, as its token says."""

    token: SenderToken

    @property
    def name(self) -> str:
        return self.token.name

    @property
    def actor(self) -> Actor:
        """The sender acts in its own name, and may do nothing but send."""
        label = f"Sender {self.name}"
        return Actor(label=label, permissions=frozenset({"detections.add_import"}))

    def may_write(self, data_stream: str) -> bool:
        return any(_fits(pattern, data_stream) for pattern in self.token.data_streams)


def create_token(name: str, *, actor: Actor, data_streams: Sequence[str] = (EVERYTHING,)) -> NewToken:
    """Make a token for a sender.

    data_streams: patterns of what it may write to. Raises NotPermittedError, and SenderError for a name or
    pattern that can't be, or a name that a token in use has.
    """
    actor.require("detections.add_sendertoken", "make a sender's token")
    if not _NAME.fullmatch(name):
        raise SenderError(f"{name!r} is no name for a sender: use up to 64 letters, digits, dots and dashes.")
    for pattern in data_streams:
        if not _PATTERN.fullmatch(pattern):
            raise SenderError(f"{pattern!r} is no pattern of data streams. Write, for example, logs-*.")
    key = secrets.token_urlsafe(32)
    row = SenderToken(
        name=name,
        key_id=secrets.token_hex(10),
        token_sha256=_hashed(key),
        data_streams=list(data_streams),
        created_by=actor.user,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            journal.record(STREAM, "token_created", actor=actor, after=name, data=_told(row))
    except IntegrityError as error:
        raise SenderError(f"{name} has a token already. Revoke it first, or choose another name.") from error
    return NewToken(row, key)


def revoke_token(token: SenderToken, *, actor: Actor, reason: str = "") -> bool:
    """Take a sender's right away, at once. False if it was revoked before. Raises NotPermittedError."""
    actor.require("detections.change_sendertoken", "revoke a sender's token")
    with transaction.atomic():
        in_use = SenderToken.objects.filter(pk=token.pk, revoked_at=None)
        if not in_use.update(revoked_at=timezone.now()):
            return False
        journal.record(
            STREAM, "token_revoked", actor=actor, before=token.name, reason=reason, data=_told(token)
        )
    return True


def in_use(name: str, *, actor: Actor) -> QuerySet[SenderToken]:
    """The token that a name has now, as the actor may see it."""
    return SenderToken.objects.visible_to(actor).filter(name=name, revoked_at=None)


def sender_of(authorization: str) -> Sender | None:
    """The sender behind an Authorization header: ApiKey, Bearer or Basic. None for anybody else.

    ApiKey: base64 of `id:key`. Basic: the sender's name or the id, and the key as the password. Bearer: the
    key, or what stands behind ApiKey.
    """
    who, key = _claimed(authorization)
    if not key:
        return None
    token = SenderToken.objects.filter(token_sha256=_hashed(key), revoked_at=None).first()
    if token is None or who not in {None, token.key_id, token.name}:
        return None
    return Sender(token)


def is_sender_s(authorization: str) -> bool:
    """Whether a header is of the kinds that senders use; browsers of this product send none."""
    return authorization.partition(" ")[0].lower() in {"apikey", "bearer", "basic"}


def _claimed(authorization: str) -> tuple[str | None, str]:
    """Who a header says it is (None: it does not say), and the key; no key if it can't be read."""
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    pair = _decoded(value)
    match scheme.lower():
        case "apikey" | "basic" if pair is not None:
            return pair
        case "bearer":
            return pair or (None, value)
        case _:
            return None, ""


def _decoded(value: str) -> tuple[str, str] | None:
    try:
        who, colon, key = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (who, key) if colon else None


def _fits(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), name) is not None


def _hashed(key: str) -> str:
    # A key has 256 random bits: no salt and no slow hash would make it harder to guess.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _told(row: SenderToken) -> dict[str, object]:
    return {"token": row.pk, "key_id": row.key_id, "data_streams": row.data_streams}
