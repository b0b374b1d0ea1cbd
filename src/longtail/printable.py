"""Text that cannot disturb a terminal, a page or a picture."""


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
