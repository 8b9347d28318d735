"""The console on standard error: a reader that goes away costs only the display."""

import io

import pytest

from closeout.worker.report.console import PatientConsole, stderr_console


class Gone(io.StringIO):
    """A pipe whose reader has hung up."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_broken_pipe_does_not_end_the_process() -> None:
    console = PatientConsole(file=Gone())
    console.print("lost")
    console.print("lost, too")
    assert console.quiet


def test_people_read_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    stderr_console().print("here")
    assert capsys.readouterr() == ("", "here\n")
