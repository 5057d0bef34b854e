"""Every way in which a request can fail, in words that an admin can act on.

It needs the client, which is large: `connection` imports it when a request has failed.
"""

import re
from typing import Any

from elastic_transport import ConnectionError as NoConnectionError
from elastic_transport import ConnectionTimeout, SerializationError, TlsError, TransportError
from elasticsearch import ApiError, UnsupportedProductError

from detections.errors import CasewrightError, SearchTimeoutError, StoreError
from detections.stores.elasticsearch.refusals import QueryRefusedError, TooMuchAtOnceError

_CONNECTION = re.compile(r"HTTPS?Connection\(host='([^']*)', port=(\d+)\)")
_UNKNOWN = re.compile(r"Unknown column \[([^\]]+)\]")
BUSY = (429, 502, 503, 504)


def translated(error: Exception, what: str) -> CasewrightError:
    """The failure as the product's own error. what: what was tried, as an infinitive."""
    if isinstance(error, CasewrightError):
        return error
    if isinstance(error, ApiError):
        return _api(error, what)
    return StoreError(f"The cluster could not {what}: {_transport(error)}")


def is_of_the_cluster(error: Exception) -> bool:
    """Whether the cluster itself is in trouble, not this one request."""
    if isinstance(error, ApiError):
        return error.status_code in BUSY and "circuit_breaking" not in _type(error)
    return isinstance(error, TransportError)


def is_worth_another_try(error: Exception) -> bool:
    """Whether the same request may pass in a moment. A time-out may not: it has cost enough time."""
    if isinstance(error, TlsError | ConnectionTimeout | UnsupportedProductError):
        return False
    return is_of_the_cluster(error)


def _transport(error: Exception) -> str:
    if isinstance(error, TlsError) and "WRONG_VERSION" in error.message:
        return "what answers there speaks no TLS. ELASTICSEARCH_URL says https: check its port and scheme."
    if isinstance(error, TlsError):
        return (
            f"its certificate was not accepted ({error.message}). Name the authority that signed it with "
            "ELASTICSEARCH_CA_FILE, or the certificate with ELASTICSEARCH_FINGERPRINT."
        )
    if isinstance(error, ConnectionTimeout):
        return "it did not answer in time. Look at the cluster's load; the next run searches the same window."
    if isinstance(error, SerializationError):
        return "its answer is no JSON. A proxy in between may have failed; the next run tries again."
    if isinstance(error, UnsupportedProductError):
        return "what answers there is no Elasticsearch. Check ELASTICSEARCH_URL."
    if isinstance(error, NoConnectionError):
        return (
            f"no connection ({_CONNECTION.sub(_address, error.message)}). Check that it runs and that "
            "ELASTICSEARCH_URL names it, with https if it wants TLS."
        )
    return f"{type(error).__name__}: {error}"


def _address(found: re.Match[str]) -> str:
    return f"{found[1]}:{found[2]}"


def _api(error: ApiError, what: str) -> CasewrightError:
    kind, reason = _type(error), _reason(error)
    status = error.status_code
    if status == 401:
        return StoreError(
            f"The cluster does not accept the credential ({reason}). It may be wrong, expired or revoked: "
            "make a new one and set it."
        )
    if status == 403:
        return StoreError(
            f"The credential may not {what} ({reason}). Give it what `manage.py elasticsearch setup` prints."
        )
    if "circuit_breaking" in kind:
        return TooMuchAtOnceError(
            f"The cluster stopped the search to protect its memory ({reason}). Give it more memory, shorten "
            "the rule's look-back, or narrow its query."
        )
    if status in BUSY:
        return StoreError(
            f"The cluster is overloaded or not ready (status {status}: {reason}). The next run searches the "
            "same window."
        )
    if status == 404:
        return StoreError(
            f"The cluster has no such index ({reason}). Correct the pattern, or send events there."
        )
    if status == 408 or "timeout" in kind:
        return SearchTimeoutError(f"The search took longer than it may ({reason}). Narrow the window.")
    if status == 400:
        return _refused(reason, what)
    return StoreError(f"The cluster could not {what} (status {status}, {kind or 'no type'}: {reason}).")


def _refused(reason: str, what: str) -> QueryRefusedError:
    unknown = _UNKNOWN.search(reason)
    if not unknown:
        return QueryRefusedError(f"The cluster refuses to {what}: {reason}")
    name = unknown[1]
    return QueryRefusedError(
        f"Not applicable here: field {name} is in no mapping of the rule's indices. If its absence should "
        f"not stop the rule, write ?{name}.",
        field=name,
    )


def _error(error: ApiError) -> dict[str, Any]:
    body = error.body if isinstance(error.body, dict) else {}
    found = body.get("error")
    return found if isinstance(found, dict) else {"reason": str(found or error.body or "")}


def _type(error: ApiError) -> str:
    found = _error(error)
    causes = found.get("root_cause") or [{}]
    return (
        f"{found.get('type', '')} {causes[0].get('type', '') if isinstance(causes[0], dict) else ''}".strip()
    )


def _reason(error: ApiError) -> str:
    found = _error(error)
    caused = found.get("caused_by")
    more = f": {caused['reason']}" if isinstance(caused, dict) and caused.get("reason") else ""
    return f"{found.get('reason') or 'no reason given'}{more}"[:600]
