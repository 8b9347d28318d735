"""One connection to RabbitMQ: opened, its calls bounded in time, and its errors put into words."""

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable
from typing import TypeVar

import aio_pika
import anyio
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
    ProbableAuthenticationError,
    PublishError,
)
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource, ConnectionNotAllowed, InvalidFrameError
from pamqp.commands import Basic

from closeout.worker.queues.address import Address
from closeout.worker.support.errors import ConfigurationError, QueueError, QueueUnreachableError

for _driver in ("aiormq", "aio_pika"):  # what they log of a lost connection is told in our words, once
    logging.getLogger(_driver).addHandler(logging.NullHandler())

_T = TypeVar("_T")
_PATIENCE = 10.0  # seconds for any answer of the server
_FAREWELL = 2.0  # seconds for it to take leave
_TROUBLE = (AMQPError, ChannelInvalidStateError, OSError, EOFError, asyncio.InvalidStateError)


async def called(work: Awaitable[_T]) -> _T:
    """What a call of the driver returns; it is not interrupted by a cancellation of ours.

    A call that is broken off closes its channel, and with it all that is held. It is in a task of its own, since the
    driver cancels the calls under way when its connection breaks, which must not look as if we had been cancelled.
    Raises TimeoutError and ConnectionError besides the driver's errors.
    """
    task = asyncio.ensure_future(work)
    with anyio.CancelScope(shield=True):
        await asyncio.wait({task}, timeout=_PATIENCE)
    if not task.done():
        task.cancel()
        raise TimeoutError(f"no answer for {_PATIENCE:.0f} s")
    if task.cancelled():
        raise ConnectionError("the connection was lost")
    return task.result()


class Link:
    """A connection and its channel; ``number`` tells it from those before it. ``lost`` is set when it breaks."""

    def __init__(self, number: int, connection: AbstractConnection) -> None:
        self.number = number
        self.lost = anyio.Event()
        self._connection = connection
        self._channel: AbstractChannel | None = None
        connection.close_callbacks.add(self._broke)

    @property
    def channel(self) -> AbstractChannel:
        """The one that deliveries belong to."""
        if self._channel is None:
            raise ConnectionError("no channel is open")
        return self._channel

    @property
    def whole(self) -> bool:
        return not self.lost.is_set()

    async def open_channel(self) -> None:
        """Open the channel that messages are taken and sent by: confirmed, and refused where nobody gets them."""
        self._channel = self._connection.channel(publisher_confirms=True, on_return_raises=True)
        await called(_initialized(self._channel))
        self._channel.close_callbacks.add(self._broke)

    async def aside(self) -> AbstractChannel:
        """Another channel, for a question whose answer may be that the server closes it."""
        channel = self._connection.channel()
        await called(_initialized(channel))
        return channel

    def _broke(self, *_: object) -> None:
        self.lost.set()

    async def close(self) -> None:
        """Take leave, if somebody is there to take it from."""
        self.lost.set()
        task = asyncio.get_running_loop().create_task(self._connection.close())
        with anyio.CancelScope(shield=True):
            await asyncio.wait({task}, timeout=_FAREWELL)
        if not task.done():
            task.cancel()
        elif not task.cancelled():
            task.exception()  # whatever it is: the connection is gone


async def _initialized(channel: AbstractChannel) -> None:
    await channel.initialize()


async def connect(address: Address, number: int) -> Link:
    """Connect, and open the channel. Raises the driver's errors."""
    context = _tls(address) if address.scheme == "amqps" else None
    connection = await called(
        aio_pika.connect(address.server, ssl_context=context, client_properties={"connection_name": "closeout"})
    )
    link = Link(number, connection)
    try:
        await link.open_channel()
    except BaseException:
        await link.close()
        raise
    return link


def _tls(address: Address) -> ssl.SSLContext:
    """Raises ConfigurationError."""
    try:
        return ssl.create_default_context(cafile=address.options.get("cafile"))
    except OSError as error:
        raise ConfigurationError(f"{address.name}: cafile: {error.strerror or error}") from None


def is_trouble(error: Exception) -> bool:
    """Whether it comes from the driver or from the network."""
    return isinstance(error, _TROUBLE)


# What an error of the driver means; {vhost} and {queue} are filled in. The first that fits is told.
_MEANINGS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], type[QueueError], str], ...] = (
    ((AuthenticationError, ProbableAuthenticationError), QueueError, "user or password were refused"),
    # The driver takes a refused virtual host for a broken protocol.
    (
        (ConnectionNotAllowed, InvalidFrameError),
        QueueError,
        "no virtual host {vhost!r} is there, or not for this user",
    ),
    (ChannelAccessRefused, QueueError, "the user may not configure, write and read what begins with {queue!r}"),
    (ChannelPreconditionFailed, QueueError, "the queue {queue!r} is declared in another way: name another one"),
    (ChannelLockedResource, QueueError, "the queue {queue!r} belongs to one connection of somebody else (exclusive)"),
    (PublishError, QueueError, "the queue {queue!r} is gone: nobody gets what is pushed"),
    (DeliveryError, QueueUnreachableError, "the server takes no messages now; the queue {queue!r} may be full"),
    (ChannelNotFoundEntity, QueueUnreachableError, "the queue {queue!r} was deleted meanwhile"),
    (ssl.SSLError, QueueError, "no TLS with the server: {why}"),
    (TimeoutError, QueueUnreachableError, f"no answer for {_PATIENCE:.0f} s"),
    (Exception, QueueUnreachableError, "the server cannot be reached: {why}"),
)


def in_words(error: Exception, address: Address, queue: str) -> QueueError:
    """What an error of the driver means to a person. Its own text may hold an address with its password."""
    cause: BaseException = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
    delivery = error.message.delivery if isinstance(error, PublishError) and error.message is not None else None
    if isinstance(delivery, Basic.Return):
        queue = delivery.routing_key or queue  # it may be the one for dead letters that is gone
    ours, text = next((ours, text) for kind, ours, text in _MEANINGS if isinstance(cause, kind))
    told = text.format(vhost=address.path or "/", queue=queue, why=_why(cause))
    return ours(f"{address.name}: {told}")


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "refused").lower().replace("_", " ")
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else "the connection was lost, or never made"
