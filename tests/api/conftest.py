"""The anyio tests of this package run on asyncio, which the product runs on."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
