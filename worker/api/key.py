"""What may be sent as a key."""

from closeout.worker.errors import ConfigurationError


def check_key(text: str, origin: str) -> str:
    """The key without blanks around it. Raises ConfigurationError, which never repeats it."""
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(f"the API key in {origin} is empty or holds characters that no key has")
    return key
