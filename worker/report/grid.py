"""A table of short columns for a terminal of any width: where it is too narrow for a line each, the cells stand below.

Nothing that a person has to copy is cut: only the last column gives way.
"""

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_LEAST_LAST = 8  # what is left of the last column, at least


class Grid:
    """Without lines; a header that begins with ``>`` stands over numbers."""

    def __init__(self, *headers: str) -> None:
        self._headers = headers
        self._rows: list[tuple[str | Text, ...]] = []

    def add_row(self, *cells: str | Text) -> None:
        self._rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._least_width() <= options.max_width:
            yield self._wide()
        else:
            yield from map(self._below, self._rows)

    def _least_width(self) -> int:
        *fixed, last = (
            max([cell_len(header.lstrip(">")), *(cell_len(str(row[at])) for row in self._rows)])
            for at, header in enumerate(self._headers)
        )
        return sum(width + 1 for width in fixed) + min(last, _LEAST_LAST)

    def _wide(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        for header in self._headers:
            table.add_column(header.lstrip(">"), justify="right" if header.startswith(">") else "left", no_wrap=True)
        table.columns[-1].no_wrap = False
        for row in self._rows:
            table.add_row(*row)
        return table

    def _below(self, row: tuple[str | Text, ...]) -> Text:
        """The first cell, and each other one that is not empty below it, with its header."""
        first, *others = row
        labels = [header.lstrip(">") for header in self._headers[1:]]
        column = max(map(len, labels), default=0) + 2
        text = Text.assemble((str(first), "bold"), overflow="fold")
        for label, cell in zip(labels, others, strict=True):
            if str(cell):
                text.append(f"\n  {label:<{column}}", style="dim").append_text(_folded(cell))
        return text


def _folded(cell: str | Text) -> Text:
    return Text(cell) if isinstance(cell, str) else Text(cell.plain, style=cell.style)
