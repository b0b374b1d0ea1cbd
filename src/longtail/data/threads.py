"""Work on images in threads: results in order, and a bounded number of them ahead of the one that is used."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Event
from typing import TypeVar

from longtail.cpu import allowed_cpus
from longtail.data.opening import UnreadableError

Item = TypeVar("Item")
Result = TypeVar("Result")
_AHEAD = 1024  # items in memory at a time
_BLOCK = 16  # of them in one thread's task
_WAITING = 4  # threads beyond the CPUs, as some wait for a disk
_MOST = 32


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], *, ahead: int = _AHEAD, block: int = _BLOCK
) -> Generator[Result | UnreadableError, None, None]:
    """Results in the order of the items, or why there is none.

    Threads go on while the caller uses a result (Pillow releases the interpreter lock), until `ahead` results wait.
    Closing the iterator ends them: each completes the item that it is at.

    Args:
        work: what to do; raises `UnreadableError` where there is no result.
        items: taken as they are needed.
        ahead: how many are taken beyond the block that is used, rounded up to whole blocks.
        block: items in one thread's task.
    """
    closed, remaining = Event(), iter(items)
    waiting = deque[Future[list[Result | UnreadableError]]]()

    def attempt(item: Item) -> Result | UnreadableError:
        try:
            return work(item)
        except UnreadableError as reason:
            return reason

    def attempt_all(taken: list[Item]) -> list[Result | UnreadableError]:
        return [attempt(item) for item in taken if not closed.is_set()]

    pool = ThreadPoolExecutor(thread_count())
    try:
        while True:
            while len(waiting) * block <= ahead and (taken := list(islice(remaining, block))):
                waiting.append(pool.submit(attempt_all, taken))
            if not waiting:
                return
            yield from waiting.popleft().result()
    finally:
        closed.set()
        pool.shutdown(wait=True, cancel_futures=True)


def thread_count() -> int:
    """How many threads read images: a few more than the CPUs that this process may use."""
    return min(_MOST, allowed_cpus() + _WAITING)
