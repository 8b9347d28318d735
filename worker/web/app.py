"""The live page: runs, one run as it goes on, one session in all runs, and a person's word to a run."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from aiohttp import web

from closeout.worker.domain.run import Run
from closeout.worker.engine.control import steer
from closeout.worker.engine.inspect import as_it_is, find_anywhere
from closeout.worker.ledger.open import shown_address
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.pace.budget import Word
from closeout.worker.report.html import html_report
from closeout.worker.report.rendering import asset
from closeout.worker.report.run_report import read_run_report
from closeout.worker.support.clock import now_ms
from closeout.worker.support.errors import CloseoutError, ConfigurationError, LedgerError, RunNotFoundError
from closeout.worker.support.units import parse_rate
from closeout.worker.web import pages
from closeout.worker.web.access import HEADERS, LOOPBACK, control_refusal, reading_refusal
from closeout.worker.web.ledger_handle import OpenedLedger
from closeout.worker.web.run_feed import Following, RunList
from closeout.worker.web.updates import Refresh, Watch

_ASSETS = {"page.css": "text/css", "page.js": "text/javascript", "live.css": "text/css", "live.js": "text/javascript"}
_MOST_FOUND = 100
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Site:
    """Answers requests. ``token`` is what a request must have to steer a run; None: nobody may."""

    address: str
    token: str | None = None
    port: int = 0
    opened: OpenedLedger = field(init=False)
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.opened = OpenedLedger(self.address)
        self.watch = Watch(self.opened, pages.trouble)

    def application(self) -> web.Application:
        """The routes, each behind the same guard."""
        made = web.Application(middlewares=[self._guarded], client_max_size=4_096)
        made.add_routes(
            [
                web.get("/", self._home),
                web.get("/events", self._home_events),
                web.get("/search", self._search),
                web.get("/runs/{run}", self._run),
                web.get("/runs/{run}/events", self._run_events),
                web.get("/runs/{run}/report", self._report),
                web.post("/runs/{run}/{word:pause|go|rate}", self._steer),
                web.get("/assets/{name}", _asset),
            ]
        )
        return made

    @web.middleware
    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        refusal = reading_refusal(request.headers, self.port)
        if refusal is not None:
            return _page(pages.message("Not here", refusal), status=403)
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return _page(pages.message("Not found", "there is no such page"), status=404)
        except RunNotFoundError as error:
            return _page(pages.message("Not found", str(error)), status=404)
        except (LedgerError, ConfigurationError) as error:
            return _page(pages.message("No ledger", str(error)), status=503)

    async def _home(self, request: web.Request) -> web.Response:  # noqa: ARG002  # aiohttp's signature
        return _page(pages.home(shown_address(self.address)))

    async def _home_events(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, "", lambda: RunList().markup)

    async def _run(self, request: web.Request) -> web.Response:
        run = await self._named(request)
        return _page(pages.run(run, may_steer=self.token is not None))

    async def _run_events(self, request: web.Request) -> web.StreamResponse:
        run = await self._named(request)

        def refresh() -> Refresh:
            following = Following(run.name)

            async def markup(ledger: Ledger) -> str:
                return pages.live(await following.story(ledger), following.age)

            return markup

        return await self._stream(request, run.name, refresh)

    async def _named(self, request: web.Request) -> Run:
        return await (await self.opened.get()).find_run(request.match_info["run"])

    async def _stream(self, request: web.Request, topic: str, refresh: Callable[[], Refresh]) -> web.StreamResponse:
        """Server-sent events: the markup each time that it is new, and a comment where there is no news."""
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"retry: 2000\n\n")
        try:
            async for markup in self.watch.follow(topic, refresh):
                await response.write(_event(markup))
        except ConnectionError:
            pass  # the watcher has left
        return response

    async def _report(self, request: web.Request) -> web.StreamResponse:
        """The report as ``closeout report`` writes it; it brings its own policy."""
        ledger = await self.opened.get()
        run = await as_it_is(ledger, await ledger.find_run(request.match_info["run"]))
        story = await read_run_report(ledger, run, now_ms())
        headers = {name: value for name, value in HEADERS.items() if name != "Content-Security-Policy"}
        response = web.StreamResponse(headers={**headers, "Content-Type": "text/html; charset=utf-8"})
        await response.prepare(request)
        for piece in html_report(story, now_ms()):
            await response.write(piece.encode())
        return response

    async def _search(self, request: web.Request) -> web.Response:
        text = request.query.get("session", "").strip()[:300]
        found = await find_anywhere(await self.opened.get(), text, _MOST_FOUND) if text else []
        return _page(pages.search(text, found, most=_MOST_FOUND))

    async def _steer(self, request: web.Request) -> web.Response:
        """A person's word. The answer is JSON: what holds now, or why nothing was said."""
        refusal = control_refusal(request.headers, self.token)
        if refusal is not None:
            return _json({"error": refusal}, status=403)
        word = request.match_info["word"]
        try:
            wish = await _word(word, request)
            run = await self._named(request)
            said = await steer(await self.opened.get(), run, wish)
        except (ValueError, KeyError, TypeError) as error:
            return _json({"error": f"rate: {error}"}, status=400)
        except ConfigurationError as error:
            return _json({"error": str(error)}, status=409)
        except CloseoutError as error:
            return _json({"error": str(error)}, status=503)
        return _json({"said": said})


async def _word(name: str, request: web.Request) -> Word | None:
    """What a person says. Raises ValueError, KeyError or TypeError for what is no rate."""
    if name == "rate":
        return Word(rate=parse_rate(str((await request.json())["rate"])))
    return Word(paused=True) if name == "pause" else None


def _page(markup: str, status: int = 200) -> web.Response:
    return web.Response(text=markup, content_type="text/html", charset="utf-8", headers=HEADERS, status=status)


def _json(document: dict[str, str], status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(document), content_type="application/json", headers=HEADERS, status=status)


def _event(markup: str | None) -> bytes:
    if markup is None:
        return b": nothing new\n\n"
    return ("".join(f"data: {line}\n" for line in markup.splitlines()) + "\n").encode()


async def _asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in _ASSETS:
        raise web.HTTPNotFound
    return web.Response(text=asset(name), content_type=_ASSETS[name], charset="utf-8", headers=HEADERS)


@asynccontextmanager
async def serving(site: Site, port: int) -> AsyncIterator[str]:
    """Serve on loopback, at any free port for 0; gives the address. Raises OSError where the port is taken."""
    runner = web.AppRunner(site.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        tcp = web.TCPSite(runner, LOOPBACK, port)
        await tcp.start()
        site.port = runner.addresses[0][1]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(site.watch.run)
            try:
                yield f"http://{LOOPBACK}:{site.port}/"
            finally:
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
            await site.opened.close()
