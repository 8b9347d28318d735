"""Contract: what reports ask of a ledger."""

import pytest

from closeout.worker.domain.exchange import Exchange, Kind
from closeout.worker.domain.item import Change, Outcome, Record
from closeout.worker.domain.run import Run
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import COLUMNS, NewRun
from closeout.worker.ledger.stores import Cause, Example, LatencyCount, PaceSample, Traffic
from closeout.worker.support.clock import Millis
from tests.ledger.support import NOW, a_run, bad_row, changed, claim_all, exchange, session_id

pytestmark = pytest.mark.anyio
MINUTE = 60_000


async def test_a_run_knows_who_made_it_and_which_bytes_it_read(ledger: Ledger) -> None:
    """For an audit. What was known of the source stays known when it ends a second time without being read."""
    made = await ledger.create_run(NewRun("rows.csv", "{}", made_by="ada@night"), NOW)
    assert (made.made_by, made.source_sha256) == ("ada@night", None)
    await ledger.source_done(made, "ab" * 32)
    await ledger.source_done(made)
    found = await ledger.find_run(made.name)
    assert (found.source_done, found.source_sha256) == (True, "ab" * 32)


async def test_the_allowed_rates_come_in_the_order_of_time(ledger: Ledger) -> None:
    """Those of the run alone; two notes of one instant are one, the later."""
    run, other = await a_run(ledger), await a_run(ledger)
    samples = [PaceSample(NOW + 9, 35.0, "throttled"), PaceSample(NOW, 50.0), PaceSample(NOW, 49.5)]
    for sample in samples:
        await ledger.reports.note_pace(run, sample)
    await ledger.reports.note_pace(other, PaceSample(NOW, 1.0))
    assert await ledger.reports.paces(run) == [PaceSample(NOW, 49.5), PaceSample(NOW + 9, 35.0, "throttled")]


async def test_traffic_is_counted_by_span_and_kind(ledger: Ledger) -> None:
    """429s, and failures: 5xx and no answer. Only what came after a number, where one is given."""
    run, other = await a_run(ledger, range(2)), await a_run(ledger, [9])
    (one, two), (third,) = await claim_all(ledger, run), await claim_all(ledger, other)
    start = NOW // MINUTE * MINUTE
    told: list[tuple[int, Kind, int | None, Millis]] = [
        (one.seq, "close", 200, 0),
        (one.seq, "close", 429, 59_999),
        (two.seq, "read", None, 1),
        (two.seq, "close", 503, MINUTE),
    ]
    await ledger.record(other, [Record(exchange(at=start), (Change(third.seq),))], NOW)
    for seq, kind, status, after in told:
        await ledger.record(run, [Record(exchange(kind, status, start + after), (Change(seq, due_at=1),))], NOW)
    await ledger.record(run, [Record(exchange("list", 200, start + 5), ())], NOW)
    found = await ledger.reports.traffic(run, MINUTE)
    figures = [(each.at - start, each.kind, each.count, each.throttled, each.failed) for each in found]
    assert figures == [(0, "close", 2, 1, 0), (0, "list", 1, 0, 0), (0, "read", 1, 0, 1), (MINUTE, "close", 1, 0, 1)]
    since = await ledger.reports.traffic(run, MINUTE, after=found[3].last)
    assert [(each.kind, each.count) for each in since] == [("list", 1)]
    assert isinstance(found[0], Traffic)
    assert await ledger.reports.traffic(run, MINUTE, after=since[0].last) == []


async def test_latencies_are_counted_by_kind_and_milliseconds(ledger: Ledger) -> None:
    """An exchange without an answer took no answer's time."""
    run = await a_run(ledger, range(5))
    claims = await claim_all(ledger, run)
    told: list[tuple[Kind, int | None, Millis]] = [
        ("close", 200, 12),
        ("close", 503, 12),
        ("close", 200, 900),
        ("read", 200, 7),
        ("close", None, 30_000),
    ]
    for claim, (kind, status, ms) in zip(claims, told, strict=True):
        await ledger.record(run, [Record(Exchange(NOW, kind, status, None, ms), (Change(claim.seq),))], NOW)
    expected = [LatencyCount("close", 12, 2), LatencyCount("close", 900, 1), LatencyCount("read", 7, 1)]
    assert await ledger.reports.latencies(run) == expected


async def _a_bad_night(ledger: Ledger) -> Run:
    """Ten sessions, each pair with another end, and three rows that name none."""
    run = await a_run(ledger, range(12))
    await ledger.admit(run, [bad_row(20), bad_row(21, "x"), bad_row(22)], "d", NOW)
    claims = await claim_all(ledger, run)
    ends = [
        {"outcome": Outcome.CLOSED, "settled": True},
        {"outcome": Outcome.CLOSED, "settle_at": NOW},
        {"outcome": Outcome.REJECTED, "http_status": 409, "detail": "the API refused the close with status 409"},
        {"outcome": Outcome.SKIPPED, "detail": "protected: waiting_for_human"},
        {"outcome": Outcome.FAILED, "error": "timeout"},
    ]
    for at, end in enumerate([*ends, *ends]):
        await ledger.record(run, [changed(claims[at], **end)], NOW)  # type: ignore[arg-type]  # by name
    await ledger.record(run, [Record(None, (Change(claims[5].seq, settled=True, detail="reopened"),))], NOW)
    await ledger.release([claims[10]])
    return run


async def test_causes_tell_what_went_wrong_how_often_and_where(ledger: Ledger) -> None:
    """Guards and odd ends of closed ones included; closed well and pending are no cause."""
    run = await _a_bad_night(ledger)
    found = await ledger.reports.causes(run, 10)
    assert [(each.outcome.value, each.http_status, each.error, each.detail, each.count) for each in found] == [
        ("invalid", None, None, "not a UUID", 3),
        ("rejected", 409, None, "the API refused the close with status 409", 2),
        ("skipped", None, None, "protected: waiting_for_human", 2),
        ("failed", None, "timeout", None, 2),
        ("closed", None, None, "reopened", 1),
        ("in_doubt", None, None, None, 1),
    ]
    assert (found[0].first, found[0].last) == (Example("typo", 20), Example("typo", 22))
    assert (found[1].first, found[1].last) == (Example(session_id(2), 4), Example(session_id(7), 9))
    assert await ledger.reports.causes(run, 1) == found[:1]
    assert isinstance(found[0], Cause)


async def test_what_a_person_should_look_at_comes_gravest_first(ledger: Ledger) -> None:
    """And in the order of the source within; no more than asked for. Closed and settled, and skipped, are not in it."""
    run = await _a_bad_night(ledger)
    place = COLUMNS.index("outcome")
    found = await ledger.reports.wanting(run, 100)
    assert [row[place] for row in found] == [
        "failed", "failed", "rejected", "rejected", "in_doubt", "invalid", "invalid", "invalid",
        "closed", "closed", "closed", "pending",
    ]  # fmt: skip
    lines = [row[COLUMNS.index("line")] for row in found]
    assert lines == [6, 11, 4, 9, 13, 20, 21, 22, 7, 3, 8, 12]
    assert await ledger.reports.wanting(run, 3) == found[:3]
