"""What the tests of the PostgreSQL ledger share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres.databases import done_with, url_of


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of an empty ledger."""
    yield url_of(tmp_path)
    done_with(tmp_path)
