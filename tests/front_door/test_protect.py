"""``--protect``: sessions that a person is waiting for or talking in are left alone, for a request or two."""

from collections import Counter
from pathlib import Path

from tests.front_door.support import FAST, desk_of, quick

WAITING = ("waiting_for_human", "awaiting_approval")


def test_sessions_that_a_person_waits_for_are_left_alone(tmp_path: Path) -> None:
    """By default, though the source lists them; no request concerns them, and the ledger says why."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(50)
        spared = {status: sandbox.add_sessions(3, status=status) for status in WAITING}
        everyone = ids + [each for some in spared.values() for each in some]
        sandbox.add_sessions(450, status=WAITING[0])  # more than a page of them, which the source does not list
        done = desk.run("close", desk.write_ids(everyone), *FAST, "--json")
        assert not any(sandbox.truth(each).closes_received for some in spared.values() for each in some)
        assert not any(sandbox.truth(each).reads for some in spared.values() for each in some)
    assert done.code == 0
    outcomes = done.summary["outcomes"]
    assert (outcomes["closed"], outcomes["skipped"]) == (50, 6)
    rows = desk.by_id()
    for status, some in spared.items():
        for each in some:
            row = rows[each]
            assert (row["outcome"], row["detail"], row["final_status"]) == ("skipped", f"protected: {status}", status)
            assert (row["attempts"], row["first_attempt_at"], row["eval_settled"]) == (0, None, 0)


def test_protection_can_be_turned_off_or_widened(tmp_path: Path) -> None:
    """In so many words."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        ids = {status: sandbox.add_sessions(2, status=status) for status in (*WAITING, "ringing", "active")}
        source = desk.write_ids([each for some in ids.values() for each in some])
        assert desk.run("close", source, *FAST, "--protect", "Ringing, waiting_for_human").code == 0
        first = Counter((row["outcome"], row["detail"]) for row in desk.rows())
        assert desk.run("close", source, *FAST, "--protect", "none", "--new-run").code == 0
        assert all(sandbox.truth(each).status == "closed" for some in ids.values() for each in some)
    assert first == {
        ("closed", None): 4, ("skipped", "protected: ringing"): 2, ("skipped", "protected: waiting_for_human"): 2,
    }  # fmt: skip


def test_a_key_that_may_not_list_closes_nothing_unless_told_to(tmp_path: Path) -> None:
    """One line names the cause, and no way around the guard."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.env["CLOSEOUT_API_KEY"] = "another"
        sandbox.add_key("another", scopes=["conversations:write"])
        source = desk.write_ids(sandbox.add_sessions(5))
        refused = desk.run("close", source, *FAST, "--no-settle")
        assert sandbox.counts.requests["close"] == 0
        allowed = desk.run("resume", "last", *FAST, "--no-settle", "--protect", "none", "--json")
    assert refused.code == 3
    assert "the API answered 403: the key may not list sessions" in refused.out
    assert "conversations:read" in refused.out
    assert "--protect" not in refused.out
    assert allowed.summary["outcomes"]["closed"] == 5


def test_nothing_is_closed_before_the_list_is_whole(tmp_path: Path) -> None:
    """Faults on the way to it are borne: each page fails once."""
    config = quick(list_faults={"503": 0.7, "reset_before": 0.3}, max_faults_per_session=1)
    with desk_of(tmp_path, config) as (desk, sandbox):
        spared = sandbox.add_sessions(450, status=WAITING[0])
        source = desk.write_ids(spared + sandbox.add_sessions(20))
        done = desk.run("close", source, *FAST, "--json")
        assert not any(sandbox.truth(each).closes_received for each in spared)
    assert sandbox.counts.faults.total() >= 3
    assert (done.summary["outcomes"]["closed"], done.summary["outcomes"]["skipped"]) == (20, 450)


def test_the_cap_and_the_canary_do_not_count_the_spared(tmp_path: Path) -> None:
    """Five are to be closed, and five are."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        spared = sandbox.add_sessions(4, status=WAITING[1])
        source = desk.write_ids(spared + sandbox.add_sessions(20))
        done = desk.run("close", source, *FAST, "--limit", "5", "--canary", "3", "--yes", "--json")
        assert not any(sandbox.truth(each).closes_received for each in spared)
    assert done.code == 0
    assert done.summary["outcomes"]["closed"] == 5
    assert Counter(row["detail"] for row in desk.rows() if row["outcome"] == "skipped") == {
        "protected: awaiting_approval": 4, "over --limit 5": 15,
    }  # fmt: skip


def test_a_status_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """Before anything is sent; with the one that was meant."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        source = desk.write_ids(sandbox.add_sessions(1))
        done = desk.run("close", source, "--protect", "waiting_for_humans")
        assert not sandbox.counts.requests
    assert done.code == 2
    assert "--protect" in done.err
    assert "did you mean waiting_for_human?" in done.err
