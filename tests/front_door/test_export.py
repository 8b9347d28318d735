"""``--export FILE``: rows come while the run goes on, and at its end the file is whole, whatever happened meanwhile."""

import csv
import io
import json
import shutil
from pathlib import Path

from tests.front_door.support import Desk, Row, Witness, desk_of, quick, wait_until, waited

PACE = ("--rate", "120/s", "--first-look", "100ms", "--none-grace", "100ms", "--no-progress")


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, as far as its last whole line."""
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return list(csv.DictReader(io.StringIO(whole)))


def as_cells(row: Row) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in row.items()}


def in_order(desk: Desk) -> list[dict[str, str]]:
    """The ledger's rows as a CSV holds them."""
    return [as_cells(row) for row in sorted(desk.rows(), key=lambda row: int(row["line"]))]


def test_rows_come_while_the_run_goes_on_and_the_file_is_whole_at_its_end(tmp_path: Path) -> None:
    """Killed half way, the part holds rows that are final; resumed, it begins with them; the file has each once."""
    with desk_of(tmp_path, quick(latency=0.01)) as (desk, sandbox):
        witness, ids = Witness(sandbox), sandbox.add_sessions(250)
        source, out, part = desk.write_ids([*ids, "nonsense"]), desk.home / "rows.csv", desk.home / "rows.csv.part"
        with desk.started("close", source, *PACE, "--no-settle", "--export", "rows.csv") as child:
            wait_until(lambda: part.exists() and len(read(part)) > 20)
            child.process.kill()
            child.process.wait()
        truth = {row["session_id"]: as_cells(row) for row in desk.rows()}
        early = read(part)
        assert not out.exists()
        assert all(row == truth[row["session_id"]] and row["outcome"] == "closed" for row in early)
        assert part.stat().st_mode & 0o777 == 0o600
        arrived = witness.event_at(60, "close")
        with desk.started("resume", "last", *PACE, "--export", "rows.csv") as child:
            waited(arrived)
            wait_until(lambda: len({row["session_id"] for row in read(part)}) > len(early) + 20)
            assert {row["session_id"] for row in early} <= {row["session_id"] for row in read(part)}
            done = child.ended()
        assert done.code == 1  # for the row that is no UUID
        assert read(out) == in_order(desk)
        assert len(read(out)) == 251
        assert not part.exists()


def test_a_place_that_is_gone_at_the_end_costs_the_file_and_not_the_summary(tmp_path: Path) -> None:
    """The run goes on without its part; its end is told all the same, and what to do, and the exit code is not 0."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        (desk.home / "out").mkdir()
        source = desk.write_ids(sandbox.add_sessions(5))
        Witness(sandbox).at(1, lambda: shutil.rmtree(desk.home / "out"), "close")
        done = desk.run("close", source, *PACE, "--export", "out/rows.jsonl", "--json")
        assert (done.code, done.summary["state"], done.summary["exit_code"]) == (1, "finished", 0)
        last = done.err.splitlines()[-1]
        assert "--export: cannot write out/rows.jsonl" in last
        assert "closeout export" in last
        (desk.home / "rows.csv.part").mkdir()
        without = desk.run("close", source, "--new-run", *PACE, "--export", "rows.csv")
        assert (without.code, "cannot write rows during the run" in without.err) == (0, True)
        newest = str(desk.query("SELECT name FROM runs ORDER BY id")[-1][0])
        assert read(desk.home / "rows.csv") == [row for row in in_order(desk) if row["run"] == newest]
        early = desk.run("close", source, "--export", "nowhere/rows.csv")
        assert (early.code, early.err.count("\n")) == (2, 1)
        assert "does not exist" in early.err


def test_an_export_is_filtered_and_says_which_verdicts_there_are(tmp_path: Path) -> None:
    """By outcome and by verdict; one that no session has is an empty file and a word on standard error."""
    with desk_of(tmp_path, quick(failure_share=0.0, partial_share=0.0, no_critical_share=0.0)) as (desk, sandbox):
        ids = [*sandbox.add_sessions(5), "nonsense"]
        desk.run("close", desk.write_ids(ids), *PACE)
        bad, good, none = desk.run_all(
            ("export", "last", "--outcome", "invalid,failed", "--format", "jsonl"),
            ("export", "last", "--eval-status", "success", "-o", "good.csv.gz"),
            ("export", "last", "--eval-status", "succes"),
        )
        assert [json.loads(line)["session_id"] for line in bad.out.splitlines()] == ["nonsense"]
        assert (good.out, good.err) == ("", "closeout: 5 rows in good.csv.gz\n")
        assert none.code == 0
        assert none.out.count("\n") == 1
        assert none.err == (
            f"closeout: --eval-status: no session of run {desk.rows()[0]['run']} has the verdict succes; "
            "did you mean success?\n"
        )
