"""Finding the key, and never showing it."""

import importlib
import re
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
    assert find_key({"api_key_file": key_file(f"{KEY}\n")}).value == KEY


def test_our_variable_goes_before_the_vendors(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one is none."""
    monkeypatch.setenv("FEATHER_API_KEY", "theirs")
    assert find_key({}).value == "theirs"
    monkeypatch.setenv("CLOSEOUT_API_KEY", "ours")
    assert find_key({}).value == "ours"
    monkeypatch.setenv("CLOSEOUT_API_KEY", "")
    assert find_key({}).value == "theirs"


def test_the_keyring_is_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the profile's account."""
    ring = SimpleNamespace(get_password=lambda service, account: f"{service}-{account}")
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert find_key({}, "production").value == "closeout-production"
    assert find_key({}).value == "closeout-default"
    monkeypatch.setenv("CLOSEOUT_API_KEY", KEY)
    assert find_key({}).value == KEY


def test_a_broken_keyring_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locked, or without a back end: then there is no key."""

    def locked(_service: str, _account: str) -> str:
        raise RuntimeError("locked")

    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=locked))
    assert importlib.import_module("keyring")
    with pytest.raises(ConfigurationError, match="no API key"):
        find_key({})


def test_without_a_key_the_ways_to_give_one_are_named() -> None:
    """Two variables and a file."""
    with pytest.raises(ConfigurationError, match=r"CLOSEOUT_API_KEY or FEATHER_API_KEY.*0600.*--api-key-file"):
        find_key({})


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_can_read_is_refused(mode: int) -> None:
    """With the command that mends it."""
    with pytest.raises(ConfigurationError, match=r"chmod 600 key\.txt"):
        find_key({"api_key_file": key_file(KEY, mode)})


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_accepted(mode: int) -> None:
    """Also one that may not be written."""
    assert find_key({"api_key_file": key_file(KEY, mode)}).value == KEY


@pytest.mark.parametrize(
    "text", ["", "  \n", f"{KEY} x", f"{KEY}\nx", f"{KEY}\x00", f"{KEY}\x7f", f"{KEY}é", f"\ufeff{KEY}", f"{KEY}\tx"]
)
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(text: str) -> None:
    """A header takes plain characters."""
    with pytest.raises(ConfigurationError, match=r"key\.txt") as caught:
        find_key({"api_key_file": key_file(text)})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'"{KEY}"', "quotes"), (f"'{KEY}'", "quotes"), (f"“{KEY}”", "quotes"), (f'{KEY}"', "quotes"),
        (f"x-api-key: {KEY}", "a header"), (f"X-Api-Key:{KEY}", "a header"),
        (f"Authorization: Bearer {KEY}", "a header"),
        (f"Bearer {KEY}", "`Bearer`"), (f"FEATHER_API_KEY={KEY}", "an assignment"),
        (f"export KEY={KEY}", "an assignment"),
        ("${API_KEY}", "a variable"), ("$API_KEY", "a variable"), ("$(cat key)", "a variable"),
        ("%API_KEY%", "a variable"),
        ("{{ api_key }}", "a variable"), ("<your key>", "a placeholder"), ("your-api-key", "a placeholder"),
        ("[key]", "a placeholder"), ("xxxxxxxx", "a placeholder"), ("...", "a placeholder"),
        ("changeme", "a placeholder"),
    ],
)  # fmt: skip
def test_what_is_no_key_is_called_what_it_is(text: str, told: str) -> None:
    """Before anything is sent with it, and it is not shown."""
    with pytest.raises(ConfigurationError, match=rf"key\.txt .*{re.escape(told)}") as caught:
        find_key({"api_key_file": key_file(text)})
    assert KEY not in str(caught.value)


def test_a_command_prints_the_key_and_is_run_once(tmp_path: Path) -> None:
    """Without a shell, however many profiles ask."""
    count, script = tmp_path / "count", tmp_path / "key.py"
    script.write_text(f"with open({str(count)!r}, 'a') as file:\n    file.write('x')\nprint({KEY!r})\n")
    command = f"{sys.executable} {script}"
    found = [find_key({"api_key_command": command}, profile) for profile in ("a", "b")]
    assert [(key.value, key.origin) for key in found] == [(KEY, "api_key_command")] * 2
    assert count.read_text() == "x"
    with pytest.raises(ConfigurationError, match="is the name of a variable"):
        find_key({"api_key_command": "echo $HOME"})


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("no-such-program read", "cannot be run"),
        (f'{sys.executable} -c \'import sys; print("{KEY}"); sys.exit("{KEY}")\'', "ended with exit code 1"),
        ("true", "is empty"),
        ("echo 'unbalanced", "cannot be read as words"),
        (f"{sys.executable} -c 'import os; os.write(1, bytes([255]))'", "not text"),
    ],
)
def test_a_command_that_brings_no_key_is_told_and_its_output_is_not(command: str, told: str) -> None:
    """It may hold the key."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        find_key({"api_key_command": command})
    assert KEY not in str(caught.value)


def test_a_file_and_a_command_are_one_too_many() -> None:
    """Nobody can tell which one is meant."""
    with pytest.raises(ConfigurationError, match="leave one out"):
        find_key({"api_key_file": key_file(KEY), "api_key_command": f"echo {KEY}"})


def test_a_bad_key_in_the_environment_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named instead."""
    monkeypatch.setenv("FEATHER_API_KEY", f"{KEY} {KEY}")
    with pytest.raises(ConfigurationError, match="FEATHER_API_KEY") as caught:
        find_key({})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("path", ["missing.txt", ".", "key.txt/inside"])
def test_a_file_that_cannot_be_read_is_one_line(path: str) -> None:
    """With its name."""
    key_file(KEY)
    Path().chmod(0o700)
    with pytest.raises(ConfigurationError, match="cannot read the key file") as caught:
        find_key({"api_key_file": path})
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_refused() -> None:
    """And not shown."""
    with pytest.raises(ConfigurationError, match="not text"):
        find_key({"api_key_file": key_file(b"\xff\xfe" + KEY.encode())})


@pytest.mark.parametrize("key", ["JBSWY3DPEHPK3PXP====", "ABCDEFGH=", "a1b2-c3d4_e5", "sk_live_Zm9v=="])
def test_a_key_of_an_unusual_form_is_a_key(key: str) -> None:
    """Padding is no assignment."""
    assert find_key({"api_key_file": key_file(key)}).value == key
