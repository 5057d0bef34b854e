"""What an answer holds, and whether it is whole. An answer that is not is an error, never less than asked."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from detections import ecs
from detections.errors import SearchTimeoutError, StoreError
from detections.ingest import identity
from detections.ingest.moments import TimeError, moment
from detections.stores.base import CLUSTER, StoredEvent

# The store knows no batches: whatever it holds is of one.
INGEST = 1
AGAIN = "Look at the cluster's health; the next run searches the same window."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def require_whole(answer: Mapping[str, Any]) -> None:
    """Raise StoreError, with its name, for every way in which an answer can be incomplete."""
    shards = answer.get("_shards") or {}
    failures = answer.get("shard_failures") or shards.get("failures") or []
    if failures or shards.get("failed"):
        count = len(failures) or shards.get("failed")
        raise StoreError(
            f"{count} {'shard' if count == 1 else 'shards'} failed ({_why(failures)}), so the answer is not "
            f"whole. {AGAIN}"
        )
    if answer.get("is_running"):
        raise StoreError(f"The cluster answered before the search was over (is_running). {AGAIN}")
    if answer.get("is_partial"):
        raise StoreError(f"The cluster says that its answer is partial (is_partial). {AGAIN}")
    if answer.get("timed_out"):
        raise SearchTimeoutError("The search ran out of time in the cluster (timed_out). Narrow the window.")


def _why(failures: Any) -> str:
    first = failures[0] if isinstance(failures, list) and failures else {}
    reason = first.get("reason") if isinstance(first, dict) else None
    if isinstance(reason, dict):
        where = f"{first.get('index', '')}[{first.get('shard', '')}] " if first.get("index") else ""
        return f"{where}{reason.get('type', '')}: {reason.get('reason', '')}"[:300]
    return "no reason given"


def searched_names(indices: Sequence[str]) -> tuple[str, ...]:
    """What was searched, as `Completeness.segments` says it: the patterns, without those left out."""
    return tuple(f"{CLUSTER}{one}" for one in indices if not one.startswith("-"))


def stored_event(hit: Mapping[str, Any]) -> StoredEvent:
    """One hit. Its identity is that of its data set and `_id`, whatever index holds it now.

    Raises StoreError for a hit without its source or time.
    """
    document = hit.get("_source")
    if not isinstance(document, dict):
        raise StoreError(
            f"Document {hit.get('_id')} of {hit.get('_index')} came without its _source. Indices "
            "searched here must keep it."
        )
    dataset = identity.dataset_of(document) or data_stream(str(hit.get("_index", "")))
    timestamp = _moment(ecs.get(document, "@timestamp"), hit)
    arrived = ecs.get(document, "event.ingested")
    return StoredEvent(
        identity=identity.of_source(dataset, str(hit["_id"])),
        document=document,
        timestamp=timestamp,
        ingest=INGEST,
        arrived_at=_moment(arrived, hit) if arrived is not None else timestamp,
        origin=f"{CLUSTER}{data_stream(str(hit.get('_index', '')))}",
    )


def data_stream(index: str) -> str:
    """The data stream of a backing index (`.ds-logs-x-default-2026.03.18-000001`, also while it is mounted
    from a snapshot), else the index itself."""
    for mounted in ("partial-", "restored-"):
        index = index.removeprefix(mounted)
    if not index.startswith(".ds-"):
        return index
    return index.removeprefix(".ds-").rsplit("-", 2)[0]


def _moment(value: Any, hit: Mapping[str, Any]) -> datetime:
    """A time as documents write it: ISO 8601 (without a zone: UTC, as in the cluster), or milliseconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _EPOCH + timedelta(milliseconds=value)
    text = str(value or "").replace(" ", "T")
    for attempt in (text, f"{text}Z", f"{text}T00:00:00Z"):
        try:
            return moment(attempt)
        except TimeError:
            continue
    if text.lstrip("-").isdigit():
        return _EPOCH + timedelta(milliseconds=int(text))
    raise StoreError(
        f"Document {hit.get('_id')} of {hit.get('_index')} has no time that can be read: {text[:60]!r}."
    )
