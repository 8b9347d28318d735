"""Which file it was can be proved later."""

import gzip
import hashlib
import io
from pathlib import Path

import pytest

from closeout.worker.sources import open_source

ROWS = "".join(f"0190c1f2-0000-7000-8000-{number:012x}\n" for number in range(5_000)).encode()


@pytest.mark.parametrize("content", [ROWS, gzip.compress(ROWS)], ids=["plain", "compressed"])
def test_the_checksum_is_that_of_the_bytes_and_known_at_the_end(content: bytes, tmp_path: Path) -> None:
    """As ``sha256sum`` prints it: a compressed file is not unfolded for it. Standard input has one, too."""
    path = tmp_path / "rows.txt"
    path.write_bytes(content)
    for source in (open_source(str(path)), open_source("-", stdin=io.BytesIO(content))):
        batches = source.batches(100)
        next(batches)
        assert source.sha256 is None
        assert 1 + sum(1 for _ in batches) == 50
        assert source.sha256 == hashlib.sha256(content).hexdigest()
