"""A storm of faults: what is asked of the sandbox, session by session, and what should become of each."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from closeout.worker.sandbox import Sandbox, SandboxConfig
from tests.front_door.support import Desk, Done, Witness, desk_of, quick

MODES = ("200", "409", "400")
OFFSETS = {"200": -3600.0, "409": 3600.0, "400": 0.0}
STORM = (
    "--rate", "250/s", "--first-look", "300ms", "--none-grace", "500ms", "--no-progress", "--timeout", "4s",
    "--max-attempts", "4", "--settle-for", "40s", "--max-failures", "100%", "--json",
)  # fmt: skip
# What may be sent again, with and without the close having been carried out, and what is final.
UNDONE = ["425", "503", "html_503"]
LOST_BEFORE = ["408", "500", "502", "504", "507", "511", "html_500", "html_502", "html_504", "reset_before",
               "hang_before", "not_json_before"]  # fmt: skip
LOST_AFTER = ["500_after", "502_after", "html_504_after", "408_after", "reset_after", "hang_after", "truncated",
              "not_json"]  # fmt: skip
FINE = ["ok", "drift", "slow"]
FINAL = [str(status) for status in (402, 403, 405, 406, 410, 411, 413, 415, 418, 422, 423, 451, 501, 505)]
REFUSALS = ["400", "409"]
READS = ["500", "503", "502", "html_502", "reset_before", "reset_after", "truncated", "not_json", "hang", "slow",
         "drift"]  # fmt: skip
LISTS = {"500": 0.06, "html_502": 0.06, "reset_before": 0.06, "truncated": 0.06, "not_json": 0.06, "drift": 0.1}


@dataclass
class Storm:
    """One run through a storm: what was to come of each session, and what came."""

    desk: Desk
    sandbox: Sandbox
    witness: Witness
    luck: random.Random
    expected: dict[str, str] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)
    done: Done | None = None

    def add(self, count: int, outcome: str, **options: Any) -> list[str]:
        """Sessions of the own organisation, and what should become of them."""
        ids = self.sandbox.add_sessions(count, **options)
        self.expected |= dict.fromkeys(ids, outcome)
        self.own += ids
        return ids

    def prepare(self) -> list[str]:
        """Every kind of session and of trouble; returns the ids in the order of the source."""
        shielded = self.add(70, "closed")  # the first answers prove the key, so that a 403 later is one session's
        for one in shielded:
            self.sandbox.script(one, ["ok"])
        for one in self.add(90, "closed"):
            self.sandbox.script(one, self.recoverable())
        for one in self.add(3, "closed"):
            self.sandbox.script(one, ["429", "ok"])  # few: each makes everybody wait
        for one in self.add(16, "rejected"):
            self.sandbox.script(one, [*self.undone(), self.luck.choice(FINAL)])
        for one in self.add(10, "rejected"):
            self.sandbox.script(one, [*self.undone(), self.luck.choice(REFUSALS)])
        for one in self.add(4, "not_found"):
            self.sandbox.script(one, [*self.undone(), "404"])
        for one in self.add(8, "failed"):
            self.sandbox.script(one, [self.luck.choice(["500", "502", "503", "425", "reset_before"]) for _ in range(4)])
        for status in ("closed", "expired", "error", "superseded"):
            self.add(6, "already_closed", status=status)
        for one in self.add(8, "already_closed", already_closed=True):
            self.sandbox.script(one, [self.luck.choice(LOST_BEFORE + LOST_AFTER)])
        for one in self.own:
            self.sandbox.script_reads(one, self.luck.sample(READS, self.luck.randint(0, 1)))
        return self.in_order(shielded)

    def in_order(self, shielded: list[str]) -> list[str]:
        """The shielded ones first, then all the others shuffled, last those that somebody closes meanwhile."""
        strangers = self.sandbox.add_sessions(8, organisation="other")
        unknown = Sandbox(SandboxConfig(seed=999)).add_sessions(8)
        self.expected |= dict.fromkeys(strangers + unknown, "not_found")
        rest = [one for one in self.expected if one not in set(shielded)]
        self.luck.shuffle(rest)
        recent = self.add(8, "already_closed")
        self.witness.at(1, lambda: self.close_elsewhere(recent))
        return shielded + rest + recent

    def close_elsewhere(self, ids: list[str]) -> None:
        """Long enough before our attempts that no two clocks of the API can be so far apart."""
        for one in ids:
            self.sandbox.close_elsewhere(one, ago=20)

    def undone(self) -> list[str]:
        return self.luck.sample(UNDONE, self.luck.randint(0, 1))

    def recoverable(self) -> list[str]:
        """Up to two answers that are worth another try, then either a lost one or a good one."""
        first = [self.luck.choice(UNDONE + LOST_BEFORE) for _ in range(self.luck.randint(0, 2))]
        return [*first, self.luck.choice(LOST_AFTER + FINE)]


def weather(home: Path, mode: Any) -> Storm:
    """Run through one storm."""
    config = quick(
        seed=20, second_close=mode, clock_offset=OFFSETS[mode], slow_seconds=0.2, list_faults=LISTS, latency=0.005,
        latency_jitter=0.02, fault_retry_after=None,
    )  # fmt: skip
    with desk_of(home, config) as (desk, sandbox):
        storm = Storm(desk, sandbox, Witness(sandbox), random.Random(int(mode)))
        desk.write_ids(storm.prepare())
        storm.done = desk.run("close", "sessions.csv", *STORM)
    return storm
