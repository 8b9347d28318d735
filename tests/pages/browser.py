"""Real Chromium, without a screen and without a network but the pages under test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright

from tests.services import program

_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--no-first-run", "--disable-extensions",
)  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; skips, or fails where it is promised, if there is none."""
    path = program("chromium", "chromium-browser", "google-chrome")
    # Home and sockets are in a folder with a short name: a socket's path has a bound, and not every user a home.
    with TemporaryDirectory(prefix="closeout-chromium-", dir="/tmp") as home, sync_playwright() as playwright:
        environment: dict[str, str | float | bool] = {**os.environ, "HOME": home, "TMPDIR": home}
        browser = playwright.chromium.launch(executable_path=path, args=list(_QUIET), env=environment)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """One page and all that it asked for or complained of since it was opened."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def visit(browser: Browser, url: str, **context: object) -> Iterator[Visit]:
    """Open a page in a fresh context."""
    opened = browser.new_context(**context)  # type: ignore[arg-type]  # playwright's own options
    opened.set_default_timeout(60_000)
    try:
        seen = Visit(opened.new_page())
        seen.page.on("request", lambda request: seen.asked.append(request.url))
        seen.page.on("console", lambda message: seen.complaints.append(message.text))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.goto(url)
        yield seen
    finally:
        opened.close()


def axe_violations(page: Page, *rules: str) -> list[str]:
    """What axe-core complains of, by all rules or by these. The debugger brings it in, past the page's policy."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    chosen = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    options = {"resultTypes": ["violations"], **chosen}
    found = page.evaluate("options => axe.run({exclude: ['.hit']}, options)", options)["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}" for one in found]
