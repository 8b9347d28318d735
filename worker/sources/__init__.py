"""Where sessions to close come from: files and standard input, read as a stream of rows."""

from closeout.worker.sources.files import open_source
from closeout.worker.sources.identifiers import normalise_id
from closeout.worker.sources.problems import shown

__all__ = ["normalise_id", "open_source", "shown"]
