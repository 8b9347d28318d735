"""The address of a PostgreSQL ledger: what may be shown of it, and what is refused."""

import pytest

from closeout.worker.ledger import open as opening
from closeout.worker.ledger.open import check_address, shown_address
from closeout.worker.ledger.postgres.address import parse_address
from closeout.worker.support.errors import ConfigurationError

QUOTED = "sup3r%3As3cret%2F%40%3F"  # as an address holds a password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"postgresql://me:{QUOTED}@db.example.com/work", "postgresql://me@db.example.com/work"),
        (f"postgres://me:{QUOTED}@[::1]:5433/work?schema=night", "postgresql://me@[::1]:5433/work?schema=night"),
        (f"postgresql://db/work?user=me&password={QUOTED}", "postgresql://db/work?user=me"),
        (f"postgresql:///work?host=/run/pg&sslpassword={QUOTED}", "postgresql:///work?host=/run/pg"),
        ("postgresql://", "postgresql://"),
        ("closeout.db", "closeout.db"),
    ],
)
def test_a_password_is_never_shown(address: str, shown: str) -> None:
    """Wherever in the address it stands; the rest is an address that works where the password is known otherwise."""
    assert shown_address(address) == shown
    if address != "closeout.db":
        place = parse_address(address)
        assert QUOTED not in repr(place)
        assert "schema" not in place.url


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://me:{QUOTED}@db:nonsense/work",
        f"postgresql://me:{QUOTED}@db/work?schema=Odd-Name",
        f"postgresql://me:{QUOTED}@[db/work",
        f"mysql://me:{QUOTED}@db/work",
    ],
)
def test_what_cannot_be_an_address_is_refused_without_being_repeated(address: str) -> None:
    """In one line."""
    with pytest.raises(ConfigurationError, match=r"^--ledger") as refused:
        check_address(address)
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_its_libraries_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are needed by this ledger alone."""
    monkeypatch.setattr(opening, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"closeout\[postgres\]"):
        check_address("postgresql://db/work")
    assert check_address("closeout.db") == "closeout.db"
