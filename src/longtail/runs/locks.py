"""Locks between processes. The operating system lets go of one when its process ends, however it ends."""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from longtail.errors import InputError

NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


class HeldError(InputError):
    """Another process holds the lock."""


@contextmanager
def locked(file: Path, busy: str) -> Iterator[None]:
    """Hold a lock file, without waiting for it; it is removed in the end.

    A file that a killed process left is in nobody's way. Where a file system has no locks, none is held.

    Args:
        file: the lock file, in a folder that exists.
        busy: what to say where another process, or another thread of this one, holds it.

    Raises:
        HeldError: with the text of `busy`.
        OSError: the file system refuses.
    """
    lock = FileLock(file, thread_local=False)
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # of a weaker lock, where the file system has no others
            lock.acquire(timeout=0)
    except Timeout:
        raise HeldError(busy) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held, so that nobody holds a file without a name
            file.unlink()
        lock.release()
