"""Finding the key, and never showing it."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from closeout.jobs.config.credentials import find_key
from closeout.worker.support.errors import ConfigurationError
from tests.cli.support import KEY


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed here."""
    monkeypatch.setitem(sys.modules, "keyring", None)


def key_file(content: str | bytes, mode: int = 0o600) -> str:
    """A file with that content."""
    path = Path("key.txt")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return str(path)


def test_a_file_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was named for this; a newline at its end is no part of the key."""
    monkeypatch.setenv("CLOSEOUT_API_KEY", "another-key")
    assert find_key(key_file(f"{KEY}\n")) == KEY


def test_our_variable_goes_before_the_vendors(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one is none."""
    monkeypatch.setenv("FEATHER_API_KEY", "theirs")
    assert find_key(None) == "theirs"
    monkeypatch.setenv("CLOSEOUT_API_KEY", "ours")
    assert find_key(None) == "ours"
    monkeypatch.setenv("CLOSEOUT_API_KEY", "")
    assert find_key(None) == "theirs"


def test_the_keyring_is_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the profile's account."""
    ring = SimpleNamespace(get_password=lambda service, account: f"{service}-{account}")
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert find_key(None, "production") == "closeout-production"
    assert find_key(None) == "closeout-default"
    monkeypatch.setenv("CLOSEOUT_API_KEY", KEY)
    assert find_key(None) == KEY


def test_a_broken_keyring_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locked, or without a back end: then there is no key."""

    def locked(_service: str, _account: str) -> str:
        raise RuntimeError("locked")

    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=locked))
    assert importlib.import_module("keyring")
    with pytest.raises(ConfigurationError, match="no API key"):
        find_key(None)


def test_without_a_key_the_ways_to_give_one_are_named() -> None:
    """Two variables and a file."""
    with pytest.raises(ConfigurationError, match=r"CLOSEOUT_API_KEY or FEATHER_API_KEY.*0600.*--api-key-file"):
        find_key(None)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_can_read_is_refused(mode: int) -> None:
    """With the command that mends it."""
    with pytest.raises(ConfigurationError, match=r"chmod 600 key\.txt"):
        find_key(key_file(KEY, mode))


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_accepted(mode: int) -> None:
    """Also one that may not be written."""
    assert find_key(key_file(KEY, mode)) == KEY


@pytest.mark.parametrize(
    "text", ["", "  \n", f"{KEY} x", f"{KEY}\nx", f"{KEY}\x00", f"{KEY}\x7f", f"{KEY}é", f"\ufeff{KEY}", f"{KEY}\tx"]
)
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(text: str) -> None:
    """A header takes plain characters."""
    with pytest.raises(ConfigurationError, match=r"key\.txt") as caught:
        find_key(key_file(text))
    assert KEY not in str(caught.value)


def test_a_bad_key_in_the_environment_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named instead."""
    monkeypatch.setenv("FEATHER_API_KEY", f"{KEY} {KEY}")
    with pytest.raises(ConfigurationError, match="FEATHER_API_KEY") as caught:
        find_key(None)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("path", ["missing.txt", ".", "key.txt/inside"])
def test_a_file_that_cannot_be_read_is_one_line(path: str) -> None:
    """With its name."""
    key_file(KEY)
    Path().chmod(0o700)
    with pytest.raises(ConfigurationError, match="cannot read the key file") as caught:
        find_key(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_refused() -> None:
    """And not shown."""
    with pytest.raises(ConfigurationError, match="not text"):
        find_key(key_file(b"\xff\xfe" + KEY.encode()))
