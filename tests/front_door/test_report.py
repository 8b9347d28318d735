"""``closeout report``: from the command to the page."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.front_door.support import FAST, KEY, Desk, desk_of, quick
from tests.front_door.terminal import at_a_terminal


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Two finished runs, the second from standard input."""
    with desk_of(tmp_path_factory.mktemp("home") / "desk", quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(30)
        source = desk.write_ids([*ids[:20], "no-uuid"])
        done = desk.run("close", source, "--reason", "abandoned", *FAST)
        assert done.code == 1, done.err
        piped = desk.run("close", "-", *FAST, input="\n".join(ids[20:]).encode())
        assert piped.code == 0, piped.err
        yield desk


def test_a_report_goes_to_a_file_or_to_standard_output(desk: Desk) -> None:
    """The format by the file's name, else as asked for; it never holds the key."""
    first, second = (row[0] for row in desk.query("SELECT name FROM runs ORDER BY id"))
    commands = [
        ("report", first, "-o", "first.html"),
        ("report", second, "-o", "second.md"),
        ("report", second),
        ("report", "--compare", first, second, "--format", "markdown"),
        ("report", "--compare", first, second, "-o", "both.htm"),
    ]
    done = desk.run_all(*commands)
    assert [(each.code, each.err) for each in done] == [(0, "")] * 5
    pages = [(desk.home / name).read_text(encoding="utf-8") for name in ("first.html", "second.md", "both.htm")]
    assert pages[0].startswith("<!doctype html>")
    assert "20 of 21 sessions are closed. 1 went wrong. Every evaluation is final." in pages[0]
    assert "10 of 10 sessions are closed." in pages[1]
    assert "<" not in pages[1]
    assert done[2].out.startswith("<!doctype html>")
    assert "| closed " in done[3].out
    assert first in pages[2]
    assert second in pages[2]
    assert all(KEY not in text for text in [*pages, done[2].out, done[3].out])
    assert Path(desk.home / "first.html").stat().st_mode & 0o777 == 0o600


def test_on_a_terminal_a_report_can_be_read(desk: Desk) -> None:
    """Not the tags of a page, unless these were asked for."""
    with at_a_terminal(desk, "report", "last") as terminal:
        assert terminal.ended() == 0
        assert "10 of 10 sessions are closed." in terminal.seen
        assert "<" not in terminal.seen


def test_a_run_knows_its_source_by_its_bytes_and_who_asked(desk: Desk) -> None:
    """For a file and for standard input alike, and which rate was allowed from its beginning on."""
    import getpass  # noqa: PLC0415  # what the child must have found, too
    import hashlib  # noqa: PLC0415

    content = (desk.home / "sessions.csv").read_bytes()
    rows = desk.query("SELECT source_sha256, made_by, options FROM runs ORDER BY id")
    assert rows[0][0] == hashlib.sha256(content).hexdigest()
    assert len(rows[1][0]) == 64
    assert all(made_by.startswith(f"{getpass.getuser()}@") for _, made_by, _ in rows)
    first = (
        "SELECT run, allowed FROM paces WHERE at = (SELECT min(at) FROM paces p WHERE p.run = paces.run) ORDER BY run"
    )
    assert desk.query(first) == [(1, 60.0), (2, 60.0)]  # a tenth of the limit
    assert json.loads(rows[0][2])["reason"] == "abandoned"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("report",), "missing argument"),
        (("report", "last", "last"), "--compare"),
        (("report", "--compare", "last"), "--compare wants two runs"),
        (("report", "last", "--format", "pdf"), "choose html or markdown"),
        (("report", "nosuchrun"), "closeout runs"),
        (("report", "last", "-o", "no/such/folder.html"), "no/such"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(desk: Desk, words: tuple[str, ...], told: str) -> None:
    """And nothing is written."""
    done = desk.run(*words)
    assert done.code != 0
    assert told in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
