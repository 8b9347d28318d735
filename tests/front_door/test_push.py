"""What `push` puts into a queue: all that a row asks for, and nothing that a worker would refuse."""

import json
from pathlib import Path

import pytest

from tests.front_door.support import Desk, desk_of, quick

A, B, C, D = (f"0b5c8d1e-3f7a-4c62-9d10-5e8f7a6b4c3{digit}" for digit in "abcd")
AT = "2030-01-02T03:04:05Z"


def bodies(desk: Desk) -> list[object]:
    """The messages, in their order; a bare id as text."""
    found = [body for (body,) in desk.query("SELECT CAST(body AS TEXT) FROM messages ORDER BY rowid")]
    return [json.loads(body) if body.startswith("{") else body for body in found]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "rows.csv",
            f"Session_ID,reason,Not_Before,key,subject\n{A},resolved,{AT},,x\n{B},,,k-1,x\n{C},,soon,,x\n{D},,,k-1,\n{C},,,,\n",
        ),
        (
            "rows.jsonl",
            "".join(
                json.dumps(row) + "\n"
                for row in (
                    {"session_id": A, "reason": "resolved", "not_before": AT, "subject": "x"},
                    {"session_id": B, "key": "k-1"},
                    {"session_id": C, "not_before": "soon"},
                    {"session_id": D, "key": "k-1"},
                    {"session_id": C, "not_before": None},
                )
            ),
        ),
    ],
)
def test_a_rows_wishes_go_with_it(tmp_path: Path, name: str, content: str) -> None:
    """What may not be closed yet must not lose that on its way; one key for two sessions is told."""
    with desk_of(tmp_path, quick()) as (desk, _):
        (desk.home / name).write_text(content, encoding="utf-8")
        done = desk.run("push", name, "queue:sessions")
        assert done.code == 1
        assert done.out == f"5 rows of {name}: 3 pushed to queue:sessions, 2 invalid\n"
        read_as, first, second = done.err.splitlines()
        assert ": ids: " in read_as
        assert "invalid 'not_before'" in first
        assert "'k-1' is that of another session" in second
        assert bodies(desk) == [
            {"session_id": A, "reason": "resolved", "not_before": AT},
            {"session_id": B, "key": "k-1"},
            C,
        ]


def test_what_a_secret_gives_may_end_with_a_line(tmp_path: Path) -> None:
    """As it does where it was made from a file: in the key, the address of the queue, the ledger and the host."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(2))
        given = {"CLOSEOUT_API_KEY": desk.key, "CLOSEOUT_BASE_URL": desk.url, "CLOSEOUT_QUEUE_URL": "queue:sessions"}
        desk.env = {name: f"{value}\n" for name, value in given.items()} | {"CLOSEOUT_LEDGER": "closeout.db\r\n"}
        assert desk.run("push", "sessions.csv").out.endswith("2 pushed to queue:sessions, 0 invalid\n")
        done = desk.run("work", "--drain", "--no-settle", "--json")
        assert done.summary["outcomes"]["closed"] == 2, done.err
