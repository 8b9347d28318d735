"""Runs, one run and one session: readable in 80 columns, and complete as JSON."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from closeout.worker.config.settings import Settings
from closeout.worker.domain.exchange import Exchange
from closeout.worker.ledger.records import COLUMNS
from closeout.worker.report.tables import (
    attempts_table,
    run_details,
    run_json,
    runs_json,
    runs_table,
    session_json,
)
from tests.report.support import COUNTS, FRESH, RUN, SESSION, result_row

EXCHANGES = [
    Exchange(1_772_445_600_123, "close", None, "read_timeout", 30_000),
    Exchange(1_772_445_640_456, "read", 200, None, 31),
]


def printed(renderable: RenderableType, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_runs_are_one_line_each() -> None:
    other = replace(RUN, name="abcdefgh", state="interrupted", source="/data/" + "monthly-" * 9 + ".csv.gz")
    lines = printed(runs_table([RUN, other], {RUN.name: COUNTS}))
    assert lines[0].split() == ["run", "state", "started", "rows", "closed", "wrong", "source"]
    assert lines[1].split() == [
        *("k3m9x2pq", "finished", "2026-03-02T10:00:00Z", "100,000", "99,940", "8", "sessions.csv")
    ]
    assert lines[2].split()[:6] == ["abcdefgh", "interrupted", "2026-03-02T10:00:00Z", "100,000", "-", "-"]
    assert lines[2].endswith("…")
    assert len(lines) == 3


def test_a_job_is_shown_in_the_place_of_its_source() -> None:
    assert printed(runs_table([replace(RUN, job="nightly")], {}))[1].endswith(" nightly")


def test_a_queue_is_shown_by_its_address() -> None:
    """It has slashes, too, and is no file."""
    address = "sqs://eu-west-1/new"
    assert printed(runs_table([replace(RUN, source=address)], {}))[1].endswith(f" {address}")


def test_no_runs_is_said() -> None:
    assert printed(runs_table([], {})) == ["no runs yet"]


def test_the_details_of_a_run_hold_its_figures_and_settings() -> None:
    text = run_details(replace(RUN, why="a reason", state="halted"), COUNTS, Settings(settle=False)).plain
    for part in (
        "a reason",
        "/data/sessions.csv",
        "2026-03-02T10:33:20Z",
        "99,940",
        "90,000 passed, 9,980 failed",
        "https://api-sandbox.featherhq.com, API 1.21",
        "50/s, 64 in flight, 8 attempts within",
    ):
        assert part in text
    assert text.splitlines()[-1].split() == ["settling", "off"]


def test_a_run_that_goes_has_not_ended() -> None:
    lines = run_details(FRESH, COUNTS, Settings()).plain.splitlines()
    assert ["ended", "-"] in [line.split() for line in lines]


def test_a_session_shows_its_row_and_every_exchange() -> None:
    row = result_row(session_id=SESSION, outcome="failed", attempts=1, detail="x\x1b[2J")
    lines = [line.split() for line in printed(attempts_table(row, EXCHANGES))]
    assert ["session_id", SESSION] in lines
    assert ["detail", "x�[2J"] in lines
    assert ["2026-03-02T10:00:00Z", "close", "-", "30,000", "read_timeout"] in lines
    assert ["2026-03-02T10:00:40Z", "read", "200", "31"] in lines
    assert not any(line[:1] == ["closed_at"] for line in lines)


def test_a_session_without_exchanges_says_so() -> None:
    assert printed(attempts_table(result_row(session_id=SESSION), []))[-1] == "no requests were sent for it"


def test_runs_as_json() -> None:
    first, second = json.loads(json.dumps(runs_json([RUN, FRESH], {RUN.name: COUNTS} | {"other": COUNTS})))
    assert first["outcomes"]["closed"] == 99_940
    assert (first["run"], first["started_at"], first["ended_at"], first["job"]) == (
        *("k3m9x2pq", "2026-03-02T10:00:00.123Z", "2026-03-02T10:33:20.999Z", None),
    )
    assert second["ended_at"] is None


def test_a_run_that_was_not_counted_has_null_outcomes() -> None:
    (run,) = runs_json([RUN], {})
    assert (run["outcomes"], run["unsettled"]) == (None, None)


def test_a_run_as_json_has_the_summary_s_names_and_its_settings() -> None:
    run = json.loads(json.dumps(run_json(RUN, COUNTS, Settings())))
    assert run["requests"]["total"] == 100_600
    assert run["rate"] == {"allowed": 50.0, "achieved": 50.3}
    assert run["source"] == "sessions.csv"
    assert run["settings"]["concurrency"] == 64


def test_a_session_as_json_has_every_column_and_its_exchanges() -> None:
    session = json.loads(json.dumps(session_json(result_row(session_id=SESSION, attempts=1), EXCHANGES)))
    assert list(session) == [*COLUMNS, "exchanges"]
    assert session["exchanges"][0] == {
        "at": "2026-03-02T10:00:00.123Z",
        "kind": "close",
        "http_status": None,
        "error": "read_timeout",
        "ms": 30_000,
    }


def test_a_row_of_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match="argument"):
        session_json(("too", "short"), [])
