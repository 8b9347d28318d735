"""What people and scripts hold on to: exit codes, the summary, exports, and the commands that read or go on."""

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from closeout.worker.sandbox import Sandbox, SandboxConfig
from tests.front_door.support import (
    COLUMNS,
    FAST,
    OUTCOMES,
    Desk,
    Done,
    Witness,
    assert_all_counted,
    desk_of,
    quick,
    waited,
)

SUMMARY = [
    "run", "job", "state", "why", "rows_read", "duplicates", "outcomes", "eval_status", "unsettled", "requests",
    "seconds", "rate", "exit_code",
]  # fmt: skip
COMMANDS = ("demo", "close", "resume", "retry", "settle", "runs", "show", "export", "sandbox")


@dataclass
class Finished:
    """A finished run with most outcomes, and what its end was like."""

    desk: Desk
    sandbox: Sandbox
    witness: Witness
    done: Done
    kinds: dict[str, list[str]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> "Finished":
    """A run that is over: its sandbox is gone, its ledger is there."""
    with desk_of(tmp_path_factory.mktemp("finished"), quick(close_faults={"reset_after": 0.2})) as (desk, sandbox):
        witness = Witness(sandbox)
        kinds = {"closed": sandbox.add_sessions(40), "already_closed": sandbox.add_sessions(5, already_closed=True)}
        kinds |= {"rejected": sandbox.add_sessions(3), "not_found": Sandbox(SandboxConfig(seed=77)).add_sessions(4)}
        for session_id in kinds["rejected"]:
            sandbox.script(session_id, ["422"])
        ids = [one for group in kinds.values() for one in group]
        lines = [f"{one},abandoned" for one in ids]
        lines += [f"{ids[0].upper()},", f"{{{ids[1]}}},", "=1+1,", f"{ids[2][:-1]},resolved"]
        (desk.home / "mixed.csv").write_text("session_id,reason\n" + "\n".join(lines) + "\n")
        done = desk.run("close", "mixed.csv", *FAST, "--json")
    return Finished(desk, sandbox, witness, done, kinds)


def test_the_summary_is_alone_on_standard_output_with_exactly_its_keys(finished: Finished) -> None:
    """One JSON document: the names, types and order of the contract, all nine outcomes, zeros too."""
    assert finished.done.out.count("\n") == 1
    summary = finished.done.summary
    assert list(summary) == SUMMARY
    assert set(summary["outcomes"]) == OUTCOMES
    assert list(summary["requests"]) == ["total", "close", "read", "list", "throttled", "retried"]
    assert list(summary["rate"]) == ["allowed", "achieved"]
    assert (summary["state"], summary["why"], summary["job"]) == ("finished", None, None)
    assert (summary["rows_read"], summary["duplicates"], summary["unsettled"]) == (56, 2, 0)
    assert sum(summary["eval_status"].values()) == 45


def test_the_outcomes_are_those_of_the_sessions(finished: Finished) -> None:
    """Some not found, invalid and rejected: exit code 1, and each row says what it is."""
    assert finished.done.code == finished.done.summary["exit_code"] == 1
    rows = finished.desk.by_id()
    for outcome, ids in finished.kinds.items():
        assert {rows[one]["outcome"] for one in ids} == {outcome}
        assert {rows[one]["reason"] for one in ids} == {"abandoned"}
    invalid = [row for row in finished.desk.rows() if row["outcome"] == "invalid"]
    assert [(row["session_id"], row["line"]) for row in invalid] == [
        ("=1+1", 56),
        (finished.kinds["closed"][2][:-1], 57),
    ]
    assert all(row["detail"] for row in invalid)
    assert {finished.sandbox.truth(one).reason for one in finished.kinds["closed"]} == {"abandoned"}
    assert_all_counted(finished.desk)


def test_the_requests_counted_are_those_that_arrived(finished: Finished) -> None:
    """The totals of the summary are the API's own."""
    told, seen = finished.done.summary["requests"], finished.sandbox.counts.requests
    assert (told["close"], told["total"]) == (seen["close"], sum(seen.values()))


def test_exports_have_the_columns_in_order_and_hold_the_ledger(finished: Finished) -> None:
    """CSV and JSONL: columns as promised, a row each in the order of the source, formulas defused in the CSV."""
    desk = finished.desk
    prefix = finished.done.summary["run"][:5]
    table, lines = desk.run_all(("export", "last"), ("export", prefix, "--format", "jsonl"))
    assert (table.code, lines.code) == (0, 0)
    records = [json.loads(line) for line in lines.out.splitlines()]
    assert all(list(record) == COLUMNS for record in records)
    ordered = sorted(desk.rows(), key=lambda row: int(row["line"]))
    assert records == ordered
    header, *cells = csv.reader(io.StringIO(table.out))
    assert header == COLUMNS
    assert len(cells) == len(ordered)
    assert next(row[1] for row in cells if row[2] == "invalid") == "'=1+1"
    instants = [record[name] for record in records for name in COLUMNS if name.endswith("_at") and record[name]]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", instant) for instant in instants)


def test_show_prints_every_exchange_of_a_session(finished: Finished) -> None:
    """``show RUN --session ID`` tells each request about it with its answer; ``show RUN`` the run."""
    log = finished.witness.log
    lost = next(one for one in finished.kinds["closed"] if ("read", one) in log)
    shown = finished.desk.run("show", "last", "--session", lost)
    assert shown.code == 0
    for part in (lost, "close", "read", "connection_lost", "200"):
        assert part in shown.out
    document = json.loads(finished.desk.run("show", "last", "--session", lost.upper(), "--json").out)
    kinds = [exchange["kind"] for exchange in document["exchanges"]]
    assert kinds[:2] == ["close", "read"]
    assert kinds.count("close") == finished.witness.posts()[lost]
    assert [document[name] for name in COLUMNS] == [finished.desk.by_id()[lost][name] for name in COLUMNS]


def test_people_are_told_why_rows_were_invalid(finished: Finished) -> None:
    """In the summary of a run and when it is shown later."""
    shown = finished.desk.run("show", "last")
    assert "invalid         2 (2 not a UUID, first in line 56)" in shown.out
    (finished.desk.home / "bad.txt").write_text("x\n\ny\n")
    done = finished.desk.run("close", "bad.txt", *FAST, "--ledger", "other.db")
    assert done.code == 1
    assert "invalid    2 (2 not a UUID, first in line 1)" in done.out


def test_runs_lists_the_runs_and_unknown_ones_are_one_line(finished: Finished) -> None:
    """``runs`` and ``show`` agree; a run or session that is not there is one line and exit code 2."""
    name = finished.done.summary["run"]
    [listed] = json.loads(finished.desk.run("runs", "--json").out)
    shown = json.loads(finished.desk.run("show", name[:4], "--json").out)
    assert (listed["run"], listed["state"], listed["rows_read"]) == (name, "finished", 56)
    assert shown["outcomes"] == listed["outcomes"] == finished.done.summary["outcomes"]
    wrong = (("show", "nosuchrun"), ("export", "zz"), ("show", "last", "--session", "x"))
    for refused in finished.desk.run_all(*wrong):
        assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)


def test_retry_attempts_again_what_ended_badly(tmp_path: Path) -> None:
    """Rejected, failed and not found sessions that are fine later are closed by ``retry``; closed ones stay at rest."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        witness = Witness(sandbox)
        good, rejected, failed, missing = (sandbox.add_sessions(count) for count in (5, 2, 2, 2))
        for one, answers in [*((one, ["422"]) for one in rejected), *((one, ["503"] * 2) for one in failed)]:
            sandbox.script(one, answers)
        for one in missing:
            sandbox.script(one, ["404"])
        desk.write_ids([*good, *rejected, *failed, *missing])
        first = desk.run("close", "sessions.csv", *FAST, "--max-attempts", "2", "--json")
        assert first.code == 1
        found = first.summary["outcomes"]
        assert (found["rejected"], found["failed"], found["not_found"]) == (2, 2, 2)
        again = desk.run("retry", "last", *FAST, "--json")
    assert again.code == 0
    assert again.summary["run"] == first.summary["run"]
    assert again.summary["outcomes"]["closed"] == 11
    posts = witness.posts()
    assert {posts[one] for one in good} == {1}


def test_settle_looks_later(tmp_path: Path) -> None:
    """Without settling the verdicts are open, which nobody asked for: 0. ``settle`` makes them final, with no close."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(30)
        first = desk.run("close", desk.write_ids(ids), *FAST, "--no-settle", "--protect", "none", "--json")
        assert (first.code, first.summary["state"]) == (0, "finished")
        assert first.summary["unsettled"] > 0
        assert first.summary["requests"]["list"] + first.summary["requests"]["read"] == 0
        again = desk.run("settle", *FAST, "--json")
        assert again.code == 0
        assert again.summary["unsettled"] == 0
        assert again.summary["requests"]["close"] == 30
        rows = desk.by_id()
        assert {one: rows[one]["eval_status"] for one in ids} == {one: sandbox.truth(one).eval_status for one in ids}


def test_settle_with_nothing_to_do_says_how_the_runs_stand(finished: Finished) -> None:
    """With ``--json`` each finished run has its summary, as ever; nothing is sent, and the exit code is 0."""
    done = finished.desk.run("settle", "--json")
    assert (done.code, done.err) == (0, "closeout: every evaluation of every finished run is settled\n")
    assert list(done.summary) == SUMMARY
    assert done.summary == finished.done.summary | {"exit_code": 0}
    assert finished.desk.run("settle").out == ""


def test_evaluations_that_never_end_are_exit_code_4(tmp_path: Path) -> None:
    """After ``--settle-for`` the run is over all the same, and says what is not final."""
    with desk_of(tmp_path, quick(unfinished_share=1.0, no_critical_share=0.5)) as (desk, sandbox):
        source, soon = desk.write_ids(sandbox.add_sessions(10)), ("--none-grace", "100ms", "--settle-for", "1500ms")
        done = desk.run("close", source, *FAST, *soon, "--json")
    assert done.code == 4
    assert 0 < done.summary["unsettled"] == done.summary["eval_status"]["pending"]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A folder with nothing in it, for commands that send nothing, each started as a person starts it."""
    return Desk(tmp_path_factory.mktemp("bare"), anew=True)


def test_help_lists_the_commands(bare: Desk) -> None:
    """``--help`` names each command, and the program as it was called or as it is called."""
    done = bare.run("--help")
    assert done.code == 0
    assert re.match(r"Usage: (closeout|python -m closeout) ", done.out)
    assert all(re.search(rf"^  {name} ", done.out, re.M) for name in COMMANDS)


def test_every_command_has_help(bare: Desk) -> None:
    """``COMMAND --help`` explains the command and exits with 0."""
    for name, done in zip(COMMANDS, bare.run_all(*((name, "--help") for name in COMMANDS)), strict=True):
        assert (done.code, done.err) == (0, ""), name
        assert re.search(rf"^Usage: .* {name} ", done.out)


def test_what_is_no_command_is_a_usage_error(bare: Desk) -> None:
    """Usage errors are exit code 2, on standard error."""
    for done in bare.run_all(("clsoe",), ("close",), ("close", "x.csv", "--no-such-flag"), ("runs", "extra")):
        assert (done.code, done.out) == (2, "")
        assert "Traceback" not in done.err


def test_settle_leaves_an_unfinished_run_as_it_was(tmp_path: Path) -> None:
    """It looks at evaluations alone: the run stays interrupted, for its own reason, and says that work is left."""
    with desk_of(tmp_path, quick(latency=0.02)) as (desk, sandbox):
        witness = Witness(sandbox)
        desk.write_ids(sandbox.add_sessions(200))
        with desk.started("close", "sessions.csv", *FAST, "--rate", "40/s", "--no-settle") as child:
            waited(witness.event_at(20, "close"))
            child.terminate()
            child.ended()
        before = desk.query("SELECT state, why FROM runs")
        closes = sandbox.counts.requests["close"]
        done = desk.run("settle", "last", *FAST, "--json")
        assert before == [("interrupted", "interrupted by TERM")] == desk.query("SELECT state, why FROM runs")
        assert (done.code, done.summary["state"], done.summary["unsettled"]) == (3, "interrupted", 0)
        assert sandbox.counts.requests["close"] == closes


def test_the_host_is_named_before_anything_is_sent_and_at_the_end(tmp_path: Path) -> None:
    """Whoever forgot to give it sees where the sessions are being closed."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        done = desk.run("close", desk.write_ids(sandbox.add_sessions(2)), *FAST)
    assert desk.url is not None
    assert f"closing on {desk.url}" in done.err.splitlines()[0]
    assert desk.url in done.out
