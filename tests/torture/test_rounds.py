"""One round of each kind that no other test has."""

from pathlib import Path

import pytest

from tests.torture.machine import failing_fsync, full_disk
from tests.torture.rounds import Round


@pytest.mark.parametrize(("suffer", "seed"), [(full_disk, 1), (failing_fsync, 5)])
def test_a_disk_that_fails_stops_the_run_and_it_is_resumed(tmp_path: Path, suffer: Round, seed: int) -> None:
    """In one line, with what to do; nothing is lost or sent twice unseen."""
    assert suffer(tmp_path / "desk", seed) == 1
