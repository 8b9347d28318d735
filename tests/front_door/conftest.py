"""What takes long and mostly waits is begun with the first test, and looked at when its own tests come."""

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
    """Two at a time, so that the other tests have a share of the machine."""
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="session")
def ordeals(pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Future[Ordeal]]:
    """Ordeals to come, one for each answer to a second close."""
    return _begun(pool, undergo, tmp_path_factory.mktemp("ordeals"), tuple(SEEDS))


@pytest.fixture(scope="session")
def storms(pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Future[Storm]]:
    """Storms to come, one for each answer to a second close, each with another clock at the server."""
    return _begun(pool, weather, tmp_path_factory.mktemp("storms"), MODES)


@pytest.fixture(scope="session", autouse=True)
def _begin(request: pytest.FixtureRequest) -> None:
    """Begin those that a selected test asks for."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in ("ordeals", "storms"):
        if name in wanted:
            request.getfixturevalue(name)


def _begun(
    pool: ThreadPoolExecutor, work: Callable[[Path, str], _T], home: Path, modes: tuple[str, ...]
) -> dict[str, Future[_T]]:
    return {mode: pool.submit(work, home / mode, mode) for mode in modes}
