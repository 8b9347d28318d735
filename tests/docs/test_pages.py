"""The documentation speaks of what is there."""

import ast
import json
import re
from pathlib import Path

import pytest

from closeout.jobs.cli import COMMANDS
from closeout.jobs.definitions.job import Job, Ping, Select, Webhook
from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.domain.run import Run
from closeout.worker.ledger.records import Counts
from closeout.worker.report.summary import run_figures

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def test_each_test_that_a_guarantee_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")))
    defined = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(named) > 30
    assert named <= defined


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_file_of_the_project_that_is_named_exists(page: Path) -> None:
    """Such as `worker/engine/run.py`. Links between pages are checked where the documentation is built."""
    text = page.read_text(encoding="utf-8")
    named = {name for name in re.findall(r"`((?:worker|jobs|tests|benchmarks)/[\w/.]*)`", text) if "…" not in name}
    if page.parent == ROOT:
        named |= set(re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", text))
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_summary_is_documented_key_by_key() -> None:
    """In the example, in the table, and in that order."""
    run = Run(
        1, "262feyzz", "", "a.csv", None, "{}", "finished", None, 0, 0, True, None, None, 0, None, 0.0,
    )  # fmt: skip
    keys = [*run_figures(run, Counts(), Settings()), "exit_code"]
    text = (ROOT / "docs" / "reference" / "summary.md").read_text(encoding="utf-8")
    example = json.loads(text.split("```json\n")[1].split("```")[0])
    assert list(example) == keys == re.findall(r"^\| `(\w+)` \|", text, re.M)
    assert list(example["outcomes"]) == [outcome.value for outcome in Outcome]
    assert example["rows_read"] == example["duplicates"] + sum(example["outcomes"].values())


def test_each_key_of_a_job_is_documented() -> None:
    """What may stand in a `[jobs.NAME]` of closeout.toml, and in the tables within it."""
    text = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    keys = [key for table in (Job, Select, Ping, Webhook) for key in table.model_fields if key != "name"]
    assert [key for key in keys if not re.search(rf"`{key}\b|\b{key} = ", text)] == []


def test_each_command_is_in_the_readme() -> None:
    """In its table, with what it does."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Commands")[1].split("\n## ")[0]
    firsts = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `closeout ")]
    named = [name for first in firsts for name in re.findall(r"`(?:closeout )?(\w+)", first)]
    assert sorted(named) == sorted(COMMANDS)
