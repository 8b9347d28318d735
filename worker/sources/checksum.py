"""The checksum of a source's bytes, taken while they are read."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 20


class Checksum:
    """SHA-256. ``value`` is the digest in hexadecimal, once all bytes have been read to their end."""

    def __init__(self) -> None:
        self.value: str | None = None
        self._digest = hashlib.sha256()

    def over(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The same chunks."""
        for chunk in chunks:
            self._digest.update(chunk)
            yield chunk

    def add_file(self, path: str) -> None:
        """Adds the bytes of a whole file."""
        with Path(path).open("rb") as file:
            while chunk := file.read(_CHUNK):
                self._digest.update(chunk)

    def end(self) -> None:
        """Nothing more comes."""
        self.value = self._digest.hexdigest()
