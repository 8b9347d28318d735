"""The documentation speaks of what is there."""

import ast
import re
from pathlib import Path

import pytest

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
def test_each_file_that_is_named_exists(page: Path) -> None:
    """Python files and folders of the project, as `worker/pipeline.py`, and links to other pages."""
    text = page.read_text(encoding="utf-8")
    files = {name for name in re.findall(r"`((?:worker|jobs|tests|benchmarks)/[\w/.]*)`", text) if "…" not in name}
    links = {link for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", text) if not link.startswith("reference/")}
    missing = {name for name in files if not (ROOT / name).exists()}
    missing |= {link for link in links if not (page.parent / link).exists() and "reference/" not in link}
    assert not missing
