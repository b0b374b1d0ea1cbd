"""A browser for the tests of the page, and pages of made-up runs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from longtail.report import write_page
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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium; the test is skipped where there is none."""
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser at {CHROMIUM}; install Debian's chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as play:
        arguments = ["--no-sandbox", "--disable-background-networking"]
        started = play.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Watched]]:
    """Open a file: `visit(file, width=1280, dark=False, script=True, hash="")`; contexts are closed at the end."""
    contexts = []

    def opened(
        file: Path, *, width: int = 1280, dark: bool = False, script: bool = True, hash: str = ""
    ) -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
        )
        contexts.append(context)
        watched = Watched(context.new_page())
        _watch(watched, file.as_uri())
        watched.page.goto(file.as_uri() + hash)
        return watched

    yield opened
    for context in contexts:
        context.close()


def _watch(watched: Watched, address: str) -> None:
    page, faults = watched.page, watched.faults
    page.on("console", lambda message: faults.append(f"console {message.type}: {message.text}"))
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def requested(request: Any) -> None:
        if not request.url.startswith(("data:", address)):
            faults.append(f"request: {request.url}")

    page.on("request", requested)
