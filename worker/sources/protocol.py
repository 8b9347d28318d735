"""What a source of sessions offers to the pipeline."""

from collections.abc import Iterator
from typing import Protocol

from closeout.worker.domain.item import SourceRow


class Source(Protocol):
    """A stream of rows, read in blocking batches by a worker thread.

    ``name`` is what a person calls it. ``location`` identifies it across processes (an absolute path), or is
    None for a stream that cannot be read twice.
    """

    @property
    def name(self) -> str: ...

    @property
    def location(self) -> str | None: ...

    @property
    def sha256(self) -> str | None:
        """Of the source's bytes as they are, compressed or not; None until all of them have been read."""
        ...

    @property
    def reading(self) -> str | None:
        """How its ids are found, in one line for a person; None until the first batch was read."""
        ...

    @property
    def by_lines(self) -> bool:
        """Whether it is one file of rows that stand on lines as they are, not packed; known with the first batch."""
        ...

    def batches(self, size: int) -> Iterator[list[SourceRow]]:
        """Yield the rows in order, at most ``size`` and at least one at a time.

        Where more rows let wait for themselves, those that have come are yielded first.

        Raises SourceError where nothing at all could be read. Where reading breaks off after some rows, the
        last row yielded is a problem row that says so.
        """
        ...
