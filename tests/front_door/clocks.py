"""Commands whose clock is set wrong; that by which they measure time goes on as it does."""

import re
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

from tests.front_door.support import Desk
from tests.services import program


@cache
def _library(faketime: str) -> str:
    shown = subprocess.run([faketime, "-f", "+0s", "env"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"^LD_PRELOAD=(\S+)$", shown, re.MULTILINE)
    assert found is not None, shown
    return found[1]


def with_clock(desk: Desk, offset: str) -> Desk:
    """The same desk, for commands whose clock is off by ``+12s`` or ``-10m``."""
    return _faked(desk, {"FAKETIME": offset})


def with_clock_of(desk: Desk, file: Path) -> Desk:
    """The same for a clock that may be set meanwhile: to what a file says then."""
    return _faked(desk, {"FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_CACHE_DURATION": "1"})


def _faked(desk: Desk, more: dict[str, str]) -> Desk:
    faked = {"LD_PRELOAD": _library(program("faketime")), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return replace(desk, env={**desk.env, **faked, **more}, anew=True)
