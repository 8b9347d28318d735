"""Whatever the file, only ids that stand in the column that is named are ever handed out."""

import csv
import io
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeout.worker.sources import open_source
from closeout.worker.support.errors import SourceError
from tests.sources.reading import read, read_content, read_stdin, write

P = "11111111-1111-4111-8111-111111111111"  # another thing's id, which is never to be closed
S = "22222222-2222-4222-8222-222222222222"
T = "33333333-3333-4333-8333-333333333333"
NAMES = "subject,parent_session_id,session_id"

# Name of the file, content, the ids that are read (None: a row that names none).
READ = {
    "a comma that should be quoted": ("a.csv", f"{NAMES}\nHello, world,P,S\nx,P,T\n", [None, T]),
    "quotes escaped with backslashes": ("a.csv", f'{NAMES}\n"He said \\"hi, you\\"",P,S\nx,P,T\n', [None, T]),
    "a comma escaped with a backslash": ("a.csv", f"{NAMES}\nHello\\, world,P,S\n", [None]),
    "quotes of the other kind": ("a.csv", f"{NAMES}\n'Hello, world',P,S\n", [None]),
    "a line break that should be quoted": ("a.csv", "parent,note,x,session_id\nT,one\ntwo,x,S\n", [None, None]),
    "a line break, another id in the place": ("a.csv", "note,session_id,text,parent\nx,S,one\ntwo,P\n", [None] * 2),
    "a cell too few": ("a.csv", f"{NAMES}\nP,S\n", [None]),
    "row names without a header": ("a.csv", "session_id,parent\n1,S,P\n", [None]),
    "empty cells at the end": ("a.csv", f"{NAMES}\nx,P,S,,\n", [S]),
    "a delimiter at the end of the header": ("a.csv", "session_id,reason,\nS,abandoned\nT,abandoned,\n", [S, T]),
    "the type of what PowerShell wrote": ("a.csv", "#TYPE Selected.System.Management\nparent,session_id\nP,S\n", [S]),
    "a title": ("a.csv", "Sessions of May\n\nparent,session_id\nP,S\n", [S]),
    "a title with separators": ("a.csv", "Sessions of May,,\nparent,x,session_id\nP,x,S\n", [S]),
    "a title in quotes": ("a.csv", '"Sessions, of\nMay"\nparent;session_id\nP;S\n', [S]),
    "several lines above the header": ("a.csv", "a\nb, c\n# d\nparent;session_id\nP;S\n", [S]),
    "a comment below the header": ("a.csv", "parent,session_id\n# half\nP,S\n", [S]),
    "the header once more": ("a.csv", "parent,session_id\nP,S\nParent,Session ID\nP,T\n", [S, T]),
    "the same with a mark of its encoding": ("a.csv", "session_id\nS\n\ufeffsession_id\nT\n", [S, T]),
    "a number beside the id": ("a.csv", "ID,Session ID\n7,S\n", [S]),
    "the id's name in capitals": ("a.csv", "PARENT,SESSION ID\nP,S\n", [S]),
    "the id's name in one word": ("a.tsv", "parentId\tsessionId\nP\tS\n", [S]),
    "the same and a cell too few in the header": ("a.csv", f"{NAMES},\nHello, world,P,S\nx,P,T,\n", [None, T]),
    "the same and an empty cell at the end": ("a.csv", f"{NAMES},n\nHello, world,P,S,\nx,P,T,n,\n", [None, T]),
    "the same and no cell at the end": ("a.csv", f"{NAMES},n\nHello, world,P,S\nx,P,T,n\n", [None, T]),
    "a line break in the row, and a delimiter to spare": (
        "a.csv", "a,n,session_id,b,\nx,y,S,P,\n,one\ntwo,,P,\nx,y,T,P,\n", [S, None, None, T]
    ),
    "the same, but in the header": ("a.csv", "a,n,p,session_id\nx,one\ntwo,P,T,\nx,y,P,S\n", [None, None, S]),
    "a line break in the row, and a comma": ("a.csv", "a,p,session_id,b\nx,P,S,x\nx,one\ny,z,P,x\n", [S, None, None]),
    "a comma in the first row, and no id": ("a.csv", "n,p,session_id\na\\,b,P,\n1,000,P,\nx, y,P,\n", [None] * 3),
    "a line below a short one": ("a.csv", "p,session_id\nP,S\n---\nP,T\n", [S, None, T]),
    "the same and no id": ("a.csv", f"{NAMES}\nHello, world,P,\nx,P,T,\n", [None, T]),
    "the same, and no name tells": ("a.csv", "x,y,session_id\nx,P,T\na, b,P,\n1,0,P,\n", [T, None, None]),
    "the same without a header": ("-", "x,S,\nHello, world,,\n", [S, None]),
    "other ids behind the session's": ("a.csv", "x,parent_id,session_id,user\nx,NULL,S,P\nx,,T,P\n", [S, T]),
    "a row without an id, a word that names": ("a.csv", "session_id,type\nno id,x\n,y\nS,x\n", [None, None, S]),
    "a word that names, and a word for no id": ("a.csv", "session_id,type\nn/a,conversation\nS,x\n", [None, S]),
    "the header on the line of a row": ("a.csv", "parent,session_id\nP,@Sparent,session_id\nP,T\n", [None, T]),
    "the same in a list of one column": ("a.txt", "session_id\nS\n@Psession_id\nT\n", [S, None, T]),
    "the parent's id beside the id": ("a.csv", "id,parent_session_id\nS,P\n", [S]),
    "a number in a column of the same name": ("a.csv", "session_id,session_id.1\nS,7\n", [S]),
    "ids in braces from a pipe": ("-", "{@S}\n{@T}\n", [S, T]),
    "a database's document": ("a.jsonl", '{"_id":{"$oid":"65f0a1b2c3d4e5f6a7b8c9d0"},"session_id":"S"}\n', [S]),
    "the same UUID twice in a row": ("a.csv", "S,S\nT,x\n", [S, T]),
    "no header and a title": ("a.csv", "May\nx,S\n", [None, S]),
    "a commented row": ("a.csv", "S,x\n#T,x\n", [S, None]),
    "a list with the id's name above": ("a.txt", "Session ID\nS\nsession_id\nT\n", [S, T]),
    "a bad line in a list": ("a.txt", "S\nP T\n", [S, None]),
    "a table of a database's shell": ("a.csv", "| parent | session_id |\n|---|---|\n| P | S |\n", [None, S]),
    "objects with a number": ("a.jsonl", '{"id":7,"sessionId":"S"}\n', [S]),
    "objects whose fields agree": ("a.jsonl", '{"id":"S","session_id":"S"}\n', [S]),
    "objects with others within": ("a.jsonl", '{"session_id":"S","user":{"id":"P"}}\n', [S]),
    "objects, one without the field": ("a.jsonl", '{"session_id":"S"}\n{"id":"P"}\n{"session_id":"T"}\n', [S, None, T]),
    "a string among objects": ("a.jsonl", '{"session_id":"S"}\n"P"\n', [S, None]),
    "an array among objects": ("a.jsonl", '{"session_id":"S"}\n["P","T"]\n', [S, None]),
    "an array": ("a.jsonl", '["P","S"]\n', [P, S]),
    "an array of objects": ("a.json", '[{"id":"P"},{"id":"S","parent_session_id":"T"}]', [P, S]),
    "an array over several lines": ("a.txt", '[\n"S",\n"T"\n]\n', [S, T]),
    "an array with a number": ("a.json", '["S", 7, "T"]', [S, None, T]),
    "an object in a table": ("a.csv", '{"ids":["P","S","T"]}\n', [None]),
    "objects in a table": ("a.csv", '{"session_id":"S"}\n{"session_id":"T"}\n', [S, T]),
    "an object over several lines": ("a.jsonl", '{\n"session_id": "S"\n}\n', [S]),
    "objects over several lines": ("a", '{\n"id": "S",\n"x": 1.5\n}\n{\n"x": null, "id": "T"}', [S, T]),
    "a listing": ("a.json", '{"items":[{"id":"S"},{"id":"T"}],"has_more":false,"next_cursor":"c"}\n', [S, T]),
    "a listing, what is beside it first": ("a.json", '{"total":2,"owner":{"name":"x"},"data":[{"id":"S"}]}', [S]),
    "several pages": ("a.json", '{"items":[{"id":"S"}]}\n{"items":[]}\n{"items":[{"id":"T"}],"next":null}\n', [S, T]),
    "pages on one line": ("a.json", '{"items":[{"id":"S"}]}{"items":[{"id":"T"}]}', [S, T]),
    "pages over several lines": ("a.json", '{\n"items": [\n{"id":"S"}\n]\n}\n{\n"items": [\n"T"]}', [S, None]),
    "pages in an array": ("a.json", '[{"items":[{"id":"S"}]},{"items":[{"id":"T"}]}]', [S, T]),
    "a list of a database's ids": ("a.json", '[{"_id":{"$oid":"65f0"},"session_id":"S"}]', [S]),
    "a listing within a session": ("a.json", '{"session":{"id":"P"},"items":[{"id":"S"}]}', [None]),
    "a table in a text file": ("a.txt", "parent,session_id\nP,S\n", [S]),
    "an object that holds a list": ("a.jsonl", '{"ids":["P","T"]}\n{"id":"S"}\n', [None, S]),
}  # fmt: skip

# Name of the file, content, and words of the refusal.
REFUSED = {
    "files that were joined": ("a.csv", "parent,session_id\nP,S\nsession_id,parent\nT,P\n", "line 3 is another header"),
    "the same with another name": ("a.csv", "parent,session_id\nP,S\nid,parent\nT,P\n", "line 3 is another"),
    "the same with names that are not known": ("a.csv", "session_id,parent\nS,P\nparent,session\nP,T\n", "line 3 is"),
    "the same with more columns": ("a.csv", "session_id\nS\nparent,session_id\nP,T\n", "line 3 is another header"),
    "a list before a table": ("a.csv", "P\nsession_id\nS\n", "line 2 is a header (session_id), but rows stand above"),
    "the same in a list": ("a.txt", "P\nsession_id\nS\n", "line 2 is a header"),
    "a list before a table of more columns": ("a.txt", "T\nparent,session_id\nP,S\n", "line 2 is a header"),
    "facts above the header": ("a.csv", "Organisation,P\nsubject,session_id\nx,S\n", "rows stand above it"),
    "two names of the id": ("a.csv", "ID,Session ID\nP,S\n", "column 1 'ID' (11111111…), column 2 'Session ID' (2222"),
    "two names, one without a value": ("a.csv", "ID,Session ID\nP,\nP,S\n", "more than one column"),
    "two names, the better one without a UUID": ("a.csv", "ID,Session ID\nP,7\n", "more than one column"),
    "two names and no row": ("a.csv", "conversation_id,session_id\n", "more than one column"),
    "the same name twice": ("a.csv", "session_id,x,session_id\nP,x,S\n", "such as --id-column 3"),
    "no header": ("a.csv", "P,S\n", "column 1 (11111111…), column 2 (22222222…)"),
    "no header, with semicolons": ("a.csv", "x;P;S\n", "more than one column"),
    "no header, and the second id further down": ("a.csv", "x,S\nP,T\n", "line 2 holds several UUIDs"),
    "no header, and the id's cell empty further down": ("a.csv", "S,\n,T\nP,T\n", "line 3 holds several UUIDs"),
    "names in the first column": ("a.csv", "session_id,S\nparent_id,P\n", "its names in the rows"),
    "names in the first column, another first": ("a.csv", "owner,P\nsession_id,S\n", "line 2 has its names in"),
    "a record of a database's shell": ("a.csv", "-[ RECORD 1 ]-\nparent | P\nsession_id | S\n", "line 3 has its names"),
    "joined, the second one known by the first's names": ("a.csv", "session_id,x\nS,1\n\nowner,x\nP,1\n", "line 4 is"),
    "joined, the second one known by its id": ("a.csv", "session_id,x\nS,1\nParent ID,y\nP,1\n", "line 3 is another"),
    "joined lists": ("a.txt", "session_id\nS\nparent_session_id\nP\n", "line 3 holds the name of other ids"),
    "joined columns": ("a.csv", "session_id\nS\nparentSessionId\nP\n", "line 3 is another header"),
    "joined without a line end": ("a.csv", "parent,session_id\nP,@Ssession_id,parent\nT,P\n", "line 2 has a row and"),
    "the same behind a word": ("a.csv", "session_id,x\nS,wordparent,session_id\nP,T\n", "line 2 has a row and"),
    "the same behind empty cells": ("a.csv", "p,session_id\nP,S,\nP,T,,session_id,p\nS,P\n", "line 3 has a row and"),
    "the same behind a row that is cut": ("a.csv", "p,x,session_id\nP,a\nb,@Ssession_id,x,p\nT,x,P\n", "line 3 has"),
    "the same in a column": ("a.csv", "session_id\nS\n@Tparent_id\nP\n", "line 3 has a row and"),
    "the same in lists": ("a.txt", "S\n@Tparent_id\nP\n", "line 2 holds the name of other ids"),
    "a fact above other names": ("a.csv", "Report ID:,P\nsubject,sess\nx,S\n", "its names in the rows"),
    "a name in the first column that is not known": ("a.csv", "parent_id,P\nmine,S\n", "its names in the rows"),
    "a name that a program has numbered": ("a.csv", "session_id,session_id.1\nP,S\n", "column 2 'session_id.1'"),
    "an event in a cell": ("a.csv", 'id,data\nP,"{""session_id"":""S""}"\n', "'id' and within 'data'"),
    "an id beside a session's": ("a.csv", "id,feather_session_id\nP,S\n", "column 1 'id' (11111111…), column 2"),
    "an id beside a session": ("a.csv", "id,session\nP,S\n", "column 1 'id' (11111111…), column 2 'session' (2222"),
    "several UUIDs in one cell": ("a.csv", "P S\n", "several UUIDs in one cell"),
    "several UUIDs on a line": ("a.txt", "P S\nT\n", "line 1 holds several UUIDs (11111111… and 22222222…)"),
    "other names": ("a.csv", "parent,session\nP,S\n", "has no column session_id"),
    "other names below a title": ("a.csv", "May\nparent,session\nP,x\n", "has no column session_id"),
    "other names and a comma that should be quoted": ("a.csv", "subject,parent\nHello, world,P\n", "has no column"),
    "two delimiters, each with a header": ("a.csv", "session_id;x,id\nS;x,P\n", "either comma or semicolon: say which"),
    "two names in an object": ("a.jsonl", '{"id":"P","sessionId":"S"}\n', "'sessionId' (22222222…), 'id' (11111111…)"),
    "two names further down": ("a.jsonl", '{"id":"S"}\n{"id":"P","session_id":"T"}\n', "line 2 has more than one"),
    "two names, one without a UUID": ("a.jsonl", '{"id":"P","session_id":null}\n', "more than one field"),
    "an id beside a session in an object": ("a.jsonl", '{"id":"P","session":"S"}\n', "'session' (22222222…)"),
    "an id beside the object of a session": ("a.jsonl", '{"id":"P","conversation":{"uuid":"S"}}\n', "more than one"),
    "an id beside a session's in an object": ("a.jsonl", '{"id":"P","data.session_id":"S"}\n', "more than one field"),
    "an event about the value of a session": ("a.jsonl", '{"id":"P","data":{"session":"S"}}\n', "within 'data'"),
    "a document of a search": ("a.jsonl", '{"_id":"P","_source":{"sessionUuid":"S"}}\n', "within '_source'"),
    "an event in a string": ("a.jsonl", '{"id":"P","value":"{\\"session_id\\":\\"S\\"}"}\n', "within 'value'"),
    "the same field twice": ("a.jsonl", '{"session_id":"P","session_id":"S"}\n', "'session_id' more than once"),
    "rows as arrays": ("a.jsonl", '["P","S"]\n["P","T"]\n', "line 2 is another array of strings"),
    "a listing over several lines": ("a.jsonl", '{"id":"P","items":[\n{"id":"S"},\n{"id":"T"}\n]}\n', "within 'items'"),
    "a listing, and an id behind": ("a.json", '{"items":[\n{"id":"S"}],\n"session_id":"P"}', "'session_id' and"),
    "two listings in one": ("a.json", '{"items":[{"id":"S"}],"data":[{"id":"P"}]}', "'data' and within 'items'"),
    "a page within an array, with an id": ("a.json", '[{"data":{"id":"P"},"items":[{"id":"S"}]}]', "within 'items'"),
    "an error page": ("a.csv", "<!DOCTYPE html><title>Sign in</title>S", "a web page (HTML) titled 'Sign in'"),
    "an error of a store": ("a.csv", "<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "titled 'AccessDenied'"),
    "an error of an API": ("a.json", '{"message":"Not found","status":404}', "an API answered (Not found)"),
    "a listing": ("a.jsonl", '{"id":"P","items":[{"id":"S"},{"id":"T"}],"has_more":false}\n', "within 'items'"),
    "an event about a session": ("a.jsonl", '{"id":"P","data":{"session":{"session_id":"S"}}}\n', "within 'data'"),
    "two columns of reasons": ("a.csv", "session_id,reason,Reason\nS,resolved,unknown\n", "'reason' more than once"),
}  # fmt: skip


def filled(content: str) -> str:
    """The content with the ids in the places of their letters."""
    return re.sub(
        r"(?<![A-Za-z])[PST](?![A-Za-z])|@[PST]", lambda found: {"P": P, "S": S, "T": T}[found[0][-1]], content
    )


def refusal_of(source: str, id_column: str | None = None) -> str:
    with pytest.raises(SourceError) as refusal:
        read(source, id_column=id_column)
    return str(refusal.value)


@pytest.mark.parametrize("shape", READ)
def test_what_has_one_reading_is_read_so(tmp_path: Path, shape: str) -> None:
    name, content, expected = READ[shape]
    rows = read_stdin(filled(content)) if name == "-" else read_content(tmp_path, name, filled(content))
    assert [row.session_id for row in rows] == expected


@pytest.mark.parametrize("shape", REFUSED)
def test_what_has_more_than_one_reading_is_refused_whole(tmp_path: Path, shape: str) -> None:
    name, content, words = REFUSED[shape]
    refusal = refusal_of(write(tmp_path, name, filled(content)))
    assert words in refusal
    assert refusal.splitlines() == [refusal]


@pytest.mark.parametrize(
    ("name", "content", "id_column", "expected"),
    [
        ("a.csv", "ID,Session ID\nP,S\n", "session id", [S]),
        ("a.csv", "ID,Session ID\nP,S\n", "2", [S]),
        ("a.csv", "session_id,session_id\nP,S\n", "2", [S]),
        ("a.csv", "P,S\nP,T\n", "2", [S, T]),
        ("a.csv", "Organisation,P\nsubject,session_id\nx,S\n", "session_id", [S]),
        ("a.csv", "parent,session\nP,S\n", "session", [S]),
        ("a.jsonl", '{"id":"P","sessionId":"S"}\n', "sessionId", [S]),
        ("a.jsonl", '{"id":"S","data":{"id":"P"}}\n', "id", [S]),
    ],
)
def test_the_setting_settles_it(tmp_path: Path, name: str, content: str, id_column: str, expected: list[str]) -> None:
    rows = read_content(tmp_path, name, filled(content), id_column=id_column)
    assert [row.session_id for row in rows] == expected


@pytest.mark.parametrize("id_column", ["", " ", "\u200b"])
def test_an_empty_setting_names_no_column(tmp_path: Path, id_column: str) -> None:
    """As from a shell's variable that is not set: a column without a name is not meant."""
    words = "--id-column is empty"
    assert words in refusal_of(write(tmp_path, "a.csv", filled(",session_id\nP,S\n")), id_column)


def test_another_header_below_what_was_handed_out_ends_the_reading(tmp_path: Path) -> None:
    rows = "".join(f"{P},{number:08x}-0000-4000-8000-000000000000\n" for number in range(1, 30))
    path = write(tmp_path, "a.csv", f"parent,session_id\n{rows}session_id,parent\n{S},{P}\n")
    batches = list(open_source(path).batches(10))
    last = batches[-1][-1]
    assert sum(map(len, batches)) == 30
    assert (last.line, last.session_id) == (31, None)
    assert last.problem == (
        "line 31 is another header (session_id, parent) than line 1: give each table as a file of its own; "
        "nothing is read from there on"
    )


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "a.csv",
            "#TYPE X\nx;session_id;reason\nx;S;\n",
            'ids: column 2 "session_id" of 3, semicolon, header in line 2, '
            'reasons from column 3 "reason"; first 22222222…',
        ),
        ("a.csv", "x,S\n", "ids: column 2 of 2, comma, no header; first 22222222…"),
        ("a.csv", "ticket\nbad\nS\n", "ids: column 1 of 1, no header; first 22222222…"),
        ("a.txt", "bad\n", "ids: one a line"),
        ("a.jsonl", '{"Session ID":"S"}\n', 'ids: field "Session ID" of JSON lines; first 22222222…'),
        ("a.jsonl", '"S"\n', "ids: strings of JSON lines; first 22222222…"),
        ("a.csv", "session_id\x1b\nS\n", 'ids: column 1 "session_id\ufffd" of 1, header in line 1; first 22222222…'),
    ],
)
def test_how_it_was_read_is_told(tmp_path: Path, name: str, content: str, expected: str) -> None:
    source = open_source(write(tmp_path, name, filled(content)))
    assert source.reading is None
    next(iter(source.batches(5)))
    assert source.reading == expected


@dataclass(frozen=True)
class Edited:
    """A table, and the same as something wrote it that does not know how to."""

    content: str
    wanted: frozenset[str]


edits = st.sampled_from([",", "\n", '"', '\\"', "\\,", "'", ",,", "\n\n", '",', '"\n', "#", "\0", "\t", ";"])
words = st.text(st.sampled_from("ab ,;\"'\n#\\"), max_size=8)


@st.composite
def edited_tables(draw: st.DrawFn) -> Edited:
    """Columns in any order, some with ids of other things; then text cells are broken in one way or another."""
    columns = draw(st.permutations(["session_id", "parent", "subject", "note", "root_session_id"]))
    count = draw(st.integers(1, 6))
    wanted = [f"5e550000-0000-4000-8000-{number:012x}" for number in range(count)]
    out = io.StringIO()
    out.write(draw(st.sampled_from(["", "#TYPE X\n", "A title\n", "Report, of May\n", "# a, b\n\n", ",,\n"])))
    csv.writer(out, lineterminator="\n").writerow(columns)
    for number, session_id in enumerate(wanted):
        other = f"0badbad0-0000-4000-8000-{number:012x}"
        text = draw(words) + draw(edits) + draw(words)
        plain = {"session_id": session_id, "parent": other, "root_session_id": other, "subject": "x", "note": text}
        cells = [plain[name] for name in columns]
        if draw(st.booleans()):
            out.write(",".join(cells) + "\n")  # without any quoting
        else:
            csv.writer(out, lineterminator="\n").writerow(cells)
    if draw(st.booleans()):
        csv.writer(out, lineterminator="\n").writerow(columns[::-1])
        for number in range(2):
            sent, other = f"5e55ffff-0000-4000-8000-{number:012x}", f"0badbad0-0000-4000-8000-{number:012x}"
            values = {"session_id": sent, "parent": other, "root_session_id": other}
            csv.writer(out, lineterminator="\n").writerow([values.get(name, "x") for name in columns[::-1]])
    return Edited(out.getvalue(), frozenset(wanted))


@given(edited_tables(), st.sampled_from(["a.csv", "-"]), st.integers(1, 40))
@settings(max_examples=600, deadline=None)
def test_however_a_table_is_broken_no_other_id_is_handed_out(table: Edited, name: str, size: int) -> None:
    try:
        if name == "-":
            rows = read_stdin(table.content)
        else:
            with tempfile.TemporaryDirectory() as folder:
                rows = read(write(Path(folder), name, table.content), size=size)
    except SourceError:
        return
    assert {row.session_id for row in rows if row.session_id} <= table.wanted
