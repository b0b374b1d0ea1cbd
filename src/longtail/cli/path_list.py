"""A list of paths on standard input."""

import codecs
import os


def paths_in(content: bytes) -> list[str]:
    """A list of paths: one a line, or separated by NUL, as `find -print0` does.

    UTF-8 with or without a byte order mark, UTF-16 with one, or the bytes of the file names. Blank lines are skipped.
    A line that names no file loses the spaces around it, and then the quotes, where it names one without them.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = content.decode("utf-16", "surrogatepass").encode("utf-8", "surrogatepass")
    content = content.removeprefix(codecs.BOM_UTF8)
    if b"\0" in content:
        return [os.fsdecode(name) for name in content.split(b"\0") if name]
    lines = (os.fsdecode(line.removesuffix(b"\r")) for line in content.split(b"\n") if line.strip())
    return [_existing(line) for line in lines]


def _existing(line: str) -> str:
    bare = line.strip()
    quoted = len(bare) > 2 and bare[0] == bare[-1] and bare[0] in "\"'"
    spellings = (line, bare, bare[1:-1] if quoted else bare)
    return next((name for name in spellings if os.path.exists(name)), bare)  # noqa: PTH110 any text
