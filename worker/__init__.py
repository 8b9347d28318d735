"""The engine: from a source of session ids to a ledger that says how each one ended.

For use within a program: ``close_sessions`` and what belongs to it. They are loaded when they are asked for, so that
whoever needs one part of the engine does not wait for the others.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.errors import (
        CloseoutError,
        ConfigurationError,
        HaltError,
        LedgerError,
        RunBusyError,
        RunNotFoundError,
        SourceError,
    )
    from worker.library import CloseResult, close_sessions, resume_run
    from worker.models import Outcome
    from worker.report.figures import Snapshot
    from worker.report.records import ResultRow
    from worker.settings_given import SettingsGiven

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
    "CloseResult": "worker.library",
    "close_sessions": "worker.library",
    "resume_run": "worker.library",
    "Outcome": "worker.models",
    "ResultRow": "worker.report.records",
    "SettingsGiven": "worker.settings_given",
    "Snapshot": "worker.report.figures",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "worker.errors")), name)
