"""What takes long and mostly waits is done once, several at a time, for all the tests that look at it."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from tests.front_door.ordeal import SEEDS, Ordeal, undergo
from tests.front_door.storm import MODES, Storm, weather

_T = TypeVar("_T")


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Three at a time: most of what they do is to wait."""
    with ThreadPoolExecutor(3) as executor:
        yield executor


@pytest.fixture(scope="session")
def ordeals(pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Future[Ordeal]]:
    """Ordeals to come, one for each answer to a second close."""
    return _begun(pool, undergo, tmp_path_factory.mktemp("ordeals"), tuple(SEEDS))


@pytest.fixture(scope="session")
def storms(pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Future[Storm]]:
    """Storms to come, one for each answer to a second close, each with another clock at the server."""
    return _begun(pool, weather, tmp_path_factory.mktemp("storms"), MODES)


def _begun(
    pool: ThreadPoolExecutor, work: Callable[[Path, str], _T], home: Path, modes: tuple[str, ...]
) -> dict[str, Future[_T]]:
    return {mode: pool.submit(work, home / mode, mode) for mode in modes}
