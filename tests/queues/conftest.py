"""The queue under test: each implementation of the protocol in turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.queues.in_postgres import in_postgres
from tests.queues.moto_sqs import sqs
from tests.queues.rabbitmq import rabbitmq
from tests.queues.redis_server import redis
from tests.queues.support import IMPLEMENTATIONS, Rig

RIGS = {**IMPLEMENTATIONS, "embedded in postgres": in_postgres, "rabbitmq": rabbitmq, "redis": redis, "sqs": sqs}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """A queue that nobody has used before."""
    async with RIGS[request.param](tmp_path) as made:
        yield made
