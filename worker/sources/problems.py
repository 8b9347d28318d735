"""Rows that name no session: what a person sees of them."""

import re

from worker.models import SourceRow
from worker.sources.identifiers import explain_no_id, normalise_id

LONGEST_SHOWN = 200
LONGEST_REASON = 65_536

# Controls, line separators, direction overrides and lone surrogates: they break terminals, logs and encoders.
_unprintable = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str, longest: int = LONGEST_SHOWN) -> str:
    """``text`` cut at ``longest`` characters, with what cannot be printed replaced."""
    return _unprintable.sub("\ufffd", text[:longest])


def problem_row(line: int, text: str, problem: str) -> SourceRow:
    """The row for a record that names no session."""
    return SourceRow(line, None, None, shown(text), problem)


def id_row(line: int, text: str, reason: str | None = None) -> SourceRow:
    """The row for a record whose id cell holds ``text``: a session, or a problem that says why not."""
    session_id = normalise_id(text)
    if session_id is None:
        return problem_row(line, text, explain_no_id(text))
    if reason is not None and len(reason) > LONGEST_REASON:
        problem = f"the reason is {len(reason):,} characters long; at most {LONGEST_REASON:,} are read"
        return problem_row(line, text, problem)
    return SourceRow(line, session_id, reason)
