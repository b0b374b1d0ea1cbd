import atexit
import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest
from filelock import FileLock

from shape_checks import jaxtyped, unchecked

gc.disable()  # until all is imported
atexit.register(gc.unfreeze)  # what looks for leaks at the end finds none
jaxtyping.jaxtyped = jaxtyped  # before the package is imported
os.fsync = lambda _: None  # tests lose no power, and a run waits for the disk thirty times


def pytest_configure(config: pytest.Config) -> None:
    """Without a GPU the Triton kernel runs in Triton's interpreter, which is to be chosen before its import."""
    if config.getoption("numprocesses", None):  # its workers run the tests
        gc.enable()
        return
    import torch

    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"


def pytest_collection_finish() -> None:
    """What was imported is no garbage: looking through it again and again takes a tenth of the time of the tests."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with unchecked(off=item.get_closest_marker("slow") is not None):
        return (yield)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Fill a folder once for all workers; no test may change it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    shared.mkdir(exist_ok=True)

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what another worker failed to fill
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real data sets (CIFAR Parquet folders, HAM10000); the test is skipped where it is absent."""
    root = Path(os.environ.get("LONGTAIL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"real data sets not found at {root}; set LONGTAIL_DATA")
    return root


@pytest.fixture
def default_signals() -> Iterator[None]:
    """Signals as in a terminal, for tests that send some: scripts start what runs in the background to ignore them."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = [
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        for number in numbers
    ]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
