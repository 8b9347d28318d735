"""What a session's id looks like, and how a row without one is explained."""

import re

from closeout.worker.domain.item import SourceRow

NIL = "00000000-0000-0000-0000-000000000000"
# Blank to a reader's eye, though not all of it is white space to str.strip; and the quotes a broken CSV leaves.
_BLANKS = " \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000\u180e\u200b\u200c\u200d\u2060\ufeff"
_WRAPPING = _BLANKS + "\"'`\u2018\u2019\u201c\u201d"
# All but the nil UUID. Spelling the digits out is a third faster than counted repeats.
_names_session = re.compile(f"(?!{NIL})" + "-".join("[0-9a-f]" * digits for digits in (8, 4, 4, 4, 12))).fullmatch
_loosely = re.compile(
    r"(?:urn:uuid:)?(\{)?([0-9a-f]{8}(-)?[0-9a-f]{4}(?(3)-)[0-9a-f]{4}(?(3)-)[0-9a-f]{4}(?(3)-)[0-9a-f]{12})(?(1)\})",
    re.IGNORECASE | re.ASCII,
).fullmatch
_anywhere = re.compile(
    r"(?<![0-9a-f])([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})(?![0-9a-f])",
    re.IGNORECASE | re.ASCII,
).finditer
_uuid = r"\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?"
# How people and programs wrap an id: read where it is asked for, since what is wrapped may be another thing's id.
_WRAPPINGS = tuple(
    (words, re.compile(pattern, re.IGNORECASE | re.ASCII).fullmatch)
    for words, pattern in (
        ("a spreadsheet formula that holds a UUID", rf"=\s*[\"']?{_uuid}[\"']?"),
        ("a UUID in angle brackets", rf"<\s*{_uuid}\s*>"),
        ("a URL that holds a UUID", r"[a-z][a-z0-9+.\-]*://\S+"),
        ("a UUID with a comment behind it", rf"[\"']?{_uuid}[\"']?\s+#.*"),
    )
)
_NO_VALUES = frozenset({"null", "\\n", "nan", "none"})
_LONGEST_NOTHING = max(map(len, _NO_VALUES))
LONGEST_SHOWN = 200
LONGEST_REASON = 65_536
# Controls, line separators, direction overrides and lone surrogates: they break terminals, logs and encoders.
_unprintable = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


_BLANKS += "".join(map(chr, range(0x2000, 0x200B)))


def normalise_id(text: str) -> str | None:
    """The canonical form (lower case, hyphens) of the UUID that ``text`` is, or None when it is none.

    Upper case, braces, a ``urn:uuid:`` prefix, missing hyphens and surrounding blanks or quotes are forgiven.
    The text must be the id and nothing else. The nil UUID names no session, so it is None too.
    """
    if _names_session(text):
        return text
    found = _canonical(text)
    return found if found != NIL else None


def is_no_value(text: str) -> bool:
    """Whether the text is what programs write where there is no value: ``NULL``, ``\\N``, ``NaN`` or ``None``."""
    return strip_blanks(text).lower() in _NO_VALUES


def given_reason(text: str) -> str | None:
    """A row's own reason, without the blanks around it; None where it gives none."""
    bare = text.strip()
    return None if not bare or (len(bare) <= _LONGEST_NOTHING and is_no_value(bare)) else bare


def wrapped_id(text: str) -> tuple[str, str] | None:
    """The only UUID in a text of one of the forms in ``_WRAPPINGS``, and the form in words; None for any other text."""
    bare = strip_blanks(text)
    form = next((words for words, matches in _WRAPPINGS if matches(bare)), None)
    found = uuids_in(bare) if form is not None else []
    return (found[0], form) if form is not None and len(found) == 1 and found[0] != NIL else None


def is_uuid(text: str) -> bool:
    """Whether ``text`` is a UUID in any accepted spelling, the nil UUID included."""
    return _names_session(text) is not None or _canonical(text) is not None


def uuids_in(text: str) -> list[str]:
    """Every UUID that stands anywhere in ``text``, in any accepted spelling, in its canonical form."""
    return [_hyphenated("".join(found.groups())) for found in _anywhere(text)] if len(text) >= 32 else []


def without_uuid(text: str) -> str | None:
    """What follows the UUID with which ``text`` begins; None where it begins with none, or nothing follows."""
    bare = text.strip(_WRAPPING)
    found = next(_anywhere(bare), None)
    return bare[found.end() :].strip(_WRAPPING) or None if found is not None and found.start() == 0 else None


def strip_blanks(text: str) -> str:
    """``text`` without what looks blank at its ends, non-breaking and zero-width characters included."""
    return text.strip(_BLANKS)


def explain_no_id(text: str) -> str:
    """Why ``normalise_id`` gives None for ``text``, in words for a person."""
    bare = text.strip(_WRAPPING)
    if "\0" in text:
        return "contains a NUL byte"
    if not bare or is_no_value(bare):
        return "the cell is empty" + (f": {bare} stands for no value" if bare else "")
    if len(text) > 200:
        return f"not a UUID: the cell is {len(text):,} characters long"
    if _canonical(text) == NIL:
        return "the nil UUID (all zeros) names no session"
    if (wrapped := wrapped_id(text)) is not None:
        return f"not a UUID, but {wrapped[1]}"
    shape = "hexadecimal digits in groups of 8-4-4-4-12 expected"
    return f"not a UUID: {shape if len(bare) == 36 else f'36 characters expected, found {len(bare)}'}"


def _canonical(text: str) -> str | None:
    match = _loosely(text.strip(_WRAPPING))
    if match is None:
        return None
    return _hyphenated(match[2].replace("-", ""))


def _hyphenated(digits: str) -> str:
    digits = digits.lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


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


def id_row(line: int, text: str, reason: str | None = None, *, lenient: bool | None = None) -> SourceRow:
    """The row for a record whose id cell holds ``text``: a session, or a problem that says why not.

    ``lenient``: whether one that is wrapped is an id as well; None where nobody could ask for that.
    """
    session_id = normalise_id(text)
    wrapped = wrapped_id(text) if session_id is None and lenient is not None else None
    if wrapped is not None and not lenient:
        return problem_row(line, text, f"{explain_no_id(text)}: --lenient-ids reads it")
    if wrapped is not None:
        session_id = wrapped[0]
    if session_id is None:
        return problem_row(line, text, explain_no_id(text))
    if reason is not None and len(reason) > LONGEST_REASON:
        problem = f"the reason is {len(reason):,} characters long; at most {LONGEST_REASON:,} are read"
        return problem_row(line, text, problem, reason)
    return SourceRow(line, session_id, reason)
