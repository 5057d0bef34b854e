"""What senders ask before they send. The answers say as little as makes them send, and nothing untrue."""

import hashlib
import uuid
from typing import Any

from django.conf import settings

NAME = "casewright"
_SINCE = "2025-01-01T00:00:00.000Z"


def about() -> dict[str, Any]:
    """`GET /`. The version is the one whose requests are understood."""
    return {
        "name": NAME,
        "cluster_name": NAME,
        "cluster_uuid": _uid("cluster"),
        "version": {
            "number": settings.BULK_VERSION,
            "build_flavor": "default",
            "build_type": NAME,
            "build_hash": "unknown",
            "build_date": _SINCE,
            "build_snapshot": False,
            "lucene_version": "9.12.2",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    }


def license() -> dict[str, Any]:
    """`GET /_license`: what the free features of senders need."""
    return {
        "license": {
            "status": "active",
            "uid": _uid("license"),
            "type": "basic",
            "issue_date": _SINCE,
            "issue_date_in_millis": 1735689600000,
            "max_nodes": None,
            "issued_to": NAME,
            "issuer": NAME,
            "start_date_in_millis": -1,
        }
    }


def features() -> dict[str, Any]:
    """`GET /_xpack`: life-cycle policies are not there, tokens are."""
    return {
        "license": {"uid": _uid("license"), "type": "basic", "mode": "basic", "status": "active"},
        "features": {
            "ilm": {"available": False, "enabled": False},
            "security": {"available": True, "enabled": True},
        },
        "tagline": "You know, for X",
    }


def nodes() -> dict[str, Any]:
    """`GET /_nodes/http`: no address to send to but the one that was asked."""
    return {
        "_nodes": {"total": 0, "successful": 0, "failed": 0},
        "cluster_name": NAME,
        "nodes": {},
    }


def health() -> dict[str, Any]:
    """`GET /_cluster/health`: a store that takes events has one node and nothing to wait for."""
    return {
        "cluster_name": NAME,
        "status": "green",
        "timed_out": False,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": 1,
        "active_shards": 1,
        "relocating_shards": 0,
        "initializing_shards": 0,
        "unassigned_shards": 0,
        "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0,
        "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0,
        "active_shards_percent_as_number": 100.0,
    }


def _uid(of: str) -> str:
    """Always the same for an instance, and never its secret."""
    digest = hashlib.sha256(f"{of}:{settings.SECRET_KEY}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16]))
