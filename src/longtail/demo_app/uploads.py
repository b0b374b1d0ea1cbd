"""A limit on what is uploaded to the page in all, as its server (ASGI) sees it."""

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

LARGEST = 64 * 2**20  # bytes of one upload
MOST_BYTES, MOST_FILES = 2**30, 1000  # that lie there or are on their way at a time
REFUSED = b"too many uploads at a time; try again in ten minutes"
UNSIZED = b"an upload has to say its size; send it with content-length"
Message = MutableMapping[str, Any]
Server = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class LimitedUploads:
    """Passes requests on, but for an upload that would not fit beside those that lie there or are on their way.

    Args:
        app: the server behind it.
        folder: where uploads lie until they are removed.
    """

    def __init__(self, app: Server, folder: Path) -> None:
        self.app, self.folder = app, folder
        self._arriving: list[int] = []  # bytes of each upload on its way
        self._lock = Lock()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        is_upload = (
            scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith("/upload")
        )
        if not is_upload:
            await self.app(scope, receive, send)
            return
        size = _size(scope)
        if size is None:
            await _refuse(send, 411, UNSIZED)
            return
        if not self._admit(size):
            await _refuse(send, 413, REFUSED)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            with self._lock:
                self._arriving.remove(size)

    def _admit(self, size: int) -> bool:
        """Count an upload as on its way where it fits; what of it lies there already is counted twice meanwhile."""
        with self._lock:
            sizes = [size, *self._arriving]
            for file in self.folder.rglob("*"):
                with suppress(OSError):  # it may be removed meanwhile
                    sizes.append(file.stat().st_size if file.is_file() else 0)
            fits = sum(sizes) <= MOST_BYTES and len(sizes) <= MOST_FILES
            if fits:
                self._arriving.append(size)
            return fits


async def _refuse(send: Callable[[Message], Awaitable[None]], status: int, reason: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(reason)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason})


def _size(scope: Message) -> int | None:
    """Bytes of an upload as it says; None where it does not say, and so may hold any number of files."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    is_said = length.isdigit() and len(length) < 20 and b"transfer-encoding" not in headers
    return int(length) if is_said else None
