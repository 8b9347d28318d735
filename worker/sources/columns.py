"""Which column holds the id: decided from the first records and the setting, without reading anything."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from closeout.worker.sources.names import (
    ID_NAMES,
    REASON_NAME,
    RIVAL_KEYS,
    WISH_NAMES,
    id_keys,
    name_key,
    names_an_id,
    number_of,
    rank_of,
    with_rivals,
)
from closeout.worker.sources.session_ids import is_uuid, sample_of, shown, strip_blanks, uuids_in, without_uuid
from closeout.worker.support.errors import SourceError

NAMES_IN_ROWS = "has its names in the rows, beside the values"
_MOST_NAMES_SHOWN = 20
_NONES = frozenset({"null", "\\n", "none", "nil", "nan", "na", "n/a", "-"})  # what stands for no value

_ends_thousands = re.compile(r"(?:.*\D)?\d{1,3}", re.DOTALL).fullmatch
_is_thousands = re.compile(r"\d{3}(?:\D.*)?", re.DOTALL).fullmatch

Cells = Sequence[str]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the records of a table are read.

    ``id_at``, ``reason_at``, ``wishes_at`` and ``others_at``, where other things have their ids, are 0-based positions.
    ``header`` holds the names of the header as they are compared, or is None where there is none. A record has at least
    ``narrowest`` cells and, apart from empty ones at its end, at most ``widest``; any other is not of this table, and
    its cells stand in no column. With the empty ones, the header or first row has ``length``.
    """

    id_at: int
    reason_at: int | None
    header: tuple[str, ...] | None
    narrowest: int
    widest: int
    length: int
    wishes_at: tuple[tuple[str, int], ...] = ()
    others_at: frozenset[int] = frozenset()

    @property
    def may_hide_move(self) -> bool:
        """Whether cells may have moved in a record of the right width as well: there is room behind the id for it."""
        behind = range(self.id_at + 1, self.widest)
        return any(at < self.id_at for at in self.others_at) and not self.others_at.issuperset(behind)

    def fits(self, cells: Cells) -> bool:
        """Whether the record has the width of the table, and its cells stand in their own columns."""
        if not self.narrowest <= len(cells) or _width(cells) > self.widest:
            return False
        return not self._is_moved(cells)

    def _is_moved(self, cells: Cells) -> bool:
        """Whether a delimiter that should be quoted has moved cells to the right, into places that are empty in others.

        Such a record has another thing's id where the session's should be. It shows where a column of ids has something
        else; one that has more cells than the table must have all its ids in their places.
        """
        left = [cells[at] for at in self.others_at if at < self.id_at]
        if len(cells) > self.length:
            parts = any(map(_is_cut, cells[: self.id_at], cells[1 : self.id_at + 1]))
            return parts or not all(map(_is_id_or_none, left)) or self._has_id_behind(cells)
        return not all(not strip_blanks(cell) or _is_id_or_none(cell) for cell in left) and self._has_id_behind(cells)

    def is_whole(self, cells: Cells) -> bool:
        """Whether a record below a short one cannot be the rest of it, behind a line break that should be quoted.

        It has as many cells as the table, none of them moved here by an empty one at the end.
        """
        if len(cells) != self.length or not (self.length > self.widest or strip_blanks(cells[-1])):
            return False
        return all(not strip_blanks(cells[at]) or _is_id_or_none(cells[at]) for at in self.others_at if at < len(cells))

    def _has_id_behind(self, cells: Cells) -> bool:
        """Whether a UUID stands right of the session's id, in a column that has none in the first row."""
        return any(at not in self.others_at and is_uuid(cells[at]) for at in range(self.id_at + 1, len(cells)))


def is_comment(cells: Cells) -> bool:
    """Whether the record is one cell that begins with # and holds no UUID."""
    return _width(cells) <= 1 and _begins_comment(cells) and not uuids_in(cells[0])


def holds_id(cells: Cells) -> bool:
    """Whether one of the cells is a UUID, and the record is not commented out: then it can be no header."""
    return any(map(is_uuid, cells)) and not _begins_comment(cells)


def is_header(cells: Cells, keys: frozenset[str]) -> bool:
    """Whether the record holds one of these names and no UUID."""
    return any(name_key(cell) in keys for cell in cells) and not any(map(uuids_in, cells))


def names_its_value(cells: Cells) -> bool:
    """Whether the record holds a name of the id beside a UUID, as a table does that has its names in a column."""
    keys = id_keys(None) | RIVAL_KEYS
    return any(map(is_uuid, cells)) and any(name_key(cell) in keys or names_an_id(cell) for cell in cells)


def is_later_header(cells: Cells, layout: Layout, keys: frozenset[str]) -> bool:
    """Whether a record that names no session is a header further down, such as files that were joined have."""
    in_place = cells[layout.id_at] if layout.id_at < len(cells) else ""
    if strip_blanks(in_place).lower() in _NONES:
        return False
    if is_header(cells, keys | RIVAL_KEYS if len(cells) > 1 else keys):
        return True
    if not strip_blanks(in_place) or any(map(uuids_in, cells)):
        return False
    header = layout.header or ()
    repeats = any(key and name_key(cell) == key for key, cell in zip(header, cells, strict=False))
    return names_an_id(in_place) or name_key(in_place) in header or repeats


def joined_header(cells: Cells, layout: Layout, keys: frozenset[str]) -> tuple[str, ...] | None:
    """The names of a header that begins where the last cell of a row ends; None where there is none.

    So it is where files were joined and the first has no line end at its end.
    """
    known = keys | RIVAL_KEYS

    def names_one(text: str) -> bool:
        return name_key(text) in known or names_an_id(text)

    behind = [at for at, cell in enumerate(cells) if (rest := without_uuid(cell)) is not None and names_one(rest)]
    if not behind and (len(cells) <= layout.widest or not any(map(names_one, cells))):
        return None
    header = layout.header or ("",)
    begun, *others = cells[layout.widest - 1 :] or [""]
    same = name_key(begun).endswith(header[0]) and header_keys(others) == header[1:]
    return header if same else ()


def header_keys(cells: Cells) -> tuple[str, ...]:
    """The names of a header as they are compared, without empty ones at its end."""
    return tuple(map(name_key, cells[: _width(cells)]))


def layout_of(head: Sequence[Cells], id_column: str | None) -> tuple[Layout, int]:
    """How a table that begins with these records is read, and which of them is its first row.

    ``head`` ends with the first record that holds a UUID, or with the one behind the header. Raises SourceError where
    no column answers, or more than one.
    """
    if not head:
        return Layout(0, None, None, narrowest=1, widest=1, length=1), 0
    at = _header_at(head, id_column)
    if at is not None:
        return _layout_with_header(head[at], head[at + 1] if at + 1 < len(head) else None, id_column), at + 1
    rows = [index for index, cells in enumerate(head) if not is_comment(cells)]
    data = next((index for index in rows if holds_id(head[index])), len(head))
    above = [head[index] for index in rows if index < data]
    row = head[data] if data < len(head) else None
    if id_column is not None and number_of(id_column) is None:
        raise SourceError(_no_column(above[-1] if above else row or (), id_column, headless=not above))
    table = next((cells for cells in above if _width(cells) > 1), None)
    if id_column is None and table is not None:
        raise SourceError(_no_column(table, id_column))
    if row is not None and len(above) == 1 and (layout := _layout_under(above[0], row, id_column)) is not None:
        return layout, rows[0] + 1
    return _layout_without_header(row or (above[0] if above else head[0]), id_column), rows[0] if rows else len(head)


def _header_at(head: Sequence[Cells], id_column: str | None) -> int | None:
    """The first record that names the id's column. What stands above it is a title, a comment or the like.

    Without --id-column it is not looked for below a record that holds a UUID. A commented one counts unless the next is
    one as well.
    """
    keys = id_keys(id_column) if number_of(id_column) is None else id_keys(None) | {name_key(REASON_NAME)}
    named = id_column is not None and number_of(id_column) is None
    for index, cells in enumerate(head):
        if is_header(cells, keys):
            commented = _begins_comment(cells) and index + 1 < len(head) and is_header(head[index + 1], keys)
            return index + commented
        if holds_id(cells) and not named:
            return None
    return None


def _layout_with_header(names: Cells, row: Cells | None, id_column: str | None) -> Layout:
    found = _candidates(names, id_column)
    if not found:
        raise SourceError(_no_column(names, id_column))
    id_at = found[0] if len(found) == 1 else _telling(found, names, row) if id_column is None else None
    if id_at is None:
        raise SourceError(_several(found, names, row))
    keys = header_keys(names)
    width = max(len(keys), id_at + 1)
    return Layout(
        id_at,
        _only(keys, REASON_NAME, id_at),
        header=keys,
        narrowest=width,
        widest=width,
        length=len(names),
        others_at=_others_at(id_at, names, row),
        wishes_at=tuple((name, at) for name in WISH_NAMES if (at := _only(keys, name, id_at)) is not None),
    )


def _candidates(names: Cells, id_column: str | None) -> list[int]:
    """The columns that may be meant. A name as it is written goes before one that is spelt otherwise."""
    if id_column is None:
        keys = with_rivals(frozenset(map(name_key, names)))
        return [at for at, name in enumerate(names) if name_key(name) in keys]
    written = [at for at, name in enumerate(names) if strip_blanks(name) == strip_blanks(id_column)]
    named = written or [at for at, name in enumerate(names) if name_key(name) == name_key(id_column)]
    number = number_of(id_column)
    return sorted({*named, *([number] if number is not None and number < len(names) else [])})


def _telling(found: list[int], names: Cells, row: Cells | None) -> int | None:
    """The column of the better name, where the first row holds a UUID there and something else in all others."""
    best, *others = sorted(found, key=lambda at: rank_of(names[at]))
    if row is None or max(found) >= len(row) or name_key(names[best]) == name_key(names[others[0]]):
        return None
    settled = is_uuid(row[best]) and all(strip_blanks(row[at]) and not uuids_in(row[at]) for at in others)
    return best if settled else None


def _only(keys: tuple[str, ...], name: str, id_at: int) -> int | None:
    """The column of that name beside the id's. Raises SourceError where there are several."""
    found = [at for at, key in enumerate(keys) if key == name_key(name) and at != id_at]
    if len(found) > 1:
        columns = " and ".join(str(at + 1) for at in found)
        raise SourceError(f"has the column {name!r} more than once (columns {columns}): rename all but one of them")
    return found[0] if found else None


def _layout_under(first: Cells, row: Cells, id_column: str | None) -> Layout | None:
    """The layout where the only record above the first UUID is a header of other names; None where it is none.

    A lone column, or one given by number, needs no name that is known here. A record that stands directly above a UUID
    of its column is its header; any other is a row, so that no bad id passes for a header.
    """
    id_at = number_of(id_column) if id_column is not None else 0
    if id_at is None or _width(first) != _width(row) or id_at >= len(row) or not is_uuid(row[id_at]):
        return None
    found = _candidates(first, id_column) if id_column is not None else []
    if len(found) > 1:
        raise SourceError(_several(found, first, row))
    keys = header_keys(first)
    width = max(len(keys), id_at + 1)
    others = _others_at(id_at, first, row)
    return Layout(
        id_at, None, header=keys, narrowest=width, widest=width, length=max(len(first), len(row)), others_at=others
    )


def _layout_without_header(row: Cells, id_column: str | None) -> Layout:
    if id_column is not None:
        id_at = number_of(id_column)
        if id_at is None or id_at >= len(row):
            raise SourceError(_no_column(row, id_column, headless=True))
    elif names_its_value(row):
        raise SourceError(f"{NAMES_IN_ROWS}: give one session a row, or the id column's number with --id-column")
    elif len(distinct_uuids(row)) > 1:
        raise SourceError(_several([at for at, cell in enumerate(row) if uuids_in(cell)], None, row))
    else:
        id_at = next((at for at, cell in enumerate(row) if is_uuid(cell)), 0)
    return Layout(
        id_at,
        None,
        None,
        narrowest=max(_width(row), id_at + 1),
        widest=len(row),
        length=len(row),
        others_at=_others_at(id_at, (), row),
    )


def _others_at(id_at: int, names: Cells, row: Cells | None) -> frozenset[int]:
    """The columns beside the session's that hold ids, by their names or by the first row, which has a UUID there."""
    named = {at for at, name in enumerate(names) if names_an_id(name) or name_key(name) in RIVAL_KEYS}
    cells = row or ()
    if any(at < len(cells) and strip_blanks(cells[at]) and not _is_id_or_none(cells[at]) for at in named):
        cells = ()  # it may have moved
    return frozenset((named | {at for at, cell in enumerate(cells) if is_uuid(cell)}) - {id_at})


def distinct_uuids(cells: Iterable[str]) -> set[str]:
    """All that the cells hold, in their canonical form."""
    return {one for cell in cells if len(cell) >= 32 for one in uuids_in(cell)}


def _is_cut(before: str, cell: str) -> bool:
    """Whether two cells seem to be one that its own comma has cut: ``Hello, world``, ``1,000``, ``a\\,b``."""
    spaced = cell[:1] == " " and before[:1] != " " and not is_uuid(cell)
    return spaced or before.endswith("\\") or (bool(_ends_thousands(before)) and bool(_is_thousands(cell)))


def _is_id_or_none(cell: str) -> bool:
    return is_uuid(cell) or strip_blanks(cell).lower() in _NONES


def _width(cells: Cells) -> int:
    """How many cells there are without the empty ones at the end."""
    width = len(cells)
    while width and not strip_blanks(cells[width - 1]):
        width -= 1
    return width


def _begins_comment(cells: Cells) -> bool:
    return bool(cells) and strip_blanks(cells[0]).startswith("#")


def _several(found: list[int], names: Cells | None, row: Cells | None) -> str:
    if names is None and len(found) == 1 and row is not None:
        return f"holds several UUIDs in one cell ({sample_of(row[found[0]])}): give one session id a cell"
    told = [_candidate(at, names, row) for at in found]
    return (
        f"has more than one column that may hold the session id: {', '.join(told)}; "
        f"give the right one's number with --id-column, such as --id-column {found[-1] + 1}"
    )


def _candidate(at: int, names: Cells | None, row: Cells | None) -> str:
    name = f" {shown(strip_blanks(names[at]), 40)!r}" if names is not None else ""
    sample = f" ({sample_of(row[at])})" if row is not None and at < len(row) else ""
    return f"column {at + 1}{name}{sample}"


def _no_column(first: Cells, id_column: str | None, *, headless: bool = False) -> str:
    if headless:
        return (
            f"has no header, so no column {shown(id_column or '', 40)!r}: give the id column's number, 1 to "
            f"{len(first)}, with --id-column"
        )
    names = [shown(strip_blanks(cell), 40) for cell in first]
    there = ", ".join(names[:_MOST_NAMES_SHOWN]) + (", ..." if len(names) > _MOST_NAMES_SHOWN else "")
    if id_column is None:
        wanted = f"{', '.join(ID_NAMES[:-1])} or {ID_NAMES[-1]}"
        return f"has no column {wanted}, only: {there}; name the id column with --id-column"
    by_form = {name.lower(): name for name in names}
    near = difflib.get_close_matches(strip_blanks(id_column).lower(), by_form, n=1, cutoff=0.5)
    hint = f"did you mean {by_form[near[0]]!r}?" if near else "correct --id-column"
    return f"has no column {shown(id_column, 40)!r}, only: {there}; {hint}"
