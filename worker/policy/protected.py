"""Which sessions must be left alone now: those that were in a protected status when these were last listed. No I/O."""

import anyio

from closeout.worker.domain.session import SessionState
from closeout.worker.support.clock import Millis

OLDEST: Millis = 300_000  # an older list proves nothing: closing waits for a new one


class Protected:
    """Sessions by their id, and how old the knowledge is. Where no status is protected, nothing ever waits.

    ``wanted`` is set while there is something to close: else a list would be of no use.
    """

    def __init__(self, statuses: frozenset[str] = frozenset()) -> None:
        self.statuses = statuses
        self._sessions: dict[str, SessionState] = {}
        self._as_of: Millis | None = None
        self._listed = anyio.Event()
        self._asked = False
        self.wanted = anyio.Event()

    def listed(self, sessions: dict[str, SessionState], asked: Millis) -> None:
        """Take in a whole list, which was begun at ``asked``."""
        self._sessions, self._as_of, self._asked = sessions, asked, False
        listed, self._listed = self._listed, anyio.Event()
        listed.set()

    def rest(self) -> None:
        """Forget the list, if nobody has gone by it: then nothing is closed now, and the next one is asked for."""
        if not self._asked:
            self._sessions, self._as_of = {}, None
            self.wanted = anyio.Event()

    def find(self, session_id: str) -> SessionState | None:
        """The session as it was listed, if it is protected."""
        self._asked = True
        return self._sessions.get(session_id)

    def current(self, now: Millis) -> bool:
        """Whether the list is young enough to close by."""
        return not self.statuses or (self._as_of is not None and now - self._as_of <= OLDEST)

    async def wait(self) -> None:
        """Return when the next list has come. Who waits for it is somebody who goes by it: ``rest`` lets it be."""
        self._asked = True
        self.wanted.set()
        await self._listed.wait()
