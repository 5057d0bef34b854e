"""A trial of the shipped rule: would a run succeed here?"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from detections import rule_files
from detections.eql.known import catalogue
from detections.eql.parser import parse
from detections.stores.base import EqlSearch, Region

if TYPE_CHECKING:
    from detections.stores.elasticsearch.connection import Connection

RULE = Path(__file__).parent / "rules" / "lateral_movement_dcom_mshta.toml"
SPAN = timedelta(hours=1)


def in_cluster(connection: "Connection") -> tuple[str, int]:
    """Search the last hour with the shipped rule: why it fails, or "", and how many matches there are."""
    from detections.stores.elasticsearch.store import ElasticsearchStore

    [rule] = rule_files.load_rules([RULE]).rules
    query = parse(rule.query)
    now = datetime.now(UTC)
    search = EqlSearch(
        key=rule.rule_id,
        query=query,
        reach=query.maxspan or timedelta(),
        text=rule.query,
        indices=rule.index,
    )
    store = ElasticsearchStore(connection.cluster, catalogue())
    [answer] = store.search_eql([search], Region(now - SPAN, now, 1, 1), limit=100)
    return answer.error, len(answer.matches)
