"""A lock keeps other processes out, and ends with the process that holds it."""

import subprocess
import sys
from pathlib import Path

import pytest

from longtail.runs.locks import HeldError, locked

HOLD = """
import sys
from filelock import FileLock

lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
input()
"""


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with locked(file, "busy"):
        with pytest.raises(HeldError, match="busy"), locked(file, "busy"):
            pass
        assert file.exists()
    with locked(file, "busy"):
        pass
    assert not file.exists()


def test_it_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(HeldError), locked(file, "busy"):
            pass
        other.kill()
        other.wait()
        assert file.exists()
        with locked(file, "busy"):
            pass
