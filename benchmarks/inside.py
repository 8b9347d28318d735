"""``closeout close`` with a meter in it: CPU seconds of its main thread and of what its worker threads do.

``python -m benchmarks.inside ARGUMENTS`` runs the command line in this process and prints the seconds by part.
"""

import functools
import gc
import importlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import ParamSpec, TypeVar

from closeout.jobs.cli import COLLECT_AFTER, cli
from closeout.worker.feeds.source import OpenedSource
from closeout.worker.ledger.sqlite.store import SqliteStore

_P = ParamSpec("_P")
_T = TypeVar("_T")
PARTS: dict[str, list[tuple[type, str]]] = {
    "admission": [(OpenedSource, "take"), (SqliteStore, "admit")],
    "claim": [(SqliteStore, "claim")],
    "record": [(SqliteStore, "record")],
}


def metered(function: Callable[_P, _T], seconds: defaultdict[str, float], part: str) -> Callable[_P, _T]:
    """The function, with the CPU time of its calling thread counted: waiting for the interpreter lock costs none."""

    @functools.wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        began = time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[part] += time.thread_time() - began

    return wrapper


def measure(arguments: list[str]) -> dict[str, float]:
    """Run the command line; CPU seconds by part, modules loaded before."""
    importlib.import_module("closeout.jobs.commands.close")
    gc.set_threshold(COLLECT_AFTER)
    seconds: defaultdict[str, float] = defaultdict(float)
    for part, methods in PARTS.items():
        for owner, name in methods:
            setattr(owner, name, metered(getattr(owner, name), seconds, part))
    main, process = time.thread_time(), time.process_time()
    with redirect_stdout(StringIO()):
        cli.main(arguments, standalone_mode=False)
    main, process = time.thread_time() - main, time.process_time() - process
    return {**seconds, "main loop": main, "other threads": process - main - sum(seconds.values())}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1:])))
