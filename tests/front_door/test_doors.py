"""Lists as they come, through the command: JSON, archives, folders, several files, and runs that are gone on with."""

import bz2
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.front_door.support import FAST, Witness, desk_of, quick, waited

JSON = (*FAST, "--no-settle", "--json")


def table(ids: list[str]) -> str:
    return "session_id,x\n" + "".join(f"{one},1\n" for one in ids)


def listing(ids: list[str]) -> str:
    pages = [{"items": [{"id": one, "status": "active"} for one in ids[at : at + 3]]} for at in range(0, len(ids), 3)]
    return "\n".join(map(json.dumps, pages))


def zipped(ids: list[str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("one.csv", table(ids[:4]))
        archive.writestr("two.csv", table(ids[4:]))
    return out.getvalue()


SHAPES: dict[str, tuple[str, Callable[[list[str]], str | bytes]]] = {
    "a JSON array": ("a.json", json.dumps),
    "an array of objects, over several lines": ("list", lambda ids: json.dumps([{"id": one} for one in ids], indent=2)),
    "pages of a listing": ("pages.json", listing),
    "a table without a name that tells": ("0000_part_00", table),
    "a table in bzip2": ("a.csv.bz2", lambda ids: bz2.compress(table(ids).encode())),
    "a table in xz, in UTF-16 without a mark": ("a", lambda ids: lzma.compress(table(ids).encode("utf-16-le"))),
    "an archive of two tables": ("export.zip", zipped),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_list_is_closed_as_it_comes(tmp_path: Path, shape: str) -> None:
    name, made = SHAPES[shape]
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        sessions = sandbox.add_sessions(7)
        content = made(sessions)
        (desk.home / name).write_bytes(content.encode() if isinstance(content, str) else content)
        done = desk.run("close", name, *JSON)
        assert done.code == 0, done.err
        assert [row["session_id"] for row in desk.rows()] == sessions
        assert {row["outcome"] for row in desk.rows()} == {"closed"}


def test_an_interrupted_run_of_a_folder_goes_on_with_it(tmp_path: Path) -> None:
    """By the same command, and by resume; and no export may replace one of its files."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        sessions = sandbox.add_sessions(60)
        witness = Witness(sandbox)
        (desk.home / "out").mkdir()
        for part in range(3):
            (desk.home / "out" / f"part-{part}").write_text(table(sessions[20 * part : 20 * part + 20]))
        for words in (("close", "out"), ("close", "out/part-*"), ("resume", "last")):
            sent = witness.event_at(3, "close")
            with desk.started(*words, *JSON, "--rate", "20/s") as child:
                waited(sent)
                child.terminate()
                assert child.ended().code == 143
        refused = desk.run("export", "last", "--output", "out/part-1", "--format", "csv", "--force")
        assert refused.code == 2
        assert "never replaced" in refused.err
        done = desk.run("close", *(f"out/part-{part}" for part in range(3)), *JSON)
        assert done.code == 0, done.err
        assert len(desk.query("SELECT 1 FROM runs")) == 1
        assert [row["session_id"] for row in desk.rows()] == sessions
        assert sandbox.counts.requests["close"] == 60


EMPTY = {
    "a header": ("a.csv", "session_id,reason\n"),
    "an array": ("a.json", "[]"),
    "a listing": ("a.json", '{"items": [], "has_more": false}'),
    "a pipe": ("-", "session_id\n"),
}


@pytest.mark.parametrize("shape", EMPTY)
def test_an_empty_night_is_a_run_of_its_own_where_it_is_allowed(tmp_path: Path, shape: str) -> None:
    """Exit code 0, an export that is a header, and a run that says so; without the flag nothing is made."""
    name, content = EMPTY[shape]
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        given = content.encode() if name == "-" else None
        if given is None:
            (desk.home / name).write_text(content)
        refused = desk.run("close", name, *JSON, input=given)
        assert (refused.code, desk.ledger.exists()) == (2, False)
        assert "--allow-empty" in refused.err
        done = desk.run("close", name, *JSON, "--allow-empty", "--export", "out.csv", input=given)
        assert done.code == 0, done.err
        assert sum(sandbox.counts.requests.values()) == 0
        summary = json.loads(done.out)
        assert (summary["state"], summary["rows_read"], set(summary["outcomes"].values())) == ("finished", 0, {0})
        assert (desk.home / "out.csv").read_text().splitlines()[0].startswith("run,session_id,outcome")
        assert len((desk.home / "out.csv").read_text().splitlines()) == 1
        planned = desk.run("plan", name, *JSON, "--allow-empty", input=given)
        assert planned.code == 0, planned.err
        assert [run for (run,) in desk.query("SELECT reading FROM runs")] == ["no rows", "no rows"]


@pytest.mark.parametrize("content", ["", "\n\n", "<html>", "session,x\n"])
def test_what_is_no_list_at_all_is_never_an_empty_night(tmp_path: Path, content: str) -> None:
    """As where the program before it in the pipe has failed."""
    with desk_of(tmp_path, quick()) as (desk, _):
        (desk.home / "a.csv").write_text(content)
        assert desk.run("close", "a.csv", *JSON, "--allow-empty").code == 2
        assert not desk.ledger.exists()


def test_a_file_unlike_the_others_sends_nothing(tmp_path: Path) -> None:
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        one, parent = sandbox.add_sessions(2)
        (desk.home / "1.csv").write_text(f"session_id,parent\n{one},{parent}\n")
        (desk.home / "2.csv").write_text(f",{parent}\n")
        refused = desk.run("close", "1.csv", "2.csv", *JSON)
        assert (refused.code, sum(sandbox.counts.requests.values()), desk.ledger.exists()) == (2, 0, False)
        assert "2.csv is read otherwise" in refused.err
