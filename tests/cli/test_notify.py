"""Telling the outside: what cannot be told costs a line and a moment, and never the night."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from closeout.jobs.definitions.job import Job
from closeout.jobs.runner import notify
from closeout.worker.config.network import Network, Place
from tests.front_door.servers import serving


async def _never(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(3_600)
    raise AssertionError


async def _trickle(request: web.BaseRequest) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b".")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("listen", [_never, _trickle])
def test_nobody_waits_longer_for_an_answer_than_is_said(
    listen: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither for one that never comes nor for one that never ends; it is told without the address."""
    monkeypatch.setattr(notify, "_SECONDS", 0.2)
    with serving(listen) as there:
        job = Job.model_validate({"name": "night", "select": {"idle_for": "24h"}, "ping": f"{there}/s3cret"})
        asyncio.run(notify.tell_failure(job, Network()))
    said = capsys.readouterr().err
    assert said == "closeout: job night: its ping could not be sent (no answer in 0.2 s)\n"


def test_a_certificate_that_is_gone_by_now_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """It was there as the command began."""
    job = Job.model_validate({"name": "night", "select": {"idle_for": "24h"}, "ping": "https://127.0.0.1:9/s3cret"})
    asyncio.run(notify.tell_failure(job, Network(ca=Place("gone.pem", "--cacert"))))
    assert capsys.readouterr().err == "closeout: job night: its ping could not be sent (ConfigurationError)\n"
