"""A browser for the tests of the page, and pages of made-up runs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from matplotlib.figure import Figure

from longtail.report import write_page
from longtail.report.pictures import class_figures, curve_figures
from longtail.runs import Run
from run_factory import KINDS, made_up_run

CHROMIUM = Path("/usr/bin/chromium")


@dataclass
class Watched:
    """A page in the browser, and whatever it did that it should not do.

    Attributes:
        page: playwright's.
        faults: console messages, errors, dialogs, and requests beyond the file itself.
    """

    page: Any
    faults: list[str] = field(default_factory=list)

    def texts(self, selector: str) -> list[str]:
        return [" ".join(text.split()) for text in self.page.locator(selector).all_inner_texts()]


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page of a made-up run, by kind; each is made once, and left as it is."""
    made: dict[str, Path] = {}

    def page(kind: str) -> Path:
        if kind not in made:
            run = made_up_run(tmp_path_factory.mktemp(kind) / "run", **KINDS[kind])
            made[kind] = run / write_page(Run(run))
        return made[kind]

    return page


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without their figures, for tests of what stands beside them: drawing is most of a page's time."""
    for module in (class_figures, curve_figures):
        for name, draw in list(vars(module).items()):
            if callable(draw) and getattr(draw, "__annotations__", {}).get("return") is Figure:
                monkeypatch.setattr(module, name, lambda *_: None)
    monkeypatch.setattr("longtail.report.pictures.svg.to_svg", lambda *_: Markup("<svg></svg>"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium; the test is skipped where there is none."""
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser at {CHROMIUM}; install Debian's chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as play:
        arguments = ["--no-sandbox", "--disable-background-networking", "--disable-gpu", "--in-process-gpu"]
        started = play.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="session")
def tabs(browser: Any) -> Callable[[bool, int], Any]:
    """Tabs of the browser, with script or without, which all tests use: a new one costs as much as a page."""
    contexts = {script: browser.new_context(java_script_enabled=script) for script in (True, False)}
    for context in contexts.values():
        context.set_default_navigation_timeout(
            180_000
        )  # ms; a page of thousands of classes on a loaded machine
    return cache(lambda script, number: contexts[script].new_page())


@pytest.fixture
def visit(tabs: Callable[[bool, int], Any]) -> Iterator[Callable[..., Watched]]:
    """Open a file in a tab of its own: `visit(file, width=1280, dark=False, script=True, hash="")`."""
    opened: list[tuple[Any, dict[str, Any]]] = []

    def visit(
        file: Path, *, width: int = 1280, dark: bool = False, script: bool = True, hash: str = ""
    ) -> Watched:
        page = tabs(script, len(opened))
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if dark else "light", media="screen")
        watched = Watched(page)
        opened.append((page, _watch(watched, file.as_uri())))
        page.goto(file.as_uri() + hash)
        return watched

    yield visit
    for page, listeners in opened:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        page.context.clear_permissions()
        page.goto("about:blank")


def _watch(watched: Watched, address: str) -> dict[str, Any]:
    """Note the faults of a page; returns what listens, by event."""
    page, faults = watched.page, watched.faults

    def requested(request: Any) -> None:
        if not request.url.startswith(("data:", address)):
            faults.append(f"request: {request.url}")

    listeners = {
        "console": lambda message: faults.append(f"console {message.type}: {message.text}"),
        "pageerror": lambda error: faults.append(f"error: {error}"),
        "dialog": lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()),
        "request": requested,
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    return listeners
