"""The library's steps and evaluation against benchmarks/reference.py: alternating runs, medians, ratios.

    python benchmarks/speed.py [--data DIR] [--rounds 5] [--json FILE]

Both sides do the same work, in fp32 on a processor and under fp16 autocast on a GPU: load and augment 128 images
of CIFAR-100-LT, one update of ResNet-32 with
3 experts and all losses of the phase, and 500 images of evaluation. DIR is a Parquet folder of CIFAR-100
(default: $LONGTAIL_DATA/cifar100-lt10); without one, made-up images of the same shape stand in.
"""

import argparse
import io
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
import reference
from longtail.data import batches, epoch_order
from longtail.engine.display import Display
from longtail.engine.evaluate import evaluate
from longtail.engine.job import build_job
from longtail.engine.run_folder import RunFolder
from longtail.engine.runtime import environment
from longtail.engine.step import StageTraining
from longtail.recipe import load_recipe
from longtail.types import Progress

PHASES = {
    "diversity (epoch 0)": 0,
    "plain (epoch 60)": 60,
    "contrastive (epoch 120)": 120,
    "classifier (epoch 180)": 180,
}
BATCH, EVALUATED = 128, 500


def made_up(folder):
    """A Parquet folder of random images in the shape of CIFAR-100."""
    rng = np.random.default_rng(0)
    tail = [int(500 * 100 ** (-c / 99)) for c in range(100)]
    for split, counts in (("train", tail), ("test", 20)):
        targets = np.repeat(np.arange(100), counts)
        rows = []
        for _ in targets:
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(
                buffer, "png", compress_level=1
            )
            rows.append({"bytes": buffer.getvalue(), "path": None})
        table = pa.Table.from_pandas(pd.DataFrame({"img": rows, "fine_label": targets}))
        names = json.dumps(
            {
                "info": {
                    "features": {
                        "fine_label": {"names": [f"c{i}" for i in range(100)], "_type": "ClassLabel"}
                    }
                }
            }
        )
        pq.write_table(
            table.replace_schema_metadata({"huggingface": names}),
            Path(folder) / f"{split}-00000-of-00001.parquet",
        )
    return str(folder)


class Library:
    """One step after the other of the shipped recipe."""

    def __init__(self, data):
        precision = "fp16" if torch.cuda.is_available() else "fp32"
        changes = {"data.path": data, "model.head": "cosine", "optim.precision": precision}
        recipe, _ = load_recipe("icl-cifar100-lt", changes)
        self.job = build_job(recipe, RunFolder("unused"), Display(1, quiet=True))

    def phase(self, epoch):
        position = int(epoch >= 180)
        self.training = StageTraining(self.job, position)
        self.stage = self.training.stage
        self.progress = Progress(self.stage.name, epoch - 180 * position, self.stage.epochs, epoch, 0, 0)
        targets = self.job.data.train.targets
        order = epoch_order("instance", targets, 100, seed=0, epoch=epoch, epochs=200)
        self.stream = batches(self.job.data.train, order, BATCH, self.job.runtime.device)

    def step(self):
        self.training.step(next(self.stream), self.progress)

    def evaluate(self):
        split = self.job.data.test
        part = replace(
            split,
            images=split.images[:EVALUATED],
            targets=split.targets[:EVALUATED],
            ids=split.ids[:EVALUATED],
        )
        evaluate(
            self.job.model, self.job.method, part, self.job.augment,
            bank=self.stage.bank, device=self.job.runtime.device, batch_size=EVALUATED,
        )  # fmt: skip


class Reference:
    """The same steps of the plain program."""

    def __init__(self, data):
        images, targets, counts = reference.long_tailed(*reference.read_split(data, "train"), 100)
        self.loader = reference.make_loader(images, targets, batch_size=BATCH)
        images, targets = reference.read_split(data, "test")
        self.test = reference.make_loader(images[:EVALUATED], targets[:EVALUATED], train=False)
        self.model, self.state = reference.build(100, counts)

    def phase(self, epoch):
        self.epoch, self.stream = epoch, iter(self.loader)
        if epoch >= 180:
            self.optimizer = reference.start_classifier_stage(self.model)
        else:
            self.optimizer = reference.make_optimizer(self.model.parameters())
        self.model.train()

    def step(self):
        image, target = next(self.stream)
        reference.train_step(self.model, self.state, self.optimizer, image, target, self.epoch)

    def evaluate(self):
        reference.evaluate(self.model, self.test)


def seconds(call):
    started = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def alternate(ours, plain, rounds):
    """Medians of `rounds` pairs after one warm-up pair, and the median of the pairs' ratios."""
    seconds(ours), seconds(plain)
    pairs = [(seconds(ours), seconds(plain)) for _ in range(rounds)]
    ratios = [b / a for a, b in pairs]
    return {
        "library_s": statistics.median(a for a, _ in pairs),
        "reference_s": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def measure(data, rounds):
    ours, plain, rows = Library(data), Reference(data), {}
    for name, epoch in PHASES.items():
        ours.phase(epoch), plain.phase(epoch)
        rows[f"step, {name}"] = alternate(ours.step, plain.step, rounds) | {"images": BATCH}
    rows[f"evaluation of {EVALUATED} images"] = alternate(ours.evaluate, plain.evaluate, rounds) | {
        "images": EVALUATED
    }
    return rows, environment(ours.job.runtime)


def show(rows, rounds):
    print(f"{'images per second':32} library  reference  ratio (min-max of {rounds} alternating pairs)")
    for name, row in rows.items():
        ours, plain = (row["images"] / row[key] for key in ("library_s", "reference_s"))
        spread = f"({row['ratio_min']:.2f}-{row['ratio_max']:.2f})"
        print(f"{name:32} {ours:7.0f}  {plain:9.0f}  {row['ratio']:5.2f} {spread}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    args = parser.parse_args()
    default = (
        Path(os.environ.get("LONGTAIL_DATA", Path(__file__).parents[2] / "shared" / "data")) / "cifar100-lt10"
    )
    with tempfile.TemporaryDirectory() as folder:
        data = args.data or (str(default) if default.is_dir() else made_up(folder))
        rows, machine = measure(data, args.rounds)
        images = "made up" if data.startswith(folder) else "CIFAR-100"
    print(f"images: {images}")
    show(rows, args.rounds)
    if args.json:
        result = {
            "command": " ".join(["python", *sys.argv[:1], *(["--rounds", str(args.rounds)])]),
            "images": images,
            "machine": machine,
            "rows": rows,
        }
        Path(args.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
