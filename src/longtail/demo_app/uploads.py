"""A limit on what is uploaded to the page in all, as its server (ASGI) sees it."""

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

LARGEST = 64 * 2**20  # bytes of one upload
MOST_BYTES, MOST_FILES = 2**30, 1000  # that lie there at a time
REFUSED = b"too many uploads at a time; try again in ten minutes"
Message = MutableMapping[str, Any]
Server = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class LimitedUploads:
    """Passes requests on, but for an upload that would not fit beside those that lie there.

    Args:
        app: the server behind it.
        folder: where uploads lie until they are removed.
    """

    def __init__(self, app: Server, folder: Path) -> None:
        self.app, self.folder = app, folder

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        is_upload = (
            scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith("/upload")
        )
        if is_upload and not self._fits(scope):
            headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(REFUSED)).encode())]
            await send({"type": "http.response.start", "status": 413, "headers": headers})
            await send({"type": "http.response.body", "body": REFUSED})
            return
        await self.app(scope, receive, send)

    def _fits(self, scope: Message) -> bool:
        length = dict(scope["headers"]).get(b"content-length", b"")
        sizes = [int(length) if length.isdigit() and len(length) < 20 else LARGEST]
        for file in self.folder.rglob("*"):
            with suppress(OSError):  # it may be removed meanwhile
                sizes.append(file.stat().st_size if file.is_file() else 0)
        return sum(sizes) <= MOST_BYTES and len(sizes) <= MOST_FILES
