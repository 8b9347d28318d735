"""What the tests need of the machine and cannot install."""

import os
import shutil
from typing import NoReturn

import pytest

_REQUIRED = os.environ.get("CLOSEOUT_TEST_SERVICES") == "required"  # read now: tests hide such variables


def missing(what: str) -> NoReturn:
    """Skip, and say why; where ``CLOSEOUT_TEST_SERVICES=required`` promises that all is there, fail."""
    if _REQUIRED:
        pytest.fail(f"missing on this machine: {what}")
    pytest.skip(f"missing on this machine: {what}")


def not_allowed(what: str) -> NoReturn:
    """Skip, and say why, also where all services are promised: a right that is withheld cannot be installed."""
    pytest.skip(f"not allowed on this machine: {what}")


def program(name: str, *others: str) -> str:
    """Where a program is, or the first of several that do as well. To be asked before anything is forked or made."""
    found = next(filter(None, map(shutil.which, (name, *others))), None)
    return found if found is not None else missing(f"the command {name}")
