"""A whole run of 200 epochs: composed from measured parts, or both programs really run for some epochs."""

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from longtail.engine.step import StageTraining
from longtail.recipe.options import RunOptions
from sides import PRECISION, RECIPE, TEST_IMAGES, Library, load_job, windows
from timing import seconds

HERE = Path(__file__).parent


def compose(rows, recipe, steps_per_epoch, side, every=1):
    """Seconds of each part of a run: epochs x steps x median step of each phase, and the evaluations.

    Args:
        rows: as `speed.py` measures them: "step, PHASE" and "evaluation".
        side: "library" or "reference".
        every: epochs between evaluations. The library evaluates once more at the end, to write its files.
    """
    parts = {
        phase: (stop - start) * steps_per_epoch * rows[f"step, {phase}"][f"{side}_s"]
        for phase, (start, stop) in windows(recipe).items()
    }
    one = rows["evaluation"][f"{side}_s"] / rows["evaluation"]["images"] * TEST_IMAGES
    parts["evaluation"] = one * (recipe.optim.epochs // every + (side == "library"))
    return parts


def reused_stage(data, sizes, views, stored=10):
    """Seconds of the classifier stage on stored features, or None where the library has no such option.

    The features of `stored` batches are computed and steps on them timed; both are scaled to the whole set.

    Args:
        views: K augmented views of each training image.
    """
    if "reuse_features" not in RunOptions.model_fields:
        return None
    job = load_job(data, sizes.batch, run__reuse_features=1)
    images, chosen = len(job.data.train), torch.randperm(len(job.data.train))[: stored * sizes.batch]
    small = replace(job, data=replace(job.data, train=job.data.train.take(chosen)))
    StageTraining(small, 1)
    once = seconds(lambda: StageTraining(small, 1)) * images / len(chosen)
    classifier = Library(small)
    classifier.phase(job.stages[0].epochs)
    classifier.step()
    step = seconds(lambda: [classifier.step() for _ in range(2 * stored)]) / (2 * stored)
    return {"features": views * once, "steps": job.stages[1].epochs * job.steps_per_epoch * step}


def run_both(data, epochs, workers):
    """Seconds of the two programs as they are, in fresh processes, evaluating every epoch: start, compiling, all."""
    with tempfile.TemporaryDirectory() as folder:
        ours = [
            *("-m", "longtail", "train", RECIPE, "--data", data, "--epochs", str(epochs)),
            *("--out", f"{folder}/run", "--set", "model.head=cosine", "--set", "run.evaluate_every=1"),
            *("--set", f"optim.precision={PRECISION}"),
        ]
        plain = [
            str(HERE / "reference.py"),
            "--data",
            data,
            "--epochs",
            str(epochs),
            "--workers",
            str(workers),
        ]

        def run(words):
            return lambda: subprocess.run([sys.executable, *words], capture_output=True, check=True)

        times = {"library": seconds(run(ours)), "reference": seconds(run(plain))}
        log = Path(folder, "run", "log.jsonl").read_text("utf-8").splitlines()
    epoch_seconds = [json.loads(line)["seconds"] for line in log]
    return {"epochs": epochs, "workers": workers, **times, "library_epoch_seconds": epoch_seconds}
