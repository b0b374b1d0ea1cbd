"""Warnings of what is not as it should be with images that are predicted, for the caller of the library."""

import warnings
from collections.abc import Sequence

from longtail.data.left_out import LeftOut
from longtail.predict.unreadable import Unreadable, repaired_lines, unreadable_warning

_CALLER = 4  # levels up: of who calls the method that warns


def warn_of_unreadable(bad: Unreadable, *, listed: str = "") -> None:
    """Name images whose row is empty; `listed` says where all of them are."""
    if bad:
        rows = "its row is empty" if len(bad) == 1 else "their rows are empty"
        _warn(unreadable_warning(bad, rows + listed))


def warn_of_repaired(repaired: Unreadable) -> None:
    """Name images that are damaged beside their pixels and used."""
    if repaired:
        _warn(" ".join(line.strip() for line in repaired_lines(repaired)))


def warn_of_left_out(found: Sequence[LeftOut]) -> None:
    """Name files of folders that could be images and are left out."""
    if lost := [one.line() for one in found if one.is_problem]:
        _warn("; ".join(lost))


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=_CALLER)
