"""The page in headless Chromium, served by the command itself: one server for all tests here."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import longtail

pytestmark = pytest.mark.slow

CHROMIUM = Path("/usr/bin/chromium")
WAIT = 60_000  # milliseconds

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if importlib.util.find_spec("gradio") is None:  # not imported here: the server alone needs it
    pytest.skip("gradio is not installed", allow_module_level=True)
if not CHROMIUM.is_file():
    pytest.skip(f"there is no browser at {CHROMIUM}", allow_module_level=True)


class Seen(NamedTuple):
    """What a page did while it was open."""

    page: Any
    errors: list[str]
    hosts: set[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("app") / "my run"
    given = {"model.num_experts": 2, "data.max_count": 16, "data.imbalance_factor": 4.0}
    longtail.train("icl-digits", model="resnet8", epochs=2, out=out, set=given, quiet=True)
    return out


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def server(run: Path, uploads: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "longtail", "demo-app", str(run), "--port", str(port)]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"TMPDIR": str(uploads)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first == f"open http://127.0.0.1:{port}/\n", process.communicate(timeout=30)
        yield f"http://127.0.0.1:{port}/", process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        options = ["--no-sandbox", "--disable-background-networking", "--disable-gpu", "--in-process-gpu"]
        found = play.chromium.launch(executable_path=str(CHROMIUM), args=options)
        yield found
        found.close()


@pytest.fixture(params=[1280, 390])
def seen(request: pytest.FixtureRequest, browser: Any, server: tuple[str, Any]) -> Iterator[Seen]:
    context = browser.new_context(viewport={"width": request.param, "height": 844})
    opened = Seen(context.new_page(), [], set())
    page = opened.page
    page.on(
        "console", lambda message: opened.errors.append(message.text) if message.type == "error" else None
    )
    page.on("pageerror", lambda error: opened.errors.append(str(error)))
    page.on("request", lambda asked: opened.hosts.add(re.sub(r"^(\w+:(?://[^/]*)?).*", r"\1/", asked.url)))
    page.goto(server[0])
    page.wait_for_selector(".lt-empty", timeout=WAIT)
    yield opened
    context.close()
    assert opened.errors == []
    assert opened.hosts - {"data:/", "blob:/"} == {server[0]}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a ü photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_an_image_is_answered_and_a_file_that_is_none_gets_a_message(
    seen: Seen, run: Path, photo: Path, tmp_path: Path
) -> None:
    _gets_a_message(seen.page, tmp_path)
    seen.page.reload()
    seen.page.wait_for_selector(".lt-empty", timeout=WAIT)
    assert seen.page.locator(".lt-answer [role=alert]").count() == 0  # what was said of the last file is gone
    _is_answered(seen.page, run, photo)
    _can_be_read_by_everyone(seen.page)  # last: without axe, the rest has been tested


def _is_answered(page: Any, run: Path, photo: Path) -> None:
    page.set_input_files("input[type=file]", photo)
    page.wait_for_selector(".lt-answer h2", timeout=WAIT)
    expected = longtail.load(run, device="cpu").predict(photo).iloc[0]
    assert page.inner_text(".lt-answer h2") == expected["label"]
    assert page.locator(".lt-best tbody tr").count() == 5
    captions = page.locator(".lt-maps figcaption").all_inner_texts()
    votes = [f"expert {n}: {expected[f'expert_{n}']}" for n in (1, 2)]
    assert [re.sub(r" \(no evidence\)$", "", text) for text in captions] == ["image", *votes]
    assert page.locator(".lt-doubt").count() == (expected["agreement"] < 1 or expected["confidence"] < 0.5)
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_text("classes and their training images").click()
    assert page.locator(".lt-classes tbody tr").count() == 10


def _can_be_read_by_everyone(page: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    for part in (".lt-intro", ".lt-answer", ".lt-classes"):
        found = axe.Axe().run(page, context=part)
        assert found.violations_count == 0, found.generate_report()


def _gets_a_message(page: Any, folder: Path) -> None:
    broken = folder / "broken.png"
    broken.write_bytes(b"no image")
    page.set_input_files("input[type=file]", broken)
    page.wait_for_selector(".lt-answer [role=alert]", timeout=WAIT)
    assert "broken.png: not an image" in page.inner_text(".lt-answer")


def test_a_port_in_use_is_refused_and_sigterm_leaves_nothing(
    run: Path, server: tuple[str, Any], uploads: Path
) -> None:
    from longtail.demo_app import start

    address, process = server
    with pytest.raises(longtail.InputError, match=r"cannot listen on .*--port"):
        start(longtail.load(run), port=int(address.rstrip("/").rpartition(":")[2]))
    assert list(uploads.glob("longtail-*/*/broken.png"))
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err == "stopped\n"
    assert not list(uploads.glob("longtail-*"))
