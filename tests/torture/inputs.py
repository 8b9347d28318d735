"""Sources that were damaged: whatever the bytes, no id is handed out that stands nowhere in them, and no surprise."""

import gzip
import json
import random
import re
import uuid
from pathlib import Path

from closeout.worker.sources import open_source
from closeout.worker.support.errors import SourceError

INPUTS = 5_000  # in one round
_BITS = b'",;\t|\n\r{}[]:\\\0\xef\xbb\xbf\xff#='


def fuzzed_source(home: Path, seed: int) -> int:
    """Tables, lists and documents, with bytes changed, cut out, doubled, put elsewhere, or cut off."""
    luck = random.Random(seed)
    home.mkdir(parents=True)
    for number in range(INPUTS):
        content = _damaged(_shape(luck), luck)
        packed = gzip.compress(content, 1) if luck.random() < 0.05 else content
        place = home / luck.choice(["a.csv", "a.json", "a", "a.jsonl", "a.txt"])
        place.write_bytes(packed)
        _read(place, content, lenient=luck.random() < 0.3, what=f"input {number}")
    return 0


def _read(place: Path, content: bytes, *, lenient: bool, what: str) -> None:
    try:
        found = [row.session_id for batch in open_source(str(place), lenient=lenient).batches(100) for row in batch]
    except SourceError:
        return
    except BaseException as error:
        raise AssertionError(f"{what}: {content!r}") from error
    there = re.sub(rb"[^0-9a-f]", b"", content.replace(b"\0", b"").lower())
    strange = [one for one in found if one is not None and uuid.UUID(one).hex.encode() not in there]
    assert not strange, f"{what}: {strange} of {content!r}"


def _shape(luck: random.Random) -> bytes:
    ids = [str(uuid.UUID(int=luck.getrandbits(128))) for _ in range(luck.randint(1, 8))]
    mark = luck.choice(",;\t|")
    rows = [mark.join((one, luck.choice(["", "abandoned", '"a\nb"', "é"]), str(luck.randint(0, 99)))) for one in ids]
    text = luck.choice(
        [
            "\n".join([mark.join(("session_id", "reason", "n")), *rows]) + "\n",
            "\r\n".join(ids),
            "\n".join(json.dumps({"session_id": one, "reason": None}) for one in ids),
            json.dumps([{"id": one} for one in ids], indent=luck.choice([None, 2])),
            json.dumps({"items": [{"id": one, "status": "active"} for one in ids], "next_cursor": None}),
        ]
    )
    return text.encode(luck.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))


def _damaged(content: bytes, luck: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(luck.randint(0, 4)):
        at, length = luck.randint(0, len(made)), luck.randint(1, 12)
        what = luck.choice(["change", "cut", "double", "insert", "end"])
        if what == "change" and at < len(made):
            made[at] = luck.choice([*_BITS, luck.randint(0, 255)])
        elif what == "cut":
            del made[at : at + length]
        elif what == "double":
            made[at:at] = made[at : at + length]
        elif what == "insert":
            made[at:at] = bytes(luck.choice(_BITS) for _ in range(length))
        elif luck.random() < 0.3:
            del made[at:]
    return bytes(made)
