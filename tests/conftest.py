"""What holds for all tests."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# Tests run side by side: how long an example takes says nothing.
settings.register_profile("closeout", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("closeout")

_WAITING = {"docs", "fleet", "front_door", "pages", "queues"}  # folders whose tests wait for processes and servers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits longest begins first, so that the short ones fill the end of a run side by side."""
    lost = [item.nodeid for item in items if item.get_closest_marker("alone") and "front_door" not in item.path.parts]
    if lost:
        raise pytest.UsageError(f"what is marked alone is looked for in tests/front_door: {lost[0]}")
    items.sort(key=lambda item: _WAITING.isdisjoint(item.nodeid.split("/")))


@pytest.fixture(autouse=True)
def unset_log() -> Iterator[None]:
    """A test whose command sets the log up leaves none behind: the next one may read it another way."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
