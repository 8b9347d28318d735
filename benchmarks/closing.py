"""Closes a second from end to end, and the CPU that the engine and the ledger take beside the HTTP client."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import median

from benchmarks.clients import CLIENTS, Cost, measure_client
from benchmarks.figures import Figure, Peer, Target
from benchmarks.inside import PARTS
from benchmarks.processes import CLOSEOUT, Usage, run, run_module
from benchmarks.server import Server, running_server
from benchmarks.sources import write_ids

SESSIONS = 20_000
ROUNDS = 3
_FEWER = {"httpx": 1_000, "httpx over aiohttp": 10_000}  # the slow ones


class Rounds:
    """What was measured, by round: everything once a round, so that noise meets all alike."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._folder = folder
        self._server = server
        self._source = write_ids(folder / "sessions.csv", SESSIONS)
        self._single = write_ids(folder / "single.csv", 1)
        self.closes: list[Usage] = []
        self.starts: list[Usage] = []
        self.server_cpu: list[float] = []
        self.clients: defaultdict[str, list[Cost]] = defaultdict(list)
        self.parts: list[dict[str, float]] = []

    def once(self) -> None:
        """One round."""
        for name in CLIENTS:
            cost = measure_client(name, self._server.url, _FEWER.get(name, SESSIONS), self._folder)
            self.clients[name].append(cost)
        self.starts.append(self._close(self._single))
        before = self._server.stats()["cpu"]
        self.closes.append(self._close(self._source))
        self.server_cpu.append((self._server.stats()["cpu"] - before) / SESSIONS * 1e6)
        self.parts.append(run_module("inside", self._work_folder(), *self._arguments(self._source)))

    def _close(self, source: Path) -> Usage:
        usage, output = run(
            [*CLOSEOUT, *self._arguments(source)], self._work_folder(), accepted=(0, 4)
        )  # 4: nothing was settled
        summary = json.loads(output)
        if summary["outcomes"]["closed"] != summary["rows_read"]:
            raise RuntimeError(f"not all were closed: {output}")
        return usage

    def _arguments(self, source: Path) -> list[str]:
        (self._work_folder() / "closeout.db").unlink(missing_ok=True)
        settings = ["--base-url", self._server.url, "--no-settle", "--rate", "100000/s"]
        return ["close", str(source), "--new-run", "--json", "--no-progress", *settings]

    def _work_folder(self) -> Path:
        folder = self._folder / "closing"
        folder.mkdir(exist_ok=True)
        return folder


def measure(folder: Path) -> list[Figure]:
    """Closes/s, the cost of clients, and what closeout adds to its client's."""
    with running_server(folder) as server:
        rounds = Rounds(folder, server)
        for _ in range(ROUNDS):
            rounds.once()
    return [*_closes(rounds), *_clients(rounds), *_engine(rounds)]


def _closes(rounds: Rounds) -> list[Figure]:
    whole = [SESSIONS / close.seconds for close in rounds.closes]
    steady = [
        (SESSIONS - 1) / (close.seconds - start.seconds)
        for close, start in zip(rounds.closes, rounds.starts, strict=True)
    ]
    client = Peer("its client alone", median(cost.rate for cost in rounds.clients["closeout"]))
    return [
        Figure("closes, whole process", "closes/s", whole, Target("at least", 1500), client),
        Figure("closes, without start-up", "closes/s", steady, None, client),
        Figure("the server's capacity", "requests/s", [1e6 / cpu for cpu in rounds.server_cpu]),
    ]


def _clients(rounds: Rounds) -> list[Figure]:
    figures = []
    rate, cpu = (
        {name: median(getattr(cost, what) for cost in costs) for name, costs in rounds.clients.items()}
        for what in ("rate", "cpu")
    )
    for name, costs in rounds.clients.items():
        shown = "closeout's client" if name == "closeout" else f"bare {name}"
        rate_peer = Peer("aiohttp", rate["aiohttp"]) if name != "aiohttp" else None
        cpu_peer = Peer("aiohttp", cpu["aiohttp"]) if name != "aiohttp" else None
        figures.append(Figure(f"{shown}, rate", "requests/s", [cost.rate for cost in costs], None, rate_peer))
        figures.append(Figure(f"{shown}, CPU", "us/request", [cost.cpu for cost in costs], None, cpu_peer))
    return figures


def _engine(rounds: Rounds) -> list[Figure]:
    client = [cost.cpu for cost in rounds.clients["closeout"]]
    total = [
        (close.cpu - start.cpu) / (SESSIONS - 1) * 1e6
        for close, start in zip(rounds.closes, rounds.starts, strict=True)
    ]
    added = [whole - alone for whole, alone in zip(total, client, strict=True)]
    aside = (*PARTS, "other threads")
    threads = [{part: parts[part] / SESSIONS * 1e6 for part in aside} for parts in rounds.parts]
    rest = [whole - sum(parts.values()) for whole, parts in zip(added, threads, strict=True)]
    peer = Peer("its client alone", median(client))
    return [
        Figure("CPU of a close", "us/session", total, None, peer),
        Figure("CPU of engine and ledger", "us/session", added, Target("at most", 150), peer),
        *(Figure(f"  of it {part}", "us/session", [parts[part] for parts in threads]) for part in aside),
        Figure("  of it main loop (the rest)", "us/session", rest),
    ]
