"""report.html: the answer first, the evidence beside it, the doubt in words; one file that opens offline."""

from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata

from longtail.report.discovery import collect, sections
from longtail.report.head import page_head
from longtail.report.page.build import render
from longtail.report.parts import Images, Part
from longtail.report.pictures.svg import drawing
from longtail.report.section import Facts
from longtail.runs.run import Run

__all__ = ["LARGEST", "build_page"]

LARGEST = 8_000_000  # bytes; a page that would be larger has no images


def build_page(run: Run, facts: Facts | None = None, *, images: str = "all") -> str:
    """The text of report.html.

    Args:
        run: finished or not, evaluated or not.
        facts: those of the run, where they are known already.
        images: "none", "errors" (those that the model names wrongly) or "all" (right ones beside them).

    Raises:
        InputError: a file of the run folder is damaged.
    """
    facts = facts or collect(run)
    page = _page(facts, Images(images, "This page was made without images." if images == "none" else ""))
    if images != "none" and len(page.encode("utf-8", "replace")) > LARGEST:
        trouble = "With images this page would be larger than 8 MB, so none are shown."
        page = _page(facts, Images("none", trouble))
    return page


def _page(facts: Facts, images: Images) -> str:
    with drawing():
        parts = list(_parts(facts, images))
    data = {key: value for part in parts for key, value in part.script.items()}
    return render(page_head(facts.head), parts, data, metadata.version("longtail"))


def _parts(facts: Facts, images: Images) -> Iterator[Part]:
    """The sections that there is something to say in, in reading order."""
    for name, section in sections().items():
        found = getattr(facts, name)
        if found is None or not section.template:
            continue
        part = Part(found) if section.page is None else section.page(found, facts, images)
        if part is not None:
            short, heading = part.short or section.short, part.heading or section.heading
            yield replace(part, id=name, short=short, heading=heading)
