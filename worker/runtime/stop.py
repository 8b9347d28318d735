"""How a run is asked to stop, and how work without an end says what holds it up."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from closeout.worker.domain.run import RunState


class Stop:
    """A request to end early, made once; the first one counts.

    A part of the run that waits before it sends does so inside ``interruptible``; a stop cancels it there, so that
    nothing leaves afterwards. ``exit_code`` is what the process ends with.
    """

    def __init__(self) -> None:
        self.state: RunState | None = None
        self.why: str | None = None
        self.exit_code = 0
        self._scopes: set[anyio.CancelScope] = set()

    @property
    def requested(self) -> bool:
        return self.state is not None

    def request(self, state: RunState, why: str, exit_code: int) -> None:
        if not self.requested:
            self._set(state, why, exit_code)

    def halt(self, why: str) -> None:
        """Stop because going on would be wrong; exit code 3, resumable."""
        self.request("halted", why, 3)

    def interrupt(self, number: int) -> None:
        """Stop because of a signal; a person's word goes before any other reason."""
        name = "Ctrl-C" if number == signal.SIGINT else "TERM"
        self._set("interrupted", f"interrupted by {name}", 128 + number)

    def _set(self, state: RunState, why: str, exit_code: int) -> None:
        self.state, self.why, self.exit_code = state, why, exit_code
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                if self.requested:
                    scope.cancel()
                yield
            finally:
                self._scopes.discard(scope)


async def watch_signals(stop: Stop, give_up: anyio.CancelScope) -> None:
    """The first INT or TERM stops the run; the second one gives up on what is in flight, which is then in doubt."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            if stop.state == "interrupted":
                give_up.cancel()
                return
            stop.interrupt(number)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing to tell: what it is about, in a word, and what is the matter, or how it is ``over``."""

    about: str
    text: str
    over: bool = False


class Alarms:
    """Tells each trouble once, however often it is met."""

    def __init__(self, tell: Callable[[Alarm], None]) -> None:
        self._tell = tell
        self._at_work: set[str] = set()

    def begin(self, about: str, text: str) -> None:
        if about not in self._at_work:
            self._at_work.add(about)
            self._tell(Alarm(about, text))

    def end(self, about: str, text: str) -> None:
        if about in self._at_work:
            self._at_work.remove(about)
            self._tell(Alarm(about, text, over=True))
