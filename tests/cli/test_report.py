"""How errors reach a person: one line, and the exit code that is promised."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from closeout.jobs import cli
from closeout.worker.support.errors import (
    CloseoutError,
    ConfigurationError,
    HaltError,
    LedgerError,
    RunBusyError,
    RunNotFoundError,
    SourceError,
)

CODES = [
    (ConfigurationError, 2), (SourceError, 2), (LedgerError, 2), (RunNotFoundError, 2), (RunBusyError, 5),
    (HaltError, 3),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "code"), CODES)
def test_our_errors_are_one_line_and_their_exit_code(
    kind: type[CloseoutError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error; standard output is for results."""
    assert cli.report(kind("what is wrong: what to do"), show_trace=False) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "closeout: what is wrong: what to do\n")


def test_an_error_within_groups_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """Task groups wrap what their tasks raise, one group in another."""
    error = ExceptionGroup("", [ExceptionGroup("", [LedgerError("the disk is full")])])
    assert cli.report(error, show_trace=False) == 2
    assert capsys.readouterr().err == "closeout: the disk is full\n"


def test_our_error_is_found_beside_what_it_caused(capsys: pytest.CaptureFixture[str]) -> None:
    """Tasks that fall over a closed stream are no news; why it was closed is."""
    error = ExceptionGroup("", [RuntimeError("stream closed"), ExceptionGroup("", [LedgerError("the disk is full")])])
    assert cli.report(error, show_trace=False) == 2
    assert capsys.readouterr().err == "closeout: the disk is full\n"


def test_an_unexpected_error_is_one_line_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    """The text may hold the key or personal data; -vv shows where it came from."""
    assert cli.report(ValueError("Jane Doe"), show_trace=False) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "a fault in closeout (ValueError): run it with -vv to see where" in err
    assert "`closeout resume last` continues" in err
    assert "Jane" not in err


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError("Jane"), "out of memory: lower --concurrency"),
        (OSError(errno.EMFILE, "Jane"), "too many files open"),
        (OSError(errno.ENOSPC, "Jane"), "a disk is full"), (OSError(errno.EIO, "Jane"), "cannot be read or written"),
    ],
)  # fmt: skip
def test_what_the_machine_is_short_of_is_told_with_what_to_do(
    error: Exception, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also within what it brought down; and a run can be gone on with."""
    assert cli.report(ExceptionGroup("", [error, RuntimeError("stream closed")]), show_trace=False) == 3
    err = capsys.readouterr().err
    assert told in err
    assert "Jane" not in err
    assert "`closeout resume last` continues" in err


def test_a_trace_is_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    """And the line after it."""
    with pytest.raises(ValueError, match="x") as caught:
        int("x")
    cli.report(caught.value, show_trace=True)
    err = capsys.readouterr().err
    assert "test_report.py" in err
    assert err.splitlines()[-1].startswith("closeout: a fault in closeout (ValueError)")


def closeout(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command itself, in a process of its own."""
    return subprocess.run([sys.executable, "-m", "closeout", *arguments], check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["close", "missing.csv"], ["show", "last"], ["runs", "--ledger", "missing.db"], ["resume", "last"], ["explode"],
        ["close"], ["sandbox", "--latency", "soon"], ["sandbox", "--production", "5"],
        ["close", "rows.csv", "--rate", "fast"],
        ["close", "rows.csv", "--base-url", "http://api.example.com"],
        ["close", "rows.csv", "--base-url", "https://api.example.com:port"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_mistake_ends_with_2_and_sends_nothing(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No trace, nothing on standard output, no ledger made."""
    monkeypatch.setenv("CLOSEOUT_API_KEY", "key-0f9e8d7c6b5a")
    Path("rows.csv").write_text("session_id\n0190c1f2-0000-7000-8000-000000000001\n")
    done = closeout(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert not list(Path().glob("*.db*"))


def test_a_reader_that_goes_away_is_no_error() -> None:
    """As with ``| head``: nothing is left to say to it."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "closeout", "--help"], check=False, stdout=writing, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
