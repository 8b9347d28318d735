"""Chance that depends on names alone, never on the order in which things arrive."""

import hashlib
import struct

_SCALE = float(1 << 32)


def draw(seed: int, *names: object) -> tuple[float, ...]:
    """Draw eight numbers in [0, 1) that are always the same for one seed and one list of names."""
    text = "\x1f".join([str(seed), *map(str, names)])
    digest = hashlib.blake2b(text.encode(), digest_size=32).digest()
    return tuple(word / _SCALE for word in struct.unpack(">8I", digest))
