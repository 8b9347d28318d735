"""What is SQS' own: FIFO, time that is made longer, requests that fail in part, and what it says when it refuses."""

import json
from collections.abc import Sequence
from typing import Any

import anyio.lowlevel
import pytest
from botocore.exceptions import (  # type: ignore[import-untyped]  # it has no types
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
)
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.queues.address import parse_address
from closeout.worker.queues.open import open_queue
from closeout.worker.queues.sqs_batches import MOST, NOT_HELD, Entry, batches, send_all
from closeout.worker.queues.sqs_client import in_words
from closeout.worker.support.errors import ConfigurationError, QueueError, QueueUnreachableError
from tests.queues.moto_sqs import address, dead_letters, fresh_name, make
from tests.queues.support import bodies, fetch_all

pytestmark = pytest.mark.anyio


async def test_a_fifo_queue_holds_up_no_session_for_another() -> None:
    """Each is a group of its own; pushed twice at once it is there once. Its dead letters are FIFO, too."""
    name = fresh_name(".fifo")
    dead = await make(name.replace(".fifo", "-dead.fifo"))
    await make(name)
    async with open_queue(address(name)) as queue:
        await queue.push([*bodies(12), *bodies(2)])
        found = await fetch_all(queue, 6, limit=6)
        more = await fetch_all(queue, 6, limit=6)
        assert sorted(message.body for message in found + more) == bodies(12)
        await queue.bury(found[:1], "no UUID")
        await queue.acknowledge(found[1:] + more)
        assert await queue.fetch(10, 0) == []
    assert await dead_letters(dead) == [(found[0].body, "no UUID")]


async def test_what_is_held_stays_ours_and_what_is_left_is_free_at_once() -> None:
    """For longer than its visibility; whoever leaves makes nobody wait for the rest of that."""
    name = fresh_name()
    await make(name)
    async with open_queue(address(name)) as other:
        async with open_queue(address(name, visibility="1s")) as queue:
            await queue.push(bodies(1))
            await fetch_all(queue, 1)
            assert await other.fetch(10, 2.2) == []
        async with open_queue(address(name, visibility="100s")) as queue:
            await fetch_all(queue, 1)
        assert len(await fetch_all(other, 1)) == 1


async def test_dead_letters_go_where_the_queue_itself_sends_them() -> None:
    """To the target of its redrive policy, else to the one that is named, or bears its name."""
    one, another = fresh_name(), fresh_name()
    url = await make(one)
    arn = f"arn:aws:sqs:us-east-1:123456789012:{one}"
    await make(another, RedrivePolicy=json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5}))
    async with open_queue(address(another)) as queue:
        await queue.push(bodies(1))
        await queue.bury(await fetch_all(queue, 1), "no UUID")
        assert (await queue.depth()).dead == 1
    assert await dead_letters(url) == [(bodies(1)[0], "no UUID")]


async def test_without_a_place_for_dead_letters_they_are_deleted(caplog: pytest.LogCaptureFixture) -> None:
    """Which is said when the queue is opened; they block nothing."""
    name = fresh_name()
    await make(name)
    async with open_queue(address(name)) as queue:
        await queue.push(bodies(1))
        await queue.bury(await fetch_all(queue, 1), "no UUID")
        depth = await queue.depth()
    assert (depth.waiting, depth.in_flight, depth.dead) == (0, 0, None)
    assert "there is no dead-letter queue" in caplog.text


async def test_what_is_no_text_is_refused_and_a_missing_queue_is_not_made() -> None:
    """One line each."""
    name = fresh_name()
    with pytest.raises(QueueError, match="there is no such queue, and none is made"):
        async with open_queue(address(name)):
            pass
    await make(name)
    async with open_queue(address(name)) as queue:
        with pytest.raises(QueueError, match="SQS carries text alone"):
            await queue.push([b"\xff"])


@given(st.lists(st.integers(0, 300_000), max_size=60))
def test_a_request_holds_no_more_than_sqs_takes(sizes: list[int]) -> None:
    """Every entry is in one group, in its order; a group has ten at most, and no more bytes unless it is one alone."""
    groups = list(batches([{"MessageBody": "x" * size} for size in sizes]))
    assert [len(entry["MessageBody"]) for group in groups for entry in group] == sizes
    for group in groups:
        assert [entry["Id"] for entry in group] == [str(number) for number in range(len(group))]
        assert 1 <= len(group) <= MOST
        assert len(group) == 1 or sum(len(entry["MessageBody"]) for entry in group) <= 256 * 1024


class Flaky:
    """A server of requests that fail in part: ``faults`` says for each body which codes it gets first."""

    def __init__(self, faults: dict[str, list[tuple[str, bool]]]) -> None:
        self.faults = faults
        self.taken: list[str] = []

    async def send(self, entries: Sequence[Entry]) -> Any:
        await anyio.lowlevel.checkpoint()
        failed = []
        for entry in entries:
            left = self.faults.get(entry["MessageBody"])
            if left:
                code, ours = left.pop(0)
                failed.append({"Id": entry["Id"], "Code": code, "SenderFault": ours})
            else:
                self.taken.append(entry["MessageBody"])
        return {"Failed": failed} if failed else {}


def entries(count: int) -> list[Entry]:
    """So many bodies, in requests of ten."""
    return [{"MessageBody": str(number)} for number in range(count)]


async def test_what_failed_by_no_fault_of_ours_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else is."""
    monkeypatch.setattr("closeout.worker.queues.sqs_batches._PAUSE", 0)
    server = Flaky({"3": [("InternalError", False)] * 2, "17": [("InternalError", False)]})
    await send_all("sqs://x", server.send, entries(25))
    assert sorted(server.taken, key=int) == [str(number) for number in range(25)]


async def test_what_goes_on_failing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SQS is to blame trying later makes sense, where the message is it does not; what is gone is passed over."""
    monkeypatch.setattr("closeout.worker.queues.sqs_batches._PAUSE", 0)
    with pytest.raises(QueueUnreachableError, match=r"does not take 1 messages now \(InternalError\)"):
        await send_all("sqs://x", Flaky({"3": [("InternalError", False)] * 9}).send, entries(5))
    with pytest.raises(QueueError, match=r"refused a message \(InvalidMessageContents\)"):
        await send_all("sqs://x", Flaky({"3": [("InvalidMessageContents", True)]}).send, entries(5))
    with pytest.raises(QueueError, match=r"refused a message \(InvalidParameterValue\)"):
        await send_all("sqs://x", Flaky({"3": [("InvalidParameterValue", True)]}).send, entries(5))
    gone = Flaky(
        {"3": [("AWS.SimpleQueueService.ReceiptHandleIsInvalid", True)], "4": [("InvalidParameterValue", True)]}
    )
    await send_all("sqs://x", gone.send, entries(5), NOT_HELD)
    assert sorted(gone.taken) == ["0", "1", "2"]


def refused(code: str, status: int = 400) -> ClientError:
    """An answer of AWS, whose text might hold anything."""
    answer = {"Error": {"Code": code, "Message": "s3cret"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "ReceiveMessage")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (refused("InvalidClientTokenId", 403), QueueError, "AWS refused the credentials, or they lack a permission"),
        (refused("com.amazonaws.sqs#AccessDenied", 403), QueueError, r"lack a permission \(AccessDenied\)"),
        (refused("AWS.SimpleQueueService.NonExistentQueue"), QueueError, "there is no such queue"),
        (refused("RequestThrottled"), QueueUnreachableError, "takes no requests now"),
        (refused("Odd", 503), QueueUnreachableError, "takes no requests now"),
        (refused("Odd"), QueueError, r"refused the request \(Odd\)"),
        (NoCredentialsError(), QueueError, "no AWS credentials were found"),
        (NoRegionError(), QueueError, "name the region"),
        (EndpointConnectionError(endpoint_url="https://s3cret"), QueueUnreachableError, "cannot be reached"),
        (ReadTimeoutError(endpoint_url="https://s3cret"), QueueUnreachableError, "cannot be reached"),
    ],
)
def test_each_refusal_is_one_line_that_says_what_to_do(error: Exception, kind: type[QueueError], said: str) -> None:
    """Of what AWS answers only the code is told."""
    told = in_words(error, parse_address("sqs://eu-central-1/sessions"))
    assert type(told) is kind
    with pytest.raises(kind, match=said):
        raise told
    assert "s3cret" not in str(told)
    assert str(told).startswith("sqs://eu-central-1/sessions: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sqs://eu-central-1", "write it like sqs://REGION/NAME"),
        ("sqs://eu-central-1/1/2/3", "write it like sqs://REGION/NAME"),
        ("sqs://eu-central-1/x?wait=3s", "no option 'wait' here"),
        ("sqs://eu-central-1/x?endpoint=http://me:s3cret@host", "invalid endpoint"),
        ("sqs://eu-central-1/x?endpoint=ftp://host", "invalid endpoint"),
    ],
)
async def test_an_address_that_says_nothing_of_use_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        async with open_queue(text):
            pass
    assert "s3cret" not in str(caught.value)
