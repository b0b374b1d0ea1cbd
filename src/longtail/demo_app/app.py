"""The page itself and the server behind it, by gradio."""

import errno
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail.demo_app import page
from longtail.demo_app.uploads import LARGEST, LimitedUploads
from longtail.explain import explain_files
from longtail.predict import Classifier
from longtail.types import InputError

NEEDS_GRADIO = "the app needs gradio; install it with: pip install gradio captum"
FORGET_AFTER = (60, 600)  # look every minute for uploads older than ten, and remove them
PORTS = range(7860, 7960)


@dataclass(frozen=True)
class Running:
    """A server that runs in the background.

    Attributes:
        url: where the page is.
        public_url: where others find it, if it is shared.
        stop: ends the server and removes what was uploaded.
    """

    url: str
    public_url: str | None
    stop: Callable[[], None]


def start(
    classifier: Classifier, *, host: str = "127.0.0.1", port: int | None = None, share: bool = False
) -> Running:
    """Serve the page until it is stopped.

    Args:
        classifier: the run that is asked.
        host: address to listen on; the default is reached from this computer alone.
        port: default: the first free one from 7860.
        share: make a public link through gradio's servers. Without it nothing is sent to anyone.

    Raises:
        InputError: gradio or captum is not installed, the address cannot be used, or there is no public link.
    """
    port = _free_port(host, port)  # before seconds are spent on the library
    gradio = load_gradio()
    from starlette.middleware import Middleware  # of gradio

    with ExitStack() as opened:
        uploads = opened.enter_context(tempfile.TemporaryDirectory(prefix="longtail-"))
        os.environ["GRADIO_TEMP_DIR"] = uploads
        with gradio.Blocks(
            title=classifier.folder.path.resolve().name, analytics_enabled=False, delete_cache=FORGET_AFTER
        ) as blocks:
            _lay_out(gradio, classifier)
        fonts = ["system-ui", "sans-serif"]
        theme = gradio.themes.Base(font=fonts, font_mono=["ui-monospace", "monospace"])
        limited = Middleware(LimitedUploads, folder=Path(uploads))
        opened.callback(blocks.close)
        blocks.launch(
            server_name=host, server_port=port, share=share, theme=theme, css=page.style(),
            footer_links=[], prevent_thread_lock=True, quiet=True, ssr_mode=False, max_file_size=LARGEST,
            enable_monitoring=False, app_kwargs={"middleware": [limited]}, pwa=False, mcp_server=False, inbrowser=False,
        )  # fmt: skip
        if share and not blocks.share_url:
            raise InputError("no public link could be made; leave out --share to serve this computer alone")
        return Running(blocks.local_url, blocks.share_url, opened.pop_all().close)


def _free_port(host: str, port: int | None) -> int:
    """`port`, or the first of `PORTS` that can be listened on; the reason is said where there is none."""
    for candidate in PORTS if port is None else (port,):
        try:
            socket.create_server((host, candidate)).close()
        except UnicodeError:  # of a name that is too long
            reason = "no such address"
            break
        except OSError as error:
            reason = str(error.strerror)
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):  # the address is at fault, not the port
                break
        else:
            return candidate
    where = host if port is None else f"{host} port {port}"
    raise InputError(f"cannot listen on {where} ({reason}); choose another --port or --host")


def load_gradio() -> Any:
    """The library, with everything off that would talk to anyone.

    Raises:
        InputError: gradio or captum is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import captum  # noqa: F401
        import gradio
    except ImportError:
        raise InputError(NEEDS_GRADIO) from None
    return gradio


def _lay_out(gradio: Any, classifier: Classifier) -> None:
    counts = page.class_counts(classifier)

    def respond(file: str | None) -> str:
        return page.waiting() if file is None else _answer(classifier, counts, Path(file))

    gradio.HTML(page.intro(classifier), padding=False)
    with gradio.Row(equal_height=False):
        with gradio.Column(scale=2, min_width=280):
            photo = gradio.File(
                label="Image", file_types=["image"], file_count="single", type="filepath", height=180
            )
        with gradio.Column(scale=5, min_width=300):
            said = gradio.HTML(page.waiting(), padding=False)
    gradio.HTML(page.class_list(classifier), padding=False)
    photo.change(respond, photo, said, concurrency_limit=1, show_progress="minimal", api_visibility="private")


def _answer(classifier: Classifier, counts: dict[str, int], file: Path) -> str:
    bad: list[tuple[str, str]] = []
    repaired: list[tuple[str, str]] = []
    found = list(explain_files(classifier, [file], bad, repaired))
    if not found:
        return page.refusal(file.name, bad[0][1])
    return page.answer(found[0], counts, "".join(ignored for _, ignored in repaired))
