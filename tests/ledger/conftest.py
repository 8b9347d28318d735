"""The ledger under test: each implementation of the protocol in turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ledger.support import IMPLEMENTATIONS, Opener
from worker.ledger.protocol import Ledger


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def opener(request: pytest.FixtureRequest) -> Opener:
    """Opens the ledger of a folder, made as needed; a second time it is the same ledger."""
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
async def ledger(opener: Opener, tmp_path: Path) -> AsyncIterator[Ledger]:
    """A fresh ledger."""
    async with opener(tmp_path) as opened:
        yield opened
