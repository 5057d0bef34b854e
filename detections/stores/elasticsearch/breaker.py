"""A circuit breaker: a cluster that keeps failing is left alone for a while, and says so."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

FAILURES = 5
PAUSE_SECONDS = 30.0


@dataclass
class Breaker:
    """Closed: requests pass. Open after `FAILURES` failures in a row: none passes for `PAUSE_SECONDS`; then
    one tries, and its outcome decides. Threads may share it. clock: seconds, monotonic.
    """

    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    last_error: str = ""
    _opened_at: float | None = None
    _trying: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def state(self) -> str:
        """`closed`, `open`, or `half open`: the next request tries whether the cluster answers again."""
        if self._opened_at is None:
            return "closed"
        return "half open" if self.clock() - self._opened_at >= PAUSE_SECONDS else "open"

    def admits(self) -> bool:
        """Whether a request may go out now."""
        with self._lock:
            if self._opened_at is None:
                return True
            if self._trying or self.clock() - self._opened_at < PAUSE_SECONDS:
                return False
            self._trying = True
            return True

    def succeeded(self) -> None:
        with self._lock:
            self.failures, self.last_error, self._opened_at, self._trying = 0, "", None, False

    def failed(self, error: str) -> None:
        with self._lock:
            self.failures += 1
            self.last_error, self._trying = error, False
            if self.failures >= FAILURES:
                self._opened_at = self.clock()
