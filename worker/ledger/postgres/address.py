"""Where a PostgreSQL ledger is: an address that a person writes, and what of it may be shown."""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from closeout.worker.support.errors import ConfigurationError

SCHEMES = ("postgresql", "postgres")
DEFAULT_SCHEMA = "closeout"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# Of the settings of a connection that an address may hold; any other may be a secret.
_HARMLESS = {"schema", "host", "port", "user", "dbname", "sslmode", "sslrootcert", "target_session_attrs"}
_SHOULD = "write it like postgresql://user@host/database"


@dataclass(frozen=True, slots=True)
class Address:
    """``url`` is what libpq is given, and may hold a password; ``shown`` is what anything else may see of it."""

    url: str = field(repr=False)
    schema: str
    shown: str


def parse_address(address: str) -> Address:
    """Take an address apart. ``?schema=`` names the schema. Raises ConfigurationError, which never repeats it."""
    try:
        parts = urlsplit(address)
        _ = parts.hostname, parts.port  # a number, if any
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ConfigurationError(f"--ledger: no address of a PostgreSQL database: {_SHOULD}") from None
    schema = next((value for name, value in query if name == "schema"), DEFAULT_SCHEMA)
    if not _NAME.fullmatch(schema) or schema.startswith("pg_"):
        raise ConfigurationError("--ledger: ?schema= must be lower-case letters, digits and underscores")
    rest = [(name, value) for name, value in query if name != "schema"]
    url = _put_together(parts.netloc, parts.path, rest)
    harmless = [(name, value) for name, value in query if name in _HARMLESS]
    where = parts.netloc.rpartition("@")[2]
    if parts.username:
        where = f"{parts.username}@{where}"
    return Address(url, schema, _put_together(where, parts.path, harmless))


def _put_together(where: str, path: str, query: list[tuple[str, str]]) -> str:
    return f"postgresql://{where}{path}" + (f"?{urlencode(query, quote_via=quote, safe='/')}" if query else "")
