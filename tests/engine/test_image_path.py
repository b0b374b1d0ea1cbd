"""The files that a training step and an evaluation run through, as docs/architecture.md names them."""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from PIL import Image

import longtail
from longtail.engine.display import Display
from longtail.engine.evaluate import evaluate
from longtail.engine.job import build_job
from longtail.engine.step import StageTraining
from longtail.recipe import load_recipe
from longtail.runs.folder import RunFolder
from longtail.types import Progress

SOURCE = Path(longtail.__file__).parent
DOCUMENT = Path(__file__).parents[2] / "docs" / "architecture.md"
MOST = 40  # files of a step and an evaluation together


@contextmanager
def traced(seen: set[str]) -> Iterator[None]:
    """Adds the files of the package whose functions are called."""

    def note(frame: FrameType, event: str, _: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(SOURCE):
            seen.add(file.relative_to(SOURCE).as_posix())

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def test_an_image_passes_the_files_that_are_documented(tmp_path: Path) -> None:
    for place in ("train/dark", "train/light", "test/dark", "test/light"):
        (tmp_path / place).mkdir(parents=True)
        for number in range(4):
            grey = 60 + number if "dark" in place else 180 + number
            Image.fromarray(np.full((16, 16, 3), grey, np.uint8)).save(tmp_path / place / f"{number}.png")
    given = {
        "data.name": "folder", "data.path": str(tmp_path), "data.imbalance_factor": None, "data.workers": 0,
        "data.image_size": 16, "model.name": "resnet8", "optim.batch_size": 4, "run.device": "cpu",
    }  # fmt: skip
    seen = set[str]()
    with traced(seen):
        job = build_job(load_recipe("icl-cifar100-lt", given)[0], RunFolder("unused"), Display(1, quiet=True))
    stage, step = job.stages[0], set[str]()
    steps = StageTraining(job, 0).epoch(Progress(stage.name, 0, stage.epochs, 0, 0, 0))
    with traced(step):
        next(steps)
        assert job.data.test is not None
        evaluate(
            job.model,
            job.method,
            job.data.test,
            job.augment,
            bank=stage.bank,
            device=job.runtime.device,
            batch_size=4,
        )
    table = DOCUMENT.read_text("utf-8").split("### The path of one image")[1].split("\n\n#")[0]
    named = re.findall(r"^\| \d+ \| `([^`]+)`", table, re.MULTILINE)
    assert len(named) == 12
    assert set(named) <= seen | step
    assert set(named[2:]) <= step, "these run in every step or evaluation"
    assert len(step) <= MOST, sorted(step)
