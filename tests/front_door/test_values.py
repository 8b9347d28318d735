"""Values as people write them, through the command: what is closed, with which reason, and what is told."""

from pathlib import Path

from tests.front_door.support import FAST, desk_of, quick

JSON = (*FAST, "--no-settle", "--json")


def test_wrapped_ids_are_closed_where_it_is_asked_for(tmp_path: Path) -> None:
    """Without that they are named for what they are; the setting is kept, and said."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        first, second = sandbox.add_sessions(2)
        (desk.home / "a.csv").write_text(f'session_id,note\n"=""{first}""",n\nhttps://x.example/s/{second},n\n')
        assert desk.run("close", "a.csv", *JSON).code == 1
        assert sandbox.counts.requests["close"] == 0
        told = [row["detail"] for row in desk.rows()]
        assert told == [
            "not a UUID, but a spreadsheet formula that holds a UUID: --lenient-ids reads it",
            "not a UUID, but a URL that holds a UUID: --lenient-ids reads it",
        ]
        done = desk.run("close", "a.csv", *JSON, "--new-run", "--lenient-ids")
        assert (done.code, sandbox.counts.requests["close"]) == (0, 2), done.err
        assert "also wrapped (lenient)" in done.err


def test_the_case_of_a_reason_makes_no_difference(tmp_path: Path) -> None:
    """Neither in a row nor of the flag: the API gets its own spelling."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        first, second = sandbox.add_sessions(2)
        (desk.home / "a.csv").write_text(f"session_id,reason\n{first},RESOLVED\n{second},NULL\n")
        assert desk.run("close", "a.csv", *JSON, "--reason", "Abandoned").code == 0
        assert [sandbox.truth(one).reason for one in (first, second)] == ["resolved", "abandoned"]


def test_a_duplicate_with_another_reason_is_told(tmp_path: Path) -> None:
    """The first row holds. One that asks for the same, spelt otherwise, is no conflict."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        first, second = sandbox.add_sessions(2)
        rows = f"{first},resolved\n{second},\n{first},escalated\n{first},Resolved\n{second},abandoned\n"
        (desk.home / "a.csv").write_text(f"session_id,reason\n{rows}")
        done = desk.run("close", "a.csv", *JSON, "--reason", "abandoned")
        assert (done.code, sandbox.truth(first).reason) == (0, "resolved")
        told = [line for line in done.err.splitlines() if "another reason" in line]
        assert len(told) == 1, done.err
        assert all(words in told[0] for words in (first, "line=4", "escalated", "first_line=2", "resolved"))
