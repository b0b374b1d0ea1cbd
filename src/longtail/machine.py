"""What a machine has and can lack: CPU threads; space or open files, so that what was read meanwhile is not blamed."""

import errno
import math
import os
from pathlib import Path

WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # only what is written can be at fault
LACKING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, *WRITTEN)
CLOSE = "close other programs, or raise the limit on open files (ulimit -n)"
CURES = {
    errno.EMFILE: CLOSE,
    errno.ENFILE: CLOSE,
    errno.ENOMEM: "close other programs, for memory is short",
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or have your quota raised",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
    errno.EACCES: "fix the permissions",
    errno.EPERM: "fix the permissions",
    errno.EROFS: "choose a place that can be written to",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: "check the disk",
}

CGROUP = Path("/sys/fs/cgroup")


def cpu_threads(asked: int = 0) -> int:
    """How many CPU threads arithmetic really has here, at least 1.

    The least of the CPUs that this process may run on (its affinity), the quota of its control group, and PyTorch's
    threads, which follow OMP_NUM_THREADS and `torch.set_num_threads`.

    Args:
        asked: the recipe's `run.threads`, which replaces PyTorch's own number; 0: not given.
    """
    import torch  # takes a second, which most of this module's callers do without

    quota = _cpu_quota()
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(asked or torch.get_num_threads(), allowed, math.ceil(quota or allowed)))


def _cpu_quota() -> float | None:
    """CPUs that the control group allows (Linux, both versions); None: all."""
    for limit, period in (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = (CGROUP / limit).read_text().split()
            words += [] if period is None else (CGROUP / period).read_text().split()
            quota, span = int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):  # no such file; "max"
            continue
        if quota > 0 and span > 0:
            return quota / span
    return None


def cure_of(error: OSError) -> str:
    """What to do about the cause of an error of the file system."""
    if _is_without_temporary(error):
        return "free some space in one of these folders, or name another with TMPDIR"
    return CURES.get(error.errno or 0, "fix this")


def lacks_resources(error: BaseException) -> bool:
    """Whether an error of the file system says what the machine lacks, and nothing of the file that it was met at."""
    return isinstance(error, OSError) and (error.errno in LACKING or _is_without_temporary(error))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, torch's among them, says that memory is short."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def pass_on(error: BaseException) -> None:
    """Raise an error again where the machine is its cause: what was being read is not damaged then."""
    if lacks_resources(error) or is_out_of_memory(error):
        raise error


def _is_without_temporary(error: OSError) -> bool:
    """Whether the module tempfile found no folder that it can write to; torch needs one."""
    return error.filename is None and "temporary directory" in str(error.strerror)
