"""The published block list: what approved actions put on it, as plain text and as STIX 2.1."""

import ipaddress
import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from detections import heartbeat
from detections.models import Heartbeat
from triage.actions.outcomes import Outcome, Result
from triage.enums import ObservableType
from triage.errors import TriageError
from triage.models import Asset, BlockEntry, ResponseAction

# Large, and used by the feed alone.
if TYPE_CHECKING:
    import stix2

T = ObservableType
PULLED = "block_list_pulled"
_NAMESPACE = uuid.UUID("5f0c8f0e-9d0a-5a52-9a3f-6f7f2b1c9a10")
_DOMAIN = re.compile(
    r"(?=.{4,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]"
)
_HASH = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})")
_ALGORITHMS = {32: "MD5", 40: "SHA-1", 64: "SHA-256"}


class NotBlockableError(TriageError):
    """The value must not, or can't, be on a block list."""


def listable(kind: str, value: str) -> tuple[str, str]:
    """Type and value as they are published. A URL is listed by its host. Raises NotBlockableError."""
    text = value.strip().lower()
    if kind == T.URL:
        try:
            host = urlsplit(text).hostname or ""
        except ValueError as error:
            raise NotBlockableError(f"{value[:100]} is no URL.") from error
        kind, text = (T.IP if re.fullmatch(r"[0-9.]+|.*:.*", host) else T.DOMAIN), host
    if kind == T.IP:
        return T.IP, _listable_address(text)
    if kind == T.DOMAIN and _DOMAIN.fullmatch(text):
        return T.DOMAIN, text
    if kind == T.HASH and _HASH.fullmatch(text):
        return T.HASH, text
    raise NotBlockableError(f"{value[:100]!r} is no address, domain or hash that firewalls could block.")


def _listable_address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise NotBlockableError(f"{text[:100]!r} is no address.") from error
    if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local:
        raise NotBlockableError(f"{address} must not be on a block list: it is no address of one machine.")
    for asset in Asset.objects.filter(is_management_host=True):
        if str(address) in asset.addresses:
            raise NotBlockableError(f"{address} is {asset}, a recognised management host.")
    return str(address)


def add(action_id: int, kind: str, value: str) -> list[BlockEntry]:
    """Put what the action is for on the list. Again is the same. Raises NotBlockableError."""
    kind, text = listable(kind, value)
    entry, _created = BlockEntry.objects.get_or_create(
        action_id=action_id, type=kind, value=text, defaults={"added_at": timezone.now()}
    )
    return [entry]


def remove(action_id: int) -> int:
    """Take off what the action, that this one undoes, put on. Returns how many values that were."""
    with transaction.atomic():
        undoes = ResponseAction.objects.values_list("undoes", flat=True).get(pk=action_id)
        entries = BlockEntry.objects.filter(action=undoes)
        entries.filter(removed_at__isnull=True).update(removed_at=timezone.now())
        return entries.count()


def is_listed(action_id: int) -> bool:
    return BlockEntry.objects.filter(action=action_id, removed_at__isnull=True).exists()


def standing(kind: str = "") -> list[tuple[str, str, datetime, int]]:
    """What is on the list now, each value once: type, value, since when, by which action."""
    rows = BlockEntry.objects.filter(Q(type=kind) if kind else Q(), removed_at__isnull=True)
    found: dict[tuple[str, str], tuple[str, str, datetime, int]] = {}
    for type_, value, at, action in rows.order_by("added_at", "pk").values_list(
        "type", "value", "added_at", "action"
    ):
        found.setdefault((type_, value), (type_, value, at, action))
    return [found[key] for key in sorted(found)]


def as_text(kind: str = "") -> str:
    """One value a line, as firewalls pull it."""
    return "".join(f"{value}\n" for _type, value, _at, _action in standing(kind))


def as_stix() -> str:
    """A STIX 2.1 bundle of indicators; an indicator keeps its id for as long as its value is listed."""
    import stix2

    indicators = [_indicator(*row) for row in standing()]
    identity = uuid.uuid5(_NAMESPACE, " ".join(str(one.id) for one in indicators))
    return str(stix2.Bundle(objects=indicators, id=f"bundle--{identity}").serialize(pretty=True))


def _indicator(kind: str, value: str, at: datetime, action: int) -> "stix2.Indicator":
    import stix2

    return stix2.Indicator(
        id=f"indicator--{uuid.uuid5(_NAMESPACE, f'{kind}:{value}')}",
        name=f"{kind} {value}",
        description=f"Blocked by RA-{action}.",
        pattern=_pattern(kind, value),
        pattern_type="stix",
        indicator_types=["malicious-activity"],
        created=at,
        modified=at,
        valid_from=at,
    )


def _pattern(kind: str, value: str) -> str:
    """Values have been checked: none has a quote."""
    if kind == T.IP:
        return f"[{'ipv6' if ':' in value else 'ipv4'}-addr:value = '{value}']"
    if kind == T.DOMAIN:
        return f"[domain-name:value = '{value}']"
    return f"[file:hashes.'{_ALGORITHMS[len(value)]}' = '{value}']"


def pulled() -> None:
    """Somebody with the token has the list as it is now."""
    heartbeat.beat(PULLED)


def last_pulled() -> datetime | None:
    return Heartbeat.objects.filter(name=PULLED).values_list("seen_at", flat=True).first()


def test() -> Outcome:
    if not settings.FEED_TOKEN:
        return Outcome(Result.FAILED, "Set CASEWRIGHT_FEED_TOKEN: without it nobody can pull the list.")
    at = last_pulled()
    said = f"It was last pulled {at:%Y-%m-%d %H:%M} UTC." if at else "Nobody has pulled it yet."
    return Outcome(Result.DONE, f"The list has {len(standing())} values. {said}")
