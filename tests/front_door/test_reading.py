"""How a source is read is told, kept and asked about; what may be read in more than one way sends nothing."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from closeout.worker.sandbox import Sandbox
from tests.front_door.support import FAST, Desk, Witness, desk_of, quick, waited
from tests.front_door.terminal import at_a_terminal, squeezed

JSON = (*FAST, "--no-settle", "--json")
ASKED = "Close them? [y/N]:"
READING = 'ids: column 3 "session_id" of 3, comma, header in line 2; first {}…'


def write(desk: Desk, name: str, content: str) -> str:
    (desk.home / name).write_text(content, encoding="utf-8")
    return name


def nothing_was_sent(sandbox: Sandbox) -> bool:
    return sum(sandbox.counts.requests.values()) == 0


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "ID,Session ID\n{0},{1}\n", ["column 1 'ID'", "column 2 'Session ID'", "--id-column"]),
        ("a.csv", "{0},{1}\n", ["column 1", "column 2", "--id-column"]),
        ("a.csv", "parent,session_id\n{0},{1}\nsession_id,parent\n{1},{0}\n", ["line 3 is another header"]),
        ("a.jsonl", '{{"id":"{0}","sessionId":"{1}"}}\n', ["'sessionId'", "'id'", "--id-column"]),
        ("a.jsonl", '{{"id":"{0}","items":[{{"id":"{1}"}}]}}\n', ["within 'items'"]),
        ("a.txt", "{0} {1}\n", ["several UUIDs"]),
        ("-", '["{0}","{1}"]\n["{1}","{0}"]\n', ["another array of strings"]),
        ("a.json", '{{"items":[{{"id":"{0}"}}],\n"session_id":"{1}"}}\n', ["'session_id' and within 'items'"]),
        ("a.csv", "<!doctype html><title>Sign in</title>{0}", ["a web page (HTML) titled 'Sign in'"]),
        ("a.pdf", "%PDF-1.7 {0}", ["is a PDF document"]),
        ("-", "{0};{1}\n", ["--id-column"]),
    ],
)
@pytest.mark.parametrize("command", ["close", "plan", "push"])
def test_more_than_one_reading_sends_nothing(
    tmp_path: Path, name: str, content: str, told: list[str], command: str
) -> None:
    """Exit code 2, one line, the candidates, and what settles it; no ledger is made."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        text = content.format(*sandbox.add_sessions(2))
        source = name if name == "-" else write(desk, name, text)
        words = (source, "queue:q") if command == "push" else (source, *FAST)
        done = desk.run(command, *words, input=text.encode() if name == "-" else None)
        assert (done.code, done.out, nothing_was_sent(sandbox)) == (2, "", True), done.err
        assert [line for line in done.err.splitlines() if line] == [done.err.rstrip("\n")]
        assert all(words in done.err for words in told), done.err
        assert not desk.ledger.exists()


def test_the_flag_settles_it(tmp_path: Path) -> None:
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        parent, session = sandbox.add_sessions(2)
        write(desk, "a.csv", f"ID,Session ID\n{parent},{session}\n")
        assert desk.run("close", "a.csv", "--id-column", "Session ID", *JSON).code == 0
        assert [row["session_id"] for row in desk.rows()] == [session]
        assert sandbox.counts.requests["close"] == 1


@pytest.mark.parametrize("read", [100, 10_000])
def test_a_run_that_reads_its_file_otherwise_is_not_gone_on_with(tmp_path: Path, read: int) -> None:
    """A person stops, and names the right column: what the run had still to close of the wrong one is left alone."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        witness = Witness(sandbox)
        sent, other = sandbox.add_sessions(read), sandbox.add_sessions(read)
        write(desk, "a.csv", "ID,Session ID\n" + "".join(f"{p},{s}\n" for p, s in zip(sent, other, strict=True)))
        with desk.started("close", "a.csv", "--id-column", "1", *JSON, "--rate", "20/s") as child:
            waited(witness.event_at(5, "close"))
            child.terminate()
            assert child.ended().code == 143
        (name,) = desk.query("SELECT name FROM runs")[0]
        before = len(witness.log)
        refused = desk.run("close", "a.csv", "--id-column", "2", *JSON)
        assert (refused.code, refused.out, len(witness.log)) == (2, "", before), refused.err
        assert f"has an unfinished run, {name}, which reads it otherwise (ids: column 1" in refused.err
        assert "--new-run" in refused.err
        assert desk.query("SELECT count(*), min(state) FROM runs") == [(1, "interrupted")]


def test_a_header_that_disagrees_further_down_ends_the_reading(tmp_path: Path) -> None:
    """What stands above it is closed as it was read, and a row says why nothing below it was."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids, (parent, other) = sandbox.add_sessions(2_100), sandbox.add_sessions(2)
        rows = "".join(f"{parent},{one}\n" for one in ids)
        write(desk, "a.csv", f"parent,session_id\n{rows}session_id,parent\n{parent},{other}\n")
        done = desk.run("close", "a.csv", *JSON, "--rate", "5000/s", "--org-limit", "10000/s")
        assert (done.code, done.summary["outcomes"]["closed"], done.summary["outcomes"]["invalid"]) == (1, 2_100, 1)
        assert sandbox.counts.requests["close"] == 2_100
        (problem,) = [row["detail"] for row in desk.rows() if row["outcome"] == "invalid"]
        assert problem.startswith("line 2,102 is another header (session_id, parent) than line 1")


def test_the_reading_is_told_first_and_kept_with_the_run(tmp_path: Path) -> None:
    """In close, plan, show and report."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        parent, session = sandbox.add_sessions(2)
        write(desk, "a.csv", f"#TYPE x\nsubject,parent,session_id\nhi,{parent},{session}\n")
        reading = READING.format(session[:8])
        planned = desk.run("plan", "a.csv", *FAST)
        assert f"closeout: a.csv: {reading}\n" in planned.err
        assert reading in " ".join(planned.out.split())
        closed = desk.run("close", "a.csv", *FAST, "--no-settle")
        assert f"closeout: a.csv: {reading}\n" in closed.err
        assert reading in " ".join(desk.run("show", "last").out.split())
        assert reading in desk.run("report", "last", "--format", "markdown").out
        assert reading.replace('"', "&#34;") in desk.run("report", "last", "--format", "html").out
        assert desk.query("SELECT DISTINCT reading FROM runs") == [(reading,)]


def test_a_row_refused_for_its_reason_keeps_it_when_it_is_fed_back(tmp_path: Path) -> None:
    """The export of what went wrong, given again, is refused again, and closes once the reason may be sent."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        session, other = sandbox.add_sessions(2)
        write(desk, "a.csv", f"session_id,reason\n{session},no such reason\n{other},{'x' * 70_000}\n")
        assert desk.run("close", "a.csv", *JSON).code == 1
        desk.run("export", "last", "--output", "wrong.csv")
        with (desk.home / "wrong.csv").open(encoding="utf-8") as file:
            rows = {row["session_id"]: row["reason"] for row in csv.DictReader(file)}
        assert rows == {session: "no such reason", other: "x" * 200}
        again = desk.run("close", "wrong.csv", *JSON)
        assert (again.code, again.summary["outcomes"]["invalid"]) == (1, 2)
        assert sandbox.counts.requests["close"] == 0
        allowed = desk.run("close", "wrong.csv", *JSON, "--allow-unknown-reason", "--new-run")
        assert (allowed.summary["outcomes"]["closed"], allowed.summary["outcomes"]["invalid"]) == (1, 1)
        assert sandbox.counts.requests["close"] == 1


@pytest.mark.parametrize(("typed", "code", "closes"), [("y\n", 0, 3), ("n\n", 2, 0)])
def test_a_pipe_is_asked_about_at_the_terminal(tmp_path: Path, typed: str, code: int, closes: int) -> None:
    """Standard input holds the ids, so the answer comes from the terminal itself."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(3))
        receiver, sender = os.pipe()
        os.write(sender, (desk.home / "sessions.csv").read_bytes())
        os.close(sender)
        with at_a_terminal(desk, "close", "-", *FAST, "--no-settle", stdin=receiver) as terminal:
            os.close(receiver)
            terminal.wait_for_question(ASKED)
            assert squeezed("as many sessions as the pipe gives to close on") in terminal.shown
            assert nothing_was_sent(sandbox)
            terminal.type(typed)
            assert terminal.ended() == code
        assert sandbox.counts.requests["close"] == closes


def test_a_no_makes_no_ledger(tmp_path: Path) -> None:
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(3))
        with at_a_terminal(desk, "close", "sessions.csv", *FAST) as terminal:
            terminal.wait_for_question(ASKED)
            terminal.type("n\n")
            assert terminal.ended() == 2
        assert "sessions.csv was not closed: nothing was sent" in terminal.seen
        assert nothing_was_sent(sandbox)
        assert not desk.ledger.exists()


def test_what_has_no_terminal_is_not_asked(tmp_path: Path) -> None:
    """In a session without one, whatever standard error is."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(3))
        done = subprocess.run(
            [sys.executable, "-m", "closeout", "close", "-", *FAST, "--no-settle"],
            cwd=desk.home,
            env=desk.environment(),
            input=(desk.home / "sessions.csv").read_bytes(),
            capture_output=True,
            check=False,
            start_new_session=True,
        )
        assert done.returncode == 0, done.stderr
        assert sandbox.counts.requests["close"] == 3


def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    """How many it holds is not guessed by opening it again, which would take its rows or wait for ever."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(3)
        os.mkfifo(desk.home / "a.csv")
        with desk.started("close", "a.csv", *JSON) as child:
            with (desk.home / "a.csv").open("w", encoding="utf-8") as pipe:
                pipe.write("session_id\n" + "".join(f"{one}\n" for one in ids))
            assert child.ended().code == 0
        assert sandbox.counts.closes_effective == 3
