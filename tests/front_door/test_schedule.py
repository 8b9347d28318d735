"""``closeout schedule``: jobs at their times, as child processes; and how the outside is told."""

import asyncio
import json
import signal
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from closeout.worker.sandbox import Sandbox, running_sandbox
from tests.front_door.servers import serving
from tests.front_door.support import Desk, Witness, desk_of, quick, waited
from tests.front_door.test_sweep import WORDS, add, ago, night

# Each day at a time that was two hours ago, whatever the time is now.
EACH_DAY = f'schedule = "30 {(datetime.now(UTC).hour - 2) % 24} * * *"\n'
DAILY = f'[jobs.night]\nselect = {{idle_for = "24h"}}\n{EACH_DAY}'
NIGHTS = (
    "SELECT job, created_at, ended_at, json_extract(options, '$.rate') FROM runs WHERE state = 'finished' ORDER BY id"
)
RATE = 'rate = "60/s"\nfirst_look = "300ms"\nnone_grace = "500ms"\n'


def put_back(desk: Desk, hours: int) -> None:
    """As if the last run had been so long ago."""
    with closing(sqlite3.connect(desk.ledger)) as connection, connection:
        connection.execute("UPDATE runs SET created_at = created_at - ?", (hours * 3_600_000,))


def test_a_missed_time_is_caught_up_once_and_term_lets_the_job_drain(tmp_path: Path) -> None:
    """The job was due while nobody kept the times: it starts at once; what is in flight at TERM is recorded."""
    with night(tmp_path, RATE + DAILY) as (desk, sandbox):
        assert desk.run("sweep", "night", *WORDS).code == 0
        put_back(desk, 4)
        add(sandbox, 400, ago(days=2))
        begun = Witness(sandbox).event_at(30, "close")
        with desk.started("schedule") as child:
            waited(begun)
            child.process.send_signal(signal.SIGTERM)
            ended = child.ended()
        closed = sandbox.counts.closes_effective
        runs = json.loads(desk.run("runs", "--json").out)
        put_back(desk, 0)
        with desk.started("schedule") as child:
            assert child.process.stderr is not None
            first = child.process.stderr.readline().decode()
            child.process.send_signal(signal.SIGTERM)
            again = child.ended()
    assert ended.code == again.code == 143
    assert "job night: starting" in ended.err
    assert "job night: ended with exit code 143" in ended.err
    assert [run["state"] for run in runs] == ["interrupted", "finished"]
    assert runs[0]["outcomes"]["closed"] == closed < 400
    assert "job night: next at " in first
    assert "starting" not in again.err


@pytest.mark.parametrize("kind", ["systemd", "cron", "kubernetes"])
def test_units_are_printed(tmp_path: Path, kind: str) -> None:
    """On standard output, alone; nothing is sent, and no unit answers questions beforehand."""
    with night(tmp_path, DAILY + 'timezone = "Europe/Berlin"\n') as (desk, sandbox):
        done = desk.run("schedule", "--print", kind)
        assert not sandbox.counts.requests
    assert (done.code, done.err) == (0, "")
    assert "sweep" in done.out
    assert "--yes" not in done.out
    assert {"systemd": "[Timer]", "cron": "CRON_TZ=Europe/Berlin", "kubernetes": "kind: CronJob"}[kind] in done.out


def test_without_a_schedule_there_is_nothing_to_keep(tmp_path: Path) -> None:
    """One line, exit 2."""
    with night(tmp_path) as (desk, _):
        done = desk.run("schedule")
    assert done.code == 2
    assert "no job has a schedule" in done.err


def test_the_outside_is_told(tmp_path: Path) -> None:
    """Pings at start and end, a summary to the webhook; a failure pings the other address. No address shows.

    The start is not answered before something is closed, so nothing may wait for it.
    """
    told: list[tuple[str, str, str]] = []
    closes = threading.Event()

    async def listen(request: web.BaseRequest) -> web.StreamResponse:
        told.append((request.method, request.path, (await request.read()).decode()))
        if request.path.endswith("/start") and len(told) == 1:
            await asyncio.to_thread(waited, closes)
        return web.Response(status=500 if request.path.endswith("/start") else 200)

    with serving(listen) as there, night(tmp_path) as (desk, sandbox):
        jobs = f'{RATE}{DAILY}max_close = 20\nping = "{there}/ping/s3cret"\nwebhook = "{there}/hook/s3cret"\n'
        (desk.home / "closeout.toml").write_text(jobs, encoding="utf-8")
        add(sandbox, 5, ago(days=2))
        Witness(sandbox).at(1, closes.set, "close")
        good = desk.run("sweep", "night", *WORDS)
        add(sandbox, 50, ago(days=2))
        halted = desk.run("sweep", "night", *WORDS)
        slack = jobs.replace(f'"{there}/hook/s3cret"', f'{{url = "{there}/slack", form = "slack"}}')
        (desk.home / "closeout.toml").write_text(slack, encoding="utf-8")
        assert [desk.run("resume", "last", *WORDS, *yes).code for yes in ([], ["--yes"])] == [3, 0]
        desk.key = None
        keyless = desk.run("sweep", "night", *WORDS)
    by_path = [(method, path) for method, path, _ in told]
    for at, end in ((0, ""), (3, "/fail")):
        assert by_path[at] == ("GET", "/ping/s3cret/start")
        assert set(by_path[at + 1 : at + 3]) == {("GET", f"/ping/s3cret{end}"), ("POST", "/hook/s3cret")}
    summaries = [json.loads(body) for method, _, body in told if method == "POST"]
    assert summaries[0] == good.summary
    assert summaries[1]["state"] == "halted"
    assert summaries[2]["text"].startswith("closeout sweep night: halted, nothing closed (run ")
    assert summaries[3]["text"].startswith("closeout sweep night: finished, 50 closed (run ")
    assert keyless.code == 2
    assert by_path[-1] == ("GET", "/ping/s3cret/fail")
    assert "its ping was answered with status 500" in good.err
    assert "s3cret" not in good.err + halted.err + good.out + keyless.err


def two_profiles(desk: Desk, other: str, jobs: str) -> None:
    """Two organisations, each with its own host, key and rate; the key files are in the folder."""
    text = ""
    for name, url, rate in (("one", desk.url, 90), ("two", other, 30)):
        file = desk.home / f"{name}.key"
        file.write_text(f"key-of-{name}\n", encoding="utf-8")
        file.chmod(0o600)
        text += f'[profiles.{name}]\nbase_url = "{url}"\napi_key_file = "{file}"\nrate = "{rate}/s"\n'
    (desk.home / "closeout.toml").write_text(f"settle = false\n{text}{jobs}", encoding="utf-8")
    desk.key = desk.url = None


def job(name: str, profile: str, priority: str) -> str:
    """A job of the same time each day."""
    select = f'{{idle_for = "24h", priority = "{priority}"}}'
    return f'[jobs.{name}]\nselect = {select}\n{EACH_DAY}profile = "{profile}"\n'


def test_organisations_are_swept_side_by_side_and_each_of_them_one_job_at_a_time(tmp_path: Path) -> None:
    """Each with its own key, host and rate, from one scheduler on one ledger."""
    with desk_of(tmp_path, quick()) as (desk, one), running_sandbox(two := Sandbox(quick(seed=2))) as other:
        urls = {str(desk.url), other}
        two_profiles(desk, other, job("a", "one", "low") + job("b", "one", "high") + job("c", "two", "low"))
        one.add_key("key-of-one")
        two.add_key("key-of-two")
        assert [desk.run("sweep", name).code for name in "abc"] == [0, 0, 0]  # nothing was there
        put_back(desk, 4)
        ids = {
            (sandbox, priority): add(sandbox, 30, ago(days=2), priority=priority)
            for sandbox, priority in ((one, "low"), (one, "high"), (two, "low"))
        }
        begun = Witness(two).event_at(1, "close")
        # The first organisation gets no answer to its first close before the other one's night has begun, too.
        Witness(one).at(1, lambda: waited(begun), "close")
        with desk.started("schedule") as child:
            left = {"a", "b", "c"}
            while left:  # none of them is settled, hence the code
                left.discard(child.wait_for_line("ended with exit code 0").split()[2].rstrip(":"))
            child.interrupt()
            assert child.ended().code == 130
    nights = {name: rest for name, *rest in desk.query(NIGHTS)}
    assert [sandbox.counts.bad_keys for sandbox in (one, two)] == [0, 0]
    assert all(sandbox.truth(each).closes_effective == 1 for (sandbox, _), theirs in ids.items() for each in theirs)
    (first, second) = sorted((nights["a"], nights["b"]))
    assert first[1] <= second[0]
    assert {name: rate for name, (_, _, rate) in nights.items()} == {"a": 90, "b": 90, "c": 30}
    with closing(sqlite3.connect(f"{desk.ledger}.budget")) as connection:
        assert {host for (host,) in connection.execute("SELECT host FROM budgets")} == {
            url.removeprefix("http://") for url in urls
        }
