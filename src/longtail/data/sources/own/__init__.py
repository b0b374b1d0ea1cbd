"""Images of one's own, by the form in which they lie: these files, and those of `longtail.source_names.own_folders`."""

from longtail.source_names import own_folders

__path__[:] = own_folders()
