"""The log: what passes at which verbosity, and what never gets into it."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import structlog
from rich.console import Console
from rich.live import Live

from closeout.worker.support.log import ConsoleStream, LogFormat, configure_logging, get_logger

SECRET = "fk_live_do_not_show"  # noqa: S105  # not a real one


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _fresh_log() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize(
    ("verbosity", "levels"),
    [(0, ["warning"]), (1, ["info", "warning"]), (2, ["debug", "info", "warning"]), (9, ["debug", "info", "warning"])],
)
def test_verbosity_says_what_passes(verbosity: int, levels: list[str]) -> None:
    out = io.StringIO()
    configure_logging(verbosity, "json", out)
    log = get_logger()
    log.debug("one")
    log.info("two")
    log.warning("three")
    assert [json.loads(line)["level"] for line in out.getvalue().splitlines()] == levels


def test_a_json_line_holds_what_was_bound_and_the_time_in_utc() -> None:
    out = io.StringIO()
    configure_logging(0, "json", out)
    structlog.contextvars.bind_contextvars(run="k3m9x2pq")
    get_logger().bind(session="a").warning("slow", ms=12)
    line = json.loads(out.getvalue())
    assert {key: line[key] for key in ("event", "run", "session", "ms")} == {
        "event": "slow",
        "run": "k3m9x2pq",
        "session": "a",
        "ms": 12,
    }
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


def test_a_logger_made_before_the_set_up_follows_it() -> None:
    log = get_logger()
    for _ in range(2):
        out = io.StringIO()
        configure_logging(0, "json", out)
        log.warning("here")
        assert json.loads(out.getvalue())["event"] == "here"


@pytest.mark.parametrize("format", ["console", "json"])
def test_a_traceback_shows_no_local_variables(format: LogFormat) -> None:
    out = io.StringIO()
    configure_logging(0, format, out)
    log = get_logger()
    try:
        _fail(SECRET)
    except RuntimeError:
        log.exception("broken")
    assert "19 letters" in out.getvalue()
    assert SECRET not in out.getvalue()


def _fail(key: str) -> None:
    raise RuntimeError(f"{len(key)} letters")


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def coloured(out: io.StringIO) -> bool:
        configure_logging(0, "console", out)
        get_logger().warning("here")
        return "\x1b" in out.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert coloured(Terminal())
    assert not coloured(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured(Terminal())


def test_a_line_goes_above_a_display_and_is_not_cut() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=40, color_system=None, _environ={})
    with Live("the display", console=console, auto_refresh=False) as live:
        live.refresh()
        configure_logging(0, "json", ConsoleStream(console))
        get_logger().warning("here", text="[bold]" + "x" * 100)
    line, rest = out.getvalue()[out.getvalue().index("{") :].split("\n", 1)
    assert json.loads(line)["text"] == "[bold]" + "x" * 100
    assert "the display" in rest


def test_a_line_in_pieces_is_printed_once_it_is_whole() -> None:
    out = io.StringIO()
    stream = ConsoleStream(Console(file=out, width=80))
    stream.write("one ")
    assert out.getvalue() == ""
    stream.write("line\nand")
    assert out.getvalue() == "one line\n"


def test_within_a_program_that_set_nothing_up_the_log_is_the_standard_librarys(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Its logger ``closeout``: by its level, in one line, and nothing is printed."""
    structlog.reset_defaults()
    with caplog.at_level(logging.INFO, logger="closeout"):
        log = get_logger().bind(run="abc")
        log.info("working", rate=50.0)
        log.debug("answered")
    assert [record.getMessage() for record in caplog.records] == ["event='working' run='abc' rate=50.0"]
    assert capfd.readouterr() == ("", "")
