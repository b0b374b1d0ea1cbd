"""Images of one's own, by the form in which they lie: these files, and those of folders that LONGTAIL_SOURCES names."""

from longtail.choices import ELSEWHERE

__path__ += ELSEWHERE
