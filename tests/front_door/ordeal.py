"""An ordeal: a run that is killed again and again, at moments drawn from a seed, and gone on with each time."""

import random
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from closeout.worker.sandbox import Sandbox, SandboxConfig
from tests.front_door.support import FAST, Desk, Done, Witness, desk_of, quick, says_the_host_alone

SEEDS = {"200": 11, "409": 12, "400": 13}
# Each of these leaves the close in doubt, so that no second one may follow without a look.
LOST = {
    "reset_after": 0.05, "truncated": 0.05, "not_json": 0.04, "hang": 0.02, "500_after": 0.04, "html_502_after": 0.04,
    "reset_before": 0.04, "not_json_before": 0.03, "500": 0.03, "drift": 0.05,
}  # fmt: skip
READS = {"500": 0.05, "reset_before": 0.05, "truncated": 0.05, "503": 0.03}
PATIENT = ("--timeout", "800ms", "--settle-for", "30s")


def faulty(seed: int, second_close: Any) -> SandboxConfig:
    """A sandbox that loses many answers."""
    return quick(
        seed=seed,
        close_faults=LOST,
        read_faults=READS,
        list_faults=READS,
        second_close=second_close,
        latency=0.005,
        latency_jitter=0.03,
    )


def killed_at(desk: Desk, witness: Witness, nth: int, *words: str, kind: str | None = None) -> bool:
    """Run a command and kill it as the nth request arrives; returns whether it lived long enough to be killed."""
    with desk.started(*words) as child:
        witness.at(nth, child.process.kill, kind)
        return child.ended().code == -signal.SIGKILL


@dataclass
class Ordeal:
    """One run and its kills. ``at_rest`` holds how many closes had come for a session once it was recorded."""

    desk: Desk
    sandbox: Sandbox
    witness: Witness
    luck: random.Random
    ids: list[str] = field(default_factory=list)
    at_rest: dict[str, int] = field(default_factory=dict)
    killed: int = 0

    def prepare(self) -> None:
        """Sessions to close, some of them closed before, some twice in the source."""
        self.ids = self.sandbox.add_sessions(140) + self.sandbox.add_sessions(20, already_closed=True)
        self.luck.shuffle(self.ids)
        self.desk.write_ids([*self.ids, *self.ids[:10]])

    def suffer(self, kills: int) -> None:
        """Start, and go on, and be killed each time."""
        words: tuple[str, ...] = ("close", "sessions.csv")
        for _ in range(kills):
            kind = self.luck.choice([None, "close", "close", "read"])
            nth = self.luck.randint(1, 8) if kind == "read" else self.luck.randint(1, 45)
            if not killed_at(self.desk, self.witness, nth, *words, *FAST, *PATIENT, kind=kind):
                return
            self.killed += 1
            if self.desk.rows():
                words = ("resume", "last")
                self.remember()

    def remember(self) -> None:
        """What the ledger holds as closed now is acknowledged and recorded: no close may follow."""
        posts = self.witness.posts()
        for row in self.desk.rows():
            if row["outcome"] in ("closed", "already_closed"):
                self.at_rest.setdefault(row["session_id"], posts[row["session_id"]])

    def finish(self) -> Done:
        """Go on until the process ends by itself."""
        self.witness.rest()
        return self.desk.run("resume", "last", *FAST, *PATIENT, "--json")


def undergo(home: Path, second_close: Any) -> Ordeal:
    """One ordeal from its start to its end, which must be a good one."""
    seed = SEEDS[second_close]
    with desk_of(home, faulty(seed, second_close)) as (desk, sandbox):
        ordeal = Ordeal(desk, sandbox, Witness(sandbox), random.Random(seed))
        ordeal.prepare()
        ordeal.suffer(kills=4)
        assert ordeal.killed == 4
        done = ordeal.finish()
        assert (done.code, says_the_host_alone(done, desk)) == (0, True), done.err
    return ordeal
