"""Sources that are files or standard input: opened, read part after part, and what to say when that fails."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import BinaryIO, TypeVar

from closeout.worker.domain.item import SourceRow
from closeout.worker.domain.run import LOCATIONS_APART
from closeout.worker.sources.checksum import Checksum
from closeout.worker.sources.chunks import read_chunks
from closeout.worker.sources.places import LONGEST_NAME, MOST_FILES, Part, Place, files_named, place_of, standard_input
from closeout.worker.sources.protocol import Source
from closeout.worker.sources.reader import Asked, Reader
from closeout.worker.sources.session_ids import ReadingError, problem_row, shown, strip_blanks
from closeout.worker.support.errors import EmptySourceError, SourceError
from closeout.worker.support.units import counted

STANDARD_INPUT = "-"
_Found = TypeVar("_Found")


def open_source(
    source: str | Sequence[str], *, id_column: str | None = None, lenient: bool = False, stdin: BinaryIO | None = None
) -> Source:
    """The source that ``source`` names: files, folders or patterns, or ``-`` for standard input (``stdin``, if given).

    One text may also be the location of an earlier source.
    ``id_column`` is the name of the id's column or field, or a column's 1-based number; ``lenient``: ids are read
    also where they are wrapped, as in a URL. Raises SourceError, here or at the first batch, if the source cannot be
    read at all.
    """
    names = source.split(LOCATIONS_APART) if isinstance(source, str) else list(source)
    if not names or not all(names):
        raise SourceError("SOURCE is empty: name a file, or - for standard input")
    if id_column is not None and not strip_blanks(id_column):
        raise SourceError("--id-column is empty: give the name of the id's column or field, or the column's number")
    asked = Asked(id_column, lenient)
    if STANDARD_INPUT in names:
        if len(names) > 1:
            raise SourceError("SOURCE: standard input (-) stands alone")
        return _ByteSource("standard input", [standard_input(stdin)], asked)
    files = _expanded(names)
    told = shown(names[0], LONGEST_NAME) if len(names) == 1 else counted(len(files), "file")
    return _ByteSource(told, [_named(file, place_of) for file in files], asked)


def _expanded(names: Sequence[str]) -> list[str]:
    """All files, each once. Raises SourceError where one stands there twice, or where they are too many."""
    files = [file for name in names for file in _named(name, files_named)]
    if len(files) > MOST_FILES:
        raise SourceError(f"SOURCE: {len(files):,} files are too many: at most {MOST_FILES:,} are read in one run")
    return list(dict.fromkeys(files))


def _named(name: str, find: Callable[[str], _Found]) -> _Found:
    try:
        return find(name)
    except SourceError as error:
        raise SourceError(f"{shown(name, LONGEST_NAME)} {error}") from error.__cause__


class _ByteSource:
    """Rows from one or several streams of bytes. A complaint about one begins with its name."""

    def __init__(self, name: str, places: Sequence[Place], asked: Asked) -> None:
        self.name = name
        self.reading: str | None = None
        self.by_lines = False
        self._places = places
        self._asked = asked
        self._checksum = Checksum()
        self._several = sum(len(place.parts) for place in places) > 1
        paths = [place.path for place in places]
        if len(paths) > 1 and None in paths:
            raise SourceError("SOURCE: a pipe stands alone, since several files are looked at before they are read")
        self.location = None if None in paths else LOCATIONS_APART.join(map(str, paths))

    @property
    def sha256(self) -> str | None:
        """See the protocol. Of several files it is that of all their bytes, one file after the other."""
        return self._checksum.value

    def batches(self, size: int) -> Iterator[list[SourceRow]]:
        """Yields the rows in order, as the protocol says. Of several parts all are looked at before the first row."""
        if size < 1:
            raise ValueError("a batch holds at least one row")
        self._checksum = Checksum()
        if not self._several:
            yield from self._all_batches(size, empty=set())
        else:
            rows = chain.from_iterable(self._all_batches(size, empty=self._look_at_all()))
            yield from iter(lambda: list(islice(rows, size)), [])

    def _all_batches(self, size: int, *, empty: set[str]) -> Iterator[list[SourceRow]]:
        any_row = False
        try:
            for place in self._places:
                for part in place.parts:
                    for batch in self._batches(part, size, packed=place.packed, empty=part.name in empty):
                        any_row = True
                        yield batch
                if place.packed:
                    self._checksum.add_file(str(place.path))
        except SourceError as error:
            if not any_row:
                raise
            yield [problem_row(1, "", f"{error}; nothing is read from there on")]
            return
        self._checksum.end()

    def _batches(self, part: Part, size: int, *, packed: bool, empty: bool) -> Iterator[list[SourceRow]]:
        try:
            with part.opened() as stream:
                chunks = read_chunks(stream)
                reader = Reader(chunks if packed else self._checksum.over(chunks), self._asked, part.promised)
                if empty:
                    deque(reader.chunks, maxlen=0)
                    return
                for batch in reader.batches(size):
                    if self.reading is None:
                        self.reading = self._reading_of(reader)
                        self.by_lines = reader.by_lines and not packed and not self._several
                    yield [_of_part(row, part.name) for row in batch] if self._several else batch
        except EmptySourceError as error:
            raise EmptySourceError(f"{part.name} {error}") from error.__cause__
        except (SourceError, ReadingError) as error:
            raise SourceError(f"{part.name} {error}") from error.__cause__

    def _reading_of(self, reader: Reader) -> str:
        files = (
            f"{counted(sum(len(place.parts) for place in self._places), 'file')}, each so: " if self._several else ""
        )
        return f"{files}ids: {reader.how}" + (f"; first {reader.first}" if reader.first is not None else "")

    def _look_at_all(self) -> set[str]:
        """The names of the parts without rows. Raises SourceError where one cannot be read, or is read otherwise.

        Parts of one export are alike. Where one is not, what names its ids may not be what names those of the others.
        """
        how: dict[str, str] = {}
        empty: set[str] = set()
        for part in (part for place in self._places for part in place.parts):
            try:
                with part.opened() as stream:
                    reader = Reader(read_chunks(stream), self._asked, part.promised)
                    next(reader.batches(1), None)
            except EmptySourceError:
                empty.add(part.name)
            except (SourceError, ReadingError) as error:
                raise SourceError(f"{part.name} {error}") from error.__cause__
            else:
                how[part.name] = reader.how or ""
        if not how:
            raise EmptySourceError(f"{self.name}: none of the files holds a row: there is nothing to close")
        (name, first), *others = how.items()
        if (other := next((one for one in others if one[1] != first), None)) is not None:
            raise SourceError(
                f"{other[0]} is read otherwise ({other[1]}) than {name} ({first}): give files that differ one by one"
            )
        return empty


def _of_part(row: SourceRow, part: str) -> SourceRow:
    """What is wrong with a row of several files says in which one."""
    if row.problem is not None:
        row.problem = f"{part}: {row.problem}"
    return row
