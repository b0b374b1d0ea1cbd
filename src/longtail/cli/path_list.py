"""A list of paths on standard input."""

import os

from longtail.text_file import decode, encoding_of


def paths_in(content: bytes) -> list[str]:
    """A list of paths: one a line, or separated by NUL, as `find -print0` does.

    UTF-8, UTF-16 or UTF-32, with or without a byte order mark, or the bytes of the file names. Blank lines are skipped.
    A line that names no file loses the spaces around it, and then the quotes, where it names one without them.

    Raises:
        InputError: it is no list but a workbook, an archive or the like.
    """
    if b"\0" in content and encoding_of(content) == "utf-8":
        return [os.fsdecode(name) for name in content.split(b"\0") if name]
    lines = (line.removesuffix("\r") for line in decode(content, "standard input").split("\n"))
    return [_existing(line) for line in lines if line.strip()]


def _existing(line: str) -> str:
    bare = line.strip()
    quoted = len(bare) > 2 and bare[0] == bare[-1] and bare[0] in "\"'"
    spellings = (line, bare, bare[1:-1] if quoted else bare)
    return next((name for name in spellings if os.path.exists(name)), bare)  # noqa: PTH110 any text
