"""Reading how rows ended from the SQLite ledger: those of one run, or of one session in all runs."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice

import apsw

from closeout.worker.domain.exchange import Exchange
from closeout.worker.domain.run import Run
from closeout.worker.ledger.records import ALL_ROWS, COLUMNS, Found, RowFilter
from closeout.worker.ledger.rows import RUN_SHIFT, Row, bytes_of, run_of, span_of
from closeout.worker.ledger.statements import load_queries

_QUERIES = load_queries()
_RESULTS = f"SELECT {', '.join(COLUMNS)} FROM item_results"  # noqa: S608  # constant column names


class SqliteResults:
    """Reads over the connection of a store."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection

    def _rows(self, query: str, **values: object) -> list[Row]:
        return self._db.execute(_QUERIES[query], values).fetchall()

    def of_run(self, run: Run, size: int, chosen: RowFilter = ALL_ROWS) -> Iterator[list[Row]]:
        """The chosen rows in the order of the source, so many at a time."""
        where, values = _condition(chosen)
        cursor = self._db.execute(
            f"{_RESULTS} WHERE seq BETWEEN :first AND :last{where} ORDER BY seq", {**span_of(run), **values}
        )
        while batch := list(islice(cursor, size)):
            yield batch

    def of_items(self, seqs: Sequence[int]) -> list[Row]:
        """The rows of these items, in this order."""
        statement = f"SELECT seq, {', '.join(COLUMNS)} FROM item_results WHERE seq IN (SELECT value FROM json_each(?))"  # noqa: S608  # constant column names
        found = {row[0]: row[1:] for row in self._db.execute(statement, (json.dumps(list(seqs)),))}
        return [found[seq] for seq in seqs]

    def of_session(self, run: Run, session_id: str) -> Row | None:
        rows = self._rows("item_by_session", run=run.id, session_id=bytes_of(session_id))
        return self._row(rows[0][0]) if rows else None

    def attempts_of(self, run: Run, session_id: str) -> list[Exchange]:
        rows = self._rows("item_by_session", run=run.id, session_id=bytes_of(session_id))
        return self._exchanges(rows[0][0]) if rows else []

    def find_session(self, session_id: str, limit: int) -> list[Found]:
        """The session in the newest runs that hold it."""
        return [
            self._found(seq) for (seq,) in self._rows("session_anywhere", session=bytes_of(session_id), limit=limit)
        ]

    def find_invalid(self, text: str, limit: int) -> list[Found]:
        """The newest invalid rows that read so."""
        return [self._found(seq) for (seq,) in self._rows("invalid_anywhere", text=text, limit=limit)]

    def _found(self, seq: int) -> Found:
        ((*run,),) = self._rows("run_by_id", run=seq >> RUN_SHIFT)
        return Found(run_of(tuple(run)), self._row(seq), tuple(self._exchanges(seq)))

    def _row(self, seq: int) -> Row:
        return self._db.execute(f"{_RESULTS} WHERE seq = ?", (seq,)).fetchall()[0]

    def _exchanges(self, seq: int) -> list[Exchange]:
        return [Exchange(*row) for row in self._rows("attempts_of", item=seq)]


def _condition(chosen: RowFilter) -> tuple[str, dict[str, str]]:
    """What a filter adds to a statement, and its values."""
    wanted = {"outcome": chosen.outcomes, "eval_status": chosen.eval_statuses}
    terms = {column: sorted(values) for column, values in wanted.items() if values}
    names = {column: [f"{column}{at}" for at in range(len(values))] for column, values in terms.items()}
    where = "".join(f" AND {column} IN ({', '.join(':' + name for name in names[column])})" for column in terms)
    bound = {name: value for column in terms for name, value in zip(names[column], terms[column], strict=True)}
    return where, bound
