"""The SHA-256 of a source, taken while its bytes pass by: so that one may prove later which file it was."""

import hashlib
from collections.abc import Iterator


class Checksum:
    """``value`` is the digest in hexadecimal, once the bytes have been read to their end."""

    def __init__(self) -> None:
        self.value: str | None = None

    def over(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The same chunks."""
        digest, self.value = hashlib.sha256(), None
        for chunk in chunks:
            digest.update(chunk)
            yield chunk
        self.value = digest.hexdigest()
