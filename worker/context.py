"""What the stages of one run share."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from worker.api.client import Api
from worker.gate import Gate
from worker.ledger.protocol import Ledger
from worker.logs import get_logger
from worker.models import Change, Claim, Exchange, Millis, Record, Run
from worker.progress import Progress
from worker.recorder import Recorder
from worker.settings import Settings
from worker.stopping import Stop
from worker.verdict import Halt, Judge


@dataclass
class Context:
    """One run at work. ``closing_done`` is set when no item is left to close or to verify."""

    run: Run
    settings: Settings
    ledger: Ledger
    api: Api
    gate: Gate
    judge: Judge
    recorder: Recorder
    progress: Progress
    stop: Stop
    now: Callable[[], Millis]
    closing_done: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.log = get_logger().bind(run=self.run.name)

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
        await self.recorder.put(Record(exchange, (verdict,)))
