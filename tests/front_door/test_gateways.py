"""Whoever answers in the API's place says nothing of a session: nothing is closed twice, and nothing final is said."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from closeout.worker.sandbox import Sandbox
from tests.front_door.gateways import (
    GATEWAYS,
    REFUSED,
    UNTOLD,
    Asked,
    Choice,
    Foreign,
    Gateway,
    When,
    gateway_before,
    of_json,
)
from tests.front_door.support import FAST, Desk, assert_all_counted, desk_of, quick

WORDS = (*FAST, "--settle-for", "20s", "--json")
OPEN = {"closed", "already_closed", "pending", "in_doubt"}
LOOKS = (
    "nginx 400", "kong 401", "spring 403", "ingress 404", "html 404", "nginx 405", "stamped 409", "go 410",
    "nestjs 422", "kong 429", "lambda 501", "portal 302", "portal 200", "stranger 200", "nginx 502", "spring 503",
)  # fmt: skip


@contextmanager
def behind(home: Path, choose: Callable[[Asked], Choice] = lambda _: None) -> Iterator[tuple[Desk, Sandbox, Gateway]]:
    """A desk whose host is a gateway before a sandbox."""
    with desk_of(home, quick()) as (desk, sandbox), gateway_before(desk.url or "", choose) as (url, gateway):
        desk.url = url
        yield desk, sandbox, gateway


def looked_at_before_each_repeat(gateway: Gateway) -> bool:
    """Whether no close was sent again without a look at the session since the one before."""
    closed = set[str | None]()
    for asked in list(gateway.log):
        if asked.kind == "list":
            closed.clear()
        elif asked.kind == "read":
            closed.discard(asked.session)
        elif asked.kind == "close":
            if asked.session in closed:
                return False
            closed.add(asked.session)
    return True


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_close_that_something_else_answers_is_looked_up_before_it_is_sent_again(tmp_path: Path, when: When) -> None:
    """Whatever answers, and whether or not the API has carried the close out: each session is closed once, by us."""
    answers, chosen = GATEWAYS | UNTOLD, dict[str | None, Foreign]()

    def choose(asked: Asked) -> Choice:
        foreign = chosen.get(asked.session) if asked.kind == "close" and asked.nth == 1 else None
        return None if foreign is None else (foreign, when)

    with behind(tmp_path, choose) as (desk, sandbox, gateway):
        first = sandbox.add_sessions(3)  # answered by the API, which has proved itself then
        ids = sandbox.add_sessions(len(answers))
        chosen.update(zip(ids, answers.values(), strict=True))
        done = desk.run("close", desk.write_ids(first + ids), *WORDS)
        rows = desk.by_id()
        for name, session_id in zip(answers, ids, strict=True):
            truth = sandbox.truth(session_id)
            assert (rows[session_id]["outcome"], truth.closes_received) == ("closed", 1), (name, rows[session_id])
            assert (truth.closes_effective, truth.closes_repeated) == (1, 0), name
            assert gateway.posts()[session_id] == (1 if when == "after" else 2), name
    assert done.code == 0, done.summary
    assert looked_at_before_each_repeat(gateway)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_refusal_that_says_more_than_the_api_documents_is_looked_at(tmp_path: Path, when: When) -> None:
    """What was carried out is ours, and what was not is rejected, with no second close."""
    chosen = dict[str | None, Foreign]()

    def choose(asked: Asked) -> Choice:
        return (chosen[asked.session], when) if asked.kind == "close" and asked.session in chosen else None

    with behind(tmp_path, choose) as (desk, sandbox, gateway):
        first, ids = sandbox.add_sessions(20), sandbox.add_sessions(len(REFUSED))
        chosen.update(zip(ids, REFUSED.values(), strict=True))
        done = desk.run("close", desk.write_ids(first + ids), *WORDS, "--max-failures", "100%")
        outcomes = {desk.by_id()[each]["outcome"] for each in ids}
        assert {gateway.posts()[each] for each in ids} == {1}
    assert outcomes == {"closed" if when == "after" else "rejected"}
    assert done.code == (0 if when == "after" else 1), done.summary


@pytest.mark.parametrize("status", ["active", "waiting_for_human", "transferred"])
def test_an_acknowledgement_of_a_close_that_was_not_carried_out_is_looked_at(tmp_path: Path, status: str) -> None:
    """A cache, or a proxy that made a read of the close, answers 200 with the session as it is."""
    asleep = set[str | None]()

    def choose(asked: Asked) -> Choice:
        if asked.kind != "close" or asked.nth > 1 or asked.session not in asleep:
            return None
        return of_json(200, id=asked.session, status=status, closed_at=None), "before"

    with behind(tmp_path, choose) as (desk, sandbox, gateway):
        ids = sandbox.add_sessions(12)
        asleep.update(ids[6:])
        done = desk.run("close", desk.write_ids(ids), *WORDS, "--protect", "none")
        assert {row["outcome"] for row in desk.rows()} == {"closed"}
        assert {sandbox.truth(each).status for each in ids} == {"closed"}
    assert done.code == 0, done.summary
    assert looked_at_before_each_repeat(gateway)


@pytest.mark.parametrize("command", ["close", "guarded", "plan", "settle", "verify"])
def test_a_look_that_something_else_answers_says_nothing(tmp_path: Path, command: str) -> None:
    """Of a session in doubt, before a close, for a plan, at its verdict, or when the ledger is checked."""
    chosen, active, read = dict[str | None, Foreign](), [False], set[str | None]()

    def choose(asked: Asked) -> Choice:
        if asked.kind == "close" and command == "close" and asked.nth == 1 and asked.session in chosen:
            return GATEWAYS["nginx 502"], "after"
        if not active[0] or asked.kind not in ("read", "list"):
            return None
        read.add(asked.session)
        if asked.kind == "list":
            return None if command == "close" or asked.nth > 40 else (GATEWAYS["nginx 502"], "before")
        return (chosen[asked.session], "before") if len(read) > 5 and asked.nth == 1 else None

    with behind(tmp_path, choose) as (desk, sandbox, gateway):
        ids = sandbox.add_sessions(5 + len(LOOKS))  # the API answers first, and has proved itself then
        chosen.update(zip(ids, map(GATEWAYS.__getitem__, (*LOOKS[:5], *LOOKS)), strict=True))
        source = desk.write_ids(ids)
        if command in ("settle", "verify"):
            desk.run("close", source, *WORDS, *(("--no-settle",) if command == "settle" else ()))
        active[0] = True
        words = {
            "close": ("close", source, "--protect", "none", *WORDS),
            "guarded": ("close", source, "--protect", "none", "--only-status", "active", *WORDS),
            "plan": ("plan", source, *WORDS),
            "settle": ("settle", "last", *WORDS),
            "verify": ("verify", "last", "--all", *FAST[:2]),
        }
        done = desk.run(*words[command])
        rows, closes = desk.rows(), {sandbox.truth(each).closes_received for each in ids}
    assert done.code == (3 if command == "verify" else 0), done
    assert {row["outcome"] for row in rows} == ({"pending"} if command == "plan" else {"closed"}), done
    assert closes == ({0} if command == "plan" else {1})
    assert {row["detail"] for row in rows} == {None}, "nobody deleted one"
    assert "deleted" not in done.out
    assert looked_at_before_each_repeat(gateway)
    assert_all_counted(desk)


@pytest.mark.parametrize(
    "name", ["nginx 404", "kong 401", "nginx 400", "spring 403", "portal 200", "mock 200", "portal 302"]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_when_something_else_takes_the_apis_place_the_run_holds_and_gives_up_in_time(
    tmp_path: Path, name: str, when: When
) -> None:
    """Few requests leave, nothing final is said, and once the API is back the run goes on from where it was."""
    taken = [0]

    def choose(asked: Asked) -> Choice:
        taken[0] += asked.kind == "close" or bool(taken[0] > 40)
        return (GATEWAYS[name], when) if taken[0] > 40 else None

    with behind(tmp_path, choose) as (desk, sandbox, gateway):
        ids = sandbox.add_sessions(400)
        done = desk.run("close", desk.write_ids(ids), *WORDS, "--give-up-after", "3s", "--concurrency", "8")
        sent, outcomes = len(gateway.log), {row["outcome"] for row in desk.rows()}
        gateway.choose = lambda _: None
        resumed = desk.run("resume", "last", *WORDS)
        assert {row["outcome"] for row in desk.rows()} == {"closed"}
        assert {sandbox.truth(each).closes_received for each in ids} == {1}
    assert done.code == 3
    assert outcomes <= OPEN
    assert sent < 40 + 60
    assert "not as the API answers" in done.summary["why"]
    assert resumed.code == 0
    assert looked_at_before_each_repeat(gateway)
