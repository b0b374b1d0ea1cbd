"""How many CPUs a process may use, and how many threads it has for arithmetic."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cpu_threads(asked: int = 0) -> int:
    """How many CPU threads arithmetic really has here, at least 1.

    The least of the CPUs that this process may run on (its affinity), the quota of its control group, and PyTorch's
    threads, which follow OMP_NUM_THREADS and `torch.set_num_threads`.

    Args:
        asked: the recipe's `run.threads`, which replaces PyTorch's own number; 0: not given.
    """
    import torch

    return max(1, min(asked or torch.get_num_threads(), allowed_cpus()))


def allowed_cpus() -> int:
    """How many CPUs this process may use, at least 1: by its affinity and by the quota of its control group."""
    quota = _cpu_quota()
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, math.ceil(quota or allowed)))


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
