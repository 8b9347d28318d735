"""A key or a host that is wrong: the run halts at once, and nothing is held against a session."""

from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web

from closeout.worker.sandbox import Sandbox, SandboxConfig
from tests.front_door.servers import redirecting, serving
from tests.front_door.support import FAST, KEY, Desk, Witness, assert_ledger_is_true, desk_of, quick

SOME = Sandbox(SandboxConfig(seed=6)).add_sessions(200)


def outcomes(desk: Desk) -> Counter[str]:
    return Counter(row["outcome"] for row in desk.rows())


@pytest.mark.parametrize("scopes", [None, {"conversations:read"}], ids=["unknown-key", "key-that-may-only-read"])
def test_a_refused_key_halts_at_once_and_a_good_one_goes_on(tmp_path: Path, scopes: set[str] | None) -> None:
    """401 or 403 on the first answers: exit 3, all is pending, few requests; ``resume`` with a good key finishes."""
    with desk_of(tmp_path, quick(latency=0.01)) as (desk, sandbox):
        ids = sandbox.add_sessions(200)
        if scopes is not None:
            sandbox.add_key("wrong-key", scopes=scopes)
        bad = Desk(tmp_path, desk.url, key="wrong-key")
        done = bad.run("close", desk.write_ids(ids), *FAST, "--concurrency", "8", "--json")
        assert done.code == done.summary["exit_code"] == 3
        assert done.summary["state"] == "halted"
        assert "the key (found in CLOSEOUT_API_KEY) may not" in done.summary["why"]
        assert outcomes(desk) == {"pending": 200}
        assert sum(sandbox.counts.requests.values()) <= 16
        assert desk.run("resume", "last", *FAST).code == 0
        assert outcomes(desk) == {"closed": 200}
        assert_ledger_is_true(desk, sandbox, ids)


def test_a_key_revoked_in_the_middle_halts(tmp_path: Path) -> None:
    """What was closed stays closed, the rest is pending, nothing failed; a new key finishes."""
    with desk_of(tmp_path, quick(latency=0.01)) as (desk, sandbox):
        ids = sandbox.add_sessions(200)
        witness = Witness(sandbox)
        witness.at(60, lambda: sandbox.revoke_key(KEY), "close")
        done = desk.run("close", desk.write_ids(ids), *FAST, "--rate", "200/s", "--json")
        assert done.code == 3
        assert "401" in done.summary["why"]
        assert outcomes(desk) == {"closed": 59, "pending": 141}
        sandbox.add_key("another-key")
        again = Desk(tmp_path, desk.url, key="another-key")
        assert again.run("resume", "last", *FAST).code == 0
        assert_ledger_is_true(desk, sandbox, ids)


def test_a_redirect_is_never_followed(tmp_path: Path) -> None:
    """The key stays where it was sent: the run halts, and the other host hears nothing."""
    heard: list[str] = []

    async def hear(request: web.BaseRequest) -> web.StreamResponse:
        heard.append(request.path)
        return web.json_response({})

    with serving(hear) as elsewhere, serving(redirecting(elsewhere, 307)) as url:
        desk = Desk(tmp_path, url)
        done = desk.run("close", desk.write_ids(SOME), *FAST, "--json")
    assert heard == []
    assert done.code == 3
    assert "redirect" in done.summary["why"]
    assert outcomes(desk) == {"pending": 200}


def test_a_host_that_is_not_the_api_halts(tmp_path: Path) -> None:
    """A web server's own 404 speaks of the address, not of the sessions."""

    async def nothing_here(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=404, text="<html>not here</html>", content_type="text/html")

    with serving(nothing_here) as url:
        desk = Desk(tmp_path, url)
        done = desk.run("close", desk.write_ids(SOME), *FAST, "--json")
    assert done.code == 3
    assert outcomes(desk) == {"pending": 200}


def test_an_outage_halts_and_nothing_fails(tmp_path: Path) -> None:
    """Nobody listens: after ``--give-up-after`` the run halts with everything pending."""
    desk = Desk(tmp_path, "http://127.0.0.1:9")
    done = desk.run("close", desk.write_ids(SOME[:20]), *FAST, "--give-up-after", "500ms", "--json")
    assert (done.code, done.summary["state"]) == (3, "halted")
    assert outcomes(desk) == {"pending": 20}


def test_a_file_that_is_not_compressed_as_its_name_says_sends_nothing(tmp_path: Path) -> None:
    """Exit 2, one line that says what to do, and no run."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        done = desk.run("close", desk.write_ids(sandbox.add_sessions(3), "sessions.csv.gz"), *FAST)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("closeout: sessions.csv.gz is named .gz, but holds no compressed data: ")
        assert done.err.count("\n") == 1
        assert not desk.ledger.exists()
        assert not sandbox.counts.requests.total()
