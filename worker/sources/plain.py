"""Plain text: one id a line, blank lines and lines that begin with # left out."""

from collections.abc import Iterator

from worker.models import SourceRow
from worker.sources.identifiers import strip_blanks
from worker.sources.lines import Lines, line_problem
from worker.sources.problems import id_row, problem_row


def plain_rows(lines: Lines) -> Iterator[SourceRow]:
    """One row for each line, as far as their next pause, that is neither blank nor a comment."""
    for line in lines:
        text = strip_blanks(line)
        if text.startswith("#"):
            continue
        if (problem := line_problem(line)) is not None:
            yield problem_row(lines.number, line, problem)
        elif text:
            yield id_row(lines.number, text)
