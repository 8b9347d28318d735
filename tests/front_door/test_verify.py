"""``closeout verify``: the ledger against the API, some time later."""

from pathlib import Path

from tests.front_door.support import FAST, desk_of, quick

AGAIN = ("--rate", "600/s", "--no-progress")


def test_all_of_a_run_is_compared(tmp_path: Path) -> None:
    """What was reopened or deleted since is printed; what is as it was is not. Nothing is sent but looks."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(40)
        desk.run("close", desk.write_ids(ids), *FAST)
        agreed = desk.run("verify", "last", "--all", *AGAIN)
        before = desk.rows()
        sandbox.set_status(ids[3], "active")
        sandbox.set_status(ids[7], "expired")
        sandbox.store.by_id[ids[11]].deleted = True
        closes = sandbox.counts.requests["close"]
        found = desk.run("verify", "last", "--all", *AGAIN)
        as_json = desk.run("verify", "last", "--all", "--json", *AGAIN)
        assert sandbox.counts.requests["close"] == closes
    assert (agreed.code, agreed.out) == (0, "0 of 40 checked disagree with the ledger\n")
    assert found.code == as_json.code == 1
    assert {line.split()[0]: line.split()[1] for line in found.out.splitlines()[:-1]} == {
        ids[3]: "reopened:", ids[7]: "status:", ids[11]: "deleted:",
    }  # fmt: skip
    assert found.out.splitlines()[-1].startswith("3 of 40 checked disagree with the ledger: ")
    assert as_json.summary["disagree"] == {"reopened": 1, "status": 1, "deleted": 1}
    assert {each["session_id"] for each in as_json.summary["disagreements"]} == {ids[3], ids[7], ids[11]}
    assert desk.rows() == before


def test_a_sample_tells_how_many_of_all_may_disagree(tmp_path: Path) -> None:
    """With the bound that 0 of 50 gives: 5.8%. It costs no more requests than it has sessions."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.run("close", desk.write_ids(sandbox.add_sessions(200)), *FAST)
        before = sandbox.counts.requests.total()
        done = desk.run("verify", "last", "--sample", "50", *AGAIN)
        assert sandbox.counts.requests.total() - before <= 50
    assert done.code == 0
    assert done.out == (
        "0 of 50 checked disagree with the ledger\nof all 200, at most 5.82% disagree, with 95% confidence\n"
    )


def test_a_key_that_may_not_read_is_told(tmp_path: Path) -> None:
    """In one line; nothing counts as checked."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.run("close", desk.write_ids(sandbox.add_sessions(5)), *FAST)
        desk.env["CLOSEOUT_API_KEY"] = "another"
        sandbox.add_key("another", scopes=["conversations:write"])
        done = desk.run("verify", "last", *AGAIN)
    assert done.code == 3
    assert "0 of 0 checked" in done.out
    assert "the key may not read sessions" in done.err


def test_sample_and_all_exclude_each_other(tmp_path: Path) -> None:
    """Nothing is sent."""
    with desk_of(tmp_path, quick()) as (desk, _):
        assert desk.run("verify", "last", "--sample", "5", "--all").code == 2
