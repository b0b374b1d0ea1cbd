"""What a machine can lack, such as space or open files, so that what was read meanwhile is not blamed."""

import errno

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
