"""report.html: the answer first, the evidence beside it, the doubt in words; one file that opens offline."""

from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from longtail.report.facts import Facts, collect
from longtail.report.page import class_parts, error_parts, run_parts, search_parts
from longtail.report.page.build import render
from longtail.report.page.heat_maps import heat_maps
from longtail.report.page.nearest_recipe import nearest_recipe
from longtail.report.page.parts import Part
from longtail.report.page.svg import drawing
from longtail.report.page.thumbnails import Thumbnails, load_thumbnails
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
    pictures = _pictures(run, facts, images)
    page = _page(run, facts, pictures, images)
    if images != "none" and len(page.encode("utf-8", "replace")) > LARGEST:
        pictures = Thumbnails(trouble="With images this page would be larger than 8 MB, so none are shown.")
        page = _page(run, facts, pictures, "none")
    return page


def _pictures(run: Run, facts: Facts, images: str) -> Thumbnails:
    if images == "none" or facts.confusions is None:
        return Thumbnails(trouble="This page was made without images." if images == "none" else "")
    return load_thumbnails(run, error_parts.images_of(facts.confusions, images))


def _page(run: Run, facts: Facts, pictures: Thumbnails, images: str) -> str:
    with drawing():
        parts = list(_parts(run, facts, pictures, images))
    data: dict[str, Any] = {}
    if facts.classes is not None:
        data["classes"] = class_parts.class_data(facts.classes)
    matrix = next((part.content["matrix"] for part in parts if part.id == "confusions"), None)
    if matrix is not None:
        data["matrix"] = matrix.data
    return render(class_parts.head(facts.head), parts, data, metadata.version("longtail"))


def _parts(run: Run, facts: Facts, pictures: Thumbnails, images: str) -> Iterator[Part]:
    """The sections that there is something to say in, in reading order."""
    yield Part("verdict", "Verdict", "Is it any good, and for whom?", class_parts.verdict(facts))
    if facts.class_size is not None:
        content = class_parts.class_size(facts.class_size)
        yield Part("size", "Class size", "Does it fail on rare classes?", content)
    if facts.classes is not None:
        content = class_parts.classes(facts.classes, facts)
        yield Part("classes", "Classes", "How is my class?", content)
    if facts.confusions is not None:
        content = error_parts.confusions(facts.confusions, pictures)
        yield Part("confusions", "Errors", "What is taken for what?", content)
    if facts.confidence is not None:
        content = run_parts.confidence(facts.confidence)
        yield Part("confidence", "Confidence", "Can I trust its confidence?", content)
    yield _experts(run, facts, images)
    yield Part("training", "Training", "Did training go well?", run_parts.training(facts.training))
    yield Part("audit", "Data", "What is in the data?", run_parts.data(facts.data, facts))
    if facts.next:
        yield Part("next", "Next", "What next?", run_parts.next_steps(facts.next))
    chosen = search_parts.search(run)
    if chosen is not None:
        yield Part("search", "Settings", "How were the settings chosen?", chosen)
    again = run_parts.repeat(facts.repeat, nearest_recipe(run))
    yield Part("repeat", "Repeat", "How is it repeated?", again)


def _experts(run: Run, facts: Facts, images: str) -> Part:
    nothing: Mapping[str, Any] = {"sentences": (), "table": None, "pictures": (), "agreement": None}
    found = nothing if facts.experts is None else run_parts.experts(facts.experts, facts)
    heading = "What do the experts add?" if facts.experts is not None else "Where does it look?"
    short = "Experts" if facts.experts is not None else "Heat maps"
    return Part("experts", short, heading, {**found, "maps": heat_maps(run, images)})
