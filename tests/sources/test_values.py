"""Values as people have them: ids that are wrapped, nothing in many spellings, ghosts, stray quotes, numbers."""

from pathlib import Path

import pytest

from closeout.worker.domain.item import SourceRow
from closeout.worker.sources import open_source
from closeout.worker.support.errors import SourceError
from tests.sources.reading import A, B, C, ids, read_content, write

WRAPPED = {
    f'="{A}"': "a spreadsheet formula that holds a UUID",
    f"={A}": "a spreadsheet formula that holds a UUID",
    f"<{A}>": "a UUID in angle brackets",
    f"https://app.example.com/sessions/{A.upper()}?tab=log": "a URL that holds a UUID",
    f"{A}  # asked for by Kim": "a UUID with a comment behind it",
}


def read_leniently(folder: Path, name: str, content: str) -> list[SourceRow]:
    batches = open_source(write(folder, name, content), lenient=True).batches(1_000)
    return [row for batch in batches for row in batch]


def in_format(name: str, text: str) -> str:
    quoted = text.replace('"', '\\"') if name == "a.jsonl" else text.replace('"', '""')
    return {
        "a.txt": f"{text}\n",
        "a.csv": f'session_id,note\n"{quoted}",n\n',
        "a.jsonl": f'{{"session_id": "{quoted}"}}\n',
    }[name]


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
@pytest.mark.parametrize("text", WRAPPED)
def test_a_wrapped_id_is_read_where_it_is_asked_for_and_else_named(tmp_path: Path, name: str, text: str) -> None:
    (strict,) = read_content(tmp_path, name, in_format(name, text))
    assert (strict.session_id, strict.problem) == (
        None,
        f"not a UUID, but {WRAPPED[text]}: --lenient-ids reads it",
    )
    (lenient,) = read_leniently(tmp_path, name, in_format(name, text))
    assert (lenient.session_id, lenient.problem) == (A, None)


@pytest.mark.parametrize(
    "text",
    [
        f"https://app.example.com/{A}/sessions/{B}",
        f"https://app.example.com/{A}/{A}",
        f"https://app.example.com/{A} {B}",
        f"{A}  # was {B}",
        f"see {A}",
        f"{A} and more",
        f"={A}&{B}",
        f"=HYPERLINK({A})",
        "https://app.example.com/sessions/00000000-0000-0000-0000-000000000000",
        f"<{A}",
        f"{A}#5",
    ],
)
def test_what_may_be_another_id_is_read_by_nobody(tmp_path: Path, text: str) -> None:
    """More than one UUID, or words around it that may say anything."""
    (row,) = read_leniently(tmp_path, "a.csv", f'session_id,note\n"{text}",n\n')
    assert row.session_id is None
    assert "--lenient-ids" not in (row.problem or "")


def test_the_reading_says_that_it_is_lenient(tmp_path: Path) -> None:
    """So a run that was begun strictly is not gone on with otherwise."""
    source = open_source(write(tmp_path, "a.csv", f"session_id,note\n<{A}>,n\n"), lenient=True)
    list(source.batches(10))
    assert "also wrapped" in (source.reading or "")


@pytest.mark.parametrize("nothing", ["NULL", "null", "\\N", "NaN", "None", " NULL "])
def test_nothing_is_nothing_in_any_spelling(tmp_path: Path, nothing: str) -> None:
    rows = read_content(tmp_path, "a.csv", f"session_id,reason\n{A},{nothing}\n{nothing},resolved\n")
    assert [(row.session_id, row.reason) for row in rows] == [(A, None), (None, None)]
    assert rows[1].problem == f"the cell is empty: {nothing.strip()} stands for no value"


def test_nothing_is_nothing_in_json_as_well(tmp_path: Path) -> None:
    (row,) = read_content(tmp_path, "a.jsonl", f'{{"session_id": "{A}", "reason": "NULL"}}\n')
    assert (row.session_id, row.reason) == (A, None)


@pytest.mark.parametrize("ghost", [",,", " , ,\u00a0", '"",,', ",,,,,"])
def test_rows_of_separators_alone_are_blank_lines(tmp_path: Path, ghost: str) -> None:
    """Spreadsheets write them below a table, and where cells were cleared."""
    content = f"{ghost}\nsession_id,reason,note\n{ghost}\n{A},resolved,n\n{ghost}\n{B},,\n{ghost}\n"
    assert ids(read_content(tmp_path, "a.csv", content)) == [(4, A), (6, B)]


def test_ghosts_alone_are_no_rows(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a header but no rows"):
        read_content(tmp_path, "a.csv", "session_id,reason\n,\n,\n")


def test_a_number_beside_a_uuid_is_pointed_out(tmp_path: Path) -> None:
    """The column of that name holds another system's number: nothing is read of it."""
    content = f"session_id,channel,external\n4711,web,{A}\n4712,web,{B}\n"
    with pytest.raises(SourceError, match=r"a number \(4711\) in the column 'session_id', and a UUID in column 3"):
        read_content(tmp_path, "a.csv", content)
    assert ids(read_content(tmp_path, "a.csv", content, id_column="3")) == [(2, A), (3, B)]


def test_a_stray_quote_that_takes_in_rows_is_told(tmp_path: Path) -> None:
    """An inch mark closes the cell that a stray quote has opened, two rows further down."""
    content = f'session_id,note\n{A},"19 inch\n{B},none\n{C},24"\n'
    (row,) = read_content(tmp_path, "a.csv", content)
    assert row.session_id is None
    assert "takes in 2 lines below that may be a row" in (row.problem or "")


def test_a_cell_of_several_lines_is_no_stray_quote(tmp_path: Path) -> None:
    """Also where it speaks of other sessions."""
    content = f'note,session_id\n"first\nsee {B}\n{C}",{A}\n"one\ntwo",{B}\n'
    assert [row.session_id for row in read_content(tmp_path, "a.csv", content)] == [A, B]
