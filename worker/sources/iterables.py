"""Session ids that a program gives: from any iterable, one after another."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from itertools import islice
from uuid import UUID

import anyio.to_thread

from closeout.worker.domain.item import SourceRow
from closeout.worker.sources.session_ids import id_row, problem_row
from closeout.worker.support.errors import ConfigurationError

SessionId = str | UUID
Ids = Iterable[SessionId] | AsyncIterable[SessionId]
_AT_ONCE = 500


def given_rows(ids: Ids) -> AsyncIterator[SourceRow]:
    """A row for each of them, numbered from 1. Raises ConfigurationError for what is no iterable of ids.

    A plain iterable is read in a worker thread, so that one that waits (for a database, say) holds nothing up.
    """
    if isinstance(ids, str | bytes | UUID):
        raise ConfigurationError("ids: a single text is not a list of ids: pass an iterable, such as [session_id]")
    if isinstance(ids, AsyncIterable):
        return _numbered(ids)
    if isinstance(ids, Iterable):
        return _numbered(_in_thread(iter(ids)))
    raise ConfigurationError(f"ids: {type(ids).__name__} is neither an iterable nor an asynchronous one")


async def _numbered(ids: AsyncIterable[SessionId]) -> AsyncIterator[SourceRow]:
    number = 0
    async for given in ids:
        number += 1
        yield _row(number, given)


def _row(number: int, given: object) -> SourceRow:
    if isinstance(given, str | UUID):
        return id_row(number, str(given))
    return problem_row(number, str(given), f"not a UUID: {type(given).__name__} is neither text nor a UUID")


async def _in_thread(ids: Iterator[SessionId]) -> AsyncIterator[SessionId]:
    error: Exception | None = None
    while error is None:
        some, error = await anyio.to_thread.run_sync(_some, ids, abandon_on_cancel=True)
        for one in some:
            yield one
        if error is None and not some:
            return
    raise error


def _some(ids: Iterator[SessionId]) -> tuple[list[SessionId], Exception | None]:
    """The next ones, and the error that broke them off: those before it count all the same."""
    found: list[SessionId] = []
    try:
        found.extend(islice(ids, _AT_ONCE))
    except Exception as error:  # whatever it is, it is raised again once these are through
        return found, error
    return found, None
