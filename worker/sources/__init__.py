"""Where sessions to close come from: files and standard input, read as a stream of rows."""

from worker.sources.files import open_source
from worker.sources.identifiers import normalise_id
from worker.sources.problems import shown

__all__ = ["normalise_id", "open_source", "shown"]
