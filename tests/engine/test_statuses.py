"""Lists of statuses, as people type them."""

import pytest

from closeout.worker.config.dialect import parse_statuses


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("ringing", ("ringing",)),
        (" Waiting_For_Human , active,active", ("active", "waiting_for_human")),
        ("none", ()),
        ("None", ()),
    ],
)
def test_statuses_are_read(text: str, statuses: tuple[str, ...]) -> None:
    """In any case, with blanks, each once; ``none`` is none."""
    assert parse_statuses(text) == statuses


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "write none for none"),
        (" , ", "write none for none"),
        ("waiting", "is not a status of a live session"),
        ("actve", "did you mean active?"),
        ("closed", "is not a status of a live session"),
        ("none,active", "'none' is not a status"),
    ],
)
def test_what_is_no_status_is_refused(text: str, told: str) -> None:
    """With the one that was meant, or all there are."""
    with pytest.raises(ValueError, match=told):
        parse_statuses(text)
