"""What a look at the API, the clock and the ledger says of a set-up, and what to do about it. Pure.

A finding is ``ok``, a ``warning`` (runs work, but not as they should) or a ``problem`` (they do not).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from closeout.worker.domain.exchange import Answer
from closeout.worker.pace.budget import Budget, BudgetKey
from closeout.worker.support.clock import Millis
from closeout.worker.support.units import format_duration, format_rate

Level = Literal["ok", "warning", "problem"]
_SKEW: Millis = 5_000  # beyond that our clock misleads people; verdicts go by the server's
_SCARCE = 1 << 30  # bytes
_PER_SESSION = 700  # bytes of ledger for each session with its exchanges, measured
_RECENT = 300.0  # seconds in which a cut of the rate is worth telling


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, what was found, and where it is not ``ok`` what to do."""

    what: str
    level: Level
    told: str
    todo: str = ""


_TROUBLE: dict[int, tuple[Level, str, str]] = {
    401: ("problem", "refuses the key (401)", "get a new key, or check which one is set"),
    429: ("warning", "throttles (429)", "something else uses the limit: try again later"),
}


def of_host(answer: Answer, base_url: str) -> Finding:
    """The answer to whoami: is this the API, and does it know the key?"""
    status = answer.http_status
    if status is None:
        told = f"{base_url} gives no answer: {answer.cause or answer.exchange.error}"
        return Finding("host", "problem", told, "check --base-url, the network and the firewall")
    if status >= 500:
        told = f"{base_url} answers {answer.trouble if answer.foreign else status}"
        todo = "the API, or what stands before it, is in trouble: try again later"
        return Finding("host", "problem", told, f"{todo}; check --base-url" if answer.foreign else todo)
    if status in (200, 403) and answer.from_api:
        knows = "knows the key" if status == 200 else "does not tell this key whose it is"
        knows += f", which is of organisation {answer.organisation}" if answer.organisation is not None else ""
        return Finding("host", "ok", f"{base_url} answers in {answer.exchange.ms} ms and {knows}")
    if status in _TROUBLE and (answer.from_api or status == 429):
        level, told, todo = _TROUBLE[status]
        return Finding("host", level, f"{base_url} {told}", todo)
    check = "check --base-url, --api and the key" if status in (401, 403) else "check --base-url and --api"
    told = f"{base_url} does not speak the API: it answers {answer.answered}"
    return Finding("host", "problem", told, check)


@dataclass(frozen=True, slots=True)
class Holder:
    """A profile (None: no profile), the budget that its runs draw from, and the organisation that its key is of."""

    profile: str | None
    budget: BudgetKey
    organisation: str | None


def of_sharing(one: Holder, all_of_them: Sequence[Holder]) -> Finding | None:
    """Whether profiles share a budget just where they share an organisation, as the limit is an organisation's."""
    known = [
        each
        for each in all_of_them
        if each.profile != one.profile and None not in (each.organisation, one.organisation)
    ]
    for other in known:
        name = f"profile {other.profile}" if other.profile is not None else "what has no profile"
        if other.budget == one.budget and other.organisation != one.organisation:
            told = f"its key is of another organisation than that of {name}, but both draw from one budget"
            return Finding("budget", "warning", told, 'give each profile its own organisation = "…"')
        if other.budget != one.budget and other.organisation == one.organisation:
            told = f"its key is of the same organisation as that of {name}, but each has a budget of its own"
            return Finding("budget", "warning", told, "give both the same host and organisation: their shares add up")
    return None


def of_reading(answer: Answer) -> Finding:
    """The answer to one page of the listing."""
    if answer.api_status == 200:
        return Finding("may read", "ok", "the key may list sessions")
    if answer.api_status == 403:
        todo = "give it the scope conversations:read; without it there is no --protect, no settling and no sweep"
        return Finding("may read", "problem", "the key may not list sessions (403)", todo)
    told = f"a list of sessions is answered with {_answered(answer)}"
    return Finding("may read", "problem", told, "check --base-url and --api")


def of_closing(answer: Answer) -> Finding:
    """The answer to the close of a session that cannot exist: 404 from a key that may close."""
    if answer.api_status in (404, 422):
        return Finding("may close", "ok", "the key may close sessions")
    if answer.api_status == 403:
        todo = "give it the scope conversations:write (later conversations:manage)"
        return Finding("may close", "problem", "the key may not close sessions (403)", todo)
    told = f"the close of a session that does not exist is answered with {_answered(answer)}"
    return Finding("may close", "warning", told, "check --base-url and --api")


def _answered(answer: Answer) -> str:
    if answer.foreign:
        return answer.trouble
    return str(answer.http_status) if answer.http_status is not None else answer.trouble


def of_clock(answer: Answer) -> Finding:
    """The Date header against our clock; it is cut to a second."""
    date = answer.server_time
    if date is None:
        todo = "sweeps need it, as ages go by the API's clock; ask whoever runs the proxy between"
        return Finding("clock", "warning", "the API does not tell its time (no Date header)", todo)
    ours = answer.exchange.at + answer.exchange.ms
    skew = ours - date - 1_000 if ours > date + 1_000 else min(0, ours - date)
    if abs(skew) <= _SKEW:
        return Finding("clock", "ok", "this machine's clock agrees with the API's")
    way = "ahead of" if skew > 0 else "behind"
    told = f"this machine's clock is {format_duration(abs(skew) / 1000)} {way} the API's"
    return Finding("clock", "warning", told, "set it (NTP): quiet hours, schedules and what is shown go by it")


def of_disk(free: int, folder: str) -> Finding:
    """``free`` in bytes."""
    room = f"{free / 1e9:,.1f} GB free in {folder}, room for about {free // _PER_SESSION:,} sessions"
    if free >= _SCARCE:
        return Finding("disk", "ok", room)
    return Finding("disk", "warning", room, "make room: a run stops when its ledger cannot grow")


def of_budget(budget: Budget, now: float, allowed: float, at_work: list[str]) -> Finding:
    """What is left of the pace by what other runs and the API did; ``now`` in seconds, on the budget's clock."""
    trouble = _held(budget, allowed) or _waiting(budget, now)
    if trouble is not None:
        return Finding("pace", "warning", *trouble)
    others = f"shared with what is running now: {', '.join(at_work)}" if at_work else "and nothing else is running here"
    return Finding("pace", "ok", f"{format_rate(allowed)} at most, {others}")


def _held(budget: Budget, allowed: float) -> tuple[str, str] | None:
    """What a person said to a run holds for all that draw from the budget."""
    if budget.paused:
        held = "everything is paused"
    elif budget.set_rate is not None and budget.set_rate < allowed:
        held = f"everything is held at {format_rate(budget.set_rate)}"
    else:
        return None
    return f"{held} by a word to run {budget.set_by}", f"`closeout go {budget.set_by}` takes that back"


def _waiting(budget: Budget, now: float) -> tuple[str, str] | None:
    if budget.down_since is not None:
        return "the API gave no answer to the last request", "runs continue by themselves once it does"
    if budget.held_until > now:
        told = f"the API asked everybody to wait {format_duration(budget.held_until - now)} more"
        return told, "runs wait for that by themselves"
    if budget.law.met and now - budget.law.since < _RECENT:
        told = f"a 429 at {format_rate(budget.law.met)} cut the rate {format_duration(now - budget.law.since)} ago"
        return told, "closeout looks for room again by itself; a lower --share leaves others more"
    return None
