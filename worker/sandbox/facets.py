"""What a session says beyond its state: made up from its id, the same each time.

Everything personal carries ``PRIVATE_MARKER``, so that a search for it shows where personal data went.
"""

from collections.abc import Callable, Mapping

from closeout.worker.sandbox.sessions import Session

PRIVATE_MARKER = "PRIVATE-MARKER-"
OUR_NUMBER = "+46850000000"

_FIRST_NAMES = ("Ada", "Bruno", "Chidi", "Dorte", "Elif", "Farid", "Greta", "Hana")
_LAST_NAMES = ("Quill", "Osei", "Lindqvist", "Marchetti", "Novak", "Tanaka", "Ibarra", "Weld")
_TOPICS = ("a refund", "a late parcel", "a changed address", "an invoice", "a lost password")
_CHANNELS = ("voice", "voice", "chat", "chat", "sms", "email")
_PRIORITIES = ("normal", "normal", "normal", "normal", "low", "high", "high", "urgent")
_DAY_US = 86_400_000_000


def number(session_id: str) -> int:
    """Give the 48-bit number that the made-up data of a session is chosen by."""
    return int(session_id[24:], 16)


def marker(session_id: str) -> str:
    """Give the marker that the personal data of this session carries."""
    return PRIVATE_MARKER + session_id[:8]


def name(n: int) -> str:
    return f"{_FIRST_NAMES[n % 8]} {_LAST_NAMES[n // 8 % 8]}"


def topic(n: int) -> str:
    return _TOPICS[n % 5]


def subject(session_id: str) -> str:
    n = number(session_id)
    return f"{name(n)} asks about {topic(n)} {marker(session_id)}"


def summary(session_id: str) -> str:
    n = number(session_id)
    return f"{name(n)}, born in 1980, wrote about {topic(n)}. {marker(session_id)}"


def phone(n: int) -> str:
    return f"+4670{n % 10_000_000:07d}"


def email(session_id: str) -> str:
    return f"{marker(session_id)}@customer.example"


def channel(n: int) -> str:
    return _CHANNELS[n // 3 % 6]


def priority(n: int) -> str:
    return _PRIORITIES[n // 5 % 8]


def end_user_id(n: int) -> str:
    """Give one of 4,096 end users, so that several sessions share one."""
    return f"e0d00000-0000-4000-8000-{n % 4096:012x}"


def agent_id(n: int) -> str | None:
    """Give one of 15 agents, or None for one session in 16."""
    agent = n // 4096 % 16
    return f"a9e00000-0000-4000-8000-{agent:012x}" if agent else None


def talk_us(n: int) -> int:
    """Give the microseconds from the start to the last message: up to half an hour."""
    return n // 64 % 1800 * 1_000_000


def ttl_us(n: int, started_us: int) -> int | None:
    """Give when an idle session would expire: one to seven days after its start; one in eight never does."""
    days = n // 7 % 8
    return started_us + days * _DAY_US if days else None


_DERIVED: Mapping[str, Callable[[str], object]] = {
    "id": str,
    "channel": lambda session_id: channel(number(session_id)),
    "priority": lambda session_id: priority(number(session_id)),
    "end_user_id": lambda session_id: end_user_id(number(session_id)),
    "assigned_agent_id": lambda session_id: agent_id(number(session_id)),
    "external_session_id": lambda session_id: f"ext-{session_id[:13]}",
    "from_number": lambda session_id: phone(number(session_id)),
    "to_number": lambda _session_id: OUR_NUMBER,
    "email": email,
    "subject": subject,
    "summary": summary,
}


def facet(session: Session, field: str) -> object:
    """Give one field of a session as filters see it: what it was set to, else what its id gives."""
    if session.overrides is not None and field in session.overrides:
        return session.overrides[field]
    return _DERIVED[field](session.id)
