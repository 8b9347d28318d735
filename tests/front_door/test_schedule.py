"""``closeout schedule``: jobs at their times, as child processes; and how the outside is told."""

import json
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from tests.front_door.servers import serving
from tests.front_door.support import Desk, Witness, waited
from tests.front_door.test_sweep import WORDS, add, ago, night

# Each day at a time that was two hours ago, whatever the time is now.
DAILY = f'[jobs.night]\nselect = {{idle_for = "24h"}}\nschedule = "30 {(datetime.now(UTC).hour - 2) % 24} * * *"\n'
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
    """Pings at start and end, a summary to the webhook; a failure pings the other address. No address shows."""
    told: list[tuple[str, str, str]] = []

    async def listen(request: web.BaseRequest) -> web.StreamResponse:
        told.append((request.method, request.path, (await request.read()).decode()))
        return web.Response(status=500 if request.path.endswith("/start") else 200)

    with serving(listen) as there, night(tmp_path) as (desk, sandbox):
        jobs = f'{RATE}{DAILY}max_close = 20\nping = "{there}/ping/s3cret"\nwebhook = "{there}/hook/s3cret"\n'
        (desk.home / "closeout.toml").write_text(jobs, encoding="utf-8")
        add(sandbox, 5, ago(days=2))
        good = desk.run("sweep", "night", *WORDS)
        add(sandbox, 50, ago(days=2))
        halted = desk.run("sweep", "night", *WORDS)
        slack = jobs.replace(f'"{there}/hook/s3cret"', f'{{url = "{there}/slack", form = "slack"}}')
        (desk.home / "closeout.toml").write_text(slack, encoding="utf-8")
        assert desk.run("sweep", "night", *WORDS, "--yes").code == 0
    paths = [(method, path) for method, path, _ in told]
    assert paths[:3] == [("GET", "/ping/s3cret/start"), ("GET", "/ping/s3cret"), ("POST", "/hook/s3cret")]
    assert paths[3:6] == [("GET", "/ping/s3cret/start"), ("GET", "/ping/s3cret/fail"), ("POST", "/hook/s3cret")]
    assert json.loads(told[2][2]) == good.summary
    assert json.loads(told[5][2])["state"] == "halted"
    assert json.loads(told[8][2])["text"].startswith("closeout sweep night: finished, 50 closed (run ")
    assert "its ping was answered with status 500" in good.err
    assert "s3cret" not in good.err + halted.err + good.out
