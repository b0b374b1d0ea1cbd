"""The page in a real browser: it loads in peace, sorts, searches, remembers, and can be used by everybody."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longtail.report import write_page
from longtail.runs import Run
from run_factory import KINDS, UNEVEN, made_up_run

pytestmark = pytest.mark.slow

WAIT = 30_000  # milliseconds
Visit = Callable[..., Any]
Pages = Callable[[str], Path]


def column(watched: Any, label: str) -> list[str]:
    return list(watched.texts(f"#class-table tbody td[data-label='{label}']"))


def press(watched: Any, key: str) -> None:
    watched.page.locator(f"#class-table th[data-sort={key}] button").click()


@pytest.mark.parametrize("kind", KINDS)
def test_it_loads_in_peace_and_fits_every_screen(kind: str, pages: Pages, visit: Visit) -> None:
    watched = visit(pages(kind))
    for width in (1280, 768, 360):
        watched.page.set_viewport_size({"width": width, "height": 800})
        assert watched.page.evaluate("document.documentElement.scrollWidth") == width
    assert watched.faults == []
    ids = watched.page.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert sorted(set(ids)) == sorted(ids)
    assert watched.page.locator("h1").count() == 1
    assert watched.page.evaluate("document.querySelectorAll('*').length") <= 8000


@pytest.mark.parametrize(
    ("kind", "width", "dark", "part"),
    [("odd", 1280, False, "html"), ("odd", 360, True, "html"), ("hundred", 1280, True, "#confusions")],
)
def test_axe_finds_nothing(kind: str, width: int, dark: bool, part: str, pages: Pages, visit: Visit) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    watched = visit(pages(kind), width=width, dark=dark)
    found = axe.Axe().run(watched.page, context=part)
    assert found.violations_count == 0, found.generate_report()


def test_numbers_sort_as_numbers_and_too_few_stand_last_both_ways(pages: Pages, visit: Visit) -> None:
    watched = visit(pages("odd"))
    press(watched, "train")
    sizes = [int(text.replace(",", "")) for text in column(watched, "training images")]
    assert sizes == sorted(sizes)
    assert sizes[0] < 10 < sizes[-1]
    press(watched, "train")
    assert [int(text.replace(",", "")) for text in column(watched, "training images")] == sizes[::-1]
    for _ in range(2):
        press(watched, "recall")
        said = column(watched, "recall")
        thin = sum(0 < images < 10 for images in UNEVEN)
        assert all("%" in text for text in said[: -thin - 1])
        assert all("too few to say" in text for text in said[-thin - 1 : -1])
        assert "not tested" in said[-1]


def test_precision_of_a_few_predictions_stands_last_both_ways(pages: Pages, visit: Visit) -> None:
    watched = visit(pages("thousands"))
    for _ in range(2):
        press(watched, "precision")
        said = [text for text in column(watched, "precision") if text]
        shares = [place for place, text in enumerate(said) if "%" in text]
        counts = [place for place, text in enumerate(said) if " of " in text]
        assert shares
        assert counts
        assert max(shares) < min(counts)


def test_the_active_column_alone_says_how_it_is_sorted(pages: Pages, visit: Visit) -> None:
    watched = visit(pages("odd"))
    sorted_by = watched.page.locator("[aria-sort]")
    assert (sorted_by.count(), sorted_by.get_attribute("data-sort")) == (1, "recall")
    press(watched, "class")
    assert (sorted_by.count(), sorted_by.get_attribute("data-sort")) == (1, "class")
    assert watched.texts("#sorted") == ["12 classes, sorted by class, smallest first"]


def test_search_and_filters_narrow_the_table(pages: Pages, visit: Visit) -> None:
    watched = visit(pages("odd"))
    watched.page.fill("#find", "PROTO")
    assert watched.texts("#class-table tbody th") == ["__proto__"]
    watched.page.fill("#find", "")
    watched.page.check("#hide")
    assert len(column(watched, "recall")) == sum(images >= 10 for images in UNEVEN)
    watched.page.select_option("#group", "few")
    assert set(column(watched, "group")) == {"few"}


def test_what_was_chosen_is_restored_from_the_address(pages: Pages, visit: Visit) -> None:
    first = visit(pages("hundred"))
    press(first, "train")
    press(first, "train")
    first.page.fill("#find", "class 1")
    again = visit(pages("hundred"), hash=first.page.evaluate("location.hash"))
    assert again.texts("#class-table tbody th") == first.texts("#class-table tbody th")
    assert again.page.locator("[aria-sort]").get_attribute("aria-sort") == "descending"
    assert again.page.input_value("#find") == "class 1"


@pytest.mark.parametrize(
    "words", ["sort=__proto__&group=x&hide=maybe", "%E0%A4%A", "sort=class&find=%3Cimg%3E"]
)
def test_a_broken_address_does_no_harm(words: str, pages: Pages, visit: Visit) -> None:
    watched = visit(pages("odd"), hash=f"#classes:{words}")
    assert watched.faults == []
    assert watched.page.locator("[aria-sort]").count() == 1


def test_everything_is_reached_with_the_keyboard(pages: Pages, visit: Visit) -> None:
    watched = visit(pages("hundred"))
    keyboard = watched.page.keyboard
    focused = "document.activeElement.id || document.activeElement.textContent.trim()"
    keyboard.press("Tab")
    assert watched.page.evaluate(focused) == "Skip to the verdict"
    seen = []
    for _ in range(60):
        keyboard.press("Tab")
        seen.append(watched.page.evaluate(focused))
    assert {"find", "group", "hide", "copy", "class", "recall", "matrix"} <= set(seen)
    watched.page.locator("#class-table th[data-sort=test] button").focus()
    keyboard.press("Enter")
    assert watched.page.locator("[aria-sort]").get_attribute("data-sort") == "test"
    watched.page.locator("#matrix").focus()
    keyboard.press("ArrowDown")
    assert " as class " in watched.texts("#matrix-says")[0]
    assert " of 20" in watched.texts("#matrix-says")[0]


def test_it_can_be_read_without_script(pages: Pages, visit: Visit) -> None:
    watched = visit(pages("hundred"), script=False)
    assert len(column(watched, "recall")) == 100
    assert not watched.page.locator("#find").is_visible()
    assert watched.page.locator("section").count() >= 9


def test_rows_made_by_the_script_equal_those_of_the_file(pages: Pages, visit: Visit) -> None:
    file = pages("odd")
    squeezed = "(body) => body.innerHTML.replace(/\\s+/g, ' ').replace(/ </g, '<').replace(/> /g, '>')"
    written = visit(file, script=False).page.locator("#class-table tbody").evaluate(squeezed)
    text = file.read_text("utf-8")  # the same page, with all rows left to the script
    start = text.index("<tbody>", text.index('id="class-table"'))
    bare = file.with_name("bare.html")
    bare.write_text(text[: start + 7] + text[text.index("</tbody>", start) :], "utf-8")
    assert visit(bare).page.locator("#class-table tbody").evaluate(squeezed) == written
    assert all(word in written for word in ("rough", "too few to say", "not tested"))


def test_many_classes_are_drawn_in_portions_and_all_are_searched(pages: Pages, visit: Visit) -> None:
    watched = visit(pages("thousands"))
    assert len(column(watched, "recall")) == 100
    watched.page.click("#more")
    assert len(column(watched, "recall")) == 200
    watched.page.fill("#find", "class 399")
    assert watched.texts("#class-table tbody th") == ["class 399"]


def test_copied_cells_start_no_formula(pages: Pages, visit: Visit) -> None:
    from playwright.sync_api import expect

    watched = visit(pages("odd"))
    watched.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    watched.page.click("#copy")
    expect(watched.page.locator("#sorted")).to_have_text(re.compile("^copied"), timeout=WAIT)
    rows = list(csv.DictReader(io.StringIO(watched.page.evaluate("navigator.clipboard.readText()"))))
    assert {row["class"] for row in rows} >= {"'=1+1", "007", "__proto__", '"on=', "</script>"}
    assert len(rows) == 12
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_details_are_open_while_printing(pages: Pages, visit: Visit) -> None:
    watched = visit(pages("hundred"))
    closed = watched.page.locator("details:not([open])").count()
    assert closed > 0
    watched.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert watched.page.locator("details:not([open])").count() == 0
    watched.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert watched.page.locator("details:not([open])").count() == closed
    watched.page.emulate_media(media="print")
    assert not watched.page.locator("#find").is_visible()
    assert watched.page.get_by_text("All classes: eval/test/per_class.csv").is_visible()


def test_every_figure_and_picture_says_what_it_shows(pages: Pages, visit: Visit) -> None:
    watched = visit(pages("odd"))
    figures = watched.page.locator("svg")
    assert figures.count() >= 5
    for number in range(figures.count()):
        label = figures.nth(number).get_attribute("aria-labelledby")
        assert watched.page.locator(f"[id='{label}']").text_content()


def test_a_stranger_in_the_page_cannot_run_or_send(pages: Pages, visit: Visit) -> None:
    text = pages("odd").read_text("utf-8")
    harmed = pages("odd").with_name("harmed.html")
    harmed.write_text(
        text.replace(
            "</main>", "<script>document.title = 'run'</script><img src='http://127.0.0.1:9/x.png'></main>"
        ),
        "utf-8",
    )
    watched = visit(harmed)
    assert watched.page.title() != "run"
    assert [fault for fault in watched.faults if "Content Security Policy" in fault]


def test_a_narrow_screen_shows_the_worst_ten_and_unfolds_the_rest(pages: Pages, visit: Visit) -> None:
    def visible() -> int:
        return sum(watched.page.locator("#class-table tbody tr").nth(row).is_visible() for row in range(100))

    watched = visit(pages("hundred"), width=360)
    assert visible() == 10
    assert watched.texts("#rest summary") == ["90 more classes"]
    height = watched.page.evaluate("document.documentElement.scrollHeight")
    assert height < 11_000
    watched.page.fill("#find", "class 99")
    assert watched.texts("#class-table tbody th") == ["class 99"]
    assert not watched.page.locator("#rest").is_visible()
    watched.page.fill("#find", "")
    watched.page.locator("#rest summary").click()
    assert visible() == 100
    watched.page.locator("#rest summary").click()
    watched.page.emulate_media(media="print")
    assert visible() == 100


def test_what_a_narrow_screen_folds_is_opened_when_it_is_wide_or_pointed_at(
    pages: Pages, visit: Visit
) -> None:
    from playwright.sync_api import expect

    watched, folded = visit(pages("hundred"), width=360), "details.fold:not([open])"
    assert watched.page.locator(folded).count() >= 4
    closed = watched.page.locator(folded).count()
    watched.page.evaluate("location.hash = '#surest'")
    expect(watched.page.locator(folded)).to_have_count(closed - 1, timeout=WAIT)
    watched.page.set_viewport_size({"width": 1280, "height": 800})
    expect(watched.page.locator(folded)).to_have_count(0, timeout=WAIT)
    assert visit(pages("hundred"), width=360, script=False).page.locator(folded).count() == 0


def test_class_names_are_not_broken_within_words(tmp_path: Path, visit: Visit) -> None:
    names = ("Cylindrotheca_closterium", "aquarium_fish", "Proteobacteria unknown", "x" * 60)
    run = made_up_run(tmp_path / "run", names=names, images=40)
    watched = visit(run / write_page(Run(run)), width=768)
    lines = """() => [...document.querySelectorAll("#class-table tbody th")].flatMap((cell) => {
      const range = document.createRange(), words = [];
      for (const node of cell.childNodes) if (node.data) for (const found of node.data.matchAll(/[^\\s_]+_?/g)) {
        range.setStart(node, found.index); range.setEnd(node, found.index + found[0].length);
        words.push([found[0], new Set([...range.getClientRects()].map((box) => box.top)).size]);
      }
      return words;
    })"""
    found = dict(watched.page.evaluate(lines))
    assert found.pop("x" * 60) > 1
    assert set(found.values()) == {1}
    assert {"Cylindrotheca_", "fish", "Proteobacteria"} <= set(found)
    assert watched.page.evaluate("document.documentElement.scrollWidth") == 768
