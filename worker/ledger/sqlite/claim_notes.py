"""What each run has claimed, noted beside the ledger: it tells when a ledger comes back without its last commits.

SQLite drops what its log held where that was removed, and an older copy knows nothing of it. What was claimed in
those commits may have been sent.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import apsw

from closeout.worker.ledger.rows import Row
from closeout.worker.ledger.sqlite.budget import budget_path, connect_budget
from closeout.worker.ledger.sqlite.connection import transaction
from closeout.worker.ledger.statements import load_queries
from closeout.worker.support.log import get_logger

_QUERIES = load_queries()
LOST = "perhaps sent before the ledger lost its last writes: looked up first"


@dataclass(frozen=True, slots=True)
class ClaimNote:
    """The last turn in which a run has claimed, and the highest number of an item that it has claimed."""

    run: int
    name: str
    turn: int
    seq: int


class ClaimNotes:
    """The notes in ``LEDGER.budget``, on a connection that is opened when they are first used: blocking calls.

    A note follows its claim's commit, so that it never tells of one that was not made. A power cut may take it back.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._db: apsw.Connection | None = None

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    def note(self, note: ClaimNote) -> None:
        """Note a claim that is committed."""
        self._connected().execute(_QUERIES["claims_noted"], asdict(note))

    def check(self, ledger: apsw.Connection) -> None:
        """Take into a ledger that was just opened what its last commits held, if it lacks them, and tell of it."""
        if not budget_path(self._ledger).exists():
            return
        notes = self._all()  # before the ledger is looked at: a note follows its commit
        if not any(_lacks(ledger, note) for note in notes):
            return
        with transaction(ledger):
            lost = [note for note in notes if _lacks(ledger, note)]  # all of them, before a turn is made up for
            absent = [note for note in lost if not ledger.execute(_QUERIES["claims_lost"], asdict(note)).fetchall()]
            for note in lost:
                ledger.execute(_QUERIES["turn_made_up"], asdict(note))
        for note in lost:
            get_logger().warning(self._absence(note) if note in absent else self._loss(note))
            self._connected().execute(_QUERIES["claims_forgotten"], asdict(note))

    def _absence(self, note: ClaimNote) -> str:
        return f"run {note.name}, which closed sessions, is not in {self._ledger}: an older copy was put back"

    def _loss(self, note: ClaimNote) -> str:
        return (
            f"{self._ledger} lacks what was last written to it, as its log was removed or an older copy put back: "
            f"what run {note.name} may have sent since is looked up before it is sent again"
        )

    def forget_all(self) -> None:
        """The ledger is a new one: what is noted was another's, in its place."""
        if budget_path(self._ledger).exists():
            self._connected().execute(_QUERIES["claims_forgotten_all"])

    def _all(self) -> list[ClaimNote]:
        rows: list[Row] = self._connected().execute(_QUERIES["claims_note"]).fetchall()
        return [ClaimNote(*row) for row in rows]

    def _connected(self) -> apsw.Connection:
        if self._db is None:
            self._db = connect_budget(budget_path(self._ledger))
        return self._db


def _lacks(ledger: apsw.Connection, note: ClaimNote) -> bool:
    found: list[Row] = ledger.execute(_QUERIES["turn_reached"], asdict(note)).fetchall()
    return not found or int(found[0][0]) < note.turn
