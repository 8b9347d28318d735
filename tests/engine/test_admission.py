"""Reading a source again where a run left it, and rows whose own reason must not be sent."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import SourceRow
from closeout.worker.domain.run import Run
from closeout.worker.feeds.source import OpenedSource, RowDigest, with_known_reasons
from closeout.worker.support.errors import SourceError
from tests.engine.support import NOW

RUN = Run(
    id=1, name="k3m9x2pq", job="", source="rows.csv", location="/rows.csv", options="{}", state="interrupted", why=None,
    rows_read=0, duplicates=0, source_done=False, source_stat=None, digest=None, created_at=NOW, ended_at=None,
    seconds=0,
)  # fmt: skip


@dataclass
class ListedSource:
    """A source over a list, in batches of a size of its own."""

    rows: list[SourceRow]
    size: int = 3
    name: str = "rows.csv"
    location: str | None = "/rows.csv"
    sha256: str | None = None
    reading: str | None = "ids: one a line"
    by_lines: bool = True

    def batches(self, size: int) -> Iterator[list[SourceRow]]:
        step = min(size, self.size)
        for at in range(0, len(self.rows), step):
            yield self.rows[at : at + step]


def a_row(number: int, reason: str | None = None) -> SourceRow:
    """The row on this line."""
    return SourceRow(number, f"00000000-0000-4000-8000-{number:012x}", reason)


def rows(count: int) -> list[SourceRow]:
    """So many rows, every fourth of them a problem."""
    return [SourceRow(n, None, None, f"x{n}", "no id") if n % 4 == 3 else a_row(n) for n in range(count)]


def admitted(source: list[SourceRow], count: int) -> Run:
    """A run that has admitted so many rows of this source."""
    digest = RowDigest()
    digest.add(source[:count])
    return replace(RUN, rows_read=count, digest=digest.value)


def rest_of(opened: OpenedSource) -> list[SourceRow]:
    """All that is left."""
    left: list[SourceRow] = []
    while batch := opened.take():
        left += batch
    return left


@given(total=st.integers(1, 30), read=st.integers(0, 30), size=st.integers(1, 8))
def test_the_same_rows_go_on_where_they_were_left(total: int, read: int, size: int) -> None:
    """Whatever the sizes of the batches then and now; the digest goes on too."""
    source = rows(total)
    read = min(read, total)
    opened = OpenedSource(ListedSource(source, size))
    opened.skip(admitted(source, read))
    assert rest_of(opened) == source[read:]
    assert opened.digest.value == admitted(source, total).digest


@given(total=st.integers(1, 20), changed=st.integers(0, 19), kind=st.sampled_from(["id", "line", "reason", "text"]))
def test_changed_rows_are_refused(total: int, changed: int, kind: str) -> None:
    """One other id, line, reason or text among those that were admitted: it is another file."""
    source = rows(total)
    changed = min(changed, total - 1)
    other = list(source)
    row = replace(other[changed])
    if kind == "id":
        row.session_id, row.text = a_row(999).session_id, ""
    elif kind == "line":
        row.line += 1
    elif kind == "reason":
        row.reason = "resolved"
    else:
        row.session_id, row.text = None, "something else"
    other[changed] = row
    with pytest.raises(SourceError, match="has changed"):
        OpenedSource(ListedSource(other)).skip(admitted(source, total))


@pytest.mark.parametrize("left", [0, 1, 5])
def test_a_source_that_became_shorter_is_refused(left: int) -> None:
    """The rows that were admitted are not all there."""
    source = rows(6)
    with pytest.raises(SourceError, match=r"closeout resume k3m9x2pq.*--new-run"):
        OpenedSource(ListedSource(source[:left])).skip(admitted(source, 6))


def test_appended_rows_are_read() -> None:
    """A file that grew is the same file with more to do."""
    source = rows(6)
    opened = OpenedSource(ListedSource([*source, a_row(100), a_row(101)]))
    opened.skip(admitted(source, 6))
    assert rest_of(opened) == [a_row(100), a_row(101)]


def test_a_run_that_read_nothing_takes_any_source() -> None:
    """There is nothing to compare."""
    opened = OpenedSource(ListedSource(rows(2)))
    opened.skip(RUN)
    assert len(rest_of(opened)) == 2


@given(parts=st.lists(st.integers(0, 5), max_size=6))
def test_a_digest_does_not_depend_on_batches(parts: list[int]) -> None:
    """Only on the rows."""
    source, at, digest = rows(sum(parts)), 0, RowDigest()
    for part in parts:
        digest.add(source[at : at + part])
        at += part
    assert digest.value == admitted(source, at).digest


def test_a_digest_takes_any_text() -> None:
    """A problem row may hold what no encoder likes."""
    digest = RowDigest()
    digest.add([SourceRow(1, None, None, "\ud800\x00", "no id")])
    assert len(digest.value) == 32


def test_a_row_whose_reason_is_unknown_becomes_a_problem() -> None:
    """The API would store ``unknown`` without a word; the other rows go on."""
    good, bad = a_row(1, "resolved"), a_row(2, "tired")
    checked = with_known_reasons([good, bad, a_row(3)], Settings())
    assert checked[0] == good
    assert (checked[1].session_id, checked[1].text) == (None, bad.session_id)
    assert "tired" in (checked[1].problem or "")
    assert checked[2] == a_row(3)


def test_an_unknown_reason_is_sent_on_request() -> None:
    """With --allow-unknown-reason; one that is too long never is."""
    allowed = Settings(allow_unknown_reason=True)
    assert with_known_reasons([a_row(1, "tired")], allowed) == [a_row(1, "tired")]
    assert with_known_reasons([a_row(1, "x" * 65)], allowed)[0].session_id is None


@given(total=st.integers(2, 30), read=st.integers(0, 30), more=st.integers(0, 30), size=st.integers(1, 8))
def test_whoever_takes_over_goes_on_where_the_ledger_is(total: int, read: int, more: int, size: int) -> None:
    """Another process has admitted rows meanwhile; or a batch was taken here that never got into the ledger."""
    source = rows(total)
    read = min(read, total)
    then = min(read + more, total)
    opened = OpenedSource(ListedSource(source, size))
    opened.skip(admitted(source, read))
    opened.take()
    opened.skip(admitted(source, then))
    assert rest_of(opened) == source[then:]
    assert opened.digest.value == admitted(source, total).digest
