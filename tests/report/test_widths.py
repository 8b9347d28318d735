"""What people read fits their terminal, in colours only where these are wanted; nothing that is to be copied is cut."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from closeout.worker.config.settings import Settings
from closeout.worker.domain.exchange import Exchange
from closeout.worker.ledger.records import Found
from closeout.worker.report.console import stdout_console
from closeout.worker.report.summary import summary_lines
from closeout.worker.report.tables import attempts_table, found_table, run_details, runs_table
from tests.report.support import COUNTS, RUN, SESSION, ended, result_row

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38;[\d;]+)m")
RUNS = [RUN, replace(RUN, name="abcdefgh", state="interrupted", why="interrupted by Ctrl-C", job="nightly")]
ROW = result_row(session_id=SESSION, outcome="failed", attempts=1)
EXCHANGES = [Exchange(1_772_445_600_123, "close", None, "read_timeout", 30_000)]
TABLES: dict[str, RenderableType] = {
    "runs": runs_table(RUNS, {run.name: COUNTS for run in RUNS}),
    "attempts": attempts_table(ROW, EXCHANGES),
    "found": found_table(Found(RUN, ROW, tuple(EXCHANGES))),
    "details": run_details(RUN, COUNTS, Settings()),
    "summary": summary_lines(ended(), Settings()),
}
COPIED = {"attempts": [SESSION, "read_timeout"], "found": [SESSION, RUN.name], "summary": [RUN.name]}


def shown(name: str, width: int, env: dict[str, str], *, terminal: bool = True) -> str:
    """One of them on a terminal, or in a pipe."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal or None, _environ=env)
    console.print(TABLES[name])
    return out.getvalue()


@pytest.mark.parametrize("name", sorted(TABLES))
@pytest.mark.parametrize("width", [40, 60, 80])
def test_it_fits_and_keeps_what_is_to_be_copied(name: str, width: int) -> None:
    """Names of runs and sessions stand whole in some line, at 40 columns as well."""
    lines = shown(name, width, {"TERM": "xterm", "NO_COLOR": "1"}).splitlines()
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert [line for line in plain if len(line.rstrip()) > width] == []
    for copied in COPIED.get(name, [run.name for run in RUNS] if name != "details" else [RUN.name]):
        assert any(copied in line for line in plain)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_colours_are_for_terminals_that_want_them(name: str) -> None:
    """None with NO_COLOR, none on a dumb terminal, nor in a pipe, where no other escape is either."""
    assert COLOUR.search(shown("runs", 80, {"TERM": "xterm-256color"}))
    assert not COLOUR.search(shown(name, 80, {"TERM": "xterm-256color", "NO_COLOR": "1"}))
    assert "\x1b" not in shown(name, 80, {"TERM": "dumb"})
    assert "\x1b" not in shown(name, 80, {"TERM": "xterm-256color"}, terminal=False)


def test_a_pipe_is_as_wide_as_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no screen to fold a line for."""
    monkeypatch.setenv("COLUMNS", "40")
    assert stdout_console().width == 200
