"""Orders to a system of one's own, by a signed request. The schema is in docs/response.md."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from triage.actions import outward
from triage.actions.adapter import Unasked, adapter
from triage.actions.answers import asked, read_json, refused, tried, unreadable
from triage.actions.outcomes import Order, Outcome, Proof, Result
from triage.enums import CheckOutcome

# The receiver refuses what is older: a request that was recorded is worth nothing then.
REPLAY_SECONDS = 300
_RESULTS = {"done": Result.DONE, "failed": Result.FAILED, "started": Result.STARTED}
_WORDS = {"done": "It is done", "failed": "It failed", "started": "It was taken, and is worked on"}


def signature(key: str, at: int, body: bytes) -> str:
    """HMAC-SHA256 over the time stamp, a dot and the body."""
    return "v1=" + hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


@adapter("webhook")
class Webhook(Unasked):
    label = "Webhook"
    fields: Mapping[str, str] = {
        "url": "where orders are posted",
        "status_url": "where GET status_url/KEY says what became of an order; empty: it calls back",
        "ca_file": "file of the authority that signed its certificate; empty: the system's",
        "seconds": "time limit of a request, 30 if empty",
    }
    secrets: Mapping[str, str] = {"signing_key": "the key that both sides sign with"}
    kinds: frozenset[str] = frozenset()

    def __init__(self, config: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.url, self.status_url = str(config.get("url", "")), str(config.get("status_url", "")).rstrip("/")
        self.ca_file, self.seconds = str(config.get("ca_file", "")), float(config.get("seconds") or 30)
        self.key = secrets.get("signing_key", "")

    def send(self, order: Order) -> Outcome:
        body = json.dumps(order.as_json(), ensure_ascii=True).encode()
        return tried(lambda: self._read(self._request("POST", self.url, body, order.key), order))

    def look_up(self, order: Order) -> Outcome:
        if not self.status_url:
            return super().look_up(order)
        return asked(lambda: self._became(order))

    def prove(self, order: Order) -> Proof:
        if not self.status_url:
            return super().prove(order)
        try:
            answer = self._request("GET", f"{self.status_url}/{order.key}", b"", order.key)
        except outward.OutwardError as error:
            return Proof(CheckOutcome.UNKNOWN, str(error))
        found = read_json(answer) or {}
        says = " ".join(str(found.get("says", "")).split())[:500]
        if answer.status != 200 or found.get("holding") not in (True, False):
            return Proof(CheckOutcome.UNKNOWN, says or "It does not say whether the effect is there.")
        holds = CheckOutcome.HOLDING if found["holding"] else CheckOutcome.BROKEN
        return Proof(holds, says or ("It holds." if found["holding"] else "It does not hold any more."))

    def test(self) -> Outcome:
        """A signed ping: `{"version": 1, "ping": true}`."""
        return tried(
            lambda: self._pinged(self._request("POST", self.url, b'{"version": 1, "ping": true}', "ping"))
        )

    def _pinged(self, answer: outward.Answer) -> Outcome:
        return refused(answer, self.url) or Outcome(Result.DONE, f"{self.url} answered {answer.status}.")

    def _request(self, method: str, url: str, body: bytes, key: str) -> outward.Answer:
        at = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Casewright",
            "Idempotency-Key": key,
            "Casewright-Timestamp": str(at),
            "Casewright-Signature": signature(self.key, at, body),
        }
        return outward.send(
            method, url, body=body, headers=headers, seconds=self.seconds, ca_file=self.ca_file
        )

    def _became(self, order: Order) -> Outcome:
        answer = self._request("GET", f"{self.status_url}/{order.key}", b"", order.key)
        if answer.status == 404:
            return Outcome(Result.NOT_TAKEN, f"{self.url} has no order {order.key}: it never arrived.")
        if answer.status != 200:
            return Outcome(
                Result.UNKNOWN, f"It can't be asked what became of it: the answer was {answer.status}."
            )
        return self._read(answer, order)

    def _read(self, answer: outward.Answer, order: Order) -> Outcome:
        if (bad := refused(answer, self.url)) is not None:
            return bad
        if answer.status in (202, 204) and not answer.body.strip():
            return self._taken("", "")
        found = read_json(answer)
        result = _RESULTS.get(str((found or {}).get("result", "")))
        if found is None or result is None:
            return unreadable(self.url)
        says = " ".join(str(found.get("says", "")).split())[:500] or f"{_WORDS[result.value]}."
        if result is Result.STARTED:
            return self._taken(str(found.get("id", ""))[:255], says)
        output = found.get("output")
        return Outcome(
            result, says, str(found.get("id", ""))[:255], output if isinstance(output, dict) else {}
        )

    def _taken(self, identity: str, says: str) -> Outcome:
        result = Result.STARTED if self.status_url else Result.WAITS
        return Outcome(result, says or f"{self.url} took it, and says later what came of it.", identity)
