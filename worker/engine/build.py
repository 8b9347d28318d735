"""Wires one run together."""

import random
from collections.abc import Callable
from functools import partial

from closeout.worker.api.client import ReadingApi
from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.ledger.membership import Membership
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.pace.allowance import Ceiling, terms_of
from closeout.worker.pace.budget import BudgetStore
from closeout.worker.pace.limiter import Pace
from closeout.worker.policy.evaluation_lag import Lag
from closeout.worker.policy.none_grace import Grace
from closeout.worker.policy.protected import Protected
from closeout.worker.policy.verdict import Judge, Limits
from closeout.worker.runtime.context import Context
from closeout.worker.runtime.gate import Gate, Patience
from closeout.worker.runtime.progress import Progress
from closeout.worker.runtime.recorder import Recorder
from closeout.worker.runtime.stop import Stop
from closeout.worker.support.backoff import backoff
from closeout.worker.support.clock import Millis, now_ms


def build_context(  # noqa: PLR0917  # the parts of a run, each named by its type
    run: Run,
    settings: Settings,
    ledger: Ledger,
    api: ReadingApi,
    budget: BudgetStore,
    stop: Stop,
    progress: Progress,
    rng: random.Random,
    now: Callable[[], Millis] = now_ms,
    crew: Membership | None = None,
    wall: Callable[[], Millis] | None = None,
) -> Context:
    """Wire one run together.

    ``now`` tells the time of all that is written; ``wall`` (None: the same) that of the quiet hours, which are a matter
    of the clock on the wall, and follow it when it is set.
    """
    give_up_after = int(settings.give_up_after * 1000)
    pace = Pace(budget, Ceiling(settings, wall or now), rng, progress.clock, terms_of(settings))
    gate = Gate(pace, Patience(settings.concurrency, give_up_after), stop, progress, now)
    gate.standing.key_origin = api.key_origin
    judge = Judge(
        limits=Limits(settings.max_attempts, give_up_after, since=now()),
        clock=api.server_clock,
        wait=lambda failures: int(backoff(failures, rng) * 1000),
        grace=Grace(int(settings.none_grace * 1000)),
        settle=settings.settle and settings.closes,
        standing=gate.standing,
    )
    recorder = Recorder(ledger, run, progress, now)
    lag = Lag(int(settings.first_look * 1000) if settings.first_look is not None else None)
    crew = crew or Membership(partial(ledger.end_run, run))
    context = Context(run, settings, ledger, api, gate, judge, lag, recorder, progress, stop, now, crew)
    context.protected = Protected(frozenset(settings.protect))
    pace.probe = context.probe
    return context
