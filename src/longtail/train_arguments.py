"""What training is asked for, checked before anything is loaded or read; imports no library."""

import operator
from collections.abc import Sequence
from typing import Any, get_args

from longtail.choices import Fit
from longtail.errors import InputError

LEAST = 0.1  # minutes in which anything can be trained
MOST = 10 * 24 * 60.0  # minutes
MOST_SEEDS = 1000  # at once


def whole_number(name: str, number: Any) -> int | None:
    """The number, where one is given.

    Raises:
        InputError: it is no whole number.
    """
    try:
        return None if number is None else operator.index(number)
    except TypeError:
        raise InputError(f"{name} = {number!r} does not fit: give a whole number") from None


def checked_epochs(epochs: Any) -> int | None:
    """The length, where one is given.

    Raises:
        InputError: it is no whole number of at least 1.
    """
    number = whole_number("epochs", epochs)
    if number is not None and number < 1:
        raise InputError(f"epochs = {number} does not fit: give a whole number, at least 1")
    return number


def checked_minutes(minutes: Any, epochs: int | None = None) -> float | None:
    """The time, where one is given.

    Args:
        minutes: as given.
        epochs: the length that is given beside it.

    Raises:
        InputError: it is no number of minutes, or the length is settled.
    """
    if minutes is None:
        return None
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    if not (is_number and (minutes == 0 or LEAST <= minutes <= MOST)):
        raise InputError(
            f"minutes = {minutes!r} does not fit: give {LEAST:g} to {MOST:,.0f}, or 0 (suggested settings, no search)"
        )
    if epochs is not None:
        raise InputError(
            "--epochs fixes the length of the run, which --minutes is to find; leave one of them out"
        )
    return float(minutes)


def checked_seeds(seeds: Sequence[Any] | None) -> list[int]:
    """The seeds.

    Raises:
        InputError: there are none, too many or the same twice.
    """
    if len(seeds or ()) > MOST_SEEDS:
        raise InputError(f"{len(seeds or ()):,} seeds are given; give at most {MOST_SEEDS:,}")
    known = [number for seed in seeds or () if (number := whole_number("seed", seed)) is not None]
    if not known or len(set(known)) < len(known):
        given = ", ".join(map(str, known)) or "none"
        raise InputError(f"seeds {given} do not fit: give each once, as in 0,1,2")
    return known


def check_fit(fit: str | None) -> None:
    """Refuse what is no way to show an image.

    Raises:
        InputError: see above.
    """
    if fit is not None and fit not in get_args(Fit):
        raise InputError(
            f"--fit {fit!r} does not fit: give {', '.join(get_args(Fit)[:-1])} or {get_args(Fit)[-1]}"
        )
