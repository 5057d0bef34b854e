"""Pages of events: a point in time, so that what is indexed meanwhile neither shifts nor doubles a row."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from detections.errors import StoreError
from detections.stores.base import Completeness, Page, StoredEvent
from detections.stores.elasticsearch.answers import require_whole, searched_names, stored_event
from detections.stores.elasticsearch.connection import Access, Connection

ROWS_A_REQUEST = 1000
KEEP_ALIVE = "1m"
WHAT = "search events"


def page(connection: Connection, indices: Sequence[str], query: Mapping[str, Any], limit: int) -> Page:
    """The first `limit` events that satisfy the query, in time order, and how many there are."""
    client = connection.client(Access.PIVOT, "pivot")
    opened = connection.ask(
        WHAT,
        lambda: client.open_point_in_time(
            index=",".join(indices), keep_alive=KEEP_ALIVE, allow_partial_search_results=False
        ),
    ).body
    pit = opened["id"]
    events: list[StoredEvent] = []
    total, last = 0, None
    try:
        while True:
            size = min(ROWS_A_REQUEST, limit - len(events))
            answer = connection.ask(WHAT, partial(client.search, **_parameters(query, pit, size, last))).body
            require_whole(answer)
            hits = answer["hits"]["hits"]
            if last is None:
                total = answer["hits"]["total"]["value"]
            pit = answer.get("pit_id", pit)
            events += [stored_event(hit) for hit in hits]
            if len(hits) < size or len(events) >= limit or size == 0:
                break
            last = hits[-1]["sort"]
    finally:
        with suppress(StoreError):
            connection.ask(WHAT, lambda: client.close_point_in_time(id=pit))
    return Page(
        tuple(events), total, Completeness(searched_names(indices), rows=total, truncated=total > len(events))
    )


def _parameters(query: Mapping[str, Any], pit: str, size: int, last: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "pit": {"id": pit, "keep_alive": KEEP_ALIVE},
        "query": query,
        "size": size,
        "sort": [
            {"@timestamp": {"order": "asc", "format": "strict_date_optional_time_nanos"}},
            {"_shard_doc": "asc"},
        ],
        "track_total_hits": last is None,
    }
    return asked if last is None else {**asked, "search_after": last}
