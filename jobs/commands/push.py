"""``closeout push SOURCE QUEUE_URL``: fills a queue from any source."""

import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import click

from closeout.jobs.config.invocation import PATIENCE, read_ledger
from closeout.jobs.config.options import ID_COLUMN, JSON, LEDGER, LENIENT_IDS
from closeout.jobs.runner.source_runs import open_rows, reading_of
from closeout.jobs.runner.terminal import say
from closeout.worker.config.dialect import as_known
from closeout.worker.domain.item import SourceRow
from closeout.worker.feeds.source import OpenedSource
from closeout.worker.ledger.open import open_ledger
from closeout.worker.queues.address import parse_address
from closeout.worker.queues.messages import read_message, write_message
from closeout.worker.queues.open import is_embedded, open_queue
from closeout.worker.queues.protocol import Queue
from closeout.worker.sources.session_ids import shown
from closeout.worker.support.backoff import backoff
from closeout.worker.support.errors import QueueUnreachableError

_INVALID_NAMED = 20
_NEWEST = "1.90"  # the dialect that knows all reasons; who takes from the queue judges by its own
_TRIES = 8  # of one batch, over about two minutes


@dataclass
class Pushed:
    """What came of a source's rows."""

    rows_read: int = 0
    pushed: int = 0
    invalid: int = 0

    @property
    def exit_code(self) -> int:
        return 1 if self.invalid else 0


@click.command("push")
@click.argument("source")
@click.argument("queue_url", metavar="QUEUE_URL", envvar="CLOSEOUT_QUEUE_URL")
@ID_COLUMN
@LENIENT_IDS
@LEDGER
@JSON
@click.pass_context
def command(context: click.Context, /, source: str, queue_url: str, **_: Any) -> int:  # the rest is read by name
    """Put the sessions that SOURCE lists into a queue, for `closeout work` to close.

    SOURCE is as for `closeout close`, QUEUE_URL as for `closeout work`. What a row says as `reason`, `not_before`
    and `key` goes with it.
    """
    given = context.params
    opening = partial(open_rows, source, given["id_column"], lenient=bool(given["lenient_ids"]))
    return anyio.run(partial(push_source, opening, queue_url, read_ledger(context), as_json=given["as_json"]))


async def push_source(opening: Callable[[], OpenedSource], url: str, ledger: str, *, as_json: bool) -> int:
    """Push all rows that name a session; returns the exit code. Raises SourceError and QueueError."""
    opened = await anyio.to_thread.run_sync(opening, abandon_on_cancel=True)
    async with _opened(url, ledger) as queue:
        say(reading_of(opened))
        done = Pushed()
        while rows := await anyio.to_thread.run_sync(opened.take, abandon_on_cancel=True):
            await _push_rows(queue, rows, done)
        _tell(opened, queue, done, as_json=as_json)
    return done.exit_code


@asynccontextmanager
async def _opened(url: str, ledger: str) -> AsyncIterator[Queue]:
    """A queue in the ledger needs that; the others leave it alone."""
    if not is_embedded(parse_address(url)):
        async with open_queue(url) as queue:
            yield queue
        return
    async with open_ledger(ledger, create=True, patience=PATIENCE) as opened, open_queue(url, opened.messages) as queue:
        yield queue


async def _push_rows(queue: Queue, rows: list[SourceRow], done: Pushed) -> None:
    bodies: list[bytes] = []
    owners: dict[str, str | None] = {}
    for row in rows:
        body, problem = _message_of(row, owners)
        if problem is None:
            bodies.append(body)
            continue
        done.invalid += 1
        if done.invalid <= _INVALID_NAMED:
            say(f"line {row.line:,}: {problem}")
    await _push_batch(queue, bodies)
    done.rows_read += len(rows)
    done.pushed += len(bodies)


def _message_of(row: SourceRow, owners: dict[str, str | None]) -> tuple[bytes, str | None]:
    """The message, and what a worker would find wrong with it; ``owners`` are the sessions of the batch's keys.

    A key that two sessions bear makes the second one a repetition, never closed: a column of that name may
    mean something else altogether.
    """
    if row.problem is not None:
        return b"", row.problem
    row.reason = as_known(row.reason, _NEWEST) if row.reason is not None else None
    body = write_message(row)
    if row.wishes is None:
        return body, None
    read = read_message(body)
    if read.key is not None and owners.setdefault(read.key, row.session_id) != row.session_id:
        return (
            body,
            f"the key {shown(read.key, 40)!r} is that of another session, for whose repetition this one would pass",
        )
    return body, read.row.problem


async def _push_batch(queue: Queue, bodies: list[bytes]) -> None:
    """A batch that may be there already is pushed again all the same: who takes from the queue knows duplicates."""
    for failures in range(1, _TRIES):
        try:
            return await queue.push(bodies)
        except QueueUnreachableError as error:
            say(f"{error}; trying again")
            await anyio.sleep(backoff(failures, random.SystemRandom()))
    return await queue.push(bodies)


def _tell(opened: OpenedSource, queue: Queue, done: Pushed, *, as_json: bool) -> None:
    if done.invalid > _INVALID_NAMED:
        say(f"… and {done.invalid - _INVALID_NAMED:,} more invalid rows")
    if as_json:
        counts = {"rows_read": done.rows_read, "pushed": done.pushed, "invalid": done.invalid}
        click.echo(json.dumps({"source": opened.name, "queue": queue.name, **counts, "exit_code": done.exit_code}))
        return
    click.echo(
        f"{done.rows_read:,} rows of {opened.name}: {done.pushed:,} pushed to {queue.name}, {done.invalid:,} invalid"
    )
