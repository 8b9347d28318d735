"""The ledger under test: each implementation of the protocol in turn."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from closeout.worker.ledger.protocol import Ledger
from tests.ledger.support import IMPLEMENTATIONS, Opener
from tests.postgres.databases import done_with


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the ledger of a folder, made as needed; a second time it is the same ledger."""
    yield IMPLEMENTATIONS[request.param]
    done_with(tmp_path)


@pytest.fixture
async def ledger(opener: Opener, tmp_path: Path) -> AsyncIterator[Ledger]:
    """A fresh ledger."""
    async with opener(tmp_path) as opened:
        yield opened
