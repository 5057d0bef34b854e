"""How much may be under way at once. What does not fit is refused at once, and its sender tries again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from detections.errors import CasewrightError


class BusyError(CasewrightError):
    """Too much is under way; the same request will be taken later."""


class Pressure:
    """Counts the requests of a process that are under way, and their bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = self.bytes = 0

    @contextmanager
    def held(self, size: int, *, requests: int, total: int) -> Iterator[None]:
        """Hold a place while a request of so many bytes is worked on.

        requests, total: how many, and how many bytes together, may be under way; a single one always may.
        Raises BusyError.
        """
        with self._lock:
            if self.requests >= requests or (self.requests and self.bytes + size > total):
                raise BusyError(
                    f"rejected execution of bulk request [requests={self.requests}, bytes={self.bytes}, "
                    f"this={size}, max_requests={requests}, max_bytes={total}]"
                )
            self.requests, self.bytes = self.requests + 1, self.bytes + size
        try:
            yield
        finally:
            with self._lock:
                self.requests, self.bytes = self.requests - 1, self.bytes - size


pressure = Pressure()
