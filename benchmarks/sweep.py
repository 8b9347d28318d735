"""Sweeping: a world of 200,000 sessions of all kinds, swept by a rule, and held against the truth."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.processes import CLOSEOUT, KEY, run
from closeout.worker.sandbox import Sandbox, SandboxConfig, running_sandbox

_SESSIONS = 200_000
_RATE = 1_500
_MIX = {
    "active": 12.0, "paused": 6.0, "waiting_for_human": 1.0, "awaiting_approval": 1.0, "ringing": 0.5, "queued": 0.5,
    "transferred": 1.0, "closed": 60.0, "expired": 12.0, "error": 3.0, "superseded": 3.0,
}  # fmt: skip
_CHOSEN = ("active", "paused")
_JOB = '[jobs.night]\nselect = {idle_for = "24h"}\nmax_close = 100_000\n'


def measure(folder: Path) -> list[Figure]:
    """Requests for each session found, and what was closed by mistake or left."""
    now = datetime.now(UTC)
    sandbox = Sandbox(SandboxConfig(api_key=KEY))
    spread = (now - timedelta(days=30), now)
    idle = sandbox.add_sessions(_SESSIONS * 6 // 10, status=_MIX, started=(spread[0], now - timedelta(hours=25)))
    spoke = {"last_message_at": (now - timedelta(hours=3)).isoformat()}
    sandbox.add_sessions(_SESSIONS * 3 // 10, status=_MIX, started=spread, fields=spoke)
    sandbox.add_sessions(_SESSIONS // 10, status=_MIX, started=spread, fields={"last_message_at": None})
    wanted = {one for one in idle if sandbox.store.by_id[one].status in _CHOSEN}
    (folder / "sweep").mkdir()
    (folder / "sweep" / "closeout.toml").write_text(_JOB, encoding="utf-8")
    with running_sandbox(sandbox) as url:
        command = [*CLOSEOUT, "sweep", "night", "--base-url", url, "--rate", f"{_RATE}/s", "--json"]
        _, output = run([*command, "--no-settle", "--no-progress"], folder / "sweep", accepted=(0, 4))
    closed = {one.id for one in sandbox.store.by_id.values() if one.closes_effective}
    summary = json.loads(output)
    none = Target("at most", 0)
    name = f"sweep, {len(wanted):,} of {_SESSIONS:,} sessions match"
    requests = summary["requests"]["total"] / len(wanted)
    return [
        Figure(f"{name}: requests", "requests/session", [requests], Target("at most", 1.05)),
        Figure(f"{name}: closed by mistake", "sessions", [float(len(closed - wanted))], none),
        Figure(f"{name}: left", "sessions", [float(len(wanted - closed))], none),
        Figure(f"{name}: from first to last", "s", [summary["seconds"]]),
    ]
