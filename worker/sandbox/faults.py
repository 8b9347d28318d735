"""What goes wrong on purpose: the names of the faults, and drawing one for a request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from closeout.worker.sandbox.draws import draw

FaultShape = Literal["none", "status", "html", "reset", "hang", "truncated", "not_json", "drift", "slow"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to answer badly.

    ``takes_effect`` says whether a close is carried out all the same (None: ``hang_after`` of the configuration
    decides). ``status`` is the HTTP status where the shape has one.
    """

    shape: FaultShape
    takes_effect: bool | None
    status: int = 200


_NAMED = {
    "ok": Fault("none", takes_effect=True),
    "reset_before": Fault("reset", takes_effect=False),
    "reset_after": Fault("reset", takes_effect=True),
    "hang": Fault("hang", takes_effect=None),
    "hang_before": Fault("hang", takes_effect=False),
    "hang_after": Fault("hang", takes_effect=True),
    "truncated": Fault("truncated", takes_effect=True),
    "not_json": Fault("not_json", takes_effect=True),
    "not_json_before": Fault("html", takes_effect=False),
    "drift": Fault("drift", takes_effect=True),
    "slow": Fault("slow", takes_effect=True),
}
# For people who choose one; a name with a status stands for all of its kind.
FAULT_NAMES = {
    "503": "a JSON error, any 4xx or 5xx; the close is not carried out",
    "503_after": "the same, the close is carried out before it",
    "html_502": "an HTML error page, any 4xx or 5xx; not carried out",
    "html_502_after": "the same, the close is carried out before it",
    "reset_before": "the connection is cut, the close is not carried out",
    "reset_after": "carried out, then the connection is cut without an answer",
    "hang_before": "no answer ever comes, the close is not carried out",
    "hang_after": "carried out, and no answer ever comes",
    "hang": "as hang_after",
    "truncated": "carried out, the answer breaks off",
    "not_json": "carried out, the answer is no JSON",
    "not_json_before": "an HTML page with status 200; not carried out",
    "drift": "carried out, the answer holds what no release documents",
    "slow": "carried out, the answer takes its time",
    "ok": "no fault",
}
_STATUS_NAME = re.compile(r"(status_|html_)?([45]\d\d)(_after)?")


def parse_fault(name: str) -> Fault:
    """Turn a fault's name into what it does. Raises ValueError for an unknown name.

    Besides the fixed names there are ``500`` (or ``status_500``, any 4xx or 5xx: a JSON error, no effect),
    ``html_502`` (an HTML error page), and either with ``_after`` (the close is carried out, then the error is sent).
    """
    if name in _NAMED:
        return _NAMED[name]
    match = _STATUS_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"unknown fault {name!r}")
    shape: FaultShape = "html" if match[1] == "html_" else "status"
    return Fault(shape, takes_effect=match[3] is not None, status=int(match[2]))


def check_shares(shares: Mapping[str, float]) -> None:
    """Raise ValueError unless each name is known and the shares are probabilities that sum to at most 1."""
    for name, share in shares.items():
        parse_fault(name)
        if not 0 <= share <= 1:
            raise ValueError(f"the share of fault {name!r} must lie between 0 and 1, not {share}")
    if sum(shares.values()) > 1 + 1e-9:
        raise ValueError("the shares of the faults sum to more than 1")


def draw_fault(seed: int, kind: str, key: str, nth: int, shares: Mapping[str, float]) -> str | None:
    """Draw the fault of the ``nth`` request of one kind for one session (or one query), or None."""
    position = draw(seed, "fault", kind, key, nth)[0]
    for name, share in shares.items():
        position -= share
        if position < 0:
            return name
    return None
