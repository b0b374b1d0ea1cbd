"""Search for settings on the user's own images within a time budget, judged on held-out training images."""

from longtail.search.budget import DEFAULT_MINUTES, Budget
from longtail.search.command import begun, minutes_of, search, training_seconds
from longtail.search.find import Found, find_settings
from longtail.search.record import Search
from longtail.search.within import fit_within

__all__ = [
    "DEFAULT_MINUTES",
    "Budget",
    "Found",
    "Search",
    "begun",
    "find_settings",
    "fit_within",
    "minutes_of",
    "search",
    "training_seconds",
]  # fmt: skip
