"""The settings of a run: what is accepted and what is refused, before anything is sent."""

from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from pydantic import ValidationError

from closeout.worker.config.failure_limit import MaxFailures
from closeout.worker.config.quiet_hours import parse_quiet_hours
from closeout.worker.config.settings import DEFAULT_BASE_URL, Settings


def refused(**values: Any) -> bool:
    """Whether these settings are refused."""
    try:
        Settings(**values)
    except ValidationError:
        return True
    return False


def test_the_defaults_are_those_of_the_contract() -> None:
    """The vendor's sandbox, half of 6,000 a minute."""
    settings = Settings()
    assert (settings.base_url, settings.api, settings.allowed_rate) == (DEFAULT_BASE_URL, "1.21", 50.0)
    assert (settings.concurrency, settings.max_attempts, settings.give_up_after) == (64, 8, 600.0)
    assert (settings.timeout, settings.settle, settings.settle_for, settings.reason) == (30.0, True, 900.0, None)
    assert settings.protect == ("awaiting_approval", "waiting_for_human")
    assert (settings.max_failures, settings.state_max_age, settings.none_grace) == ("5%", 300.0, 15.0)
    assert (settings.canary, settings.limit, settings.deadline, settings.first_look) == (None, None, None, None)
    assert not settings.guarded


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com", "https://api.example.com/", "https://api.example.com:8443/base",
        "http://localhost:8750", "http://127.0.0.1:1", "http://[::1]:8750", "HTTPS://API.EXAMPLE.COM",
    ],
)  # fmt: skip
def test_https_anywhere_and_http_on_loopback(url: str) -> None:
    """And no slash at the end."""
    assert not Settings(base_url=url).base_url.endswith("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com", "http://localhost.example.com", "http://127.0.0.1.example.com", "http://10.0.0.1",
        "http://0.0.0.0:80", "ftp://api.example.com", "api.example.com", "https://", "https:///path", "",
        "https://user:password@api.example.com", "https://user@api.example.com", "https://:password@api.example.com",
        "http://127.0.0.1@example.com", "http://localhost\\@example.com", "https://api.example.com?key=1",
        "https://api.example.com#part",
    ],
)  # fmt: skip
def test_hosts_that_would_give_the_key_away_are_refused(url: str) -> None:
    """The key travels with each request."""
    assert refused(base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com:99999", "https://api.example.com:port", "https://api example.com",
        "https://api.example.com\n", "https://api.exa\tmple.com", " https://api.example.com", "https://[::1",
        "https://api.example.com:-1", "https://api.example.com/\x00",
    ],
)  # fmt: skip
def test_an_accepted_host_is_one_that_can_be_asked(url: str) -> None:
    """A malformed address is a configuration error, and not a failure at the first request."""
    try:
        accepted = Settings(base_url=url).base_url
    except ValidationError:
        return
    assert httpx.URL(accepted + "/v1").host in ("api.example.com", "::1")


@pytest.mark.parametrize("url", ["https://me:hunter2@api.example.com", "https://api.example.com?key=hunter2"])
def test_the_refusal_of_a_host_does_not_repeat_a_password(url: str) -> None:
    """The message may end up in a log."""
    with pytest.raises(ValidationError) as caught:
        Settings(base_url=url)
    message = caught.value.errors(include_input=False, include_url=False, include_context=False)[0]["msg"]
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rate", "40/s", 40.0), ("pace", "fair", "fair"), ("tolerate", "3%", 0.03), ("min_rate", "60/min", 1.0),
         ("org_limit", "600/min", 10.0), ("share", "25%", 0.25), ("timeout", "5s", 5.0),
        ("give_up_after", "2m", 120.0), ("settle_for", "1h30m", 5400.0), ("first_look", "500ms", 0.5),
        ("none_grace", "20s", 20.0), ("concurrency", "8", 8), ("max_attempts", "3", 3), ("api", "1.90", "1.90"),
        ("settle_for", "0s", 0.0), ("reason", " resolved ", "resolved"), ("reason", "  ", None),
        ("max_failures", "20", "20"), ("max_failures", 20, "20"), ("max_failures", " 2.50 % ", "2.5%"),
        ("max_failures", 0, "0"), ("canary", "100", 100), ("canary", "0", None), ("canary", 0, None),
        ("limit", "1000", 1_000), ("deadline", "2h", 7_200.0), ("deadline", 90, 90.0), ("quiet_hours", " ", None),
        ("quiet_hours", " 22:00-06:00@0% ", "22:00-06:00@0%"), ("timezone", " Europe/Berlin ", "Europe/Berlin"),
        ("timezone", "", None), ("organisation", " acme ", "acme"), ("organisation", "", ""),
    ],
)  # fmt: skip
def test_values_as_people_write_them(name: str, value: str, expected: object) -> None:
    """Text from a flag, the environment or the file."""
    assert getattr(Settings(**{name: value}), name) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", "40"), ("pace", "hard"), ("tolerate", "3"), ("tolerate", "0%"), ("min_rate", "0/s"),
        ("rate", "0/s"), ("rate", 0), ("rate", -1), ("org_limit", "lots"), ("org_limit", 0),
        ("org_limit", -5), ("share", "0%"), ("share", "150%"), ("share", "0.5"), ("share", 0), ("share", -0.5),
        ("timeout", "0s"), ("timeout", -1), ("timeout", "soon"), ("give_up_after", "0s"), ("give_up_after", 0),
        ("settle_for", -1), ("first_look", -1), ("none_grace", -1), ("concurrency", 0), ("concurrency", 10_001),
        ("concurrency", "many"), ("max_attempts", 0), ("api", "2.0"), ("api", 1.21),
        ("max_failures", "five"), ("max_failures", 0.05), ("max_failures", True), ("max_failures", -1),
        ("max_failures", None), ("max_failures", "101%"), ("max_failures", 1_000), ("canary", -1), ("canary", "1%"),
        ("limit", 0), ("limit", "few"), ("deadline", "0s"), ("deadline", -1), ("deadline", "14:00"),
        ("quiet_hours", "nights"), ("quiet_hours", "22:00-06:00"), ("timezone", "Berlin"), ("timezone", "+02:00"),
        ("organisation", "ac\nme"), ("organisation", 7),
    ],
)  # fmt: skip
def test_values_out_of_bounds_are_refused(name: str, value: object) -> None:
    """Nothing is sent with settings that make no sense."""
    assert refused(**{name: value})


@pytest.mark.parametrize("share", [1.01, 2, 50, 100])
def test_a_share_given_as_a_number_is_not_above_one(share: float) -> None:
    """``share = 50`` in a file is meant as 50%, and would be fifty times the organisation's limit."""
    assert refused(share=share)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "name",
    ["rate", "org_limit", "share", "timeout", "give_up_after", "settle_for", "first_look", "none_grace", "deadline"],
)
def test_what_is_not_finite_is_refused(name: str, value: float) -> None:
    """A configuration file can say ``inf`` and ``nan``; neither is a pace nor a time."""
    assert refused(**{name: value})


def test_two_negatives_do_not_make_a_rate() -> None:
    """Each value is checked, and not only their product."""
    assert refused(org_limit=-100.0, share=-0.5)


def test_settings_survive_being_stored_with_the_run() -> None:
    """A resumed run has the settings it was made with."""
    settings = Settings(
        rate="40/s", timeout="5s", reason="resolved", api="1.90", max_failures=7, canary=50, limit=900, deadline="2h",
        quiet_hours="mon-fri 08:00-20:00@30%", timezone="Asia/Kolkata", organisation="acme",
    )  # fmt: skip
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    assert Settings(**settings.model_dump()) == settings


def test_settings_stored_by_an_older_version_can_be_read() -> None:
    """A setting that it did not know has its default."""
    settings = Settings.model_validate_json('{"rate": 5}')
    assert (settings.failure_limit, settings.quiet_windows, settings.zone) == (MaxFailures(share=0.05), (), None)
    assert (settings.canary, settings.limit, settings.deadline, settings.organisation) == (None, None, None, "")


def test_what_was_typed_is_given_out_as_what_it_means() -> None:
    """The limit of failures, the quiet hours and their zone."""
    settings = Settings(max_failures="20", quiet_hours="22:00-06:00@0%", timezone="Europe/Berlin")
    assert settings.failure_limit == MaxFailures(count=20)
    assert settings.quiet_windows == parse_quiet_hours("22:00-06:00@0%")
    assert settings.zone == ZoneInfo("Europe/Berlin")


def test_settings_stored_by_a_newer_version_can_be_read() -> None:
    """An unknown setting of a stored run is no error."""
    assert Settings.model_validate_json('{"rate": 5, "something_new": true}').allowed_rate == 5
