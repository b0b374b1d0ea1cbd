"""The page in a real browser: it loads in peace, sorts, searches, remembers, and can be used by everybody."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longtail.report import Run, write_page
from report_runs import HOSTILE, made_up_run

Visit = Callable[..., Any]
WIDTHS = (360, 768, 1280)


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make the page of a made-up run, each kind once."""
    made: dict[str, Path] = {}

    def page(name: str, **options: Any) -> Path:
        if name not in made:
            run = made_up_run(tmp_path_factory.mktemp(name) / "run", **options)
            made[name] = run / write_page(Run(run))
        return made[name]

    return page


@pytest.fixture
def ten(pages: Callable[..., Path]) -> Path:
    """Ten classes with names that would break out if they could."""
    return pages("ten", names=HOSTILE)


@pytest.fixture
def hundred(pages: Callable[..., Path]) -> Path:
    return pages("hundred", num_classes=100)


def recalls(watched: Any) -> list[str]:
    return watched.texts("#class-table tbody td[data-label=recall]")


def column(watched: Any, label: str) -> list[str]:
    return watched.texts(f"#class-table tbody td[data-label='{label}']")


def press(watched: Any, key: str) -> None:
    watched.page.locator(f"#class-table th[data-sort={key}] button").click()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["ten", "hundred"])
def test_it_loads_in_peace_and_fits(name: str, width: int, request: Any, visit: Visit) -> None:
    watched = visit(request.getfixturevalue(name), width=width)
    assert watched.faults == []
    assert watched.page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [width, width]
    ids = watched.page.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(set(ids)) == len(ids)
    assert watched.page.locator("h1").count() == 1
    assert watched.page.evaluate("document.querySelectorAll('*').length") <= 8000


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["ten", "hundred"])
def test_axe_finds_nothing(name: str, dark: bool, request: Any, visit: Visit) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    watched = visit(request.getfixturevalue(name), dark=dark)
    # the policy of the page forbids foreign scripts: the checker's goes in by the debugger
    found = axe.Axe().run(watched.page)
    assert found.violations_count == 0, found.generate_report()
