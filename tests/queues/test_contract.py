"""What holds for every queue, whatever server it is on."""

import time

import anyio
import pytest

from closeout.worker.queues.protocol import Depth
from tests.queues.support import LONGEST, VISIBILITY, Rig, bodies, fetch_all

pytestmark = pytest.mark.anyio
_NONE = 0.3  # seconds: so long nothing comes from a queue that has nothing to give


async def test_what_was_pushed_is_delivered_once(rig: Rig) -> None:
    """In batches of any size, with every byte as it was."""
    sent = [*bodies(25), '{"session_id": "ä\u20ac\U0001f600"}'.encode(), b" spaced \t out "]
    async with rig.opened() as queue:
        await queue.push(sent[:20])
        await queue.push(sent[20:])
        found = await fetch_all(queue, len(sent), limit=7)
        assert sorted(message.body for message in found) == sorted(sent)
        assert len({message.receipt for message in found}) == len(sent)
        await queue.acknowledge(found)
        assert await queue.fetch(10, _NONE) == []


async def test_a_fetch_takes_no_more_than_was_asked_for(rig: Rig) -> None:
    """What is not fetched is there for others."""
    async with rig.opened() as queue, rig.opened() as other:
        await queue.push(bodies(10))
        few = await fetch_all(queue, 3, limit=3)
        rest = await fetch_all(other, 7)
        assert sorted(message.body for message in few + rest) == bodies(10)


async def test_a_fetch_waits_for_the_first_message(rig: Rig) -> None:
    """And for no other: what is pushed meanwhile is given at once."""
    async with rig.opened() as queue, rig.opened() as producer, anyio.create_task_group() as tasks:
        assert await queue.fetch(10, 0) == []

        async def push() -> None:
            await anyio.sleep(0.1)
            await producer.push([b"late"])

        tasks.start_soon(push)
        with anyio.fail_after(LONGEST):
            (message,) = await queue.fetch(10, 10 * LONGEST)
        assert message.body == b"late"
        await queue.acknowledge([message])


async def test_a_fetch_that_is_cancelled_keeps_nothing(rig: Rig) -> None:
    """What comes afterwards goes to others, also while the one who wanted it lives on."""
    async with rig.opened() as queue, rig.opened() as other:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(queue.fetch, 10, 10 * LONGEST)
            await anyio.sleep(0.2)
            tasks.cancel_scope.cancel()
        await other.push(bodies(3))
        found = await fetch_all(other, 3)
        await other.acknowledge(found)
        assert sorted(message.body for message in found) == bodies(3)


async def test_what_a_dead_consumer_held_is_delivered_again(rig: Rig) -> None:
    """All that it had not acknowledged, and nothing else."""
    async with rig.opened() as survivor:
        async with rig.opened() as victim:
            await victim.push(bodies(6))
            found = await fetch_all(victim, 6)
            done, lost = found[:2], found[2:]
            await victim.acknowledge(done)
        again = await fetch_all(survivor, 4)
        assert sorted(message.body for message in again) == sorted(message.body for message in lost)
        await survivor.acknowledge(again)
        assert await survivor.fetch(10, VISIBILITY + _NONE) == []


async def test_what_was_put_back_is_delivered_again(rig: Rig) -> None:
    """At once, or after a delay; to anybody."""
    async with rig.opened() as queue, rig.opened() as other:
        await queue.push([b"at once", b"later"])
        found = {message.body: message for message in await fetch_all(queue, 2)}
        await queue.put_back([found[b"later"]], 0.8)
        began = time.monotonic()
        await queue.put_back([found[b"at once"]], 0)
        (first,) = await fetch_all(other, 1)
        await other.acknowledge([first])
        (second,) = await fetch_all(other, 1)
        assert [first.body, second.body] == [b"at once", b"later"]
        assert time.monotonic() - began >= 0.7
        await other.acknowledge([second])


async def test_what_was_buried_lies_at_the_dead_letter_place(rig: Rig) -> None:
    """With the reason, and is not delivered again."""
    async with rig.opened() as queue:
        await queue.push(bodies(3))
        found = await fetch_all(queue, 3)
        bad = [message for message in found if message.body != b"message 000001"]
        await queue.acknowledge([message for message in found if message not in bad])
        await queue.bury(bad, "not a UUID")
        dead = await rig.dead()
        assert sorted(body for body, _ in dead) == [b"message 000000", b"message 000002"]
        assert all("not a UUID" in why for _, why in dead)
        assert await queue.fetch(10, VISIBILITY + _NONE) == []


async def test_two_consumers_share_the_messages(rig: Rig) -> None:
    """None is given to both."""
    count = min(200, rig.many)
    async with rig.opened() as queue:
        await queue.push(bodies(count))
    found: list[bytes] = []

    async def consume() -> None:
        async with rig.opened() as queue:
            while len(found) < count:
                messages = await queue.fetch(9, 0.1)
                await queue.acknowledge(messages)
                found.extend(message.body for message in messages)

    with anyio.fail_after(LONGEST):
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(consume)
    assert sorted(found) == bodies(count)


async def test_the_depth_tells_what_is_there(rig: Rig) -> None:
    """Where a server does not tell it, it is None and not 0."""

    async def is_(*expected: int) -> None:
        told = None
        with anyio.move_on_after(LONGEST):
            while told is None or not _agrees(told, Depth(*expected)):
                told = await queue.depth()
        assert told is not None
        assert _agrees(told, Depth(*expected)), told

    async with rig.opened() as queue:
        await is_(0, 0, 0)
        await queue.push(bodies(5))
        await is_(5, 0, 0)
        found = await fetch_all(queue, 3, limit=3)
        await is_(2, 3, 0)
        await queue.bury(found[:1], "broken")
        await queue.acknowledge(found[1:])
        await is_(2, 0, 1)


def _agrees(told: Depth, expected: Depth) -> bool:
    pairs = [
        (told.waiting, expected.waiting),
        (told.in_flight, expected.in_flight),
        (told.dead, expected.dead),
    ]
    return all(one is None or one == other for one, other in pairs)


async def test_many_messages_in_one_push(rig: Rig) -> None:
    """More than any server takes at once; another consumer finds them all."""
    async with rig.opened() as queue:
        await queue.push(bodies(rig.many))
    async with rig.opened() as queue:
        found = await fetch_all(queue, rig.many, limit=1_000)
        assert {message.body for message in found} == set(bodies(rig.many))
        await queue.acknowledge(found)


async def test_the_name_is_the_same_for_all(rig: Rig) -> None:
    """It names a run's source, so it may not differ between two that use the same queue."""
    async with rig.opened() as queue, rig.opened() as other:
        assert queue.name == other.name
        assert "visibility" not in queue.name
