"""From bytes to text: which encoding, and whether it is text at all."""

import codecs
import io
import re
from collections.abc import Iterator

from closeout.worker.sources.decompress import take_head
from closeout.worker.sources.session_ids import shown
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
    (b"\xfd7zXZ\0", "is compressed twice: unpack it once"),
    (b"ARROW1\0\0", "is an Arrow file: export it as CSV"),
    (b"Obj\x01", "is an Avro file: export it as CSV"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive: unpack it"),
    (b"{\\rtf", "is an RTF document: save it as plain text"),
    (b"\x7fELF", "is a program, not a list: name the list"),
    (b"\x1f\x8b", "is compressed twice: unpack it once"),
    (b"\x28\xb5\x2f\xfd", "is compressed twice: unpack it once"),
)
_LONGEST_SIGNATURE = max(len(signature) for signature, _ in _SIGNATURES)
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_LEAST_UTF16 = 16  # bytes that tell it without a mark
_begins_page = re.compile(rb"(?:(<!doctype\s+html|<html|<head|<body)|<\?xml|<error[\s>])", re.IGNORECASE).match
_titled = re.compile(rb"<(?:title|code|message)>([^<]{1,200})<", re.IGNORECASE).search
_FALLBACK = "closeout-latin-1"
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_FALLBACK, _as_latin_1)


def decoded(chunks: Iterator[bytes]) -> Iterator[str]:
    """The text of ``chunks`` with every line end turned into a line feed; pauses are empty there as well.

    UTF-16 is told by its byte-order mark, or by every other byte, which is zero; all else is UTF-8, where bytes that
    are not are taken for Latin-1 one by one. Raises SourceError, before any text, for what is no text file.
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
        return (
            _WORKBOOK
            if any(part in head for part in parts)
            else "is a ZIP archive within another or from a pipe: unpack it"
        )
    if (page := _begins_page(head.lstrip(b"\xef\xbb\xbf \t\r\n"))) is not None:
        kind = "a web page (HTML)" if page[1] is not None else "an XML document"
        title = _title(head)
        return f"is {kind}{title}, not a list of sessions: an error page, or a sign-in that was asked for; get it again"
    # A stray NUL is the trouble of one row. Text has next to no control characters, binary data a tenth or more.
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if head[:2] not in _UTF16 and _unmarked_utf16(head) is None and controls >= 8 and controls * 20 > len(head):
        return "is not a text file: save it as CSV in UTF-8"
    return None


def _title(head: bytes) -> str:
    found = _titled(head)
    words = " ".join(found[1].decode("utf-8", "replace").split()) if found is not None else ""
    return f" titled {shown(words, 60)!r}" if words else ""


def _unmarked_utf16(head: bytes) -> str | None:
    """Which UTF-16 it is, without a mark: of ids, names and separators every other byte is zero."""
    even, odd = head[0::2], head[1::2]
    zeros = even.count(0), odd.count(0)
    if len(head) < _LEAST_UTF16 or (zeros[0] and zeros[1]):
        return None
    if zeros[1] * 10 > len(odd) * 9:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] * 10 > len(even) * 9 else None


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
    if (unmarked := _unmarked_utf16(head)) is not None:
        return 0, codecs.getincrementaldecoder(unmarked)("replace")
    mark = 3 if head.startswith(codecs.BOM_UTF8) else 0
    return mark, codecs.getincrementaldecoder("utf-8")(_FALLBACK)
