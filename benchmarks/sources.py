"""CSV files to close from, written a row at a time: the peak memory of a child counts that of its parent."""

import csv
import uuid
from pathlib import Path


def write_ids(path: Path, count: int) -> Path:
    """So many random ids under a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("session_id",))
        writer.writerows((str(uuid.uuid4()),) for _ in range(count))
    return path
