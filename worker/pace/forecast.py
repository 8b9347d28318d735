"""What a run will take, told before it begins: requests, time, and share of the organisation's limit. No I/O."""

from dataclasses import dataclass
from datetime import tzinfo

from closeout.worker.config.quiet_hours import local_time, next_change, share_at
from closeout.worker.domain.session import PAGE_SIZE
from closeout.worker.pace.allowance import Allowance
from closeout.worker.support.clock import Millis
from closeout.worker.support.units import counted, format_duration, format_rate, format_share

_LOOKS = 2  # at each evaluation, an estimate: not all are final at the first look, nor all pages full of ours
_DAY = 24 * 3600.0
_YEAR = 365 * _DAY
_WALKED: Millis = 28 * 24 * 3_600_000  # whole weeks of quiet hours; beyond them it goes on as in these


@dataclass(frozen=True, slots=True)
class Forecast:
    """``estimated`` tells that the number of sessions is; ``seconds`` and ``finish`` are None where it never ends.

    ``finish`` is None, too, more than a year from now. ``known`` of the sessions were closed by earlier runs.
    """

    sessions: int
    estimated: bool
    requests: int
    seconds: float | None
    finish: Millis | None
    known: int = 0


def estimate_sessions(rows: int, bytes_read: int, bytes_total: int) -> int:
    """How many rows a file has of which ``rows`` were found in its first ``bytes_read`` of ``bytes_total`` bytes.

    It takes the rest to be like the beginning. Both sizes must be of the same thing: of a compressed file, the bytes
    consumed, and not those that came out.
    """
    if bytes_read <= 0 or bytes_read >= bytes_total:
        return rows
    return round(rows * bytes_total / bytes_read)


def lookups_for(sessions: int) -> int:
    """The requests that settle so many evaluations: each is looked at twice, a full page of the listing at a time."""
    return _LOOKS * -(-sessions // PAGE_SIZE)


def forecast(
    sessions: int, allowance: Allowance, start: Millis, *, settles: bool, estimated: bool = False, known: int = 0
) -> Forecast:
    """What closing so many sessions takes from ``start`` on, ``known`` of them being looked up alone.

    It assumes that the pace alone sets the speed: each session is closed with one request, the API answers fast enough
    for the requests in flight, does not throttle, and has the evaluations ready when they are looked at. The wait for
    the last of these is left out; and that what is known to be closed lies together in the listing. So it is the least
    that the run takes.
    """
    new = sessions - known
    requests = new + (lookups_for(new) if settles else 0) + -(-known // PAGE_SIZE)
    seconds = _seconds_for(requests, allowance, start)
    finish = start + round(seconds * 1000) if seconds is not None and seconds <= _YEAR else None
    return Forecast(sessions, estimated, requests, seconds, finish, known)


def _seconds_for(requests: int, allowance: Allowance, start: Millis) -> float | None:
    """From one change of the pace to the next; None if it stays at zero."""
    windows, zone, usual = allowance.windows, allowance.zone, allowance.rate / allowance.org_limit
    at, sent = start, 0.0
    if not requests:
        return 0.0
    while at < start + _WALKED:
        rate = share_at(windows, zone, at, usual) * allowance.org_limit
        change = next_change(windows, zone, at)
        until_change = rate * (change - at) / 1000
        if sent + until_change >= requests:
            return (at - start) / 1000 + (requests - sent) / rate
        sent, at = sent + until_change, change
    return (at - start) / 1000 * requests / sent if sent else None


def in_words(told: Forecast, allowance: Allowance) -> str:
    """One line, with the end in the person's local time."""
    about = "about " if told.estimated else ""
    minute = allowance.org_limit * 60
    limit = f"{minute:,.0f}/min" if minute >= 100 else f"{minute:.3g}/min"
    share = format_share(allowance.rate / allowance.org_limit)
    quiet = ", less in the quiet hours" if allowance.windows else ""
    return (
        f"{about}{counted(told.sessions, 'session')}{_known_of(told)}: some {counted(told.requests, 'request')} "
        f"at {format_rate(allowance.rate)} "
        f"({share} of the organisation's {limit}){quiet}, {_time_of(told, allowance.zone)}"
    )


def _known_of(told: Forecast) -> str:
    return f", {told.known:,} of them closed by earlier runs and only looked up" if told.known else ""


def _time_of(told: Forecast, zone: tzinfo | None) -> str:
    if told.seconds is None:
        return "never done: the quiet hours leave nothing"
    if told.finish is None:
        return "more than a year"
    finish = local_time(zone, told.finish)
    date = f"{finish:%Y-%m-%d} " if told.seconds > _DAY else ""
    return f"about {format_duration(told.seconds)}, done at about {date}{finish:%H:%M %Z}"
