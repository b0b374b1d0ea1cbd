"""What is uploaded to the page has a limit in all."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from longtail.demo_app import uploads
from longtail.demo_app.app import _free_port
from longtail.demo_app.uploads import LimitedUploads
from longtail.types import InputError


def status(
    folder: Path,
    length: int | None,
    path: str = "/gradio_api/upload",
    method: str = "POST",
    more: Sequence[tuple[bytes, bytes]] = (),
) -> int:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [*more] if length is None else [(b"content-length", str(length).encode()), *more]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(LimitedUploads(app, folder)(scope, None, send))
    return int(sent[0]["status"])


def test_uploads_have_a_total_size_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    monkeypatch.setattr(uploads, "MOST_FILES", 3)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(bytes(600))
    assert [status(tmp_path, length) for length in (400, 401)] == [200, 413]
    assert status(tmp_path, 401, path="/config", method="GET") == 200
    (tmp_path / "a" / "y").touch()
    assert status(tmp_path, 1) == 413


def test_an_upload_that_does_not_say_its_size_is_refused(tmp_path: Path) -> None:
    """It may hold any number of files."""
    assert status(tmp_path, None) == 411
    assert status(tmp_path, 10, more=[(b"transfer-encoding", b"chunked")]) == 411
    assert status(tmp_path, None, path="/config", method="GET") == 200


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")]
)
def test_an_address_that_is_none_is_asked_for_once(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fail(address: tuple[str, int]) -> None:
        asked.append(address)
        raise error

    monkeypatch.setattr(socket, "create_server", fail)
    with pytest.raises(InputError, match=r"cannot listen on nowhere .*--host"):
        _free_port("nowhere", None)
    assert len(asked) == 1


def test_uploads_on_their_way_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until they end, in whatever way: well, with an error, or because the sender is gone."""
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    monkeypatch.setattr(uploads, "MOST_FILES", 5)
    scope = {"type": "http", "method": "POST", "path": "/upload", "headers": [(b"content-length", b"300")]}
    small = scope | {"headers": [(b"content-length", b"1")]}

    async def together(scope: Any, number: int, failing: bool, limited: LimitedUploads) -> int:
        refused = 0

        async def send(message: Any) -> None:
            nonlocal refused
            refused += message.get("status") == 413

        calls = [asyncio.create_task(limited(scope, failing, send)) for _ in range(number)]
        await asyncio.sleep(0)
        calls[0].cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        return refused

    async def app(scope: Any, failing: Any, send: Any) -> None:
        await asyncio.sleep(0.01)
        if failing:
            raise OSError

    async def all_of_it() -> list[int]:
        limited = LimitedUploads(app, tmp_path)
        tries = [(scope, 8, True), (scope, 8, False), (small, 8, True), (scope, 3, False)]
        return [await together(*one, limited) for one in tries]

    assert asyncio.run(all_of_it()) == [5, 5, 3, 0]
