"""What the pages show, kept up to date for all that watch: one look a second, and none while nobody watches."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from closeout.worker.ledger.protocol import Ledger
from closeout.worker.support.errors import CloseoutError
from closeout.worker.web.ledger_handle import OpenedLedger

LOOK = 1.0  # seconds between looks
STILL_THERE = 15.0  # seconds after which a watcher without news hears that
Refresh = Callable[[Ledger], Awaitable[str]]


@dataclass
class Topic:
    """One part of a page: its markup as it is now, who watches, and how it is made."""

    refresh: Refresh
    markup: str = ""
    watchers: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)

    def show(self, markup: str) -> None:
        """Tell the watchers, if it is new."""
        if markup != self.markup:
            self.markup = markup
            changed, self.changed = self.changed, anyio.Event()
            changed.set()


class Watch:
    """Looks at the ledger for all watchers together. ``failed`` makes the markup of an error."""

    def __init__(self, opened: OpenedLedger, failed: Callable[[str], str]) -> None:
        self._opened = opened
        self._failed = failed
        self._topics: dict[str, Topic] = {}
        self._somebody = anyio.Event()

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            if not self._topics:
                self._somebody = anyio.Event()
                await self._somebody.wait()
            began = time.monotonic()
            for topic in list(self._topics.values()):
                await self._look(topic)
            await anyio.sleep(max(LOOK / 2, LOOK - (time.monotonic() - began)))

    async def _look(self, topic: Topic) -> None:
        try:
            topic.show(await topic.refresh(await self._opened.get()))
        except CloseoutError as error:
            topic.show(self._failed(str(error)))
        except Exception as error:  # what one page trips over must not end the others
            topic.show(self._failed(f"unexpected {type(error).__name__}: this page cannot be shown"))

    async def follow(self, name: str, refresh: Callable[[], Refresh]) -> AsyncIterator[str | None]:
        """The markup of one topic, each time that it is new; None where for a while nothing was.

        ``refresh`` gives what makes it, if nobody watches it yet.
        """
        topic = self._topics.get(name) or Topic(refresh())
        self._topics[name] = topic
        topic.watchers += 1
        self._somebody.set()
        try:
            told = ""
            while True:
                changed = topic.changed
                if topic.markup != told:
                    told = topic.markup
                    yield told
                    continue
                with anyio.move_on_after(STILL_THERE) as patience:
                    await changed.wait()
                if patience.cancelled_caught:
                    yield None
        finally:
            topic.watchers -= 1
            if not topic.watchers:
                self._topics.pop(name, None)
