"""The jobs of the configuration: what they mean, and each mistake in one line with file, line and key."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.jobs.definitions.cron import Schedule
from closeout.jobs.definitions.job import Job
from closeout.jobs.definitions.loader import find_job, read_jobs
from closeout.worker.domain.session import LIVE_STATUSES, SessionRow
from closeout.worker.policy.selection import SWEEP_PROTECTED, Age, Selection, mismatch
from closeout.worker.support.errors import ConfigurationError
from tests.cli.support import write_config

HOUR = 3_600_000
USER = "E0D00000-0000-4000-8000-00000000000A"
FULL = f"""
timezone = "Europe/Berlin"
api = "1.90"

[profiles.production]
base_url = "https://api.example.com"

[jobs.nightly]
protect = ["paused", "waiting_for_human"]
reason = "orphaned"
max-close = 5000
max_failures = "2%"
settle = false
schedule = "30  3 * * mon-fri"
profile = "production"
catch_up = "12h"
jitter = "10m"
ping = "https://hc.example/uuid?create=1"
webhook = {{url = "https://hooks.example/T0/x", form = "slack"}}

[jobs.nightly.select]
status = ["active", "ringing", "active"]
channel = "voice"
priority = "low"
session-type = "test"
assistant = "{USER}"
end_user = "{USER}"
text = "refund"
started_after = 2026-01-31
started_before = "24h"
idle_for = "90m"
expired = true
"""


def job(text: str) -> Job:
    """The only job of a file."""
    [found] = read_jobs(write_config(text)).values()
    return found


def mistake(text: str) -> str:
    """What is said of a file with a mistake."""
    with pytest.raises(ConfigurationError) as caught:
        read_jobs(write_config(text))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def chosen(text: str) -> Selection:
    """What the job with this table chooses."""
    return job(f"[jobs.one]\n{text}").selection


def at(text: str) -> int:
    """Milliseconds of an ISO date-time."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_a_job_says_all_it_can() -> None:
    """In the terms of the engine."""
    found = job(FULL)
    assert found.selection == Selection(
        statuses=("active", "ringing"),
        protected=SWEEP_PROTECTED - {"ringing"} | {"paused"},
        channel="voice",
        priority="low",
        session_type="test",
        assistant=USER.lower(),
        end_user=USER.lower(),
        text="refund",
        started_after=at("2026-01-31T00:00+01:00"),
        started_before=Age(24 * HOUR),
        idle_for=HOUR + HOUR // 2,
        expired=True,
    )
    zone = ZoneInfo("Europe/Berlin")
    assert found.times == Schedule("nightly", "30 3 * * mon-fri", zone, HOUR // 6, 12 * HOUR)
    assert (found.max_close, found.profile) == (5000, "production")
    assert found.settings == {"reason": "orphaned", "max_failures": "2%", "settle": False}
    assert found.ping is not None
    addresses = [
        each and each.get_secret_value() for each in (found.ping.start, found.ping.success, found.ping.failure)
    ]
    assert addresses == [f"https://hc.example/uuid{end}?create=1" for end in ("/start", "", "/fail")]
    assert found.webhook is not None
    assert (found.webhook.url.get_secret_value(), found.webhook.form) == ("https://hooks.example/T0/x", "slack")


def test_a_job_that_says_little() -> None:
    """It closes what is idle, protects all that a sweep protects, runs when it is told to and calls nobody."""
    found = job('[jobs.one]\nselect.idle_for = "24h"')
    assert found.selection == Selection(statuses=("active", "paused"), idle_for=24 * HOUR)
    assert (found.times, found.ping, found.webhook, found.settings) == (None, None, None, {})
    assert (found.max_close, found.zone) == (10_000, ZoneInfo("UTC"))


def test_addresses_are_secrets() -> None:
    """Printing a job shows none of them."""
    assert "hc.example" not in repr(job(FULL))
    assert "hooks.example" not in repr(job(FULL))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", "2026-01-31T00:00+00:00"), ('"2026-01-31"', "2026-01-31T00:00+00:00"),
        ("2026-01-31T05:00:00.001", "2026-01-31T05:00:00.001+00:00"),
        ("2026-01-31T05:00:00+02:00", "2026-01-31T03:00+00:00"),
        ('"2026-01-31T05:00:00Z"', "2026-01-31T05:00+00:00"),
    ],
)  # fmt: skip
def test_a_date_is_the_beginning_of_that_day_in_the_jobs_zone(text: str, expected: str) -> None:
    """And a date-time is what it says, in the job's zone if it names none."""
    assert chosen(f"select.started_before = {text}").started_before == at(expected)
    assert chosen(f'select.started_before = {text}\ntimezone = "UTC"').started_before == at(expected)
    if text == "2026-01-31":
        later = chosen(f'select.started_before = {text}\ntimezone = "America/New_York"')
        assert later.started_before == at("2026-01-31T05:00+00:00")


def test_a_job_without_a_zone_has_that_of_its_settings() -> None:
    """Its profile's, the file's, else UTC; its own goes before them."""
    text = 'timezone = "Asia/Tokyo"\n[profiles.p]\ntimezone = "Asia/Kolkata"\n[jobs.one]\nselect.expired = true\n'
    assert job(text).timezone == "Asia/Tokyo"
    assert job(text + 'profile = "p"').timezone == "Asia/Kolkata"
    assert job(text + 'profile = "p"\ntimezone = "Asia/Dubai"').timezone == "Asia/Dubai"
    assert job("timezone = 3\n[jobs.one]\nselect.expired = true").timezone == "UTC"


PROTECTED = sorted(SWEEP_PROTECTED)


@pytest.mark.parametrize("status", PROTECTED)
def test_a_protected_status_is_closed_only_when_it_is_said_twice(status: str) -> None:
    """By a ``protect`` without it, and by its name; one of the two does nothing, or is refused."""
    idle = 'select.idle_for = "24h"\n'
    named = f'select.status = ["active", "{status}"]\n'
    for text in (idle, idle + "protect = []", idle + 'protect = "none"', idle + 'protect = ["paused"]'):
        assert status in chosen(text).protected
    for text in (idle + named, idle + named + f'protect = ["{status}"]'):
        message = mistake(f"[jobs.one]\n{text}")
        assert "line 3, [jobs.one] select.status" in message
        assert status in message
    lifted = chosen(idle + named + "protect = []")
    assert lifted.statuses == ("active", status)
    assert lifted.protected == SWEEP_PROTECTED - {status}


@given(
    protect=st.none() | st.lists(st.sampled_from(sorted(LIVE_STATUSES)), unique=True),
    status=st.none() | st.lists(st.sampled_from(sorted(LIVE_STATUSES)), min_size=1, unique=True),
    row=st.sampled_from(sorted(LIVE_STATUSES)),
)
def test_no_job_closes_what_it_does_not_name(protect: list[str] | None, status: list[str] | None, row: str) -> None:
    """Of what sweeps protect. Whatever ``protect`` names is never closed."""
    text = "[jobs.one]\nselect.expired = true\n"
    text += f"protect = {protect}\n" if protect is not None else ""
    text += f"select.status = {status}\n" if status is not None else ""
    try:
        selection = job(text).selection
    except ConfigurationError:
        return
    session = SessionRow(session_id="x", status=row, ttl_expires_at=0)
    closes = mismatch(selection, session, 1) is None
    if row in SWEEP_PROTECTED:
        assert closes == (protect is not None and row not in protect and status is not None and row in status)
    else:
        assert closes == (row not in (protect or ()) and row in (status or ("active", "paused")))


SELECT = "select.expired = true"


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        # unknown keys
        (f"{SELECT}\nshedule = '0 3 * * *'", "line 3, [jobs.one] shedule", "did you mean schedule?"),
        ("select.idle = '24h'", "line 2, [jobs.one] select.idle", "did you mean idle_for?"),
        ("[jobs.one.select]\n\nmetadata = {a = 1}", "line 4, [jobs.one] select.metadata", "personal data"),
        ("idle_for = '24h'", "line 2, [jobs.one] idle_for", "belongs into select"),
        (f"{SELECT}\nselect.reason = 'x'", "line 3, [jobs.one] select.reason", "belongs into the job itself"),
        (f"{SELECT}\nrate = '5/s'", "line 3, [jobs.one] rate", "it is a setting"),
        (f"{SELECT}\nqqq = 1", "line 3, [jobs.one] qqq", "the keys are catch_up, "),
        (f"{SELECT}\nname = 'x'", "line 3, [jobs.one] name", "that of its table"),
        (f"{SELECT}\nmax-close = 1\nmax_close = 2", "line 3, [jobs.one] max_close", "given twice"),
        # what is chosen
        ("reason = 'error'", "line 1, [jobs.one] select", "missing"),
        ("select = 3", "line 2, [jobs.one] select", "not a table"),
        ("select.status = ['active']", "line 2, [jobs.one] select", "choose further"),
        ("select = {expired = false}", "line 2, [jobs.one] select", "choose further"),
        (f"{SELECT}\nselect.status = ['actve']", "line 3, [jobs.one] select.status", "did you mean active?"),
        (f"{SELECT}\nselect.status = ['closed']", "line 3, [jobs.one] select.status", "has ended"),
        (f"{SELECT}\nselect.status = ['expired']", "line 3, [jobs.one] select.status", "expired = true"),
        (f"{SELECT}\nselect.status = 'active'", "line 3, [jobs.one] select.status", "invalid list"),
        (f"{SELECT}\nselect.status = [3]", "line 3, [jobs.one] select.status", "invalid list"),
        (f"{SELECT}\nselect.status = []", "line 3, [jobs.one] select.status", "no status is named"),
        ("select.priority = 'p0'", "line 2, [jobs.one] select.priority", "'low', 'normal', 'high' or 'urgent'"),
        ("select.session_type = 'tests'", "line 2, [jobs.one] select.session_type", "'live', 'test' or 'simulation'"),
        ("select.end_user = 'Ada'", "line 2, [jobs.one] select.end_user", "not a UUID"),
        ("select.channel = ''", "line 2, [jobs.one] select.channel", "must not be empty"),
        ("select.expired = 'yes'", "line 2, [jobs.one] select.expired", "boolean"),
        ("select.idle_for = 24", "line 2, [jobs.one] select.idle_for", "use a text such as"),
        ("select.idle_for = '1 day'", "line 2, [jobs.one] select.idle_for", "invalid duration"),
        ("select.idle_for = '0s'", "line 2, [jobs.one] select.idle_for", "above zero"),
        ("select.started_after = 'yesterday'", "line 2, [jobs.one] select.started_after", "neither an age"),
        ("select.started_after = 05:00:00", "line 2, [jobs.one] select.started_after", "neither an age"),
        ("select.started_after = '1h'\nselect.started_before = '2h'", "line 3, [jobs.one] select.started_b", "nothing"),
        ("select.started_after = 2026-02-01\nselect.started_before = 2026-01-01", "line 3, [jobs.one]", "nothing"),
        # what is protected
        (f"{SELECT}\nprotect = ['ringin']", "line 3, [jobs.one] protect", "did you mean ringing?"),
        (f"{SELECT}\nprotect = 'all'", "line 3, [jobs.one] protect", "invalid list"),
        (f"{SELECT}\nprotect = ['active', 'paused']", "line 3, [jobs.one] protect", "nothing is left"),
        # the rest
        (f"{SELECT}\n\nreason = 'abondoned'", "line 4, [jobs.one] reason", "did you mean abandoned"),
        (f"{SELECT}\nreason = 'orphaned'", "line 3, [jobs.one] reason", "does not know"),
        (f"{SELECT}\nmax_close = 0", "line 3, [jobs.one] max_close", "greater than or equal to 1"),
        (f"{SELECT}\nmax_close = true", "line 3, [jobs.one] max_close", "integer"),
        (f"{SELECT}\nmax_failures = 'some'", "line 3, [jobs.one] max_failures", "some"),
        (f"{SELECT}\nsettle = 'no'", "line 3, [jobs.one] settle", "boolean"),
        (f"{SELECT}\nschedule = '0 3 * *'", "line 3, [jobs.one] schedule", "five fields"),
        (f"{SELECT}\nschedule = '0 25 * * *'", "line 3, [jobs.one] schedule", "invalid hour '25'"),
        (f"{SELECT}\ntimezone = 'Europe/Berln'", "line 3, [jobs.one] timezone", "did you mean Europe/Berlin?"),
        (f"{SELECT}\ncatch_up = '8d'", "line 3, [jobs.one] catch_up", "7d at most"),
        (f"{SELECT}\njitter = 5", "line 3, [jobs.one] jitter", "use a text such as"),
        (f"{SELECT}\nprofile = 'prod'", "line 3, [jobs.one] profile", "there is no [profiles.prod] (there are: none)"),
        (f"{SELECT}\nping = 'http://hc.example/SECRET'", "line 3, [jobs.one] ping", "use https"),
        (f"{SELECT}\nping = 'SECRET'", "line 3, [jobs.one] ping", "invalid address"),
        (f"{SELECT}\nping = 3", "line 3, [jobs.one] ping", "write an address, or {start"),
        (f"{SELECT}\nping.stop = 'https://a.example'", "line 3, [jobs.one] ping.stop", "the keys are failure"),
        (f"{SELECT}\nping.start = 'ftp://SECRET'", "line 3, [jobs.one] ping.start", "invalid address"),
        (f"{SELECT}\nwebhook = 'https://[SECRET'", "line 3, [jobs.one] webhook", "invalid address"),
        (f"{SELECT}\nwebhook.form = 'slack'", "line 3, [jobs.one] webhook.url", "the address to call"),
        (f"{SELECT}\nwebhook.url = 'https://a.b'\nwebhook.form = 'x'", "line 4, [jobs.one] webhook.form", "'json'"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_file_the_line_and_the_key(text: str, place: str, part: str) -> None:
    """And what to write instead; never an address that is a secret."""
    message = mistake(f"[jobs.one]\n{text}")
    assert message.startswith("closeout.toml, ")
    assert place in message
    assert part in message
    assert "SECRET" not in message


def test_the_first_mistake_of_the_file_is_told() -> None:
    """Whatever the order in which keys are looked at."""
    text = "[jobs.one]\nsettle = 3\njitter = 3\n[jobs.one.select]\nidle_for = 3\nfoo = 1"
    assert "line 2, [jobs.one] settle" in mistake(text)


@pytest.mark.parametrize("name", ["Nightly", "a_b", "-a", "a-", "a b", "a" * 41, "ä", "a.b"])
def test_a_name_must_fit_everywhere(name: str) -> None:
    """It becomes part of the names of units."""
    assert re.search(r"line 2, \[jobs\..*\]: a job's name is", mistake(f'\n[jobs."{name}"]\n{SELECT}'))


@pytest.mark.parametrize(
    ("text", "place"), [("jobs = 3", "line 1, [jobs]"), ("[jobs]\n\none = 3", "line 3, [jobs.one]")]
)
def test_what_is_no_table_is_told(text: str, place: str) -> None:
    """Not an unexpected error."""
    assert place in mistake(text)


def test_a_job_is_found_by_its_name() -> None:
    """Mistakes in other jobs do not keep it from running."""
    path = write_config(f"[jobs.nightly]\n{SELECT}\n[jobs.other]\nselect = 3")
    assert find_job(path, "nightly").name == "nightly"
    for name, part in (("nightyl", "did you mean nightly?"), ("qqq", "there are: nightly, other"), ("other", "line 4")):
        with pytest.raises(ConfigurationError, match=re.escape(part)):
            find_job(path, name)
    with pytest.raises(ConfigurationError, match=r"there is no closeout\.toml"):
        find_job(None, "nightly")
    assert read_jobs(None) == {}


def test_the_zone_of_a_job_is_not_this_machines() -> None:
    """So that the same file means the same on every machine."""
    assert job(f"[jobs.one]\n{SELECT}\nschedule = '0 3 * * *'").zone.utcoffset(datetime(2026, 7, 1, tzinfo=UTC)) == (
        datetime(2026, 1, 1) - datetime(2026, 1, 1)
    )
