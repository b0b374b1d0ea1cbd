"""The files that `longtail data check -o DIR` leaves."""

from longtail.data.audit import Audit
from longtail.report.data_text import groups_of
from longtail.runs import layout
from longtail.runs.folder import RunFolder


def write_audit(audit: Audit, folder: RunFolder) -> list[str]:
    """Write audit.json, counts.csv, duplicates.csv and, where a class has training images, counts.png.

    Args:
        audit: what was found.
        folder: where; it exists.

    Returns:
        The names of the files.

    Raises:
        InputError: the file system refuses.
    """
    from longtail.report.data_plot import plot_counts  # matplotlib: only where something is drawn

    groups, parts = groups_of(audit), list(audit.counts)
    names = [*groups, *audit.unknown_classes]
    counts = [(name, groups.get(name, ""), *(audit.counts[part][name] for part in parts)) for name in names]
    copies = [
        (number, one.kind, *row, *("yes" if said else "no" for said in (one.leaks, one.conflicts)))
        for number, one in enumerate(audit.duplicates, 1)
        for row in zip(one.paths, one.splits, one.classes, strict=True)
    ]
    header = ("set", "kind", "path", "split", "class", "across_parts", "labels_differ")
    folder.write_json(layout.AUDIT, audit.contents())
    folder.write_csv(layout.COUNTS, [("class", "group", *parts), *counts])
    folder.write_csv(layout.DUPLICATES, [header, *copies])
    drawn = [plot_counts(audit, folder)] if groups else []
    return [layout.AUDIT, layout.COUNTS, *drawn, layout.DUPLICATES]
