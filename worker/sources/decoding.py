"""From bytes to text: which encoding, and whether it is text at all."""

import codecs
import io
from collections.abc import Iterator

from closeout.worker.sources.decompress import take_head
from closeout.worker.support.errors import SourceError

_HEAD = 4_096
_WORKBOOK = "looks like an Excel workbook: export it as CSV"
_SIGNATURES = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _WORKBOOK),
    (b"\x89PNG", "is an image, not a text file: give a CSV, JSONL or text file"),
    (b"\xff\xd8\xff", "is an image, not a text file: give a CSV, JSONL or text file"),
    (b"%PDF-", "is a PDF document: export the table as CSV"),
    (b"SQLite format 3\0", "is an SQLite database: export the table as CSV"),
    (b"PAR1\x15", "is a Parquet file: export it as CSV"),
    (b"\xfd7zXZ\0", "is compressed with xz: unpack it, or compress it with gzip or zstd"),
    (b"\x1f\x8b", "is compressed twice: unpack it once"),
    (b"\x28\xb5\x2f\xfd", "is compressed twice: unpack it once"),
)
_LONGEST_SIGNATURE = max(len(signature) for signature, _ in _SIGNATURES)
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_FALLBACK = "closeout-latin-1"
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_FALLBACK, _as_latin_1)


def decoded(chunks: Iterator[bytes]) -> Iterator[str]:
    """The text of ``chunks`` with every line end turned into a line feed; pauses are empty there as well.

    UTF-16 needs its byte-order mark; all else is UTF-8, where bytes that are not are taken for Latin-1 one by
    one. Raises SourceError, before any text, for what is no text file.
    """
    head, chunks = take_head(chunks, _HEAD, _may_be_text)
    if (refusal := refusal_of(head)) is not None:
        raise SourceError(refusal)
    return _decode(head, chunks)


def refusal_of(head: bytes) -> str | None:
    """What to tell the person whose file begins with ``head``, or None where it may be text."""
    for signature, refusal in _SIGNATURES:
        if head.startswith(signature):
            return refusal
    if head.startswith(b"PK\x03\x04"):
        parts = (b"[Content_Types].xml", b"xl/", b"opendocument.spreadsheet")
        return _WORKBOOK if any(part in head for part in parts) else "is a ZIP archive: unpack it"
    # A stray NUL is the trouble of one row. Text has next to no control characters, binary data a tenth or more.
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if head[:2] not in _UTF16 and controls >= 8 and controls * 20 > len(head):
        return "is not a text file: save it as CSV in UTF-8"
    return None


def _may_be_text(head: bytes) -> bool:
    """Whether rows may be taken from what begins so before more of it has come.

    More may show that it is none after all; then what is no text makes bad rows.
    """
    return len(head) >= _LONGEST_SIGNATURE and refusal_of(head) is None


def _decode(head: bytes, chunks: Iterator[bytes]) -> Iterator[str]:
    mark, decoder = _decoder_for(head)
    text = io.IncrementalNewlineDecoder(decoder, translate=True)
    for chunk in chunks:
        piece = text.decode(chunk[mark:])
        mark = 0
        if piece or not chunk:
            yield piece
    if rest := text.decode(b"", final=True):
        yield rest


def _decoder_for(head: bytes) -> tuple[int, codecs.IncrementalDecoder]:
    """The length of the byte-order mark, and the decoder for what follows it."""
    if head[:2] in _UTF16:
        return 2, codecs.getincrementaldecoder(_UTF16[head[:2]])("replace")
    mark = 3 if head.startswith(codecs.BOM_UTF8) else 0
    return mark, codecs.getincrementaldecoder("utf-8")(_FALLBACK)
