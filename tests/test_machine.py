"""What the machine lacks (open files, space, memory, a temporary folder) is never blamed on a file that is sound."""

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from longtail import cpu
from longtail.cli.main import explain
from longtail.csv_text import read_csv
from longtail.data.entries import begins_like_an_image, scanned
from longtail.data.images import decode_all
from longtail.data.opening import UnreadableError, reasons
from longtail.engine.checkpoint import load_state, save_state
from longtail.models.state_file import read_weights
from longtail.predict.weights import read_tensors
from longtail.recipe import load_recipe
from longtail.records import read_bytes
from longtail.runs.folder import RunFolder
from longtail.types import InputError

RECIPE = '[data]\nname = "digits"\n[model]\nname = "resnet8"\n[method]\nname = "icl"\n'
LACKS = [
    OSError(errno.EMFILE, "Too many open files", "x"),
    OSError(errno.ENOSPC, "No space left on device"),
    FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
]


@contextmanager
def no_more_files() -> Iterator[None]:
    """Every attempt to open a file fails in the block."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _image(folder: Path) -> Path:
    file = folder / "a.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file)
    return file


READERS: dict[str, Callable[[Path], object]] = {
    "an image": lambda folder: decode_all([folder / "a.png"], 1, 8),
    "its first bytes": lambda folder: begins_like_an_image(folder / "a.png"),
    "a folder": lambda folder: list(scanned(folder)),
    "JSON": lambda folder: read_bytes(folder / "a.csv", "train again"),
    "CSV": lambda folder: read_csv(folder / "a.csv"),
    "a state dict": lambda folder: read_weights(folder / "a.pt"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_file_is_not_blamed_where_no_more_can_be_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    torch.save({"w": torch.ones(1)}, tmp_path / "a.pt")
    _image(tmp_path)
    READERS[name](tmp_path)
    with no_more_files(), pytest.raises(OSError, match="Too many open files"):
        READERS[name](tmp_path)


@pytest.mark.parametrize("error", LACKS, ids=lambda error: type(error).__name__)
def test_weights_and_states_are_not_blamed(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "last.pt").touch()
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe = load_recipe(str(tmp_path / "recipe.toml"))[0]
    safetensors.torch.save_file({"w": torch.ones(1)}, tmp_path / "a.safetensors")
    monkeypatch.setattr("torch.load", fail)
    monkeypatch.setattr("safetensors.safe_open", fail)
    with pytest.raises(type(error)):
        read_tensors(tmp_path / "a.safetensors", "train again")
    with pytest.raises(type(error)):
        load_state(RunFolder(tmp_path), recipe)


def test_a_flipped_bit_in_a_state_is_seen(tmp_path: Path) -> None:
    """torch takes the altered weights as they are."""
    folder = RunFolder(tmp_path)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe = load_recipe(str(tmp_path / "recipe.toml"))[0]
    save_state(folder, {"w": torch.ones(1000)})
    data = bytearray(folder.checkpoint.read_bytes())
    data[data.index(torch.ones(100).numpy().tobytes()) + 200] ^= 1
    folder.checkpoint.write_bytes(data)
    assert torch.load(folder.checkpoint)["w"].ne(1).any()
    with pytest.raises(InputError, match=r"last\.pt is damaged \(the checksum of .* is wrong"):
        load_state(folder, recipe)


def test_an_image_whose_decoder_finds_no_memory_is_damaged(tmp_path: Path) -> None:
    """Pillow raises this for sizes that a damaged header claims."""
    with pytest.raises(UnreadableError), reasons(tmp_path / "a.png"):
        raise MemoryError


@pytest.mark.parametrize(
    ("error", "cure"),
    list(zip(LACKS, ("ulimit -n", "free some space", "TMPDIR", "batch_size", "batch_size"), strict=True)),
)
def test_the_line_names_the_cure(error: Exception, cure: str) -> None:
    (line,) = explain(error)
    assert cure in line
    assert "None" not in line


def test_threads_are_those_that_this_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 5, 6, 7}, raising=False)
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    monkeypatch.setattr(cpu, "CGROUP", tmp_path)
    assert cpu.cpu_threads() == 6  # affinity
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cpu.cpu_threads() == 6
    (tmp_path / "cpu.max").write_text("350000 100000\n")
    assert cpu.cpu_threads() == 4  # a quota of 3.5 CPUs
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert cpu.cpu_threads() == 6
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("50000\n")
    assert cpu.cpu_threads() == 1
    (tmp_path / "cpu" / "cpu.cfs_quota_us").unlink()
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)  # as with OMP_NUM_THREADS=3
    assert cpu.cpu_threads() == 3
    assert cpu.cpu_threads(asked=5) == 5  # run.threads
