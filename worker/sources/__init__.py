"""Where sessions to close come from: files and standard input, read as a stream of rows."""

from closeout.worker.sources.files import open_source
from closeout.worker.sources.session_ids import normalise_id, shown

__all__ = ["normalise_id", "open_source", "shown"]
