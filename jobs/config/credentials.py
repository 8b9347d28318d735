"""Where the key is found, and which addresses a secret may be sent to."""

import importlib
import os
import shlex
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from closeout.worker.config.access import ApiKey, check_key
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.suggestions import did_you_mean_file

_COMMAND = "api_key_command"
_PATIENCE = 60  # seconds: it may ask for a fingerprint
VARIABLES = ("CLOSEOUT_API_KEY", "FEATHER_API_KEY")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class NoKeyError(ConfigurationError):
    """No key is given anywhere."""


def find_key(given: Mapping[str, Any], profile: str | None = None) -> ApiKey:
    """The key, by the settings ``api_key_file`` and ``api_key_command``, else from environment or keyring.

    Raises NoKeyError where there is none, ConfigurationError where there is none that can be sent.
    """
    key_file, command = given.get("api_key_file"), given.get("api_key_command")
    if key_file is not None and command is not None:
        raise ConfigurationError("both api_key_file and api_key_command are given: leave one out")
    if key_file is not None:
        return check_key(_from_file(Path(key_file)), key_file)
    if command is not None:
        return check_key(_from_command(command), _COMMAND)
    for variable in VARIABLES:
        if os.environ.get(variable):
            return check_key(os.environ[variable], variable)
    key = _from_keyring(profile or "default")
    if key:
        return check_key(key, "the keyring")
    raise NoKeyError(
        "no API key: set CLOSEOUT_API_KEY or FEATHER_API_KEY, or name a file (mode 0600) with --api-key-file, "
        "or what prints it with --api-key-command"
    )


@cache  # once, however many profiles ask
def _from_command(command: str) -> str:
    """What a command prints, which runs without a shell. What it says beside that is not shown: it may hold the key."""
    try:
        words = shlex.split(command)
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)  # noqa: S603  # it is named by the user
        printed = done.stdout.decode()
    except ValueError:  # also bytes that are no text
        raise ConfigurationError(f"{_COMMAND} cannot be read as words, or prints what is not text") from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"{_COMMAND} has printed no key for {_PATIENCE} s: run it by hand") from None
    except OSError as error:
        raise ConfigurationError(f"{_COMMAND} cannot be run ({error.strerror}): name a program and its words") from None
    if done.returncode:
        raise ConfigurationError(f"{_COMMAND} ended with exit code {done.returncode}: run it by hand to see why")
    return printed


def _from_file(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} can be read by others: `chmod 600 {path}`")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        near = did_you_mean_file(path) if isinstance(error, FileNotFoundError) else ""
        raise ConfigurationError(f"cannot read the key file {path}: {_why(error)}{near}") from None


def _why(error: Exception) -> str:
    return (error.strerror or "unreadable") if isinstance(error, OSError) else "it is not text"


def _from_keyring(account: str) -> str | None:
    """The system keyring, where the optional package for it is installed and a keyring is there."""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return None
    try:
        key = keyring.get_password("closeout", account)
    except Exception:  # a keyring that is locked or absent is as good as no keyring
        return None
    return key if isinstance(key, str) else None


def read_address(value: object) -> str:
    """An address to call. The message never repeats it: whoever knows it may use it."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        known = parts is not None and parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or not isinstance(value, str) or parts is None or not (value.isascii() and value.isprintable()):
        raise ValueError("invalid address: use one like https://hc-ping.com/…")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("http would show the address to everybody on the way: use https")
    return value


def below(address: str, name: str) -> str:
    """The address with one more name at the end of its path."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))
