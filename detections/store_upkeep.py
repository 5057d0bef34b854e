"""Keep the embedded store small and fast: merge, expire, sweep. Each may be killed at any point."""

import logging
import time
from datetime import timedelta

from django.conf import settings

from detections import lease, retention
from detections.actors import Actor, system
from detections.event_store import embedded_store
from detections.retention import Expired
from detections.stores.embedded.compacting import Compacted
from detections.stores.embedded.sweeping import Swept

log = logging.getLogger(__name__)

COMPACT_TASK = "detections.tasks.compact_store"
SWEEP_TASK = "detections.tasks.sweep_store"
LEASE = "compaction"
# A round gives the worker back for rules; the next one goes on.
ROUND = timedelta(seconds=45)


def compact() -> Compacted | None:
    """Merge what is worth merging, for at most a round. None while somebody else is at it."""
    if settings.ELASTICSEARCH_URL:
        return None
    with lease.hold(LEASE) as held:
        if held is None:
            return None
        end = time.monotonic() + ROUND.total_seconds()
        done = embedded_store().compact(more=lambda: time.monotonic() < end)
    for reason in done.failed:
        log.warning("Segments could not be merged and stay as they are: %s", reason)
    return done


def sweep(*, actor: Actor | None = None) -> tuple[Expired, Swept] | None:
    """Expire what is older or more than the settings allow, then delete what nobody needs any more."""
    if settings.ELASTICSEARCH_URL:
        return None
    expired = retention.expire(actor=actor or system("retention"))
    swept = embedded_store().sweep()
    if expired.segments:
        log.info("%s segments with %s events expired.", expired.segments, expired.rows)
    return expired, swept
