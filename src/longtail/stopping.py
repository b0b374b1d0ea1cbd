"""Signals that ask a process to stop: SIGTERM and SIGHUP are treated as Ctrl-C is."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOPPING = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
Handler = Callable[[int, FrameType | None], None]


class Stop:
    """Raises KeyboardInterrupt at the first signal. Later ones disturb no tidying up, but for Ctrl-C.

    Attributes:
        requested: whether there was one.
    """

    def __init__(self) -> None:
        self.requested = False

    def __call__(self, number: int, _: FrameType | None = None) -> None:
        if self.requested and number != signal.SIGINT:  # a launcher sends SIGTERM after Ctrl-C
            return
        self.requested = True
        raise KeyboardInterrupt


@contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Meanwhile each of `STOPPING` calls the handler, but for those that the process was started to ignore (nohup).

    Only the main thread of a process can set handlers; in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    changed = [number for number, found in before.items() if found not in (signal.SIG_IGN, None)]
    for number in changed:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, before[number])


@contextmanager
def loading() -> Iterator[None]:
    """While libraries load nothing has begun, and an import cannot be unwound: a signal ends the process at once."""

    def leave(*_: object) -> None:
        with suppress(OSError):  # the terminal may be gone
            os.write(2, b"interrupted\n")
        os._exit(130)

    with handled_by(leave):
        yield
