"""Names of columns and fields: how they are compared, and which may be the id's. Pure."""

import re
import unicodedata
from functools import lru_cache

from closeout.worker.sources.session_ids import strip_blanks

ID_NAMES = ("session_id", "conversation_id", "id")
REASON_NAME = "reason"
WISH_NAMES = ("key", "not_before")  # what `push` hands on besides
# Names that may mean the id, and are never taken for it: they tell a header, and make a column that is called just
# ``id`` one of several.
RIVAL_KEYS = frozenset({"session", "sessionuuid", "conversation", "conversationuuid", "uuid", "guid", "sid"})
_ID_WORDS = frozenset({"id", "uuid", "guid"})
_NEGATIONS = frozenset({"no", "not", "none", "null", "missing", "invalid", "unknown", "bad", "wrong", "without"})
_LONGEST_NAME = 60
_is_wordy = re.compile(r"[A-Za-z][A-Za-z _.\-]*").fullmatch
_is_some_session = re.compile(
    "(?!parent|root|previous|prev|next|child|origin|related|linked).*(?:session|conversation)(?:id|uuid|guid)"
).fullmatch
_words = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+").findall


@lru_cache(maxsize=1024)  # each line of JSON has the same names again
def name_key(text: str) -> str:
    """The form in which names are compared: ``Session ID``, ``sessionId`` and ``session_id`` are one name."""
    plain = unicodedata.normalize("NFKC", strip_blanks(text)).lower()
    return re.sub(r"[\W_]+", "", plain) or plain


@lru_cache(maxsize=16)
def id_keys(id_column: str | None) -> frozenset[str]:
    """The names that an id column may have, in the form in which they are compared."""
    return frozenset(map(name_key, ID_NAMES if id_column is None else (id_column,)))


@lru_cache(maxsize=256)
def with_rivals(keys: frozenset[str]) -> frozenset[str]:
    """Which of the names of a record may be the id's, where no setting says.

    A name with a number behind it, as programs give to a name that stands twice, is the same name.
    """
    found = keys & id_keys(None)
    again = {key for key in keys if key.rstrip("0123456789") in found}
    return frozenset(again | set(filter(rivals_id, keys)) if found == {"id"} else again)


def rivals_id(key: str) -> bool:
    """Whether a name, in the form in which names are compared, may mean the session where another is just ``id``.

    So does ``feather_session_id``; the parent of a session is another session.
    """
    return key in RIVAL_KEYS or bool(_is_some_session(key))


def rank_of(name: str) -> tuple[int, str]:
    """By what to sort names that may be the id's, the better ones first."""
    key = name_key(name)
    return next((at for at, one in enumerate(ID_NAMES) if name_key(one) == key), len(ID_NAMES)), key


def names_an_id(text: str) -> bool:
    """Whether the text reads like the name of some column of ids: ``parent_session_id``, ``Case ID:``, ``userUuid``."""
    bare = strip_blanks(text).removeprefix("#").removesuffix(":")
    if len(bare) > _LONGEST_NAME or not _is_wordy(bare):
        return False
    first, *others = [word.lower() for word in _words(bare)] or [""]
    if others:
        return others[-1] in _ID_WORDS and first not in _NEGATIONS
    return first.endswith(tuple(_ID_WORDS)) and ("session" in first or "conversation" in first)


def number_of(id_column: str | None) -> int | None:
    """The 0-based position that a setting such as "2" means, or None."""
    text = strip_blanks(id_column or "")
    return int(text) - 1 if text.isdecimal() and len(text) < 10 and int(text) > 0 else None
