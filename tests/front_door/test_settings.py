"""Settings and sources: where a value comes from, and what is refused before anything is sent."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from closeout.worker.sandbox import Sandbox
from tests.front_door.support import FAST, Desk, Done, desk_of, quick

Place = tuple[Desk, Sandbox]
TOML = """
rate = "11/s"
concurrency = 3
first-look = "300ms"
none_grace = "500ms"
settle = false
[profiles.night]
rate = "22/s"
reason = "resolved"
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Three sessions, and a CSV of them."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(3))
        yield desk, sandbox


def options(desk: Desk) -> dict[str, object]:
    """The settings that the newest run was made with."""
    found = json.loads(desk.query("SELECT options FROM runs ORDER BY id DESC LIMIT 1")[0][0])
    assert isinstance(found, dict)
    return found


def assert_refused(done: Done, sandbox: Sandbox | None, *parts: str) -> None:
    """One line on standard error, exit code 2, nothing sent."""
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err
    for part in parts:
        assert part in done.err, done.err
    assert sandbox is None or not sandbox.counts.requests


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(place: Place) -> None:
    """And within the file, the profile beats the top level."""
    desk, sandbox = place
    (desk.home / "closeout.toml").write_text(TOML)
    close = ("close", "sessions.csv", "--no-progress")
    desk.run(*close)
    assert (options(desk)["rate"], options(desk)["concurrency"], options(desk)["max_attempts"]) == (11, 3, 8)
    desk.env = {"CLOSEOUT_RATE": "33/s", "CLOSEOUT_PROFILE": "night", "CLOSEOUT_SETTLE": "0"}
    desk.run(*close)
    assert (options(desk)["rate"], options(desk)["reason"], options(desk)["concurrency"]) == (33, "resolved", 3)
    del desk.env["CLOSEOUT_RATE"]
    desk.run(*close, "--concurrency", "5")
    assert (options(desk)["rate"], options(desk)["concurrency"]) == (22, 5)
    desk.run(*close, "--rate", "44/s")
    assert options(desk)["rate"] == 44
    assert {row["outcome"] for row in desk.rows()} == {"closed", "already_closed"}
    assert sandbox.counts.closes_effective == 3


def test_a_run_is_gone_on_with_by_the_profile_that_it_was_begun_with(place: Place) -> None:
    """Without naming it: another organisation's key would find none of its sessions. To name another one is refused."""
    desk, sandbox = place
    (desk.home / "closeout.toml").write_text('[profiles.north]\napi_key_file = "north.key"\n[profiles.south]\n')
    (desk.home / "north.key").write_text(sandbox.config.api_key)
    (desk.home / "north.key").chmod(0o600)
    desk.write_ids([*Sandbox(quick(seed=99)).add_sessions(2), *sandbox.add_sessions(20)])
    desk.key = "the-key-of-another-organisation"
    halted = desk.run("close", "sessions.csv", *FAST, "--rate", "20/s", "--max-failures", "1", "--profile", "north")
    refused = [desk.run("close", "sessions.csv", *FAST, *words) for words in ((), ("--profile", "south"))]
    done = desk.run("resume", "last", "--max-failures", "100%", "--no-progress")
    assert (halted.code, [each.code for each in refused], done.code) == (3, [2, 2], 1)
    assert all("was begun with --profile north" in each.err for each in refused)
    assert sandbox.counts.bad_keys == 0


def test_wrong_settings_are_one_clear_line(place: Place) -> None:
    """An unknown setting, a bad value, a host without encryption: named, with where it was given."""
    desk, sandbox = place
    (desk.home / "wrong.toml").write_text("conurrency = 3\n")
    (desk.home / "bad.toml").write_text('rate = "fast"\n')
    close = ("close", "sessions.csv")
    wrong = {
        ("--config", "wrong.toml"): ("wrong.toml", "conurrency", "concurrency"),
        ("--config", "bad.toml"): ("bad.toml", "rate", "'fast'"),
        ("--base-url", "http://api.example.com"): ("--base-url", "https"),
        ("--config", "none.toml"): ("none.toml",),
    }
    for parts, done in zip(wrong.values(), desk.run_all(*((*close, *words) for words in wrong)), strict=True):
        assert_refused(done, sandbox, *parts)
    assert not desk.ledger.exists()


def test_a_reason_that_the_api_does_not_know_is_refused(place: Place) -> None:
    """Before anything is sent, naming near ones; allowed when asked for, but never above 64 characters."""
    desk, sandbox = place
    close = ("close", "sessions.csv", *FAST)
    long = ("--reason", "x" * 65, "--allow-unknown-reason")
    misspelt, too_long = desk.run_all((*close, "--reason", "abandonned"), (*close, *long))
    assert_refused(misspelt, sandbox, "abandonned", "abandoned")
    assert_refused(too_long, sandbox, "64")
    assert desk.run(*close, "--reason", "abandonned", "--allow-unknown-reason").code == 0
    assert {sandbox.truth(one).reason for one in desk.by_id()} == {"unknown"}


def test_a_row_with_an_unknown_reason_is_invalid(place: Place) -> None:
    """The other rows go on: their own reason beats ``--reason``."""
    desk, sandbox = place
    first, second, third = sandbox.store.by_id
    (desk.home / "own.csv").write_text(f"reason,session_id\nresolvd,{first}\nresolved,{second}\n,{third}\n")
    done = desk.run("close", "own.csv", *FAST, "--reason", "abandoned", "--json")
    rows = desk.by_id()
    assert done.code == 1
    assert (rows[first]["outcome"], rows[first]["line"]) == ("invalid", 2)
    assert "resolved" in rows[first]["detail"]
    assert sandbox.truth(first).closes_received == 0
    assert (sandbox.truth(second).reason, sandbox.truth(third).reason) == ("resolved", "abandoned")


@pytest.mark.parametrize("form", ["txt", "csv.gz"])
def test_standard_input_is_a_source(place: Place, form: str) -> None:
    """Plain ids and a compressed CSV are told apart by what comes."""
    desk, sandbox = place
    ids = list(sandbox.store.by_id)
    text = {
        "txt": "\n".join(ids),
        "csv.gz": "note,conversation_id\n" + "".join(f"n,{one}\n" for one in ids),
    }[form].encode()
    done = desk.run("close", "-", *FAST, "--json", input=gzip.compress(text) if form.endswith("gz") else text)
    assert done.code == 0
    assert done.summary["outcomes"]["closed"] == 3


def test_what_cannot_be_read_is_one_line_and_nothing_is_sent(place: Place) -> None:
    """A missing file, a folder, a binary, an empty file, a CSV without ids, a workbook, a file cut off."""
    desk, sandbox = place
    home = desk.home
    (home / "folder.csv").mkdir()
    (home / "binary.csv").write_bytes(bytes(range(256)) * 20)
    (home / "empty.csv").write_bytes(b"")
    (home / "columns.csv").write_text("name,town\nAda,Lund\n")
    (home / "book.xlsx").write_bytes(b"PK\x03\x04")
    (home / "cut.csv.gz").write_bytes(gzip.compress(b"session_id\n" * 400)[:12])
    names = ("sesions.csv", "folder.csv", "binary.csv", "empty.csv", "columns.csv", "book.xlsx", "cut.csv.gz")
    for name, done in zip(names, desk.run_all(*(("close", name, *FAST) for name in names)), strict=True):
        assert_refused(done, sandbox, name)
    assert_refused(desk.run("close", "-", *FAST, input=b""), sandbox, "standard input")
