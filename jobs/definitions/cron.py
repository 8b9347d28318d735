"""When a job starts: the times of a cron expression in a time zone, put off by the job's own jitter.

On the night on which the clock skips a time, a job of that time starts when the clock has jumped; on the night on which
the clock shows a time twice, it starts the first time only. A job whose minute or hour begins with ``*`` goes by the
time that really passes: it starts in both of the two hours, and not in the one that is skipped.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

from closeout.worker.support.clock import NEVER, Millis

PROMPT: Millis = 5 * 60_000  # a start that is found so late is not a missed one: the machine was busy
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_ITEM = re.compile(r"(?:\*|[a-z0-9]+-[a-z0-9]+)(?:/\d+)?|[a-z0-9]+", re.ASCII | re.IGNORECASE)
_RANGES = (range(60), range(24), range(1, 32), range(1, 13), range(8))


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of one job. ``jitter`` is by how much a start may be put off, ``catch_up`` how late one may be made up
    for; both in milliseconds.

    The jitter of a day depends on ``name`` and the day alone, so that all who ask get the same answer.
    """

    name: str
    cron: str
    zone: tzinfo
    jitter: Millis = 0
    catch_up: Millis = 0


@dataclass(frozen=True, slots=True)
class CronFields:
    """What a cron expression means: all values of each field; Sunday is 0.

    With ``both_days`` a day must fit ``days`` and ``weekdays``, else one of the two is enough.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    both_days: bool


def parse_cron(text: str) -> CronFields:
    """The five fields of ``0 3 * * mon-fri``, as crontab(5) has them. Raises ValueError that says which is wrong."""
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"invalid schedule {text!r}: use five fields, e.g. 0 3 * * * for each night at 3:00")
    for place, (part, field) in enumerate(zip(parts, _FIELDS, strict=True)):
        _check_field(text, part, place, field)
    try:
        cron = CronSim(text, _EPOCH)
        next(cron)
    except (CronSimError, StopIteration):
        raise ValueError(f"{text!r}: no such day exists") from None
    return CronFields(
        minutes=tuple(sorted(cron.minutes)),
        hours=tuple(sorted(cron.hours)),
        days=tuple(sorted(cron.days)),
        months=tuple(sorted(cron.months)),
        weekdays=tuple(sorted({day % 7 for day in cron.weekdays if isinstance(day, int)})),
        both_days=cron.day_and,
    )


def _check_field(text: str, part: str, place: int, field: str) -> None:
    """Only what every cron knows: days that cronsim writes as ``L``, ``LW`` and ``5#2`` mean nothing to the others."""
    alone = ["*"] * len(_FIELDS)
    alone[place] = part
    wrong = ValueError(f"{text!r}: invalid {field} {part!r}")
    if not all(_ITEM.fullmatch(item) for item in part.split(",")):
        raise wrong
    try:
        cron = CronSim(" ".join(alone), _EPOCH)
    except CronSimError:
        raise wrong from None
    values = (cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays)[place]
    if not all(isinstance(value, int) and value in _RANGES[place] for value in values):
        raise wrong


def starts(schedule: Schedule, after: Millis) -> Iterator[Millis]:
    """The starts later than ``after``, each later than the one before. A start never reaches the next time's own."""
    times = _times(schedule, after - schedule.jitter)
    time = next(times, NEVER)
    while time != NEVER:
        following = next(times, NEVER)
        start = min(time + _put_off(schedule, time), following - 1)
        if start > after:
            yield start
        time = following


def next_start(schedule: Schedule, after: Millis) -> Millis:
    """The first start later than ``after``; NEVER if there is none."""
    return next(starts(schedule, after), NEVER)


def due(schedule: Schedule, last: Millis, now: Millis) -> Millis | None:
    """The start to make at ``now``, or None. ``last`` is when the job was started last, for whatever reason, or since
    when its times are kept.

    Of several that were missed only the newest is made up for, if it is no older than ``catch_up``.
    """
    since = max(last, now - max(schedule.catch_up, PROMPT) - 1)
    newest = None
    for start in starts(schedule, since):
        if start > now:
            break
        newest = start
    return newest


def _times(schedule: Schedule, after: Millis) -> Iterator[Millis]:
    """The times of the expression later than ``after``.

    The first may lie before it in the hour that the clock shows twice: cronsim takes that for the first of the two.
    """
    local = (_EPOCH + after * _MILLISECOND).astimezone(schedule.zone)
    for moment in CronSim(schedule.cron, local):
        yield (moment.astimezone(UTC) - _EPOCH) // _MILLISECOND


def _put_off(schedule: Schedule, time: Millis) -> Millis:
    if not schedule.jitter:
        return 0
    day = (_EPOCH + time * _MILLISECOND).astimezone(schedule.zone).date()
    digest = hashlib.blake2b(f"{schedule.name}\n{day.isoformat()}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % schedule.jitter
