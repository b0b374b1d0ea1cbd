"""Settings found on the user's own images, within a budget of time: compared on images held out of the training part."""

from longtail.search.budget import DEFAULT_MINUTES, Budget
from longtail.search.find import Found, find_settings
from longtail.search.record import Search, Trial

__all__ = ["DEFAULT_MINUTES", "Budget", "Found", "Search", "Trial", "find_settings"]
