"""How the cluster is reached: addresses, credentials, certificates, and what is refused before that."""

import hashlib
import ipaddress
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from detections.errors import StoreError
from detections.stores.elasticsearch.breaker import Breaker

# The client is large. Where the settings name no cluster no process loads it.
if TYPE_CHECKING:
    from elastic_transport import ObjectApiResponse
    from elasticsearch import Elasticsearch

USER_AGENT = "casewright"
TIMEOUT_SECONDS = 60
# How long to wait before each further try of a request that the cluster could not take just now.
PAUSES_SECONDS = (0.5, 2.0)
MOST_CLOCK_DIFFERENCE = timedelta(seconds=30)
T = TypeVar("T")


class Access(Enum):
    """What a credential is for. Each should be allowed that and nothing else."""

    DETECT = "detect"
    PIVOT = "pivot"
    WRITE = "write"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Credential:
    """One way to sign in: an API key, a bearer token, or a name and password; empty is none at all."""

    api_key: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)

    def options(self) -> dict[str, Any]:
        """The client's own words for it."""
        if self.api_key:
            return {"api_key": self.api_key}
        if self.bearer:
            return {"bearer_auth": self.bearer}
        return {"basic_auth": (self.user, self.password)} if self.user else {}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The settings of a cluster. credentials: by access; one that is missing uses that of `detect`.

    patterns: all telemetry of the deployment, which pivots search. tiers_left_out: data tiers that rules do
    not read (`data_frozen`). risks_accepted: both settings that allow an unprotected connection are there.
    alerts_index: where Elastic Security's alerts are read, "" where they are not; writes_back: their status
    is written there too.
    """

    urls: tuple[str, ...]
    patterns: tuple[str, ...]
    credentials: dict[Access, Credential] = field(default_factory=dict)
    ca_file: str = ""
    fingerprint: str = ""
    verify: bool = True
    risks_accepted: bool = False
    timeout_seconds: int = TIMEOUT_SECONDS
    tiers_left_out: tuple[str, ...] = ()
    alerts_index: str = ""
    writes_back: bool = False

    @property
    def identity(self) -> str:
        """Tells settings apart, without showing a secret."""
        return hashlib.sha256(
            repr([self, [asdict(one) for one in self.credentials.values()]]).encode()
        ).hexdigest()

    def faults(self) -> list[str]:
        """What forbids to connect, in sentences that name the setting; empty if nothing does."""
        found = [f"{url!r} is no address: write https://host:9200." for url in self.urls if not _is_url(url)]
        if found:
            return found
        if not self.risks_accepted:
            found += [
                f"{url} is not encrypted and not on this machine: credentials and telemetry would cross the "
                "network in clear. Use https, or set both ELASTICSEARCH_ALLOW_INSECURE=true and "
                "ELASTICSEARCH_ACCEPT_RISK=true."
                for url in self.urls
                if url.startswith("http://") and not _is_loopback(url)
            ]
            if not self.verify:
                found.append(
                    "ELASTICSEARCH_VERIFY=false accepts any server as the cluster. Name its certificate with "
                    "ELASTICSEARCH_CA_FILE or ELASTICSEARCH_FINGERPRINT, or set both "
                    "ELASTICSEARCH_ALLOW_INSECURE=true and ELASTICSEARCH_ACCEPT_RISK=true."
                )
        return found


def _is_url(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Connection:
    """One client per access, made when first used; every request goes through `ask`."""

    def __init__(self, cluster: Cluster, *, clock: Callable[[], datetime] | None = None) -> None:
        if faults := cluster.faults():
            raise StoreError(" ".join(faults))
        self.cluster = cluster
        self.breaker = Breaker()
        self.clock_difference: timedelta | None = None
        self.last_error = ""
        self.last_error_at: datetime | None = None
        self._clock = clock or (lambda: datetime.now(UTC))
        self._clients: dict[Access, Elasticsearch] = {}
        self._lock = threading.Lock()

    def client(self, access: Access, purpose: str = "") -> "Elasticsearch":
        """The client of an access. purpose: shown to the cluster's admin as the opaque id of the request."""
        from elasticsearch import Elasticsearch

        with self._lock:
            if access not in self._clients:
                self._clients[access] = Elasticsearch(**self._options(access))
        return self._clients[access].options(opaque_id=f"{USER_AGENT}:{purpose or access.value}")

    def _options(self, access: Access) -> dict[str, Any]:
        cluster = self.cluster
        credential = cluster.credentials.get(access) or cluster.credentials.get(Access.DETECT, Credential())
        options: dict[str, Any] = {
            "hosts": list(cluster.urls),
            "request_timeout": cluster.timeout_seconds,
            # `ask` tries again itself, with pauses.
            "max_retries": 0,
            "headers": {"user-agent": USER_AGENT},
            **credential.options(),
        }
        if any(url.startswith("https://") for url in cluster.urls):
            if cluster.fingerprint:
                options["ssl_assert_fingerprint"] = cluster.fingerprint
            elif cluster.verify:
                options["ca_certs"] = cluster.ca_file or None
            else:
                options |= {"verify_certs": False, "ssl_show_warn": False}
        return {name: value for name, value in options.items() if value is not None}

    def ask(self, what: str, request: Callable[[], T]) -> T:
        """Send one request. what: for the error text ("search the events").

        What may pass in a moment (429, 502 to 504, a broken connection) is tried again after a pause. Raises
        StoreError with what failed, why, and what to do; a failure of the cluster itself counts for the
        breaker, one of the request does not.
        """
        if not self.breaker.admits():
            raise StoreError(
                f"The cluster failed {self.breaker.failures} times in a row and is left alone for half a "
                f"minute. Last error: {self.breaker.last_error}"
            )
        from elastic_transport import ObjectApiResponse

        from detections.stores.elasticsearch.failures import is_of_the_cluster, translated

        try:
            answer = self._tried(request)
        except Exception as error:
            told = translated(error, what)
            self.last_error, self.last_error_at = str(told), self._clock()
            if is_of_the_cluster(error):
                self.breaker.failed(str(told))
            else:
                self.breaker.succeeded()
            raise told from error
        self.breaker.succeeded()
        if isinstance(answer, ObjectApiResponse):
            self._compare_clocks(answer)
        return answer

    @staticmethod
    def _tried(request: Callable[[], T]) -> T:
        from detections.stores.elasticsearch.failures import is_worth_another_try

        for pause in PAUSES_SECONDS:
            try:
                return request()
            except Exception as error:
                if not is_worth_another_try(error):
                    raise
                time.sleep(pause)
        return request()

    def _compare_clocks(self, answer: "ObjectApiResponse[Any]") -> None:
        """The cluster's clock, where its answer or a proxy before it states one."""
        stated = answer.meta.headers.get("date")
        if stated:
            self.note_clock(parsedate_to_datetime(stated))

    def note_clock(self, theirs: datetime) -> None:
        self.clock_difference = theirs - self._clock()

    def require_one_clock(self) -> None:
        """Raise StoreError if the clocks differ by more than half a minute: windows would miss events."""
        difference = self.clock_difference
        if difference is not None and abs(difference) > MOST_CLOCK_DIFFERENCE:
            seconds = int(difference.total_seconds())
            raise StoreError(
                f"The cluster's clock is {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} this "
                "machine's: windows would miss events. Set both by NTP."
            )
