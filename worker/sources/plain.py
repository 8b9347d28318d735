"""Plain text: one id a line, blank lines and lines that begin with # left out."""

from collections.abc import Iterator

from closeout.worker.models import SourceRow
from closeout.worker.sources.columns import is_header
from closeout.worker.sources.identifiers import strip_blanks, uuids_in, without_uuid
from closeout.worker.sources.lines import Lines, line_problem
from closeout.worker.sources.names import id_keys, name_key, names_an_id
from closeout.worker.sources.problems import ReadingError, id_row, problem_row, sample_of
from closeout.worker.sources.records import DELIMITERS


class PlainLines:
    """A list of ids. A line that is the id's name may stand above them, and again further down."""

    def __init__(self, lines: Lines, id_column: str | None) -> None:
        self._lines = lines
        self._keys = id_keys(id_column)
        self._header: int | None = None
        self._any = False

    @property
    def reading(self) -> str:
        """How the ids are found, in words."""
        return "one a line"

    def rows(self) -> Iterator[SourceRow]:
        """One row for each line, as far as their next pause, that is neither blank nor a comment.

        Raises ReadingError for a line that belongs to a table.
        """
        for line in self._lines:
            text = strip_blanks(line)
            if not text or text.startswith("#"):
                continue
            if (problem := line_problem(line)) is not None:
                row: SourceRow | None = problem_row(self._lines.number, line, problem)
            else:
                row = self._row(self._lines.number, text)
            if row is not None:
                self._any = True
                yield row

    def _row(self, number: int, text: str) -> SourceRow | None:
        if name_key(text) in self._keys and (self._header is not None or not self._any):
            self._header = self._header or number
            return None
        if any(is_header(text.split(delimiter), self._keys) for delimiter in DELIMITERS):
            raise ReadingError(number, "is a header, but this is a list of ids: give each table as a .csv of its own")
        if self._any and (names_an_id(text) or self._is_joined(text)):
            raise ReadingError(number, "holds the name of other ids, but ids stand above: give each list as a file")
        several = list(dict.fromkeys(uuids_in(text)))
        if len(several) < 2:
            return id_row(number, text)
        problem = f"holds several UUIDs ({' and '.join(map(sample_of, several))}): give one a line"
        if not self._any:
            raise ReadingError(number, f"{problem}, or a .csv with a header")
        return problem_row(number, text, problem)

    def _is_joined(self, text: str) -> bool:
        """Whether the name of other ids follows an id on its line, as in files joined with no line end between."""
        behind = without_uuid(text)
        return behind is not None and name_key(behind) not in self._keys and names_an_id(behind)
