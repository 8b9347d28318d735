"""The HTTP server beside a run: ``/healthz``, ``/readyz`` and ``/metrics``. Whatever goes wrong here ends here."""

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import anyio
from aiohttp import web

from closeout.worker.monitoring.listen import NO_METRICS
from closeout.worker.monitoring.samples import Sample
from closeout.worker.support.log import get_logger

_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_FAREWELL = 1.0  # seconds for answers under way when the process ends


class Watched(Protocol):
    """What is told about."""

    async def reasons(self) -> Mapping[str, str]:
        """Why it is not ready; empty when it is."""
        ...

    async def samples(self) -> Sequence[Sample]:
        """Its metrics."""
        ...


async def serve_operations(listener: socket.socket, watched: Watched) -> None:
    """Answer on a socket that listens, until cancelled."""
    runner = web.AppRunner(_application(watched), access_log=None, handle_signals=False)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_FAREWELL):
            await runner.cleanup()


def _application(watched: Watched) -> web.Application:
    application = web.Application(middlewares=[_guarded])
    application.router.add_get("/healthz", _healthz)
    application.router.add_get("/readyz", _readyz(watched))
    application.router.add_get("/metrics", _metrics(watched))
    return application


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """A mistake here is a line in the log and an answer, and no trace on the terminal."""
    try:
        response = await handler(request)
    except web.HTTPException as refusal:  # an unknown path, another method
        response = web.json_response({"error": refusal.reason}, status=refusal.status)
    except Exception as error:
        get_logger().warning("not answered", path=request.path, error=type(error).__name__)
        response = web.json_response({"error": "internal error"}, status=500)
    response.headers.update(_HEADERS)
    return response


async def _healthz(_: web.Request) -> web.StreamResponse:
    """That this is answered says it all: the process lives, and its event loop turns."""
    return web.json_response({"alive": True})


def _readyz(watched: Watched) -> _Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        reasons = await watched.reasons()
        return web.json_response({"ready": not reasons, "reasons": dict(reasons)}, status=503 if reasons else 200)

    return answer


def _metrics(watched: Watched) -> _Handler:
    try:
        from closeout.worker.monitoring.prometheus import Exposition  # noqa: PLC0415  # prometheus-client is an extra
    except ModuleNotFoundError:
        return _no_metrics
    exposition = Exposition()

    async def answer(request: web.Request) -> web.StreamResponse:
        text, content_type = exposition.write(await watched.samples(), request.headers.get("accept", ""))
        return web.Response(body=text, headers={"content-type": content_type})

    return answer


async def _no_metrics(_: web.Request) -> web.StreamResponse:
    return web.Response(status=501, text=f"{NO_METRICS}\n")
