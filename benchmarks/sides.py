"""The two sides of a comparison: the library and the plain program of reference.py, doing the same work."""

import io
import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
import reference
from longtail.engine.display import Display
from longtail.engine.job import build_job
from longtail.engine.processes import join_processes
from longtail.engine.results import evaluate_split
from longtail.engine.step import StageTraining
from longtail.models import build_model
from longtail.recipe import load_recipe
from longtail.runs.folder import RunFolder
from longtail.types import Progress

ON_CUDA = torch.cuda.is_available()
PRECISION = "bf16" if ON_CUDA else "fp32"
RECIPE = "icl-cifar100-lt"
TEST_IMAGES = 10_000


@dataclass(frozen=True)
class Sizes:
    """How much is done at a time.

    Attributes:
        batch: images a step.
        evaluated: images of an evaluation.
        steps: steps that are timed as one; 0 is a whole epoch.
        rounds: alternating rounds.
    """

    batch: int = 128
    evaluated: int = TEST_IMAGES if ON_CUDA else 512
    steps: int = 0 if ON_CUDA else 1
    rounds: int = 5


TINY = Sizes(batch=4, evaluated=8, steps=1, rounds=1)


def made_up(folder, largest=500, tested=20):
    """A Parquet folder in the shape of CIFAR-100-LT, imbalance factor 100, of a few random images over and over."""
    rng, pictures = np.random.default_rng(0), []
    for _ in range(64):
        buffer = io.BytesIO()
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "png")
        pictures.append({"bytes": buffer.getvalue(), "path": None})
    label = {"names": [f"c{i}" for i in range(100)], "_type": "ClassLabel"}
    described = json.dumps({"info": {"features": {"fine_label": label}}})
    tail = [int(largest * 100 ** (-c / 99)) for c in range(100)]
    for split, counts in (("train", tail), ("test", tested)):
        targets = np.repeat(np.arange(100), counts)
        rows = [pictures[row % len(pictures)] for row in range(len(targets))]
        table = pa.Table.from_pandas(pd.DataFrame({"img": rows, "fine_label": targets}))
        pq.write_table(
            table.replace_schema_metadata({"huggingface": described}),
            Path(folder) / f"{split}-00000-of-00001.parquet",
        )
    return str(folder)


@contextmanager
def images(given, tiny=False):
    """(folder, what its images are): the given folder, $LONGTAIL_DATA/cifar100-lt10, or made-up images."""
    held = Path(os.environ.get("LONGTAIL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    default = held / "cifar100-lt10"
    if given or (default.is_dir() and not tiny):
        yield given or str(default), "CIFAR-100"
        return
    with TemporaryDirectory() as folder:
        yield made_up(folder, **({"largest": 100, "tested": 1} if tiny else {})), "made up"


def load_job(data, batch, **changes):
    """The shipped recipe's job, with cosine heads throughout as reference.py has them; `a__b` changes `a.b`."""
    given = {
        "data.path": data,
        "model.head": "cosine",
        "optim.precision": PRECISION,
        "optim.batch_size": batch,
    }
    given |= {key.replace("__", "."): value for key, value in changes.items()}
    return build_job(
        load_recipe(RECIPE, given)[0], RunFolder("unused"), Display(1, quiet=True), join_processes()
    )


def windows(recipe):
    """The phases of a run: the half-open span of epochs in which a step does the same work."""
    first, last = (stage.epochs for stage in recipe.stages())
    edges = (0, recipe.method.diversity_stop, recipe.method.contrastive_start, first, first + last)
    return dict(zip(("diversity", "plain", "contrastive", "classifier"), pairwise(edges), strict=True))


def place(job, epoch):
    """(position of the stage, progress) at the start of an epoch of the whole run."""
    first = 0
    for position, stage in enumerate(job.stages):
        if epoch < first + stage.epochs:
            return position, Progress(stage.name, epoch - first, stage.epochs, epoch, 0, job.recipe.run.seed)
        first += stage.epochs
    raise ValueError(f"epoch {epoch} of a run of {first}")


class Library:
    """Steps and evaluations as a run of the library does them.

    Args:
        job: from `load_job`.
        evaluated: how many of the test images are evaluated.
    """

    def __init__(self, job, evaluated=TEST_IMAGES):
        self.job = job
        self.tested = job.data.test.take(torch.arange(min(evaluated, len(job.data.test))))

    def phase(self, epoch):
        """Prepare steps of that epoch, over and over."""
        position, self.progress = place(self.job, epoch)
        self.training = StageTraining(self.job, position)
        self.stream = self._steps()

    def _steps(self):
        while True:
            yield from self.training.epoch(self.progress)

    def step(self):
        next(self.stream)

    def evaluate(self):
        evaluate_split(self.job, self.tested, self.job.stages[0])

    def with_experts(self, number):
        """The same with so many experts, on the same data."""
        recipe = self.job.recipe
        options = recipe.model.model_copy(update={"num_experts": number})
        recipe = recipe.model_copy(update={"model": options})
        banks = tuple(stage.bank for stage in self.job.stages)
        device = self.job.runtime.device
        model = build_model(options, len(self.job.data.class_names), banks)
        model = model.to(device).to(memory_format=torch.channels_last)
        method = recipe.build_method(self.job.data.class_counts, model.feature_dim).to(device)
        method.start(model)
        return Library(replace(self.job, recipe=recipe, model=model, method=method), len(self.tested))


class Reference:
    """The same steps and evaluations of the plain program."""

    def __init__(self, data, sizes, workers=0):
        train_images, targets, counts = reference.long_tailed(*reference.read_split(data, "train"), 100)
        self.loader = reference.make_loader(train_images, targets, workers, batch_size=sizes.batch)
        test_images, targets = (part[: sizes.evaluated] for part in reference.read_split(data, "test"))
        self.test = reference.make_loader(test_images, targets, workers, train=False)
        self.model, self.state = reference.build(len(counts), counts)

    def phase(self, epoch):
        """Prepare steps of that epoch, over and over."""
        if epoch >= self.state.feature_epochs:
            self.optimizer = reference.start_classifier_stage(self.model)
        else:
            self.optimizer = reference.make_optimizer(self.model.parameters())
        self.model.train()
        self.epoch, self.stream = epoch, self._batches()

    def _batches(self):
        while True:
            yield from self.loader

    def step(self):
        image, target = next(self.stream)
        self.state.clock.mark("data")
        reference.train_step(self.model, self.state, self.optimizer, image, target, self.epoch)

    def evaluate(self):
        self.model.eval()
        reference.evaluate(self.model, self.test)
        self.model.train()
