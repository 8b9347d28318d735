"""A stand-in for SQS: moto's HTTP server, a process of the tests' own, with queues that are fresh."""

import atexit
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session  # type: ignore[import-untyped]  # it has no types

from closeout.worker.queues.sqs import REASON
from tests.queues.support import LONGEST, VISIBILITY, Rig

REGION = "us-east-1"
_VISIBILITY = 4 * VISIBILITY  # it is slow, where others are busy, too
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_EC2_METADATA_DISABLED": "true"}


@cache
def endpoint() -> str:
    """Where it listens; started by the first who asks, and ended with the tests."""
    os.environ.update(CREDENTIALS)
    with tempfile.TemporaryFile("w+") as log:  # no pipe: it says a line for each request, which nobody would read
        process = subprocess.Popen([sys.executable, "-m", "tests.queues.moto_server"], stdout=log, stderr=log)
        atexit.register(process.kill)
        ends = time.monotonic() + LONGEST
        while time.monotonic() < ends:
            log.seek(0)
            if found := re.search(r"http://127\.0\.0\.1:\d+", log.read()):
                return found[0]
            time.sleep(0.05)
    raise AssertionError("moto's server did not start")


@asynccontextmanager
async def client() -> AsyncIterator[Any]:
    """A client of the tests' own."""
    async with get_session().create_client("sqs", region_name=REGION, endpoint_url=endpoint()) as made:
        yield made


def address(name: str, **options: object) -> str:
    """The queue of that name."""
    more = "".join(f"&{key}={value}" for key, value in options.items())
    return f"sqs://{REGION}/{name}?endpoint={endpoint()}{more}"


async def make(name: str, **attributes: str) -> str:
    """Make a queue, and return its URL; FIFO if its name says so."""
    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    async with client() as mine:
        made = await mine.create_queue(QueueName=name, Attributes={**fifo, **attributes})
        return str(made["QueueUrl"])


async def dead_letters(url: str) -> list[tuple[bytes, str]]:
    """What lies in a dead-letter queue, each with its reason."""
    found: list[tuple[bytes, str]] = []
    async with client() as mine:
        while True:
            answer = await mine.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
            messages = answer.get("Messages", [])
            if not messages:
                return found
            for one in messages:
                reason = one.get("MessageAttributes", {}).get(REASON, {}).get("StringValue", "")
                found.append((one["Body"].encode(), reason))
                await mine.change_message_visibility(
                    QueueUrl=url, ReceiptHandle=one["ReceiptHandle"], VisibilityTimeout=600
                )


def fresh_name(suffix: str = "") -> str:
    """A name that nobody else uses."""
    return f"closeout-test-{secrets.token_hex(6)}{suffix}"


@asynccontextmanager
async def sqs(_: Path) -> AsyncIterator[Rig]:
    """See ``IMPLEMENTATIONS``."""
    name = fresh_name()
    dead = await make(f"{name}-dead")
    await make(name)
    yield Rig(address(name, visibility=f"{_VISIBILITY}s"), lambda: dead_letters(dead), many=60)
