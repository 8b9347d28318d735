"""Where settings come from: flag, then environment, then file, then default."""

from pathlib import Path

import pytest

from closeout.worker.support.errors import CloseoutError, ConfigurationError
from tests.cli.support import KEY, refusal, settings, write_config


def said(error: BaseException) -> str:
    """The error's one line; it must be one that a person can act on."""
    assert isinstance(error, ConfigurationError)
    assert error.exit_code == 2
    assert "\n" not in str(error)
    return str(error)


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default() -> None:
    """One layer after the other is put on."""
    assert settings()["max_attempts"] == 8
    write_config("max-attempts = 2")
    assert settings()["max_attempts"] == 2
    env = {"CLOSEOUT_MAX_ATTEMPTS": "3"}
    assert settings(env=env)["max_attempts"] == 3
    assert settings("--max-attempts", "4", env=env)["max_attempts"] == 4


@pytest.mark.parametrize(
    ("flag", "text", "name", "value"),
    [
        ("--rate", "40/s", "rate", 40.0), ("--share", "10%", "share", 0.1), ("--concurrency", "9", "concurrency", 9),
        ("--timeout", "5s", "timeout", 5.0), ("--api", "1.90", "api", "1.90"),
        ("--base-url", "http://127.0.0.1:1", "base_url", "http://127.0.0.1:1"),
        ("--org-limit", "60/s", "org_limit", 60.0), ("--reason", "error", "reason", "error"),
        ("--pace", "fair", "pace", "fair"), ("--tolerate", "3%", "tolerate", 0.03),
        ("--min-rate", "2/s", "min_rate", 2.0),
        ("--give-up-after", "1m", "give_up_after", 60.0), ("--settle-for", "0s", "settle_for", 0.0),
        ("--id-column", "uuid", "id_column", "uuid"), ("--ledger", "other.db", "ledger", "other.db"),
        ("--first-look", "1s", "first_look", 1.0), ("--none-grace", "1s", "none_grace", 1.0),
        ("--max-failures", "2%", "max_failures", "2%"), ("--canary", "100", "canary", 100),
        ("--limit", "1000", "limit", 1_000), ("--deadline", "2h", "deadline", 7_200.0),
        ("--quiet-hours", "22:00-06:00@0%", "quiet_hours", "22:00-06:00@0%"),
        ("--timezone", "Europe/Berlin", "timezone", "Europe/Berlin"),
        ("--organisation", "acme", "organisation", "acme"),
    ],
)  # fmt: skip
def test_every_setting_has_a_flag_a_variable_and_a_line(flag: str, text: str, name: str, value: object) -> None:
    """All three mean the same."""
    key = flag.removeprefix("--")
    assert settings(flag, text)[name] == value
    assert settings(env={f"CLOSEOUT_{key.upper().replace('-', '_')}": text})[name] == value
    write_config(f'{key} = "{text}"')
    assert settings()[name] == value


def test_settling_can_be_switched_off_and_on_again() -> None:
    """By both forms of the flag."""
    write_config("settle = false")
    assert settings()["settle"] is False
    assert settings("--settle")["settle"] is True
    assert settings("--no-settle")["settle"] is False


def test_the_vendors_variable_names_the_host_too() -> None:
    """Ours goes before it."""
    theirs = {"FEATHER_BASE_URL": "https://their.example.com"}
    assert settings(env=theirs)["base_url"] == "https://their.example.com"
    both = theirs | {"CLOSEOUT_BASE_URL": "https://our.example.com"}
    assert settings(env=both)["base_url"] == "https://our.example.com"


def test_the_working_folders_file_goes_before_the_users(empty_home: Path) -> None:
    """And a named one before both."""
    write_config('rate = "1/s"', empty_home / ".config" / "closeout")
    assert settings()["rate"] == 1
    write_config('rate = "2/s"')
    assert settings()["rate"] == 2
    named = write_config('rate = "3/s"', Path("elsewhere"))
    assert settings("--config", str(named))["rate"] == 3


def test_a_profile_lies_over_the_top_level() -> None:
    """What it does not say is as at the top."""
    write_config('rate = "1/s"\nmax_attempts = 2\n[profiles.production]\nrate = "9/s"')
    found = settings("--profile", "production")
    assert (found["rate"], found["max_attempts"]) == (9, 2)
    assert settings()["rate"] == 1


def test_only_flags_override_a_stored_run() -> None:
    """What stands in the environment or the file does not."""
    write_config("max_attempts = 2")
    assert settings("--rate", "5/s", env={"CLOSEOUT_TIMEOUT": "5s"})["flags"] == ["rate"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("rte = 5", "did you mean rate"), ("rate = ", "closeout.toml"), ('rate = "fast"', "closeout.toml, rate"),
        ("[rate]\nx = 1", "rate"), ("concurrency = 0", "concurrency"), ("max-attempts = 'many'", "max-attempts"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_names_the_file_and_the_line(text: str, part: str) -> None:
    """In one line, before anything is sent."""
    write_config(text)
    message = said(refusal())
    assert "closeout.toml" in message
    assert part in message


@pytest.mark.parametrize(
    "text",
    [
        "profiles = 3", "profiles.production = 3", "profiles = ['production']", "ledger = 3", "api_key_file = 3",
        "ledger = ['a']", "api_key_file = true", "log_format = 'xml'", "log_format = 3",
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_a_mistake_too(text: str) -> None:
    """Not an unexpected error."""
    write_config(text)
    said(refusal("--profile", "production") if "profiles" in text else refusal())


def test_a_file_that_is_not_text_is_one_line() -> None:
    """UTF-16, say."""
    write_config("")
    Path("closeout.toml").write_bytes('rate = "1/s"'.encode("utf-16"))
    assert "closeout.toml" in said(refusal())


@pytest.mark.parametrize("arguments", [["--config", "missing.toml"], ["--profile", "production"]])
def test_what_was_named_must_be_there(arguments: list[str]) -> None:
    """A run with other settings than were meant would be worse."""
    assert arguments[1] in said(refusal(*arguments))


def test_an_unknown_profile_names_the_known_ones() -> None:
    """Of the file."""
    write_config("[profiles.staging]\n[profiles.production]")
    assert "production, staging" in said(refusal("--profile", "prod"))


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--rate", "fast"), ("--max-failures", "0.05"), ("--canary", "few"), ("--limit", "0"), ("--deadline", "noon"),
        ("--quiet-hours", "at night"), ("--timezone", "Mars/Olympus"), ("--organisation", "a\tb"),
    ],
)  # fmt: skip
def test_a_bad_flag_is_named(flag: str, text: str) -> None:
    """As it was typed."""
    assert said(refusal(flag, text)).startswith(f"{flag}:")


def test_a_count_of_failures_may_be_a_number_in_the_file() -> None:
    """And a misfit names the line."""
    write_config("max_failures = 20")
    assert settings()["max_failures"] == "20"
    write_config("max_failures = 0.05")
    assert "closeout.toml, max_failures" in said(refusal())


def test_a_flag_takes_back_what_the_file_says() -> None:
    """Quiet hours and a canary that are right for most runs."""
    write_config('quiet_hours = "00:00-24:00@0%"\ntimezone = "Europe/Berlin"\ncanary = 100\nmax_failures = 3')
    found = settings("--quiet-hours", "", "--timezone", "", "--canary", "0", "--max-failures", "5%")
    assert [found[name] for name in ("quiet_hours", "timezone", "canary", "max_failures")] == [None, None, None, "5%"]


def test_a_bad_variable_is_named() -> None:
    """So that it can be found."""
    assert "CLOSEOUT_RATE" in said(refusal(env={"CLOSEOUT_RATE": "fast"}))


def test_the_vendors_bad_variable_is_named() -> None:
    """Not ours in its place."""
    assert "FEATHER_BASE_URL" in said(refusal(env={"FEATHER_BASE_URL": "http://api.example.com"}))


@pytest.mark.parametrize(
    "arguments",
    [["--reason", "tired"], ["--reason", "x" * 65, "--allow-unknown-reason"], ["--ledger", "mysql://db"]],
)
def test_what_must_not_be_is_refused_at_once(arguments: list[str]) -> None:
    """With the flag that asked for it."""
    assert arguments[0] in said(refusal(*arguments))


def test_no_refusal_tells_the_key() -> None:
    """Whatever goes wrong."""
    for arguments in (["--rate", KEY], ["--base-url", f"https://me:{KEY}@api.example.com"]):
        error = refusal(*arguments)
        assert isinstance(error, CloseoutError)
        if arguments[0] == "--base-url":
            assert KEY not in str(error)


def test_of_a_key_file_and_a_key_command_the_nearer_one_holds() -> None:
    """Flag over environment over file; only of two that are as near nobody can tell which one is meant."""
    write_config('api_key_command = "false"')
    Path("env.key").write_text("key-of-the-environment")
    Path("env.key").chmod(0o600)
    env = {"CLOSEOUT_API_KEY_FILE": "env.key"}
    assert settings(env=env)["key"] == "key-of-the-environment"
    assert settings("--api-key-command", "echo key-of-the-flag", env=env)["key"] == "key-of-the-flag"
    assert "leave one out" in said(refusal("--api-key-command", "echo a-key", "--api-key-file", "env.key"))
