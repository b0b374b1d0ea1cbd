"""How the report speaks: whole per cents, counts with their nouns, short lists."""

import math
from collections.abc import Sequence

from longtail.report.facts.evaluation import Interval

LISTED = 5
SURE = 30  # images of a class from which on its recall is not called rough


def whole(value: float, images: int = 0) -> str:
    """A fraction in per cent: whole below 1,000 images, with one decimal from there on.

    >>> whole(0.123, 500), whole(0.123, 5000), whole(0.625), whole(0.996), whole(0.9996, 2000), whole(0.0001)
    ('12', '12.3', '63', '99.6', '99.96', '0.1')
    """
    places = 1 if images >= 1000 else 0
    text = rounded(100 * value, places)
    if float(text) in (0.0, 100.0) and 0 < value < 1:  # never claims all or none where it is not so
        least = 0.1 ** (places + 1)
        text = rounded(min(max(100 * value, least), 100 - least), places + 1)
    return text


def rounded(number: float, places: int = 0) -> str:
    """A number with so many decimals; halves are rounded up, as a browser does."""
    return f"{math.floor(10**places * number + 0.5) / 10**places:.{places}f}"


def between(interval: Interval) -> str:
    """Both ends of an interval in whole per cents.

    >>> between((0.5614, 0.5836))
    '56-58'
    """
    return f"{rounded(100 * interval[0])}-{rounded(100 * interval[1])}"


def count(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun.

    >>> count(1, "class", "classes"), count(2000, "image")
    ('1 class', '2,000 images')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def classes(number: int) -> str:
    return count(number, "class", "classes")


def listed(names: Sequence[str], most: int = LISTED) -> str:
    """The first names, and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def hits(right: int, images: int) -> str:
    """So many of a hundred, or the bare counts where the images are too few for that.

    >>> hits(45, 50), hits(9, 10)
    ('90 of 100', '9 of 10')
    """
    return f"{of_hundred(right / images)} of 100" if images >= SURE else f"{right} of {images}"


def of_hundred(value: float) -> str:
    """How many of a hundred, for a sentence.

    >>> of_hundred(0.574), of_hundred(0.001), of_hundred(0.0)
    ('57', 'fewer than 1', '0')
    """
    return "fewer than 1" if 0 < value < 0.005 else whole(value)
