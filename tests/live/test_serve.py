"""``closeout serve`` in a real browser, beside a run in another process."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from playwright.sync_api import Browser, expect

from tests.front_door.support import Desk, desk_of, quick, wait_until
from tests.pages.browser import axe_violations, visit

SESSIONS = 600


@contextmanager
def served(desk: Desk, *flags: str) -> Iterator[str]:
    """The address that a server of the desk's ledger prints."""
    with desk.started("serve", "--port", "0", *flags) as child:
        assert child.process.stdout is not None
        yield child.process.stdout.readline().decode().strip()


def asked(address: str, method: str, path: str, **headers: str) -> tuple[int, str]:
    """Status and body of one request, with whatever headers one likes."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request(method, path, body=b"{}" if method == "POST" else None, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_run_is_watched_and_steered_from_before_its_ledger_is_there(browser: Browser, tmp_path: Path) -> None:
    """Found in the list, followed, paused, let go on, slowed, stopped, and one of its sessions looked up."""
    with desk_of(tmp_path / "desk", quick()) as (desk, sandbox), served(desk, "--allow-control") as address:
        ids = sandbox.add_sessions(SESSIONS)
        source = desk.write_ids([str(UUID(int=7)), *ids])
        with visit(browser, address) as seen:
            page, live = seen.page, seen.page.locator("#live")
            expect(live).to_contain_text("there is no ledger")
            assert "token" not in page.url
            with desk.started("close", source, "--rate", "20/s", "--no-settle", "--no-progress") as child:
                page.locator("table.runs a").click()
                expect(page.locator("#live .figure dd").first).to_have_text(re.compile(r"\d\d"), timeout=60_000)
                expect(live).to_contain_text("running")
                causes = page.get_by_role("group", name="What went wrong")
                causes.focus()
                told = page.locator("#live .headline").inner_text()
                expect(page.locator("#live .headline")).not_to_have_text(told)
                expect(causes).to_be_focused()  # whoever goes by keyboard is not thrown back by each look
                page.get_by_role("button", name="Pause").click()
                expect(page.locator("#said")).to_contain_text("paused")
                expect(live).to_contain_text("Nothing is sent now: paused", timeout=60_000)
                halted = sandbox.counts.requests.total()
                assert halted < SESSIONS
                page.get_by_role("button", name="Go on").click()
                expect(page.locator("#said")).to_contain_text("continues at 20/s")
                page.locator("#rate").fill("fast")
                page.keyboard.press("Enter")
                expect(page.locator("#said")).to_contain_text("rate:")
                page.locator("#rate").fill("19/s")
                page.keyboard.press("Enter")
                expect(page.locator("#said")).to_contain_text("at most 19/s")
                wait_until(lambda: sandbox.counts.requests.total() > halted)
                child.interrupt()
                assert child.ended().code == 130
            expect(live).to_contain_text("interrupted", timeout=60_000)
            expect(live).to_contain_text("not attempted")
            expect(page.get_by_role("button", name="Pause")).to_be_hidden()  # nobody is there to be told
            assert axe_violations(page) == []
            page.locator("input[name=session]").fill(ids[7].upper())
            page.keyboard.press("Enter")
            expect(page.locator("main")).to_contain_text("1 run holds it")
            page.locator("main a").first.click()
            page.get_by_role("link", name="full report").click()
            expect(page.locator("#shown")).to_have_text(f"{SESSIONS + 1} rows")
            assert all(url.startswith(address.split("#")[0]) for url in seen.asked if not url.startswith("data:"))
            assert seen.complaints == [REFUSED]


# The browser's own note of the rate that was no rate; nothing else may be noted.
REFUSED = "Failed to load resource: the server responded with a status of 400 (Bad Request)"


def test_strangers_read_nothing_and_steer_nothing(browser: Browser, tmp_path: Path) -> None:
    """Another name, another page, no token, a wrong one; and no page gives the token away."""
    with desk_of(tmp_path / "desk", quick()) as (desk, sandbox):
        source = desk.write_ids(sandbox.add_sessions(3))
        assert desk.run("close", source, "--no-settle", "--no-progress").code == 0
        with served(desk, "--allow-control") as address, served(desk) as closed:
            base, token = address.split("#token=")
            ours = {"Origin": base.rstrip("/"), "X-Closeout-Token": token}
            assert asked(base, "GET", "/", Host="evil.example")[0] == 403
            assert asked(base, "GET", "/runs/last/events", Host=f"evil.example:{urlsplit(base).port}")[0] == 403
            post = ("POST", "/runs/last/pause")
            refused = [
                asked(base, *post),
                asked(base, *post, **{**ours, "X-Closeout-Token": token[:-1]}),
                asked(base, *post, **{**ours, "Origin": "http://evil.example"}),
                asked(closed, *post, **{**ours, "Origin": closed.rstrip("/")}),
            ]
            assert [status for status, _ in refused] == [403] * 4
            assert all(json.loads(body)["error"] for _, body in refused)
            assert asked(base, *post, **ours) == (409, asked(base, *post, **ours)[1])
            pages = [
                asked(base, "GET", path) for path in ("/", "/runs/last", "/runs/last/report", "/search?session=<b>")
            ]
            assert [status for status, _ in pages] == [200] * 4
            assert not [body for _, body in pages if token in body or "<b>" in body]
            missing = ("/nothing", "/runs/nosuchrun", "/assets/../site.py", "/assets/report.html")
            assert [asked(base, "GET", path)[0] for path in missing] == [404] * 4
        with served(desk) as shown, visit(browser, f"{shown}runs/last#token=x") as seen:
            expect(seen.page.locator("#live")).to_contain_text("3 of 3 sessions are closed")
            assert seen.page.locator("#control").count() == 0
            assert seen.complaints == []
