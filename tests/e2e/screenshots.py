"""Takes the README's pictures from fresh instances: `make screenshots`."""

import re
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.browser import SWITCHES, chromium, sign_in_by
from tests.instance import ROOT, Instance, wait_for

FOLDER = ROOT / "docs/screenshots"
ATTACK = "remote_ip='10.20.9.118'"
UNSEEN = "remote_ip='10.20.2.77'"


def both_themes(page: Page, name: str) -> None:
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.wait_for_timeout(200)
        page.screenshot(path=FOLDER / f"{name}-{theme}.png", animations="disabled", caret="hide")


def case(instance: Instance, which: str) -> str:
    return f"{instance.url}/cases/" + instance.ask(f"Case.objects.get({which}).pk")


def of_the_demo(page: Page, demo: Instance) -> None:
    waiting = "PivotRun.objects.filter(state__in=['not_run', 'running']).count()"
    done = f"(Case.objects.count(), {waiting})"
    wait_for(lambda: demo.ask(done) == "(17, 0)", "the cases and their pivots", seconds=120)
    sign_in_by(page, demo.links["analyst"])
    attack, unseen = case(demo, ATTACK), case(demo, UNSEEN)
    answer(
        page,
        f"{attack}/questions/source_events/",
        "escalate",
        "No workflow starts mshta here from 10.20.9.118.",
    )
    page.goto(f"{demo.url}/?tab=all")
    both_themes(page, "queue")
    page.goto(f"{attack}/questions/retrieval/")
    both_themes(page, "case")
    page.get_by_label("Rationale").scroll_into_view_if_needed()
    both_themes(page, "question")
    page.goto(f"{attack}/timeline/")
    both_themes(page, "timeline")
    page.goto(f"{unseen}/questions/retrieval/")
    both_themes(page, "missing-telemetry")
    page.goto(f"{unseen}/close/")
    both_themes(page, "gate")


def answer(page: Page, address: str, state: str, rationale: str) -> None:
    page.goto(address)
    page.locator(f"input[name='state'][value='{state}']").check()
    page.get_by_label("Rationale").fill(rationale)
    page.get_by_role("button", name=re.compile("^Save")).click()
    expect(page.locator("nav[aria-label='Case'] .count").first).to_have_text(re.compile("^1/"))


def of_an_empty_one(page: Page, empty: Instance) -> None:
    page.goto(empty.url)
    both_themes(page, "first-run")


def main() -> None:
    path = chromium()
    if path is None:
        sys.exit("Chromium is not installed (Debian: apt-get install chromium).")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=SWITCHES)
        for name, take in (("demo", of_the_demo), ("empty", of_an_empty_one)):
            instance = Instance(Path(folder).resolve() / name, demo=name == "demo").start()
            try:
                take(browser.new_page(viewport={"width": 1440, "height": 900}), instance)
            finally:
                instance.stop()
    sys.stdout.write(f"Written to {FOLDER.relative_to(ROOT)}.\n")


if __name__ == "__main__":
    main()
