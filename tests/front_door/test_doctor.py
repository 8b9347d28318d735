"""``closeout doctor``: what is wrong is found, told in one line with what to do, and nothing is changed."""

import json
import re
from pathlib import Path
from typing import Any

from tests.front_door.support import FAST, Desk, Done, desk_of, quick
from tests.front_door.terminal import at_a_terminal


def plain(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def findings(done: Done) -> dict[str, tuple[str, str]]:
    """Level and text of each, of the only profile."""
    ((first,),) = (json.loads(done.out),)
    return {each["what"]: (each["level"], f"{each['told']}; {each['todo']}") for each in first["findings"]}


def levels(done: Done) -> dict[str, str]:
    """The level of each."""
    return {what: level for what, (level, _) in findings(done).items()}


def test_a_good_set_up_is_found_good(tmp_path: Path) -> None:
    """Before the first run and after it; no session is touched."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        before = desk.run("doctor", "--json")
        told = desk.run("doctor")
        desk.run("close", desk.write_ids(sandbox.add_sessions(3)), *FAST)
        after = desk.run("doctor", "--json")
        with at_a_terminal(desk, "doctor", columns=40) as narrow:
            narrow.ended()
        desk.change("PRAGMA user_version = 3")
        older = desk.run("doctor", "--json")
    assert (older.code, levels(older)["ledger"]) == (0, "ok")
    assert "written by an older closeout" in findings(older)["ledger"][1]
    assert desk.query("PRAGMA user_version") == [(3,)]
    assert "  ok       settings   no closeout.toml:\r\n                      defaults\r\n" in plain(narrow.seen)
    assert told.out.startswith("  ok       settings   no closeout.toml: defaults\n")
    assert (before.code, told.code, after.code) == (0, 0, 0)
    names = {"settings", "ledger", "disk", "host", "may read", "may close", "clock"}
    assert levels(before) == dict.fromkeys(names, "ok")
    assert levels(after) == dict.fromkeys(names | {"pace"}, "ok")
    assert findings(after)["ledger"][1] == "closeout.db holds 1 run; "
    assert "knows the key" in told.out


def test_a_key_without_scopes_is_told_which_it_lacks(tmp_path: Path) -> None:
    """One that may only read, one that may only write, and one that is not known."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        found = {}
        for scopes in (["conversations:read"], ["conversations:write"]):
            sandbox.add_key(scopes[0], scopes=scopes)
            desk.env["CLOSEOUT_API_KEY"] = scopes[0]
            found[scopes[0]] = desk.run("doctor", "--json")
        desk.env["CLOSEOUT_API_KEY"] = "nobody"
        unknown = desk.run("doctor", "--json")
    assert [done.code for done in found.values()] == [1, 1]
    reader, writer = (findings(done) for done in found.values())
    assert (reader["may read"][0], reader["may close"][0]) == ("ok", "problem")
    assert "conversations:write" in reader["may close"][1]
    assert (writer["may read"][0], writer["may close"][0]) == ("problem", "ok")
    assert findings(unknown)["host"] == (
        "problem", f"{desk.url} refuses the key (401); get a new key, or check which one is set",
    )  # fmt: skip


def test_a_clock_that_is_wrong_is_told(tmp_path: Path) -> None:
    """By how much, and in which direction."""
    with desk_of(tmp_path, quick(clock_offset=3_600.0)) as (desk, _):
        level, told = findings(desk.run("doctor", "--json"))["clock"]
    assert level == "warning"
    assert "behind the API's" in told


def test_a_host_that_is_not_there_and_a_key_that_is_not_there(tmp_path: Path) -> None:
    """The ledger is checked all the same."""
    desk = Desk(tmp_path, "http://127.0.0.1:9")
    gone = desk.run("doctor", "--json")
    desk.key = None
    keyless = desk.run("doctor", "--json")
    assert (gone.code, keyless.code) == (1, 1)
    assert findings(gone)["host"][0] == "problem"
    assert findings(keyless)["key"][0] == "problem"
    assert levels(keyless)["ledger"] == "ok"


def test_each_profile_is_checked(tmp_path: Path) -> None:
    """Or the one that is named; one with a mistake does not hide the others."""
    with desk_of(tmp_path, quick()) as (desk, _):
        (desk.home / "closeout.toml").write_text(
            f'[profiles.good]\nbase_url = "{desk.url}"\n[profiles.bad]\nshare = "150%"\n'
        )
        done = desk.run("doctor", "--json")
        named = desk.run("doctor", "--json", "--profile", "good")
    told: list[dict[str, Any]] = json.loads(done.out)
    assert (done.code, named.code) == (1, 0)
    assert [each["profile"] for each in told] == [None, "bad", "good"]
    (wrong,) = told[1]["findings"]
    assert "[profiles.bad], share" in wrong["told"]


def test_profiles_share_a_budget_just_where_they_share_an_organisation(tmp_path: Path) -> None:
    """Each with a key of its own; what has no profile is not in use. The jobs of each are told, too."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        text = ""
        for name, whose, budget in (("north", "own", "a"), ("norse", "own", "b"), ("south", "other", "a")):
            sandbox.add_key(f"key-of-{name}", organisation=whose)
            file = desk.home / f"{name}.key"
            file.write_text(f"key-of-{name}", encoding="utf-8")
            file.chmod(0o600)
            text += f'[profiles.{name}]\norganisation = "{budget}"\napi_key_file = "{file}"\n'
        text += '[jobs.night]\nselect = {expired = true}\nprofile = "north"\nschedule = "0 3 * * *"\n'
        (desk.home / "closeout.toml").write_text(text, encoding="utf-8")
        desk.key = None
        done = desk.run("doctor", "--json")
    told = {each["profile"]: {one["what"]: one for one in each["findings"]} for each in json.loads(done.out)}
    assert done.code == 0
    assert set(told) == {"north", "norse", "south"}
    assert "each has a budget of its own" in told["norse"]["budget"]["told"]
    assert "but both draw from one budget" in told["south"]["budget"]["told"]
    assert told["north"]["jobs"]["told"].startswith("night (next at 20")
    assert "jobs" not in told["south"]
    assert sandbox.organisation_id("other") in told["south"]["host"]["told"]


def test_what_holds_the_pace_back_is_told(tmp_path: Path) -> None:
    """A pause that nobody took back, and how to."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        source = desk.write_ids(sandbox.add_sessions(200))
        with desk.started("close", source, *FAST, "--rate", "5/s") as child:
            desk.run("runs")
            while desk.run("pause", "last").code:
                pass
            done = desk.run("doctor", "--json")
            child.terminate()
            desk.run("go", "last")
            assert child.ended().code == 143
    level, told = findings(done)["pace"]
    assert level == "warning"
    assert "everything is paused by a word to run" in told
    assert "closeout go" in told
