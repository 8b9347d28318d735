"""One browser and one report for all tests of a file."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest
from playwright.sync_api import Browser

from closeout.worker.report.html import html_report
from closeout.worker.report.run_report import RunReport, read_run_report
from tests.ledger.support import NOW
from tests.pages.browser import chromium
from tests.pages.nights import eventful


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    """The story of an eventful run."""

    async def read() -> RunReport:
        async with eventful(tmp_path_factory.mktemp("ledger")) as (ledger, run):
            return await read_run_report(ledger, run, NOW + 700_000)

    # In a thread of its own: the browser's driver keeps an event loop in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(anyio.run, read).result()


@pytest.fixture(scope="module")
def page_file(story: RunReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of that run as a file."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text("".join(html_report(story, NOW)), encoding="utf-8")
    return path
