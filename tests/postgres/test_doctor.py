"""``closeout doctor`` looks at a ledger on PostgreSQL and changes nothing in the database."""

import json

import anyio
from click.testing import CliRunner

from closeout.jobs.cli import cli
from closeout.worker.ledger.postgres.address import parse_address
from tests.postgres.test_opening import asked, opened

SCHEMA = "SELECT count(*) FROM pg_namespace WHERE nspname = '{}'"


def ledger_found(url: str) -> dict[str, str]:
    """What it says of the ledger; no API answers where it asks."""
    env = {"CLOSEOUT_API_KEY": "k", "CLOSEOUT_BASE_URL": "http://127.0.0.1:9"}
    done = CliRunner().invoke(cli, ["doctor", "--json", "--ledger", url], env=env)
    (profile,) = json.loads(done.stdout)
    (found,) = (each for each in profile["findings"] if each["what"] == "ledger")
    return dict(found)


def test_no_schema_is_made_for_looking(url: str) -> None:
    """The first run makes it."""
    schema = parse_address(url).schema
    asked(url, f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    found = ledger_found(url)
    assert (found["level"], found["told"].endswith("will be made by the first run")) == ("ok", True), found
    assert asked(url, SCHEMA.format(schema)) == [(0,)]


def test_an_older_schema_is_told_of_and_left_as_it_is(url: str) -> None:
    """A version that runs beside this one goes on with it."""
    anyio.run(opened, url)
    asked(url, "DELETE FROM migrations WHERE version = (SELECT max(version) FROM migrations)")
    before = asked(url, "SELECT * FROM migrations ORDER BY 1")
    found, after = ledger_found(url), asked(url, "SELECT * FROM migrations ORDER BY 1")
    asked(url, f"DROP SCHEMA {parse_address(url).schema} CASCADE")  # nobody else is to find it half made
    assert (found["level"], "written by an older closeout" in found["told"]) == ("ok", True), found
    assert after == before
