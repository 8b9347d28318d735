"""A measured figure, and how figures are printed."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: ``at least`` or ``at most`` a value, in the figure's unit."""

    sense: Literal["at least", "at most"]
    value: float

    def met(self, value: float) -> bool:
        return value >= self.value if self.sense == "at least" else value <= self.value

    def __str__(self) -> str:
        return f"{'>=' if self.sense == 'at least' else '<='} {shown(self.value)}"


@dataclass(frozen=True, slots=True)
class Peer:
    """The same measured of something else, in the same run and unit."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Figure:
    """The runs of one measurement; its value is their median."""

    name: str
    unit: str
    runs: Sequence[float]
    target: Target | None = None
    peer: Peer | None = None

    @property
    def value(self) -> float:
        return median(self.runs)

    @property
    def ratio(self) -> float | None:
        """How many times the peer's value this one is."""
        return self.value / self.peer.value if self.peer is not None and self.peer.value else None

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "unit": self.unit,
            "value": self.value,
            "runs": list(self.runs),
            "target": str(self.target) if self.target else None,
            "met": self.target.met(self.value) if self.target else None,
            "peer": self.peer.name if self.peer else None,
            "peer_value": self.peer.value if self.peer else None,
            "ratio": self.ratio,
        }


HEADER = ("figure", "measured", "unit", "runs", "target", "met", "peer", "ratio")


def cells(figure: Figure) -> tuple[str, ...]:
    """A figure as one row of the table."""
    spread = f"{shown(min(figure.runs))} to {shown(max(figure.runs))}" if len(figure.runs) > 1 else ""
    met = {True: "yes", False: "NO", None: ""}[figure.target.met(figure.value) if figure.target else None]
    peer = f"{figure.peer.name}: {shown(figure.peer.value)}" if figure.peer else ""
    ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
    return figure.name, shown(figure.value), figure.unit, spread, str(figure.target or ""), met, peer, ratio


def table(figures: Sequence[Figure]) -> str:
    """All figures, one a line, in columns."""
    rows = [HEADER, *map(cells, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def shown(value: float) -> str:
    """Three significant digits or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
