"""The summary: exactly the public names for scripts, and lines a person can act on."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import RunState
from closeout.worker.ledger.records import Counts, EvalRuns, InvalidKind
from closeout.worker.report.summary import next_commands, print_summary, summary, summary_lines
from tests.report.support import COUNTS, FRESH, RUN, ended


def test_the_summary_has_every_public_name_and_no_other() -> None:
    assert summary(ended(), Settings()) == {
        "run": "k3m9x2pq",
        "job": None,
        "state": "finished",
        "why": None,
        "rows_read": 100_000,
        "duplicates": 12,
        "outcomes": {
            "closed": 99_940,
            "already_closed": 40,
            "skipped": 0,
            "not_found": 0,
            "invalid": 0,
            "rejected": 0,
            "failed": 8,
            "in_doubt": 0,
            "pending": 0,
        },
        "eval_status": {"passed": 90_000, "failed": 9_980},
        "unsettled": 0,
        "requests": {"total": 100_600, "close": 100_100, "read": 0, "list": 500, "throttled": 3, "retried": 112},
        "seconds": 2000.123,
        "rate": {"allowed": 50.0, "achieved": 50.3},
        "exit_code": 1,
    }


def test_the_summary_is_json_as_it_stands() -> None:
    text = json.dumps(summary(ended(), Settings()))
    assert list(json.loads(text)["outcomes"]) == [outcome.value for outcome in Outcome]


def test_a_job_is_named() -> None:
    assert summary(ended(replace(RUN, job="nightly")), Settings())["job"] == "nightly"


def test_a_run_that_took_no_time_has_no_rate() -> None:
    figures = summary(ended(replace(RUN, seconds=0.0), Counts()), Settings(rate=7))
    assert figures["rate"] == {"allowed": 7.0, "achieved": 0.0}


def test_outcomes_that_did_not_occur_are_left_out_but_closed_is_always_there() -> None:
    lines = summary_lines(ended(counts=Counts()), Settings()).plain.splitlines()
    assert [line.split() for line in lines if "closed" in line] == [["closed", "0"]]
    assert not any(line.split()[:1] == ["failed"] for line in lines)


def test_people_see_what_came_of_it() -> None:
    text = summary_lines(ended(), Settings()).plain
    for part in (
        "100,000 rows of sessions.csv, 12 of them duplicates",
        "99,940",
        "90,000 passed, 9,980 failed",
        "100,600 (100,100 close, 500 list), 112 closes sent again",
        "3 answers with status 429",
        "50.3/s of 50/s allowed",
        "33 min 20 s",
        "closeout.db",
    ):
        assert part in text


def test_people_see_probes_among_the_requests() -> None:
    """The kinds add up to all that was sent."""
    counts = replace(COUNTS, requests={"close": 3, "probe": 4})
    assert "requests        7 (3 close, 4 probe)" in summary_lines(ended(counts=counts), Settings()).plain


def test_people_see_the_sums_of_the_evaluators_runs() -> None:
    """The critical ones and all; what is pending where there is any; nothing where there were none."""
    text = summary_lines(ended(), Settings()).plain
    assert "critical runs   120,000: 100,000 succeeded, 20,000 failed" in text
    assert "all runs        300,000: 280,000 succeeded, 20,000 failed" in text
    pending = replace(COUNTS, eval_runs=EvalRuns(5, 3, 1, 1, 0, 0, 0, 0))
    text = summary_lines(ended(counts=pending), Settings()).plain
    assert "all runs        5: 3 succeeded, 1 failed, 1 pending" in text
    none = replace(COUNTS, eval_runs=EvalRuns())
    assert "runs  " not in summary_lines(ended(counts=none), Settings()).plain


def test_people_see_that_sessions_were_reopened() -> None:
    """Only where some were."""
    assert "reopened" not in summary_lines(ended(), Settings()).plain
    text = summary_lines(ended(counts=replace(COUNTS, reopened=3)), Settings()).plain
    assert "3 seen live after their close: not closed again" in text


def test_people_see_why_rows_were_invalid_and_where_to_look() -> None:
    """Behind their number; without kinds, the number alone."""
    stopped = ended(counts=replace(COUNTS, outcomes={Outcome.INVALID: 1_012}))
    kinds = [InvalidKind("not a UUID", 1_009, 1_007), InvalidKind("the cell is empty", 3, 9)]
    words = " ".join(summary_lines(stopped, Settings(), invalid=kinds).plain.split())
    told = "invalid 1,012 (1,009 not a UUID, first in line 1,007; 3 the cell is empty, first in line 9) "
    assert told in words
    assert "invalid 1,012 evaluations" in " ".join(summary_lines(stopped, Settings()).plain.split())


def test_a_source_not_read_to_its_end_is_said_so() -> None:
    assert "not read to its end" in summary_lines(ended(FRESH), Settings()).plain
    assert "not read to its end" not in summary_lines(ended(), Settings()).plain


@pytest.mark.parametrize(
    ("state", "outcomes", "unsettled", "verbs"),
    [
        ("finished", {Outcome.CLOSED: 3}, 0, ["show", "export"]),
        ("halted", {}, 0, ["resume", "show", "export"]),
        ("interrupted", {}, 0, ["resume", "show", "export"]),
        ("planned", {}, 0, ["apply", "show", "export"]),
        ("finished", {Outcome.FAILED: 1}, 0, ["retry", "show", "export"]),
        ("finished", {Outcome.REJECTED: 1}, 0, ["retry", "show", "export"]),
        ("finished", {Outcome.NOT_FOUND: 1}, 0, ["retry", "show", "export"]),
        ("finished", {Outcome.INVALID: 1}, 0, ["show", "export"]),
        ("finished", {Outcome.CLOSED: 3}, 2, ["settle", "show", "export"]),
        ("interrupted", {Outcome.FAILED: 1}, 2, ["resume", "retry", "settle", "show", "export"]),
    ],
)
def test_the_commands_fit_how_it_ended(
    state: RunState, outcomes: dict[Outcome, int], unsettled: int, verbs: list[str]
) -> None:
    commands = next_commands(ended(replace(RUN, state=state), Counts(outcomes=outcomes, unsettled=unsettled)))
    assert [command.split()[1] for command in commands] == verbs
    assert all(command.split()[2] == RUN.name for command in commands)


def test_commands_name_a_ledger_that_is_not_the_default_one() -> None:
    assert next_commands(ended(counts=Counts())) == [
        "closeout show k3m9x2pq",
        "closeout export k3m9x2pq --output results.csv",
    ]
    assert next_commands(ended(counts=Counts()), "/tmp/my runs.db")[0] == (  # noqa: S108  # only a name
        "closeout show k3m9x2pq --ledger '/tmp/my runs.db'"
    )


def test_where_the_api_is_gone_nothing_is_offered_that_asks_it() -> None:
    """The demo's server ends with it."""
    stopped = ended(counts=replace(COUNTS, unsettled=2))
    assert [line.split()[1] for line in next_commands(stopped, api_gone=True)] == ["show", "export"]


def test_commands_are_called_as_they_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the path that was typed where the name alone is not found, as after ``make demo``."""
    typed = ".venv/bin/closeout"
    monkeypatch.setattr(sys, "argv", [typed, "demo"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert next_commands(ended(counts=Counts()))[0] == f"{typed} show k3m9x2pq"
    (tmp_path / "closeout").touch(mode=0o755)
    assert next_commands(ended(counts=Counts()))[0] == "closeout show k3m9x2pq"
    monkeypatch.setattr(sys, "argv", ["/usr/lib/closeout/__main__.py", "demo"])
    monkeypatch.setenv("PATH", "")
    assert next_commands(ended(counts=Counts()))[0] == "closeout show k3m9x2pq"


def test_on_a_narrow_terminal_values_go_on_below_themselves() -> None:
    """No word is torn; commands stay whole, to be copied."""
    out = io.StringIO()
    print_summary(Console(file=out, width=40), ended(), Settings(base_url="https://a.example"))
    lines = out.getvalue().splitlines()
    assert "  source          100,000 rows of" in lines
    assert "                  sessions.csv, 12 of" in lines
    assert [line for line in lines if len(line) > 40 and "closeout " not in line] == []
    assert "  closeout export k3m9x2pq --output results.csv" in lines


def test_in_a_pipe_it_is_plain_ascii_and_commands_stay_whole() -> None:
    out = io.StringIO()
    ledger = "/var/lib/" + "long/" * 20 + "closeout.db"
    print_summary(Console(file=out, width=40), ended(), Settings(), ledger)
    assert out.getvalue().isascii()
    assert "\x1b" not in out.getvalue()
    assert f"  closeout show k3m9x2pq --ledger {ledger}" in out.getvalue().splitlines()


def test_text_from_outside_cannot_move_the_cursor() -> None:
    run = replace(RUN, source="a\x1b[2J\nb.csv", why="x\r\x9by")
    text = summary_lines(ended(run, replace(COUNTS, eval_status={"p\x1b]0;\x07": 1})), Settings()).plain
    assert not any(character in text for character in "\x1b\r\x9b\x07")
    assert "a�[2J�b.csv" in text
