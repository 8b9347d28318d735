"""``closeout show``: what happened to a session, in one run or in all of them."""

import json
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result

from closeout.jobs.cli import cli
from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.records import COLUMNS
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from closeout.worker.support.errors import ConfigurationError
from tests.ledger.support import NOW, a_run, bad_row, changed, claim_all, closed, session_id


async def _fill() -> list[str]:
    async with SqliteLedger.open(Path("closeout.db"), create=True) as ledger:
        first = await a_run(ledger, [1, 2], source="monday.csv")
        await ledger.admit(first, [bad_row(9, "=1+1"), bad_row(10, "=1+1")], "d", NOW)
        claim, *_ = await claim_all(ledger, first)
        await ledger.record(first, [changed(claim, Outcome.CLOSED, session=closed())], NOW)
        second = await a_run(ledger, [1], source="tuesday.csv", job="nightly")
    return [first.name, second.name]


@pytest.fixture
def runs() -> list[str]:
    """The names of two runs, the older one first, that both hold session 1."""
    return anyio.run(_fill)


def show(*words: str) -> Result:
    return CliRunner().invoke(cli, ["show", *words])


def test_a_session_is_shown_in_every_run_that_holds_it(runs: list[str]) -> None:
    """RUN left out: the newest run first, each with every exchange; in any spelling of the id."""
    shown = show("--session", session_id(1).upper())
    first, second = runs
    assert shown.stdout.index(f"run {second}  of nightly") < shown.stdout.index(f"run {first}  of monday.csv")
    assert "no requests were sent for it" in shown.stdout
    documents = json.loads(show("--session", session_id(1), "--json").stdout)
    assert [(one["run"], one["outcome"], len(one["exchanges"])) for one in documents] == [
        (second, "pending", 0),
        (first, "closed", 1),
    ]
    assert list(documents[0]) == [*COLUMNS, "exchanges"]
    assert json.loads(show(first, "--session", session_id(1), "--json").stdout) == documents[1]


def test_an_invalid_row_is_found_by_its_text(runs: list[str]) -> None:
    """In all runs, and in one; of several that read the same JSON for one run holds the last, and says so."""
    documents = json.loads(show("--session", "=1+1", "--json").stdout)
    assert [(one["run"], one["line"], one["outcome"]) for one in documents] == [
        (runs[0], 10, "invalid"),
        (runs[0], 9, "invalid"),
    ]
    one = show(runs[0], "--session", "=1+1", "--json")
    assert (json.loads(one.stdout), "2 rows" in one.stderr) == (documents[0], True)


@pytest.mark.parametrize("words", [("--session", session_id(7)), ("--session", "nonsense"), ("last", "--session", "x")])
def test_a_session_that_is_nowhere_is_one_line(runs: list[str], words: tuple[str, ...]) -> None:
    """Which names where was looked."""
    error = show(*words).exception
    assert isinstance(error, ConfigurationError)
    assert ("closeout.db" if words[0] == "--session" else runs[1]) in str(error)


def test_show_without_run_and_session_says_what_to_name() -> None:
    """A usage error."""
    shown = show()
    assert shown.exit_code == 2
    assert "Name a run" in shown.stderr


def test_a_run_that_is_not_done_says_how_to_go_on(runs: list[str]) -> None:
    """As its summary would have, had its process not been killed."""
    shown = show(runs[0]).stdout
    assert "interrupted" in shown
    assert shown.endswith(f"\n\n  closeout resume {runs[0]}\n  closeout settle {runs[0]}\n")
