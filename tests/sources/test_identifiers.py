import re
import string
import sys
import uuid
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closeout.worker.sources.session_ids import NIL, explain_no_id, is_uuid, normalise_id
from tests.sources.reading import A

REFUSED = [
    "",
    " ",
    A[:-1],
    A + "0",
    A + A,
    f"session {A}",
    f"{A},x",
    f"{A} {A}",
    A.replace("-", "", 1),
    A.replace("-", " "),
    A.replace("-", "\u2010"),
    A.replace("a", "g"),
    "{" + A,
    A + "}",
    "{{" + A + "}}",
    "urn:uuid:",
    "urn:uuid:urn:uuid:" + A,
    "uuid:" + A,
    A.replace("0", "\u0660"),
    A.replace("a", "\uff41"),
    "0x" + A.replace("-", ""),
    A + "\0",
    A[:9] + "\n" + A[9:],
]


@given(st.uuids().filter(lambda value: value.int != 0))
@settings(max_examples=100, deadline=None)
def test_every_accepted_spelling_of_a_uuid_becomes_its_canonical_form(value: uuid.UUID) -> None:
    text = str(value)
    forgiven = [text, text.upper(), value.hex, value.hex.upper(), "{" + text + "}", value.urn, value.urn.upper()]
    forgiven += [f" {text}\t", f"\xa0{text}\u200b", f"\ufeff{text}", f'"{text}"', f"'{text}'", f"\u201c{text}\u201d"]
    assert {normalise_id(spelling) for spelling in forgiven} == {text}


@pytest.mark.parametrize("text", REFUSED)
def test_nothing_but_a_whole_uuid_is_one(text: str) -> None:
    assert normalise_id(text) is None
    assert explain_no_id(text)


def test_hyphens_are_there_all_or_none() -> None:
    groups = A.split("-")
    for hyphens in product(("-", ""), repeat=4):
        text = "".join(group + hyphen for group, hyphen in zip(groups, (*hyphens, ""), strict=True))
        assert (normalise_id(text) is not None) == (len(set(hyphens)) == 1)


@given(st.text(alphabet=string.hexdigits + "-{} urn:id\"'\xa0\u200bg", max_size=60))
@settings(max_examples=300, deadline=None)
def test_an_id_is_never_invented(text: str) -> None:
    found = normalise_id(text)
    if found is not None:
        assert str(uuid.UUID(found)) == found
        assert found.replace("-", "") in text.lower().replace("-", "")


def test_no_other_character_passes_for_a_digit() -> None:
    """Case folding knows oddities (the Kelvin sign is a k); none of them may make a digit."""
    passing = [chr(code) for code in range(sys.maxunicode + 1) if normalise_id(chr(code) + A[1:])]
    assert "".join(passing) == "0123456789ABCDEFabcdef"


def test_the_nil_uuid_is_a_uuid_but_names_no_session() -> None:
    for spelling in (NIL, NIL.replace("-", ""), "{" + NIL + "}"):
        assert normalise_id(spelling) is None
        assert is_uuid(spelling)
        assert "nil UUID" in explain_no_id(spelling)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the cell is empty"),
        ('" "', "the cell is empty"),
        ("abc\0", "contains a NUL byte"),
        ("twelve chars", "not a UUID: 36 characters expected, found 12"),
        ("x" * 36, "not a UUID: hexadecimal digits in groups of 8-4-4-4-12 expected"),
        ("x" * 70_000, "not a UUID: the cell is 70,000 characters long"),
    ],
)
def test_the_explanation_names_what_is_wrong(text: str, words: str) -> None:
    assert explain_no_id(text) == words


@given(st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_an_id_always_has_the_canonical_form(text: str) -> None:
    found = normalise_id(f"{text}{A}{text}")
    assert found is None or re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found)
