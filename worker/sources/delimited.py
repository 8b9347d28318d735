"""CSV in the shapes that people and spreadsheets write."""

from collections.abc import Iterable, Iterator
from itertools import chain

from closeout.worker.domain.item import SourceRow
from closeout.worker.sources.columns import (
    NAMES_IN_ROWS,
    Layout,
    distinct_uuids,
    header_keys,
    holds_id,
    is_comment,
    is_header,
    is_later_header,
    joined_header,
    layout_of,
    names_its_value,
)
from closeout.worker.sources.decompress import BrokenOffError
from closeout.worker.sources.line_formats import id_within
from closeout.worker.sources.lines import Lines
from closeout.worker.sources.names import REASON_NAME, id_keys, name_key, number_of
from closeout.worker.sources.records import DELIMITERS, Record, SpanningCells, is_ghost, read_records, take_delimiter
from closeout.worker.sources.session_ids import (
    LONGEST_REASON,
    ReadingError,
    given_reason,
    id_row,
    is_uuid,
    normalise_id,
    problem_row,
    sample_of,
    shown,
)
from closeout.worker.support.errors import EmptySourceError, SourceError
from closeout.worker.support.units import counted

_MOST_UNREADABLE = 1_000
_LONGEST_HEAD = 200  # records that are read to find the header or the first session


class Table:
    """A delimited file. ``tabs``: its name promises tabs.

    Raises SourceError, before any row, if no column holds the id, if more than one may, or if no row follows a header.
    """

    def __init__(self, lines: Lines, id_column: str | None, *, tabs: bool = False, lenient: bool = False) -> None:
        self._lines = lines
        self._lenient = lenient
        self._keys = id_keys(id_column if number_of(id_column) is None else None)
        self._asked = id_column is not None
        self._delimiter = take_delimiter(lines, id_column, tabs=tabs)
        head = self._take_head(named=id_column is not None and number_of(id_column) is None)
        readable = [record for record in head if record[2] is None]
        self._after_short = False  # the row above had several cells, but too few
        self._layout, first = layout_of([cells for _, cells, _ in readable], id_column)
        self._header = readable[first - 1] if self._layout.header is not None else None
        if self._header is not None and first < len(readable) and id_column is None:
            _expect_no_event(self._header[1], readable[first][1], self._layout)
            _expect_no_numbers(self._header[1], readable[first][1], self._layout)
        below = readable[first][0] if first < len(readable) else None
        above = self._header[0] if self._header is not None else 0
        self._head = [
            one for one in head if one[0] > above and (one[2] is not None or (below is not None and one[0] >= below))
        ]
        if not self._head and self._layout.header is not None and lines.broken is None:
            raise EmptySourceError("has a header but no rows: there is nothing to close")

    @property
    def reading(self) -> str:
        """How the ids are found, in words."""
        layout, name = self._layout, ""
        if self._header is not None:
            name = f' "{shown(self._header[1][layout.id_at].strip(), 40)}"'
        words = [f"column {layout.id_at + 1}{name} of {layout.widest}"]
        if layout.widest > 1:
            words.append(DELIMITERS.get(self._delimiter, f"separator {shown(self._delimiter)}"))
        words.append("no header" if self._header is None else f"header in line {self._header[0]}")
        if layout.reason_at is not None:
            words.append(f'reasons from column {layout.reason_at + 1} "{REASON_NAME}"')
        return ", ".join(words)

    def rows(self) -> Iterator[SourceRow]:
        """One row for each record as far as the next pause. Raises ReadingError where the file is read otherwise from
        there on."""
        head, self._head = self._head, []
        return self._rows_of(chain(head, read_records(self._lines, self._delimiter)))

    def _take_head(self, *, named: bool) -> list[Record]:
        """The records as far as the first that holds a session, or the one after the header.

        A break that ends them stays to be read.
        """
        head: list[Record] = []
        below_header, readable = False, 0
        try:
            for record in _awaited_records(self._lines, self._delimiter):
                _, cells, problem = record
                if problem is None and is_ghost(cells):
                    continue
                head.append(record)
                readable += problem is None
                if problem is not None:
                    if not readable and len(head) > _MOST_UNREADABLE:
                        raise SourceError(f"none of its first {_MOST_UNREADABLE:,} rows can be read: {problem}")
                    continue
                header = is_header(cells, self._keys)
                if readable >= _LONGEST_HEAD or (below_header and not header) or (holds_id(cells) and not named):
                    break
                below_header = below_header or header
        except BrokenOffError:
            pass
        return head

    def _rows_of(self, records: Iterable[Record]) -> Iterator[SourceRow]:
        layout = self._layout
        id_at, reason_at, widest = layout.id_at, layout.reason_at, layout.widest
        hides = layout.may_hide_move
        guessed = layout.header is None and not self._asked
        for line, cells, problem in records:
            if problem is not None:
                yield problem_row(line, cells[0], problem)
                continue
            session_id = normalise_id(cells[id_at]) if id_at < len(cells) else None
            fits = (len(cells) == widest and not hides) or layout.fits(cells)
            if (
                session_id is None
                or not fits
                or (guessed and len(cells) > 1)
                or self._after_short
                or type(cells) is not list
            ):
                row = self._odd_row(line, cells)
                if row is not None:
                    yield row
                continue
            reason = given_reason(cells[reason_at]) if reason_at is not None and reason_at < len(cells) else None
            if reason is not None and len(reason) > LONGEST_REASON:
                yield id_row(line, cells[id_at], reason)
            elif layout.wishes_at:
                yield SourceRow(line, session_id, reason, wishes=_wishes(cells, layout))
            else:
                yield SourceRow(line, session_id, reason)  # as id_row does, without another call for each row

    def _odd_row(self, line: int, cells: list[str]) -> SourceRow | None:
        """The row for a record that is not as the others are; None for a comment, and for a header that is repeated.

        Raises ReadingError for a header that disagrees with the first, and where the id's column was found by its UUIDs
        and another column holds one as well.
        """
        layout = self._layout
        if is_ghost(cells) or (is_comment(cells) and (len(cells) == 1 or not layout.fits(cells))):
            return None
        if is_later_header(cells, layout, self._keys):
            if layout.header == header_keys(cells):
                return None
            raise ReadingError(line, self._disagreement(cells))
        joined = joined_header(cells, layout, self._keys)
        if joined is not None:
            if joined == layout.header:
                return problem_row(line, ",".join(cells), "a header stands behind the row, without a line end between")
            raise ReadingError(line, "has a row and another header on one line: give each table as a file of its own")
        if layout.header is None and cells[0].lstrip().startswith("#"):
            return problem_row(line, cells[0], "begins with #, like a comment")
        if layout.header is None and not self._asked and names_its_value(cells):
            raise ReadingError(line, f"{NAMES_IN_ROWS}: give one session a row")
        if layout.header is None and not self._asked and len(distinct_uuids(cells)) > 1:
            samples = " and ".join(f"{sample_of(one)}" for one in sorted(distinct_uuids(cells)))
            raise ReadingError(
                line,
                f"holds several UUIDs ({samples}), and no header tells which is the session id: name its column "
                "with --id-column",
            )
        if (problem := self._misfit(cells)) is not None:
            return problem_row(line, ",".join(cells), problem)
        reason = given_reason(cells[layout.reason_at]) if layout.reason_at is not None else None
        row = id_row(line, cells[layout.id_at], reason, lenient=self._lenient)
        row.wishes = _wishes(cells, layout) if row.session_id is not None and layout.wishes_at else None
        return row

    def _misfit(self, cells: list[str]) -> str | None:
        """Why the cells do not stand in the columns of the table, or None."""
        layout = self._layout
        if type(cells) is SpanningCells and (swallowed := self._swallowed(cells)):
            return (
                f"a quote in the row takes in {counted(swallowed, 'line')} below that may be a row: correct the quotes"
            )
        after_short, self._after_short = self._after_short, 1 < len(cells) < layout.narrowest
        if not layout.fits(cells):
            if len(cells) == layout.widest:
                return "the row has other ids than the first one: its cells may have moved to other columns"
            return f"the row has {counted(len(cells), 'cell')}, the {self._measure} {layout.widest}"
        if after_short and not layout.is_whole(cells):
            return "the row seems to be the rest of the one above, cut by a line break"
        return None

    def _swallowed(self, cells: list[str]) -> int:
        """How many lines within the cells of a record look like rows: a UUID stands where the table has the id's."""
        layout = self._layout
        below = [line for cell in cells for line in cell.split("\n")[1:]]
        parts = [line.split(self._delimiter) for line in below]
        wide = min(layout.widest, 2)  # the last of them ends with the quote
        return sum(len(part) >= max(wide, layout.id_at + 1) and is_uuid(part[layout.id_at]) for part in parts)

    @property
    def _measure(self) -> str:
        return "header" if self._header is not None else "first row"

    def _disagreement(self, cells: list[str]) -> str:
        names = shown(", ".join(cell.strip() for cell in cells), 80)
        if self._header is not None:
            return f"is another header ({names}) than line {self._header[0]}: give each table as a file of its own"
        mend = "give each table as a file of its own" if self._asked else "name the id column with --id-column"
        return f"is a header ({names}), but rows stand above it: {mend}"


def _expect_no_event(names: list[str], row: list[str], layout: Layout) -> None:
    """Raises SourceError if the id is that of an event whose cell of JSON holds a session's."""
    name = names[layout.id_at]
    where = id_within(dict(zip(names, row, strict=False))) if name_key(name) == "id" else None
    if where is not None:
        raise SourceError(
            f"holds ids both in the column {shown(name.strip(), 40)!r} and within {shown(where.strip(), 40)!r}: "
            "name the id column with --id-column"
        )


def _expect_no_numbers(names: list[str], row: list[str], layout: Layout) -> None:
    """Raises SourceError if the id's column begins with a number, and another has a UUID beside it."""
    number = row[layout.id_at].strip() if layout.fits(row) else ""
    beside = next((at for at, cell in enumerate(row) if is_uuid(cell)), None) if number.isdecimal() else None
    if beside is not None:
        name, other = (shown(names[at].strip(), 40) for at in (layout.id_at, beside))
        raise SourceError(
            f"holds a number ({sample_of(number)}) in the column {name!r}, and a UUID in column {beside + 1} {other!r}"
            ": give the number of the right one with --id-column"
        )


def _awaited_records(lines: Lines, delimiter: str) -> Iterator[Record]:
    """The records, waited for through pauses."""
    while True:
        yield from read_records(lines, delimiter)
        if not lines.paused:
            return
        lines.go_on()


def _wishes(cells: list[str], layout: Layout) -> dict[str, object] | None:
    found = {name: cells[at].strip() for name, at in layout.wishes_at if at < len(cells)}
    return {name: text for name, text in found.items() if text} or None
