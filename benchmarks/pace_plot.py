"""Draws the pace against a server that lowers its limit and raises it again: ``python -m benchmarks.pace_plot``.

The curve comes from the simulation that the tests use, so it shows what they hold the pace to.
"""

from collections.abc import Iterable
from pathlib import Path

from closeout.worker.sandbox.ratelimit import make_limiter
from tests.pace.simulation import Outcome, Simulation

PAGE = Path(__file__).parents[1] / "docs" / "pace.svg"
_SECONDS, _TOP = 900.0, 110.0
_LEFT, _WIDTH, _UP, _HEIGHT = 50.0, 820.0, 20.0, 300.0
_STEP = 3.0  # seconds over which accepted requests are counted
_STYLE = """
text { font: 12px sans-serif; fill: #333 } path { fill: none; stroke-width: 1.5 } .axis { stroke: #999 }
.limit { stroke: #888; stroke-dasharray: 5 4 } .allowed { stroke: #1f6fb2 } .accepted { stroke: #2a8f43 }
.refused { stroke: #c0392b } svg { background: #fff }
@media (prefers-color-scheme: dark) { text { fill: #ddd } svg { background: #1b1b1b } }
"""


def limit_at(second: float) -> int:
    """Requests per second that the simulated server gives."""
    return 30 if 120 <= second < 420 else 100


def simulated() -> Outcome:
    """One process that may send 90/s for fifteen minutes, waits told in whole seconds."""
    high, low = make_limiter("bucket", 100, 1, 20), make_limiter("bucket", 30, 1, 10)
    simulation = Simulation(lambda now: low if limit_at(now) == 30 else high, 90.0, told=lambda _, wait: -(-wait // 1))
    return simulation.run(_SECONDS)


def drawn(seen: Outcome) -> str:
    """The picture, as SVG."""
    counted = [0] * int(_SECONDS / _STEP)
    for at in seen.accepted:
        counted[int(at / _STEP)] += 1
    accepted = [((at + 0.5) * _STEP, count / _STEP) for at, count in enumerate(counted)]
    limit = [(at, float(limit_at(at))) for at in (0.0, 119.9, 120.0, 419.9, 420.0, _SECONDS)]
    lines = [
        _path("limit", limit), _path("accepted", accepted), _path("allowed", seen.rates[::5]),
        *(_path("refused", [(at, 0.0), (at, 4.0)]) for at in seen.refused), *_axes(), *_legend(),
    ]  # fmt: skip
    size = f'viewBox="0 0 {_LEFT + _WIDTH + 20:.0f} {_UP + _HEIGHT + 45:.0f}"'
    title = "Requests per second over time, against a limit that falls and rises again"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{title}</title><style>{_STYLE}</style>'
    return "\n".join([head, *lines, "</svg>\n"])


def _path(name: str, points: Iterable[tuple[float, float]]) -> str:
    spots = " ".join(f"{_x(at):.1f},{_y(rate):.1f}" for at, rate in points)
    return f'<path class="{name}" d="M{spots}"/>'


def _x(second: float) -> float:
    return _LEFT + _WIDTH * second / _SECONDS


def _y(rate: float) -> float:
    return _UP + _HEIGHT * (1 - rate / _TOP)


def _axes() -> Iterable[str]:
    yield _path("axis", [(0, _TOP), (0, 0), (_SECONDS, 0)])
    for rate in range(0, 101, 25):
        yield f'<text x="{_LEFT - 8}" y="{_y(rate) + 4:.1f}" text-anchor="end">{rate}/s</text>'
    for minute in range(0, 16, 3):
        yield f'<text x="{_x(minute * 60):.1f}" y="{_UP + _HEIGHT + 18}" text-anchor="middle">{minute} min</text>'


def _legend() -> Iterable[str]:
    names = {"limit": "the server's limit", "allowed": "allowed", "accepted": "accepted", "refused": "429s"}
    for at, (name, words) in enumerate(names.items()):
        x, y = _LEFT + 170 * at, _UP + _HEIGHT + 36
        yield f'<path class="{name}" d="M{x},{y} {x + 24},{y}"/><text x="{x + 30}" y="{y + 4}">{words}</text>'


if __name__ == "__main__":
    PAGE.write_text(drawn(simulated()), encoding="utf-8")
