"""A message to an owner, with a link by which they confirm something once."""

import smtplib
import socket
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email

from triage.actions import outward
from triage.actions.adapter import Unasked, adapter
from triage.actions.answers import refused, tried
from triage.actions.outcomes import Order, Outcome, Result

_NOT_TAKEN = (smtplib.SMTPConnectError, ConnectionRefusedError, socket.gaierror)
_REFUSED = (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPAuthenticationError)


@adapter("message")
class Message(Unasked):
    label = "Message"
    fields: Mapping[str, str] = {
        "channel": "email or chat",
        "domains": "list of the domains that may be written to",
        "url": 'chat: the incoming webhook, which takes {"text": ...}',
        "ca_file": "chat: file of the authority that signed its certificate",
    }
    secrets: Mapping[str, str] = {}
    kinds: frozenset[str] = frozenset(("ask_owner",))

    def __init__(self, config: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.channel, self.url = str(config.get("channel", "email")), str(config.get("url", ""))
        self.ca_file = str(config.get("ca_file", ""))
        domains = config.get("domains") or []
        self.domains = [str(domain).lower() for domain in domains] if isinstance(domains, list) else []

    def send(self, order: Order) -> Outcome:
        from triage import reply_links

        address = str(order.parameters.get("address", "")).strip()
        if (bad := self._fault(address)) is not None:
            return bad
        link = reply_links.make(order.action, sent_to=address)
        text = reply_links.text_of(order.action, link)
        sent = self._chat(text) if self.channel == "chat" else self._mail(address, order, text)
        if sent.result is not Result.DONE:
            return sent
        return Outcome(Result.WAITS, f"Sent to {address}. Waits for the reply.")

    def test(self) -> Outcome:
        if (bad := self._fault("")) is not None:
            return bad
        return Outcome(Result.DONE, "The settings are complete. Nothing was sent.")

    def _fault(self, address: str) -> Outcome | None:
        """Why nothing can be sent. address "": of the settings alone."""
        if not settings.PUBLIC_URL:
            return Outcome(Result.FAILED, "Set CASEWRIGHT_PUBLIC_URL: the link in the message leads there.")
        if self.channel == "email" and not settings.EMAIL_URL:
            return Outcome(Result.FAILED, "Set EMAIL_URL: without a mail server nothing is sent.")
        if not self.domains and self.channel == "email":
            return Outcome(Result.FAILED, "The connector names no domain that may be written to.")
        if not address or self.channel == "chat":
            return None
        try:
            validate_email(address)
        except ValidationError:
            return Outcome(Result.FAILED, f"{address} is no e-mail address.")
        if address.rpartition("@")[2].lower() not in self.domains:
            return Outcome(Result.FAILED, f"{address} is in no domain that this connector may write to.")
        return None

    def _mail(self, address: str, order: Order, text: str) -> Outcome:
        subject = f"[{order.case}] A question about {order.target_value or 'an alert'}"
        mail = EmailMessage(" ".join(subject.split())[:150], text, settings.DEFAULT_FROM_EMAIL, [address])
        try:
            mail.send()
        except _NOT_TAKEN as error:
            return Outcome(
                Result.NOT_TAKEN, f"The mail server could not be reached ({error}). Nothing was sent."
            )
        except _REFUSED as error:
            return Outcome(Result.FAILED, f"The mail server refused it ({error}).")
        except (OSError, smtplib.SMTPException) as error:
            return Outcome(Result.UNKNOWN, f"The mail server broke off ({error}): it may have been sent.")
        return Outcome(Result.DONE, "Sent.")

    def _chat(self, text: str) -> Outcome:
        import json

        def post() -> Outcome:
            body = json.dumps({"text": text}).encode()
            headers = {"Content-Type": "application/json"}
            answer = outward.send("POST", self.url, body=body, headers=headers, ca_file=self.ca_file)
            return refused(answer, "The chat") or Outcome(Result.DONE, "Sent.")

        return tried(post)
