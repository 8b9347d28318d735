"""Every test of the command line runs in an empty folder, with nothing of the user's around it."""

import os
import sys
from pathlib import Path

import pytest

from closeout.jobs import cli


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No configuration, no key, no setting in the environment."""
    for name in list(os.environ):
        if name.startswith(("CLOSEOUT_", "FEATHER_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(work)
    return home


@pytest.fixture(autouse=True)
def leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is called here ends itself, and not the process of the tests: that may have threads of its own."""
    monkeypatch.setattr(cli, "leave", sys.exit)
