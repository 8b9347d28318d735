"""Rows that name no session: what a person sees of them."""

import re

from closeout.worker.models import SourceRow
from closeout.worker.sources.identifiers import explain_no_id, normalise_id

LONGEST_SHOWN = 200
LONGEST_REASON = 65_536

# Controls, line separators, direction overrides and lone surrogates: they break terminals, logs and encoders.
_unprintable = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class ReadingError(Exception):
    """From ``line`` on the source may be read in more than one way, or otherwise than before; the text says how."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line:,} {problem}")
        self.line = line


def shown(text: str, longest: int = LONGEST_SHOWN) -> str:
    """``text`` cut at ``longest`` characters, with what cannot be printed replaced."""
    return _unprintable.sub("\ufffd", text[:longest])


def sample_of(text: str) -> str:
    """The beginning of a cell, to tell it from others by: it may be personal, so no more of it than that."""
    bare = shown(text.strip(), 9)
    return f"{bare[:8]}…" if len(bare) > 8 else bare


def problem_row(line: int, text: str, problem: str, reason: str | None = None) -> SourceRow:
    """The row for a record that names no session.

    One that is refused for its ``reason`` keeps it (cut): its id must not come back from an export without it.
    """
    return SourceRow(line, None, reason[:LONGEST_SHOWN] if reason else None, shown(text), problem)


def id_row(line: int, text: str, reason: str | None = None) -> SourceRow:
    """The row for a record whose id cell holds ``text``: a session, or a problem that says why not."""
    session_id = normalise_id(text)
    if session_id is None:
        return problem_row(line, text, explain_no_id(text))
    if reason is not None and len(reason) > LONGEST_REASON:
        problem = f"the reason is {len(reason):,} characters long; at most {LONGEST_REASON:,} are read"
        return problem_row(line, text, problem, reason)
    return SourceRow(line, session_id, reason)
