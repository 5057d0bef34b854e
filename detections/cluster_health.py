"""How the cluster was when a worker last asked it. The worker writes it down, since pages never ask."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from detections import heartbeat
from detections.errors import StoreError
from detections.event_store import cluster_store
from detections.models import Heartbeat

if TYPE_CHECKING:
    from detections.stores.elasticsearch import ElasticsearchStore

NAME = "cluster"
# Older than this, a state says nothing of now.
FRESH = timedelta(minutes=5)
ERROR_LENGTH = 300


@dataclass(frozen=True, slots=True)
class ClusterState:
    """breaker: `closed`, `open`, `half open`, "" where no worker has told yet. error: the last one, which may
    be over. clock_seconds: how far the cluster's clock is ahead. version: "" where it does not say.
    tiers_left_out: data tiers in which rules see no event, by the settings.
    """

    breaker: str = ""
    error: str = ""
    error_at: datetime | None = None
    clock_seconds: float | None = None
    version: str = ""
    seen_at: datetime | None = None
    tiers_left_out: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.breaker in ("open", "half open")


def note() -> None:
    """Write down how the cluster is, in the process that asks it. Nothing where none is named."""
    try:
        store = cluster_store()
    except StoreError as refused:
        _write(ClusterState(breaker="open", error=str(refused)[:ERROR_LENGTH], error_at=timezone.now()))
        return
    if store is not None:
        _write(_state(store))


def _state(store: "ElasticsearchStore") -> ClusterState:
    connection = store.connection
    difference = connection.clock_difference
    return ClusterState(
        breaker=connection.breaker.state,
        error=connection.last_error[:ERROR_LENGTH],
        error_at=connection.last_error_at,
        clock_seconds=None if difference is None else round(difference.total_seconds(), 1),
        version=store.version(),
    )


def _write(state: ClusterState) -> None:
    values = {name: value for name, value in asdict(state).items() if value not in (None, "", ())}
    heartbeat.beat(NAME, json.dumps(values, default=str))


def state() -> ClusterState | None:
    """How the cluster was, None where the settings name none."""
    if not settings.ELASTICSEARCH_URL:
        return None
    left_out = tuple(settings.ELASTICSEARCH_TIERS_LEFT_OUT)
    row = Heartbeat.objects.filter(name=NAME).first()
    if row is None:
        return ClusterState(tiers_left_out=left_out)
    try:
        told = json.loads(row.detail)
    except ValueError:
        told = {}
    at = told.get("error_at")
    read = {
        "error_at": parse_datetime(at) if at else None,
        "seen_at": row.seen_at,
        "tiers_left_out": left_out,
    }
    return ClusterState(**{**told, **read})


def problems(found: ClusterState | None, now: datetime) -> Iterator[str]:
    """What of the cluster needs a person, one sentence each."""
    if found is None or found.seen_at is None or now - found.seen_at > FRESH:
        return
    if found.is_open:
        yield f"The Elasticsearch cluster is left alone for now. Last error: {found.error}"
