"""What the tests of operations share."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
