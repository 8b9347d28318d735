"""Commands whose clock is set wrong; that by which they measure time goes on as it does."""

import re
import subprocess
from dataclasses import replace
from functools import cache

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
    faked = {
        "LD_PRELOAD": _library(program("faketime")),
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return replace(desk, env={**desk.env, **faked}, anew=True)
