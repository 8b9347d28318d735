"""Which column holds the id: decided from the first two records and the setting, without reading anything."""

import difflib
from dataclasses import dataclass

from worker.errors import SourceError
from worker.sources.identifiers import is_uuid, strip_blanks
from worker.sources.problems import shown

ID_NAMES = ("session_id", "conversation_id", "id")
REASON_NAME = "reason"
WISH_NAMES = ("key", "not_before")  # what `push` hands on besides
_MOST_NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Layout:
    """The 0-based positions of id, reason and what else `push` hands on; whether the first record is a header."""

    id_at: int
    reason_at: int | None
    has_header: bool
    wishes_at: tuple[tuple[str, int], ...] = ()


def column_name(text: str) -> str:
    """The form in which column names are compared: without surrounding blanks, in lower case."""
    return strip_blanks(text).lower()


def accepted_names(id_column: str | None) -> tuple[str, ...]:
    """The names an id column may have, the preferred one first."""
    return ID_NAMES if id_column is None else (column_name(id_column),)


def holds_uuid(cells: list[str]) -> bool:
    """Whether one of the cells is a UUID: then this record is no header, whatever comes after it."""
    return _first_uuid(cells) is not None


def layout_of(first: list[str], second: list[str] | None, id_column: str | None) -> Layout:
    """Where the id and the reason stand, given the first record and the second, if it can be read.

    A first record that holds a UUID is no header (the second is not needed then). One that holds a known name is.
    Where neither settles it (a lone column, or a column given by number), the first record is a header if the second
    has a UUID in the id's place; otherwise it is a row, so that no bad id passes for a header. Raises SourceError if
    no column answers.
    """
    if (id_at := _first_uuid(first)) is not None:
        return _layout_without_header(first, id_at, id_column)
    names = [column_name(cell) for cell in first]
    named = [names.index(name) for name in accepted_names(id_column) if name in names]
    if named:
        return _layout_with_header(names, named[0])
    position = _position(id_column, len(first))
    if id_column is None and len(first) == 1:
        position = 0
    if position is None:
        raise SourceError(_no_column(first, id_column))
    known = any(name in names for name in (*ID_NAMES, REASON_NAME))
    if known or (second is not None and position < len(second) and is_uuid(second[position])):
        return _layout_with_header(names, position)
    return Layout(position, None, has_header=False)


def _first_uuid(cells: list[str]) -> int | None:
    return next((at for at, cell in enumerate(cells) if is_uuid(cell)), None)


def _layout_with_header(names: list[str], id_at: int) -> Layout:
    reason_at = names.index(REASON_NAME) if REASON_NAME in names else None
    wishes_at = tuple((name, names.index(name)) for name in WISH_NAMES if name in names and names.index(name) != id_at)
    return Layout(id_at, None if reason_at == id_at else reason_at, has_header=True, wishes_at=wishes_at)


def _layout_without_header(first: list[str], first_uuid: int, id_column: str | None) -> Layout:
    if id_column is None:
        return Layout(first_uuid, None, has_header=False)
    position = _position(id_column, len(first))
    if position is None:
        raise SourceError(
            f"has no header, so no column {shown(id_column, 40)!r}: give the id column's number, 1 to {len(first)}, "
            "with --id-column"
        )
    return Layout(position, None, has_header=False)


def _position(id_column: str | None, columns: int) -> int | None:
    """The 0-based position that a setting such as "2" means, or None."""
    if id_column is None:
        return None
    text = strip_blanks(id_column)
    if not (text.isdecimal() and len(text) < 10):
        return None
    return int(text) - 1 if 1 <= int(text) <= columns else None


def _no_column(first: list[str], id_column: str | None) -> str:
    names = [shown(strip_blanks(cell), 40) for cell in first]
    there = ", ".join(names[:_MOST_NAMES_SHOWN]) + (", ..." if len(names) > _MOST_NAMES_SHOWN else "")
    if id_column is None:
        wanted = f"{', '.join(ID_NAMES[:-1])} or {ID_NAMES[-1]}"
        return f"has no column {wanted}, only: {there}; name the id column with --id-column"
    by_form = {name.lower(): name for name in names}
    near = difflib.get_close_matches(column_name(id_column), by_form, n=1, cutoff=0.5)
    hint = f"did you mean {by_form[near[0]]!r}?" if near else "correct --id-column"
    return f"has no column {shown(id_column, 40)!r}, only: {there}; {hint}"
