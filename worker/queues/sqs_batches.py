"""Requests to SQS that hold ten messages each: made, sent, and sent again for those that failed."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import anyio

from closeout.worker.support.errors import QueueError, QueueUnreachableError

Entry = dict[str, Any]
MOST = 10  # entries of one request
_MOST_BYTES = 256 * 1024  # of all bodies in one request
_AT_ONCE = 8  # requests
_TRIES = 4
_PAUSE = 0.2  # seconds before the first repetition; doubled for each
# The message is not held any more: somebody else has it, or it is gone.
NOT_HELD = frozenset({"InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"})
_NOTHING = frozenset[str]()
Send = Callable[[list[Entry]], Awaitable[Any]]


def batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Entries in groups that one request can hold, each with its number in the group as ``Id``."""
    group: list[Entry] = []
    size = 0
    for entry in entries:
        length = len(str(entry.get("MessageBody", "")).encode())
        if len(group) == MOST or (group and size + length > _MOST_BYTES):
            yield group
            group, size = [], 0
        group.append({"Id": str(len(group)), **entry})
        size += length
    if group:
        yield group


async def send_all(name: str, send: Send, entries: Sequence[Entry], passed_over: frozenset[str] = _NOTHING) -> None:
    """Send all entries, several requests at a time. A message that is refused with one of these codes is passed over.

    Raises QueueUnreachableError, QueueError and the client's errors.
    """
    waiting = batches(entries)
    failed: list[Exception] = []

    async def work() -> None:
        for batch in waiting:
            if failed:
                return
            try:
                await _send(name, send, batch, passed_over)
            except Exception as error:  # raised below: a group of errors would hide ours
                failed.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(min(_AT_ONCE, 1 + len(entries) // MOST)):
            tasks.start_soon(work)
    if failed:
        raise failed[0]


async def _send(name: str, send: Send, batch: list[Entry], passed_over: frozenset[str]) -> None:
    """A request may succeed in part: what failed by no fault of ours is sent again."""
    left, code = batch, ""
    for attempt in range(_TRIES):
        if attempt:
            await anyio.sleep(_PAUSE * 2 ** (attempt - 1))
        faults = {fault["Id"]: fault for fault in (await send(left)).get("Failed", [])}
        for fault in faults.values():
            code = str(fault.get("Code", "unknown")).rpartition(".")[2]
            if fault.get("SenderFault") and code not in passed_over:
                raise QueueError(f"{name}: SQS refused a message ({code})")
        left = [entry for entry in left if entry["Id"] in faults and not faults[entry["Id"]].get("SenderFault")]
        if not left:
            return
    raise QueueUnreachableError(f"{name}: SQS does not take {len(left)} messages now ({code})")
