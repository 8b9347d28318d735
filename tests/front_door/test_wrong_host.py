"""A host that does not speak the API is called that after its first answer, and no advice weakens a guard."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from closeout.worker.sandbox import Sandbox
from tests.front_door.gateways import GATEWAYS, Asked, Choice, Foreign, Gateway, gateway_before
from tests.front_door.support import FAST, Desk, Done, desk_of, quick

WORDS = (*FAST, "--json")
SAYS_YES = {
    "html": Foreign(200, "<!DOCTYPE html><html><body>It works!</body></html>", "text/html"),
    "login page": Foreign(200, "<html><form action='/login'></form></html>", "text/html; charset=utf-8"),
    "object": Foreign(200, "{}"),
    "list": Foreign(200, "[]"),
    "null": Foreign(200, "null"),
    "ok": Foreign(200, '{"ok": true}'),
    "nothing": Foreign(200, ""),
    "a number": Foreign(200, "42"),
    "text": Foreign(200, "ok", "text/plain"),
    "an empty page": Foreign(200, '{"items": []}'),
    "a page of something else": Foreign(200, '{"items": [{"name": "x"}], "has_more": false}'),
    "an identity": Foreign(200, '{"id": "u1", "email": "a@example.com", "role": "admin"}'),
    "a session of its own": Foreign(200, '{"id": "0190c1f2-0000-7000-8000-00000000ffff", "status": "closed"}'),
    "health": Foreign(200, '{"status": "UP", "items": null}'),
    "created": Foreign(201, "{}"),
    "empty": Foreign(204, ""),
    "a redirect": GATEWAYS["portal 302"],
    "no route": GATEWAYS["kong 404"],
    "default backend": GATEWAYS["ingress 404"],
    "another framework": GATEWAYS["fastapi 404"],
    "another's key": GATEWAYS["kong 401"],
    "forbidden": GATEWAYS["aws 403"],
    "teapot": Foreign(418, '{"error": "I am a teapot"}'),
}


@contextmanager
def elsewhere(home: Path, foreign: Foreign) -> Iterator[tuple[Desk, Sandbox, Gateway]]:
    """A desk whose host is the API's until ``gateway.choose`` says that it is another's."""

    def choose(_: Asked) -> Choice:
        return foreign, "before"

    with desk_of(home, quick()) as (desk, sandbox), gateway_before(desk.url or "", choose) as (url, gateway):
        desk.url = url
        yield desk, sandbox, gateway


def is_called_that(done: Done, gateway: Gateway, *, sent: int = 0, most: int = 5) -> None:
    """Exit code 3, the reason, no advice to weaken anything, and a handful of requests since."""
    assert done.code == 3, done
    said = done.out + done.err
    assert "does not speak the API" in said or "never followed" in said, said
    assert "--base-url" in said
    for advice in ("--protect", "--max-failures", "--canary", "--yes"):
        assert advice not in said, said
    assert len(gateway.log) - sent <= most, gateway.log[sent:]


@pytest.mark.parametrize("name", SAYS_YES)
def test_a_host_that_is_not_the_api_halts_a_close_at_its_first_answer(tmp_path: Path, name: str) -> None:
    """Nothing is closed there, also where no list comes before the first close."""
    with elsewhere(tmp_path, SAYS_YES[name]) as (desk, sandbox, gateway):
        source = desk.write_ids(sandbox.add_sessions(200))
        is_called_that(desk.run("close", source, *WORDS), gateway)
        assert not gateway.posts()
        assert {row["outcome"] for row in desk.rows()} <= {"pending"}
        (desk.home / "closeout.db").unlink()
        sent = len(gateway.log)
        is_called_that(desk.run("close", source, *WORDS, "--protect", "none"), gateway, sent=sent, most=3)
        assert not gateway.posts()
        assert {row["outcome"] for row in desk.rows()} <= {"pending"}
        gateway.choose = lambda _: None
        assert desk.run("resume", "last", *WORDS).code == 0
        assert {row["outcome"] for row in desk.rows()} == {"closed"}


@pytest.mark.parametrize("name", ["html", "object", "no route", "an empty page"])
def test_every_command_calls_it_that(tmp_path: Path, name: str) -> None:
    """Also where the run was begun while the host was the API's."""
    (tmp_path / "closeout.toml").write_text("[jobs.night]\nselect = {expired = true}\nmax_close = 1000\n")
    with elsewhere(tmp_path, SAYS_YES[name]) as (desk, sandbox, gateway):
        wrong, gateway.choose = gateway.choose, lambda _: None
        source = desk.write_ids(sandbox.add_sessions(30))
        assert desk.run("close", source, *WORDS, "--no-settle", "--limit", "10").code in (0, 4)
        assert desk.run("plan", source, *WORDS, "--ledger", "plan.db").code == 0
        desk.run("push", source, "queue:stale", "--ledger", "queue.db")
        desk.run("close", source, *WORDS, "--ledger", "late.db", "--deadline", "1ms", "--no-settle")
        gateway.choose, closed = wrong, sum(gateway.posts().values())
        for words in (
            ("settle", "last", *WORDS),
            ("verify", "last", *FAST[:2]),
            ("plan", source, *WORDS),
            ("apply", "last", "--yes", *FAST, "--ledger", "plan.db"),
            ("resume", "last", *WORDS, "--ledger", "late.db", "--deadline", "1h"),
            ("sweep", "night", *WORDS, "--ledger", "sweep.db"),
            ("work", "queue:stale", *WORDS, "--ledger", "queue.db"),
            ("work", "queue:stale", *WORDS, "--ledger", "queue.db", "--drain"),
        ):
            sent, done = len(gateway.log), desk.run(*words)
            said = Done(done.code, done.out, done.err.replace("--yes", "") if "apply" in words else done.err)
            is_called_that(said, gateway, sent=sent)
        assert sum(gateway.posts().values()) == closed
        doctor = desk.run("doctor", "--json")
    host = next(each for each in json.loads(doctor.out)[0]["findings"] if each["what"] == "host")
    assert (doctor.code, host["level"]) == (1, "problem")
    assert "does not speak the API" in host["told"]
    assert "knows the key" not in doctor.out


def test_a_host_that_answers_closes_alone_is_called_that(tmp_path: Path) -> None:
    """A wall that lets reading through and no closing is found at the first close, not at the hundredth."""
    with elsewhere(tmp_path, SAYS_YES["forbidden"]) as (desk, sandbox, gateway):
        gateway.choose = lambda asked: (SAYS_YES["forbidden"], "before") if asked.kind == "close" else None
        done = desk.run("close", desk.write_ids(sandbox.add_sessions(200)), *WORDS)
        outcomes = Counter(row["outcome"] for row in desk.rows())
    assert done.code == 3
    assert "closes are answered 403 with JSON of another shape, not as the API answers" in done.summary["why"]
    assert outcomes == {"in_doubt": sum(gateway.posts().values()), "pending": 200 - sum(gateway.posts().values())}
    assert sum(gateway.posts().values()) <= 13
