"""Numbers with their nouns."""


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "class"), counted(2, "class"), counted(3, "image")
    ('1 class', '2 classes', '3 images')
    """
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
