"""What the tests need of the machine and cannot install."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip, and say why; where ``CLOSEOUT_TEST_SERVICES=required`` promises that all is there, fail."""
    if os.environ.get("CLOSEOUT_TEST_SERVICES") == "required":
        pytest.fail(f"missing on this machine: {what}")
    pytest.skip(f"missing on this machine: {what}")


def not_allowed(what: str) -> NoReturn:
    """Skip, and say why, also where all services are promised: a right that is withheld cannot be installed."""
    pytest.skip(f"not allowed on this machine: {what}")
