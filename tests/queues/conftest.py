"""The queue under test: each implementation of the protocol in turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.queues.support import IMPLEMENTATIONS, Rig


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """A queue that nobody has used before."""
    async with IMPLEMENTATIONS[request.param](tmp_path) as made:
        yield made
