"""What the browser tests share: Chromium, signing in, and what must never show up in a page."""

import re
import shutil

from playwright.sync_api import Page, expect

from tests.instance import Instance

SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A form that is refused answers with a status that Chromium also writes to its console.
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (403|404|409|422)")


def chromium() -> str | None:
    """The system's Chromium: a browser build is never downloaded."""
    return next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)


def sign_in(page: Page, instance: Instance, name: str) -> None:
    """By a new one-time link."""
    token = instance.ask(f"access.issue(User.objects.get(username='{name}'), actor=system('browser test'))")
    sign_in_by(page, f"{instance.url}/sign-in/once/{token}/")


def sign_in_by(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()


class Faults:
    """Collects what a page must not do: script errors, refused content, requests to elsewhere."""

    def __init__(self, page: Page, url: str) -> None:
        self.found: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.found.append(f"script error: {error}"))
        page.on("request", lambda request: self._asked(request.url, url))

    def _heard(self, message: object) -> None:
        text = getattr(message, "text", "")
        if getattr(message, "type", "") in {"error", "warning"} and not REFUSED.match(text):
            self.found.append(f"console: {text}")

    def _asked(self, address: str, ours: str) -> None:
        if not address.startswith((ours, "data:", "blob:", "about:")):
            self.found.append(f"request to {address}")
