"""In which format an export is to be written, told by an option or by the file's name, and whether it can be."""

import importlib.util
import os
import stat
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Literal

from closeout.worker.domain.item import Outcome
from closeout.worker.ledger.records import RowFilter
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.suggestions import did_you_mean

Format = Literal["csv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet")
COMPRESSIONS = (".gz", ".zst")
_ENDINGS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def compression_of(output: str) -> str:
    """``.gz`` or ``.zst`` where the name ends so, else nothing."""
    suffix = PurePath(output).suffix.lower()
    return suffix if suffix in COMPRESSIONS else ""


def format_of(output: str | None, format: str | None) -> Format:
    """The format that was asked for, else the one the file's name ends in, else CSV. Raises ConfigurationError."""
    chosen = _named(format) if format is not None else _ending(output)
    if chosen == "parquet":
        if output is not None and compression_of(output):
            raise ConfigurationError(f"{output}: Parquet is compressed inside; let the name end in .parquet")
        if importlib.util.find_spec("pyarrow") is None:
            raise ConfigurationError("Parquet needs the package pyarrow: pip install 'closeout[parquet]'")
    return chosen


def _named(format: str) -> Format:
    if format not in FORMATS:
        hint = did_you_mean(format.lower(), FORMATS, f"; use one of {', '.join(FORMATS)}")
        raise ConfigurationError(f"--format: unknown format {format!r}{hint}")
    return format


def _ending(output: str | None) -> Format:
    if output is None or output == "-":
        return "csv"
    name = PurePath(output)
    found = _ENDINGS.get((name.with_suffix("") if compression_of(output) else name).suffix.lower())
    if found is None:
        raise ConfigurationError(
            f"the name {output!r} does not tell a format: let it end in {', '.join(_ENDINGS)} (or .csv.gz, "
            f".jsonl.zst …), or give --format {', '.join(FORMATS)}"
        )
    return found


def check_place(output: str, option: str) -> None:
    """Raise ConfigurationError where no file can be written there: to be asked before the work, and not after it."""
    folder = Path(output).absolute().parent
    if not folder.is_dir():
        raise ConfigurationError(f"{option} {output}: folder {folder} does not exist")
    try:
        is_folder = stat.S_ISDIR(Path(output).stat().st_mode)
    except FileNotFoundError:
        is_folder = False
    except OSError as error:  # a link that leads to itself, a name that is too long
        raise ConfigurationError(f"{option} {output}: {error.strerror}: name another file") from None
    if is_folder:
        raise ConfigurationError(f"{option} {output} is a folder: name a file")
    if not os.access(folder, os.W_OK):
        raise ConfigurationError(f"{option} {output}: {folder} cannot be written to")


def filter_of(outcomes: str | None, eval_statuses: str | None) -> RowFilter:
    """The rows that lists such as ``failed,rejected`` choose. Raises ConfigurationError.

    Verdicts are taken as they are: the API may know others than we do.
    """
    return RowFilter(frozenset(_outcomes(_listed(outcomes))), frozenset(_listed(eval_statuses)))


def _listed(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _outcomes(names: Iterable[str]) -> Iterable[Outcome]:
    known = [outcome.value for outcome in Outcome]
    for name in names:
        asked = name.lower().replace(" ", "_").replace("-", "_")
        if asked not in known:
            hint = did_you_mean(asked, known, f"; use one of {', '.join(known)}")
            raise ConfigurationError(f"--outcome: unknown outcome {name!r}{hint}")
        yield Outcome(asked)
