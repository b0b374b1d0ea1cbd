"""Text that cannot disturb a terminal, a page or a picture."""

MOST = 2000  # characters of a message; a path has 4,096 bytes at most


def printable(text: str) -> str:
    r"""The text with every character that is not printable written out, line breaks and lone surrogates among them.

    >>> printable("caf\u00e9\n\x1b[31m")
    'café\\n\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def shortened(text: str, most: int = MOST) -> str:
    """The text, or its beginning and its end where it is longer than `most` characters.

    >>> shortened("x" * 30, most=12)
    'xxxxxxxx ... xxxx'
    """
    return text if len(text) <= most else f"{text[: 2 * most // 3]} ... {text[-(most // 3) :]}"
