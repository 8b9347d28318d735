"""What was meant by a word that nobody knows: said wherever a name is refused."""

import difflib
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

_MOST_COMPARED = 10_000


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like it; None where none is like it."""
    near = difflib.get_close_matches(word, sorted(islice(known, _MOST_COMPARED)), n=1)
    return near[0] if near else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return ``; did you mean …?`` to append to a sentence, or ``otherwise`` where no known word is like it."""
    near = nearest(word, known)
    return f"; did you mean {near}?" if near is not None else otherwise


def file_meant(path: Path, *endings: str) -> Path | None:
    """A file beside it with a name much like it, and one of these endings if any are given; else None."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, _MOST_COMPARED) if entry.is_file()]
    except (OSError, ValueError):
        return None
    fitting = [name for name in names if not endings or name.endswith(endings)]
    near = difflib.get_close_matches(path.name, sorted(fitting), n=1, cutoff=0.7)
    return path.with_name(near[0]) if near else None


def did_you_mean_file(path: Path, *endings: str) -> str:
    """The same for a file that is not there."""
    near = file_meant(path, *endings)
    return f"; did you mean {near}?" if near is not None else ""
