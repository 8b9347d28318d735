"""``sqs://``: a queue of Amazon SQS, standard or FIFO.

What is fetched stays invisible to others while it is held here: the time for that is made longer again and again, so
it may be short, and what a dead consumer held is soon given to others.
"""

import asyncio
import hashlib
import json
import math
import time
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # it has no types

from closeout.worker.queues.address import Address
from closeout.worker.queues.protocol import Depth, Message
from closeout.worker.queues.sqs_batches import MOST, NOT_HELD, Entry, send_all
from closeout.worker.queues.sqs_client import LONGEST_POLL, is_missing, sqs_client, told
from closeout.worker.support.errors import ConfigurationError, QueueError
from closeout.worker.support.log import get_logger

_VISIBILITY = 60.0  # seconds
_LONGEST_HIDDEN = 43_200  # seconds: the longest that SQS has
_EXTENSIONS = 3  # times in each visibility: two may fail
_AT_ONCE = 10  # requests for more, once the first messages have come
_POLL_AGAIN = 0.1  # seconds
_FAREWELL = 2.0  # seconds
_WAITING = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed")
_HIDDEN = "ApproximateNumberOfMessagesNotVisible"
_FIFO = ".fifo"
REASON = "closeout-reason"


@asynccontextmanager
async def open_sqs(address: Address) -> AsyncIterator["SqsQueue"]:
    """Open a queue of SQS, which must be there."""
    address.only("dead", "endpoint", "group", "visibility")
    async with sqs_client(address) as client:
        queue = SqsQueue(address, client)
        await queue.open()
        extending = asyncio.get_running_loop().create_task(queue.keep_hidden())
        try:
            yield queue
        finally:
            extending.cancel()
            await queue.leave()


class SqsQueue:
    """See ``protocol.Queue``."""

    def __init__(self, address: Address, client: Any) -> None:  # the client's methods are made at run time
        self.name = address.name
        self._address = address
        self._client = client
        self._account, _, self._queue = address.path.rpartition("/")
        if not self._queue or "/" in self._account:
            raise ConfigurationError(f"{self.name}: write it like sqs://REGION/NAME or sqs://REGION/ACCOUNT/NAME")
        self._visibility = math.ceil(address.seconds("visibility", _VISIBILITY))
        self._url = ""
        self._dead: str | None = None
        self._held: set[Hashable] = set()

    async def open(self) -> None:
        """Find the queue, and the one for dead letters: of its redrive policy, else by its name."""
        async with told(self._address):
            self._url = await self._url_of(self._queue, self._account)
            attributes = await self._attributes(self._url, "RedrivePolicy")
            self._dead = await self._find_dead(attributes.get("RedrivePolicy"))
        if self._dead is None:
            get_logger().warning(
                "there is no dead-letter queue: a malformed message is deleted once the ledger holds it as invalid",
                queue=self.name,
            )

    async def _find_dead(self, policy: str | None) -> str | None:
        named = self._address.options.get("dead")
        if named is not None:
            return await self._url_of(named, self._account)
        if policy is not None:
            *_, account, name = str(json.loads(policy)["deadLetterTargetArn"]).split(":")
            return await self._url_of(name, account)
        plain = self._queue.removesuffix(_FIFO)
        try:
            return await self._url_of(plain + "-dead" + self._queue.removeprefix(plain), self._account)
        except ClientError as error:
            if is_missing(error):
                return None
            raise

    async def _url_of(self, name: str, account: str) -> str:
        owner = {"QueueOwnerAWSAccountId": account} if account else {}
        return str((await self._client.get_queue_url(QueueName=name, **owner))["QueueUrl"])

    async def _attributes(self, url: str, *names: str) -> dict[str, str]:
        answer = await self._client.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))
        return dict(answer.get("Attributes", {}))

    # taking

    async def fetch(self, limit: int, wait: float) -> list[Message]:
        """See the protocol; the first request waits, and those for more only take what is ready."""
        async with told(self._address):
            found = await self._first(min(limit, MOST), wait)
            # The first ones must be given to whoever asked well before their time is over.
            ends = time.monotonic() + self._visibility / _EXTENSIONS
            more = len(found) == MOST
            while more and len(found) < limit and time.monotonic() < ends:
                wanted = min(limit - len(found), MOST * _AT_ONCE)
                rest = await self._ready(wanted)
                found += rest
                more = len(rest) == wanted
        # Only now: what a fetch took that was cancelled is not kept from others.
        self._held.update(message.receipt for message in found)
        return found

    async def _first(self, limit: int, wait: float) -> list[Message]:
        """SQS itself waits for whole seconds only."""
        ends = time.monotonic() + wait
        while True:
            left = max(0.0, ends - time.monotonic())
            found = await self._receive(limit, min(int(left), LONGEST_POLL))
            if found or not left:
                return found
            if left < 1:
                await anyio.sleep(min(_POLL_AGAIN, left))

    async def _ready(self, limit: int) -> list[Message]:
        """What is ready, by several requests at a time; what one of them does not get comes with the next fetch."""
        wanted = [min(MOST, limit - first) for first in range(0, limit, MOST)]
        answers = await asyncio.gather(*(self._receive(count, 0) for count in wanted), return_exceptions=True)
        return [message for answer in answers if not isinstance(answer, BaseException) for message in answer]

    async def _receive(self, limit: int, wait: int) -> list[Message]:
        answer = await self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait,
            VisibilityTimeout=self._visibility,
        )
        return [Message(one["ReceiptHandle"], one["Body"].encode()) for one in answer.get("Messages", [])]

    # letting go

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        await self._delete(self._let_go(messages))

    async def put_back(self, messages: Sequence[Message], delay: float) -> None:
        await self._hide(self._let_go(messages), min(math.ceil(delay), _LONGEST_HIDDEN))

    async def bury(self, messages: Sequence[Message], why: str) -> None:
        """See the protocol. Sent first and deleted then: it may be there twice, and is not lost."""
        held = [message for message in messages if message.receipt in self._held]
        if self._dead is not None:
            attribute = {REASON: {"DataType": "String", "StringValue": why or "-"}}
            entries = [self._entry(one.body, self._dead) | {"MessageAttributes": attribute} for one in held]
            await self._send(self._dead, entries)
        await self._delete(self._let_go(held))

    def _let_go(self, messages: Sequence[Message]) -> list[Hashable]:
        """Those that were held; their time is not made longer any more."""
        receipts = [message.receipt for message in messages if message.receipt in self._held]
        self._held.difference_update(receipts)
        return receipts

    async def _delete(self, receipts: Sequence[Hashable]) -> None:
        async def delete(entries: list[Entry]) -> Any:
            return await self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)

        async with told(self._address):
            await send_all(self.name, delete, [{"ReceiptHandle": receipt} for receipt in receipts], NOT_HELD)

    async def _hide(self, receipts: Sequence[Hashable], seconds: int) -> None:
        async def hide(entries: list[Entry]) -> Any:
            return await self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

        entries = [{"ReceiptHandle": receipt, "VisibilityTimeout": seconds} for receipt in receipts]
        async with told(self._address):
            await send_all(self.name, hide, entries, NOT_HELD)

    async def keep_hidden(self) -> None:
        """Make the time longer for what is held, until cancelled. Where that fails, others get it as well."""
        while True:
            await anyio.sleep(self._visibility / _EXTENSIONS)
            with suppress(Exception):  # whatever it is: the next time it may work
                await self._hide(list(self._held), self._visibility)

    async def leave(self) -> None:
        """Let others have at once what is held."""
        with anyio.move_on_after(_FAREWELL, shield=True), suppress(QueueError, BotoCoreError):
            await self._hide(list(self._held), 0)

    # the rest

    async def depth(self) -> Depth:
        async with told(self._address):
            here = await self._attributes(self._url, *_WAITING, _HIDDEN)
            dead = await self._attributes(self._dead, _WAITING[0]) if self._dead is not None else None
        waiting = sum(int(here[name]) for name in _WAITING)
        return Depth(waiting, int(here[_HIDDEN]), None if dead is None else int(dead[_WAITING[0]]))

    async def push(self, bodies: Sequence[bytes]) -> None:
        await self._send(self._url, [self._entry(body, self._url) for body in bodies])

    def _entry(self, body: bytes, url: str) -> Entry:
        """A message. In a FIFO queue each is a group of its own, so that none waits for another one."""
        try:
            entry = {"MessageBody": body.decode()}
        except UnicodeDecodeError:
            raise QueueError(f"{self.name}: SQS carries text alone, and this message is none") from None
        if url.endswith(_FIFO):
            digest = hashlib.sha256(body).hexdigest()
            entry |= {"MessageGroupId": self._address.options.get("group") or digest, "MessageDeduplicationId": digest}
        return entry

    async def _send(self, url: str, entries: Sequence[Entry]) -> None:
        async def send(batch: list[Entry]) -> Any:
            return await self._client.send_message_batch(QueueUrl=url, Entries=batch)

        async with told(self._address):
            await send_all(self.name, send, entries)
