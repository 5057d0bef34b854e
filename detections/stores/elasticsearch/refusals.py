"""What the cluster refuses, where the caller can do something about it."""

from detections.errors import StoreError


class QueryRefusedError(StoreError):
    """The cluster understood the request and refuses this query; others may run. `field`: unknown, or ""."""

    def __init__(self, message: str, *, field: str = "") -> None:
        self.field = field
        super().__init__(message)


class TooMuchAtOnceError(StoreError):
    """The cluster stopped the query to protect its memory. Half of the window may pass."""


class DocumentRefusedError(StoreError):
    """The cluster does not take a document as it is."""
