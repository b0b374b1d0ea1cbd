"""From the bytes of a text file to its text, in whatever encoding a spreadsheet or shell wrote it."""

import codecs
import re
from pathlib import Path

from longtail.errors import InputError
from longtail.machine import pass_on

MARKS = {  # the longer first: that of UTF-16 begins that of UTF-32
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OTHERS = {
    b"PK\x03\x04": "an Excel or OpenDocument workbook or another ZIP file; save the sheet as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save the sheet as CSV in UTF-8",
    b"PAR1": "a Parquet file; give its name the ending .parquet",
    b"\x1f\x8b": "compressed (gzip); unpack it",
    b"SQLite format 3": "an SQLite database; write the table as CSV in UTF-8",
}


def encoding_of(data: bytes) -> str:
    """The encoding of a text that begins with an ASCII character: by its byte order mark, else by its zero bytes.

    >>> encoding_of("path".encode("utf-16-le")), encoding_of(b"path")
    ('utf-16-le', 'utf-8')
    """
    marked = next((name for mark, name in MARKS.items() if data.startswith(mark)), None)
    if marked is not None:
        return marked
    zero = tuple(byte == 0 for byte in data[:4])
    if zero[:2] == (False, True):
        return "utf-32-le" if zero == (False, True, True, True) else "utf-16-le"
    if zero[:2] == (True, False):
        return "utf-16-be"
    return "utf-32-be" if zero == (True, True, True, False) else "utf-8"


def read_text(file: Path) -> str:
    """The text of a file; see `decode`."""
    try:
        data = file.read_bytes()
    except OSError as error:
        pass_on(error)
        raise InputError(f"cannot read {file}: {error.strerror}") from None
    return decode(data, str(file))


def decode(data: bytes, place: str) -> str:
    """Text without its byte order mark.

    Args:
        data: UTF-8; or UTF-16 or UTF-32, which a mark or zero bytes tell.
        place: what it is called, for messages.

    Returns:
        The text. Bytes that are no UTF-8 become lone surrogates, as the file system keeps them in file names;
        `encode` gives them back.

    Raises:
        InputError: it is a workbook, Parquet, or compressed, or no text in the encoding that it begins with.
    """
    other = next((said for start, said in _OTHERS.items() if data.startswith(start)), None)
    if other is not None:
        raise InputError(f"{place} is {other}")
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "strict")
    except UnicodeDecodeError as error:
        known = encoding[:6].upper()
        raise InputError(
            f"{place} begins as {known} and is none ({error.reason} at byte {error.start:,}); save it as UTF-8"
        ) from None
    return text.removeprefix("\ufeff")


def encode(text: str) -> bytes:
    """UTF-8, with the bytes that `decode` could not read; other lone surrogates are written out."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def refuse_no_text(text: str, place: str, first: int = 1) -> None:
    r"""Refuse a text in which bytes are no UTF-8; its first line is number `first` of the place.

    >>> refuse_no_text("a\ncaf\udce9", "t.csv")
    Traceback (most recent call last):
    longtail.errors.InputError: line 2 of t.csv is no UTF-8 text (byte 0xe9, é in Windows-1252); save it as UTF-8
    """
    at = next((at for at, letter in enumerate(text) if "\ud800" <= letter <= "\udfff"), None)
    if at is None:
        return
    meant, number = as_windows(text[at]), text.count("\n", 0, at) + first
    found = f"byte 0x{ord(text[at]) - 0xDC00:x}" if "\udc80" <= text[at] <= "\udcff" else "half a character"
    found += f", {meant} in Windows-1252" * meant.isprintable()
    raise InputError(f"line {number} of {place} is no UTF-8 text ({found}); save it as UTF-8")


def as_windows(text: str) -> str:
    r"""The text with its bytes that are no UTF-8 read as Windows-1252, for messages.

    >>> as_windows("caf\udce9 \udc81")
    'café \udc81'
    """
    return re.sub("[\udc80-\udcff]", _windows_letter, text)


def _windows_letter(found: re.Match[str]) -> str:
    return bytes([ord(found[0]) - 0xDC00]).decode("cp1252", "ignore") or found[0]
