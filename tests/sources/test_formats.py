import json
from pathlib import Path

import pytest

from closeout.worker.sources.reader import format_of_beginning
from closeout.worker.sources.records import delimiter_of
from tests.sources.reading import A, B, C, ids, read_content, read_stdin


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_any_line_end_and_encoding_gives_the_same_rows(tmp_path: Path, end: str, encoding: str) -> None:
    text = end.join(["session_id,reason", f"{A},Größe", "", f"{B},"])
    rows = read_content(tmp_path, "a.csv", text.encode(encoding))
    assert ids(rows) == [(2, A), (4, B)]
    assert [row.reason for row in rows] == ["Größe", None]


def test_big_endian_utf_16_is_read(tmp_path: Path) -> None:
    assert ids(read_content(tmp_path, "a.txt", b"\xfe\xff" + A.encode("utf-16-be"))) == [(1, A)]


@pytest.mark.parametrize(
    ("beginning", "delimiter"),
    [
        (["session_id,reason"], ","),
        (["session_id;reason, in words, of mine"], ";"),
        (["a|b|id"], "|"),
        (["a\tb"], "\t"),
        (['"x,y,z";id'], ";"),
        (['"x', "y,z", 'w";id'], ";"),
        (['"session_id";why, what'], ";"),
        (['"a""b,c,d";x;y'], ";"),
        (['"session_id'], ","),
        ([f"{A};a,b,c"], ";"),
        (["", "  ", "a;b"], ";"),
        (["alone"], ","),
        ([], ","),
    ],
)
def test_the_delimiter_is_the_one_outside_quotes_in_the_first_record(beginning: list[str], delimiter: str) -> None:
    assert delimiter_of(beginning, None) == delimiter


def test_a_tsv_is_split_at_tabs_where_it_has_any(tmp_path: Path) -> None:
    assert delimiter_of(["a,b,id\tx"], None, tabs=True) == "\t"
    assert delimiter_of(["a;id"], None, tabs=True) == ";"
    rows = read_content(tmp_path, "a.tsv", f"name, or so\tid\nx\t{A}\n")
    assert ids(rows) == [(2, A)]


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"'])
def test_the_delimiter_a_spreadsheet_declares_is_honoured(tmp_path: Path, first: str) -> None:
    rows = read_content(tmp_path, "a.csv", f"{first}\r\nx,y;id\r\n1,2;{A}\r\n")
    assert ids(rows) == [(3, A)]


def test_quoted_cells_may_hold_delimiters_quotes_and_line_breaks(tmp_path: Path) -> None:
    text = f'reason,id\r\n"one\r\ntwo, ""three""",{A}\r\n,{B}\r\n'
    rows = read_content(tmp_path, "a.csv", text)
    assert ids(rows) == [(2, A), (4, B)]
    assert rows[0].reason == 'one\ntwo, "three"'


def test_without_a_header_the_first_uuid_names_the_column(tmp_path: Path) -> None:
    rows = read_content(tmp_path, "a.csv", f"x,{A},y\ny,{B},\nz\n")
    assert ids(rows) == [(1, A), (2, B), (3, None)]
    assert rows[2].problem == "the row has 1 cell, the first row 3"
    assert ids(read_content(tmp_path, "a.csv", f"x,{A},{C}\ny,{B},{C}\n", id_column="3")) == [(1, C), (2, C)]


def test_a_lone_column_of_another_name_is_the_id(tmp_path: Path) -> None:
    assert ids(read_content(tmp_path, "a.csv", f"ticket\n{A}\n")) == [(2, A)]
    assert ids(read_content(tmp_path, "a.csv", f"bad\nworse\n{A}\n")) == [(1, None), (2, None), (3, A)]


def test_json_lines_are_objects_or_strings(tmp_path: Path) -> None:
    lines = [
        json.dumps({"session_id": A, "reason": " done "}),
        "",
        json.dumps({"Session ID": C.upper(), "reason": None}),
        json.dumps({"id": 7, "sessionId": B, "Reason": "  "}),
        json.dumps({"session_id": A, "reason": "\ud83d"}),
    ]
    rows = read_content(tmp_path, "a.NDJSON", "\n".join(lines))
    assert ids(rows) == [(1, A), (3, C), (4, B), (5, A)]
    assert [row.reason for row in rows] == ["done", None, None, "\ufffd"]
    assert ids(read_content(tmp_path, "a.jsonl", f"{json.dumps(B)}\n\n{json.dumps(A)}\n")) == [(1, B), (3, A)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes at character 2"),
        ("nonsense", "not JSON: Expecting value at character 1"),
        ("[" * 100_000, "not JSON: nested too deeply, or a number too long"),
        ("9" * 5_000, "not JSON: nested too deeply, or a number too long"),
        ("{}", "no field 'session_id'"),
        (f'{{"other": "{A}"}}', "no field 'session_id'"),
        ('{"session_id": 5}', "field 'session_id' holds a number, not a string"),
        ('{"session_id": null}', "field 'session_id' holds null, not a string"),
        (f'{{"session_id": "{A}", "reason": []}}', "field 'reason' holds an array, not a string"),
        (f'{{"session_id": "{A}", "reason": "a\\u0000"}}', "contains a NUL byte"),
        ('{"session_id": "\\u0000"}', "contains a NUL byte"),
        (f'["{A}"]', "an object expected, as in the lines above, found an array"),
        ("true", "an object expected, as in the lines above, found true or false"),
        (f'"{A}"', "an object expected, as in the lines above, found a string"),
    ],
)
def test_a_json_line_without_an_id_is_a_problem_row(tmp_path: Path, line: str, problem: str) -> None:
    rows = read_content(tmp_path, "a.jsonl", f'{{"session_id": "{C}"}}\n{line}\n{{"session_id": "{A}"}}\n')
    assert ids(rows) == [(1, C), (2, None), (3, A)]
    assert rows[1].problem == problem
    assert rows[1].text


def test_json_lines_take_the_id_from_the_field_that_is_named(tmp_path: Path) -> None:
    text = f'{{"session_id": "{A}", "Ticket": "{B}"}}\n{{"session_id": "{A}"}}\n'
    rows = read_content(tmp_path, "a.jsonl", text, id_column="ticket")
    assert ids(rows) == [(1, B), (2, None)]
    assert rows[1].problem == "no field 'Ticket'"


def test_plain_text_skips_comments_and_blank_lines(tmp_path: Path) -> None:
    rows = read_content(tmp_path, "a.txt", f"# sessions\n\n {A}\n  # more\n\u200b\n{B} # not a comment\n")
    assert ids(rows) == [(3, A), (6, None)]


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        (['{"id": 1}'], "jsonl"),
        (["", f'"{A}"'], "jsonl"),
        (['"session_id","reason"'], "csv"),
        (['"session_id"'], "csv"),
        (["session_id"], "csv"),
        ([A], "txt"),
        (["# ids", A], "txt"),
        (["#TYPE Selected", "session_id,reason"], "csv"),
        ([f"{A},done"], "csv"),
        ([], "csv"),
    ],
)
def test_the_format_of_standard_input_is_told_by_its_beginning(beginning: list[str], expected: str) -> None:
    assert format_of_beginning(beginning) == expected


def test_standard_input_is_read_in_each_format() -> None:
    assert ids(read_stdin(f"id,reason\n{A},x\n")) == [(2, A)]
    assert ids(read_stdin(f'{{"id": "{A}"}}\n{{"id": "{B}"}}\n')) == [(1, A), (2, B)]
    assert ids(read_stdin(f"# exported\nname,id\nx,{B}\n")) == [(3, B)]
    assert ids(read_stdin(f"{A}\n# half\n{B}\n")) == [(1, A), (3, B)]
    assert ids(read_stdin(f"ticket;x\n{A};y\n", id_column="ticket")) == [(2, A)]
