"""Closes large numbers of sessions over HTTP, at a safe pace, with a ledger of how each one ended.

For use within a program: ``close_sessions`` and what belongs to it. They are loaded when they are asked for, so that
whoever needs one part of the engine does not wait for the others.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from closeout.worker.config.settings import SettingsGiven
    from closeout.worker.domain.item import Outcome
    from closeout.worker.export.result_row import ResultRow
    from closeout.worker.library import CloseResult, close_sessions, resume_run
    from closeout.worker.runtime.snapshot import Snapshot
    from closeout.worker.support.errors import (
        CloseoutError,
        ConfigurationError,
        HaltError,
        LedgerError,
        RunBusyError,
        RunNotFoundError,
        SourceError,
    )

__all__ = [
    "CloseResult",
    "CloseoutError",
    "ConfigurationError",
    "HaltError",
    "LedgerError",
    "Outcome",
    "ResultRow",
    "RunBusyError",
    "RunNotFoundError",
    "SettingsGiven",
    "Snapshot",
    "SourceError",
    "close_sessions",
    "resume_run",
]
_HOMES = {
    "CloseResult": "closeout.worker.library",
    "close_sessions": "closeout.worker.library",
    "resume_run": "closeout.worker.library",
    "Outcome": "closeout.worker.domain.item",
    "ResultRow": "closeout.worker.export.result_row",
    "SettingsGiven": "closeout.worker.config.settings",
    "Snapshot": "closeout.worker.runtime.snapshot",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "closeout.worker.support.errors")), name)
