"""The log: what happens beside the results, for the person who looks into a run."""

import io
import logging
import os
from typing import Any, Literal, TextIO, cast

import structlog
from rich.console import Console
from rich.text import Text
from structlog.typing import FilteringBoundLogger, Processor

LogFormat = Literal["console", "json"]
_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def configure_logging(verbosity: int, format: LogFormat, stream: "TextIO | ConsoleStream") -> None:
    """Set the log up for this process: warnings only at verbosity 0, then info, then debug."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_console(stream) if format == "console" else _json()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[max(0, min(verbosity, 2))]),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", stream)),
        cache_logger_on_first_use=False,  # a logger made before this call must follow it
    )


def get_logger() -> FilteringBoundLogger:
    """A logger. Where lines are many, ``bind`` it once: a bound one drops what is filtered at almost no cost.

    Within a program that has not set structlog up, what there is to say goes to the standard library's logger
    ``closeout``, which is silent until the program gives it a handler.
    """
    return cast("FilteringBoundLogger", _Deferred())


class _Deferred:
    """A logger that is chosen when it is used: one made before the set-up must follow it."""

    def bind(self, **values: object) -> object:
        chosen = structlog.get_logger() if structlog.is_configured() else _embedded()
        return chosen.bind(**values)

    def __getattr__(self, name: str) -> object:
        return getattr(self.bind(), name)


def _embedded() -> Any:
    logger = logging.getLogger("closeout")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return structlog.wrap_logger(
        logger,
        processors=[structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.make_filtering_bound_logger(logger.getEffectiveLevel()),
    )


# Neither renderer shows local variables of a traceback: the key may be among them.


def _console(stream: "TextIO | ConsoleStream") -> list[Processor]:
    colours = stream.isatty() and not os.environ.get("NO_COLOR")
    return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)]


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]


class ConsoleStream(io.TextIOBase):
    """A stream whose lines go through a rich console, above the display that may be on there."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._console.print(Text.from_ansi(line), soft_wrap=True)
        return len(text)

    def isatty(self) -> bool:
        return self._console.is_terminal
