"""What the stages of one run share."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio

from closeout.worker.api.client import ReadingApi
from closeout.worker.config.settings import Settings
from closeout.worker.domain.exchange import Answer, Exchange
from closeout.worker.domain.item import Change, Claim, Outcome, Record
from closeout.worker.domain.run import Run
from closeout.worker.domain.session import Listing, SessionState
from closeout.worker.ledger.membership import Membership
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.policy.circuit_breaker import CircuitBreaker, FailureWindow
from closeout.worker.policy.evaluation_lag import Lag
from closeout.worker.policy.protected import Protected
from closeout.worker.policy.quota import Quota
from closeout.worker.policy.verdict import GOES_ON, Halt, Judge, is_strange
from closeout.worker.runtime.gate import Gate
from closeout.worker.runtime.progress import Progress
from closeout.worker.runtime.recorder import Recorder
from closeout.worker.runtime.stop import Alarms, Stop
from closeout.worker.support.clock import Millis
from closeout.worker.support.log import get_logger
from closeout.worker.support.terminal import Screen


async def _yes(_told: str) -> bool:
    return True


@dataclass
class Context:
    """One run at work.

    A stage that finds nothing to do idles: it looks again when something stirs, or after a while, as neither the time
    nor another process on the ledger stirs anything here.

    ``closing_done`` is set when no item is left to close or to verify. ``last_call`` stops reading and closing alone:
    what is closed is still settled. ``lag`` is what is known of the time from a close to its verdict. ``brake`` counts
    how sessions end, ``quota`` how many may be taken up, and ``protected`` knows which may not. ``approve`` shows a
    person what came of the canary, and says whether to go on. ``crew`` knows whether this process leads; ``begun``: it
    has made all ready as the lead, ``led_from`` seconds after it began.

    Work without an end has ``alarms``: it tells troubles there, and goes on, where another run halts. ``hold`` is how
    its brake pauses closing. ``screen`` is what the run's display and its questions share.
    """

    run: Run
    settings: Settings
    ledger: Ledger
    api: ReadingApi
    gate: Gate
    judge: Judge
    lag: Lag
    recorder: Recorder
    progress: Progress
    stop: Stop
    now: Callable[[], Millis]
    crew: Membership = field(default_factory=Membership)
    begun: bool = False
    led_from: float = 0.0
    closing_done: anyio.Event = field(default_factory=anyio.Event)
    last_call: Stop = field(default_factory=Stop)
    quota: Quota = field(default_factory=Quota)
    protected: Protected = field(default_factory=Protected)
    approve: Callable[[str], Awaitable[bool]] = _yes
    alarms: Alarms | None = None
    hold: CircuitBreaker = field(default_factory=CircuitBreaker)
    screen: Screen = field(default_factory=Screen)
    _stirred: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.brake = FailureWindow(self.settings.failure_limit)
        self.log = get_logger().bind(run=self.run.name)

    async def idle(self, seconds: float) -> None:
        """Wait until something stirs, and no longer than so many seconds."""
        with anyio.move_on_after(seconds):
            await self._stirred.wait()

    def stir(self) -> None:
        """There may be something new to do: rows have come, or the last answer."""
        self._stirred.set()
        self._stirred = anyio.Event()

    def end_closing(self) -> None:
        """No item is left to close or to verify, or the run stops."""
        self.closing_done.set()
        self.stir()

    async def conclude(self, claim: Claim, exchange: Exchange, verdict: Change | Halt) -> None:
        """Record a verdict; a Halt stops the run and puts its item back."""
        if isinstance(verdict, Halt):
            self.stop.halt(verdict.why)
            verdict = verdict.change
        self.log.debug(
            "answered",
            session=claim.session_id,
            kind=exchange.kind,
            http_status=exchange.http_status,
            error=exchange.error,
            ms=exchange.ms,
            outcome=verdict.outcome,
        )
        self.progress.resent += exchange.kind == "close" and not claim.fresh
        await self.recorder.put(Record(exchange, (verdict,)))
        self.ended((verdict,))

    def ended(self, changes: Sequence[Change]) -> None:
        """Take in how sessions ended; too many failures stop the run."""
        for change in changes:
            if change.outcome is None:
                continue
            self.hold.ended(change)
            self.quota.ended(change)
            self.brake.add(change.outcome, change.http_status, change.error)
        why = self.brake.why()
        if why is not None and self.alarms is not None:
            self.hold.engage(why)
        elif why is not None:
            name = self.run.name
            self.stop.halt(
                f"{why}{GOES_ON}: look at them with `closeout export {name}`, and mend the cause; then "
                f"`closeout resume {name}` continues"
            )

    async def spare(self, claim: Claim, detail: str, session: SessionState | None = None) -> None:
        """Leave a session alone, for good in this run."""
        change = Change(claim.seq, Outcome.SKIPPED, attempts=claim.attempts, session=session, detail=detail)
        await self.recorder.put(Record(None, (change,)))
        self.quota.spared(claim)
        self.ended((change,))

    async def probe(self) -> bool:
        """Ask the API for a sign of life; whether it gave one."""
        answer = await self.sign_of_life()
        if answer.http_status == 429:
            await self.gate.told(answer)
        return self.gate.probed(answer)

    async def first_sign(self) -> Answer:
        """A sign of life within the pace, before anything is asked of a session; of another host it halts the run."""
        await self.gate.enter()
        try:
            answer = await self.sign_of_life()
        finally:
            self.gate.leave()
        if is_strange(answer) and not self.gate.standing.spoken:
            self.gate.probed(answer)
        else:
            await self.gate.told(answer)
        return answer

    async def sign_of_life(self) -> Answer:
        """The answer to a harmless request that concerns no session, recorded; it is for the gate to judge."""
        answer = await self.api.probe()
        await self.recorder.put(Record(answer.exchange, ()))
        if answer.foreign and answer.http_status != 429:  # a gateway may let through what closing needs, and no more
            self.progress.exchanged(answer)
            answer = await self.api.list_states(Listing(), None)
            await self.recorder.put(Record(answer.exchange, ()))
        return answer
