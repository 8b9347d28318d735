"""The reference that the documentation shows: whole, and from the same source as the help."""

import re

import click
import pytest

from closeout.jobs.cli import COMMANDS, cli, load_command
from closeout.jobs.help.examples import EXAMPLES, EXIT_CODES
from closeout.jobs.help.reference import pages
from closeout.worker.config.settings import INTERNAL_SETTINGS, Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.records import COLUMNS


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    return pages(cli)


def test_every_command_is_there_with_all_it_takes(reference: dict[str, str]) -> None:
    """Options, examples and exit codes; each table row has as many cells as its head."""
    text = reference["commands"]
    assert sorted(re.findall(r"^### closeout (\w+)$", text, re.M)) == sorted(COMMANDS)
    for name in COMMANDS:
        part = text.split(f"### closeout {name}\n")[1].split("\n### ")[0]
        flags = [flag for each in load_command(name).params if isinstance(each, click.Option) for flag in each.opts]
        assert [flag for flag in flags if flag not in part] == []
        assert all(line in part for line, _ in EXAMPLES[name])
    assert "\b" not in text
    assert "\\" not in text
    assert "<code>--limit N&#124;none</code>" in text


def test_every_setting_column_outcome_and_code_is_there(reference: dict[str, str]) -> None:
    """Each with a meaning, and in the order of the contract."""

    def first_cells(page: str) -> list[str]:
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in reference[page].splitlines() if line.startswith("|")]
        assert {len(row) for row in rows} == {len(rows[0])}
        assert all(cell.strip() for row in rows for cell in (row[0], row[-1]))
        return [row[0].strip().strip("`") for row in rows[2:]]

    assert first_cells("settings") == [
        *(name for name in Settings.model_fields if name not in INTERNAL_SETTINGS),
        *(
            "ledger",
            "api_key_file",
            "api_key_command",
            "proxy",
            "cacert",
            "cert",
            "cert_key",
            "log_format",
            "alert_url",
        ),
    ]
    assert first_cells("columns") == list(COLUMNS)
    assert first_cells("outcomes") == [outcome.value for outcome in Outcome]
    assert first_cells("exit-codes") == [str(code) for code in EXIT_CODES]
    for line in (
        "| `share` | `--share` `CLOSEOUT_SHARE` | share |",
        "| `dedupe_for` | `--dedupe-for` `CLOSEOUT_DEDUPE_FOR` | duration | `24h` |",
        "| `lease` | `--lease` `CLOSEOUT_LEASE` | duration | 60s |",
        "| `6000/min` |",
        "| `50%` |",
        "`10m`",
        "list of statuses",
        "`FEATHER_BASE_URL`",
        '"1.21" or "1.90"',
    ):
        assert line in reference["settings"]
