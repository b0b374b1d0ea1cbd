"""From the start of a fresh process to the end of its first training step.

    python benchmarks/start.py digits | library DIR | reference DIR     # prints the time of day then, in seconds

`digits` is the shipped recipe icl-digits; the other two are the job of reference.py.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path


def digits():
    import longtail.cli.main  # noqa: F401 - what the command loads
    from longtail.recipe import load_recipe

    _first_step(load_recipe("icl-digits")[0])


def library(data):
    from longtail.recipe import load_recipe

    given = {"data.path": data, "model.head": "cosine"}
    _first_step(load_recipe("icl-cifar100-lt", given)[0])


def _first_step(recipe):
    from longtail.engine.display import Display
    from longtail.engine.job import build_job
    from longtail.engine.run_folder import RunFolder
    from longtail.engine.step import StageTraining
    from longtail.types import Progress

    job = build_job(recipe, RunFolder("unused"), Display(1, quiet=True))
    stage = job.stages[0]
    next(StageTraining(job, 0).epoch(Progress(stage.name, 0, stage.epochs, 0, 0, recipe.run.seed)))


def plain(data):
    import reference

    images, targets, counts = reference.long_tailed(*reference.read_split(data, "train"), 100)
    loader = reference.make_loader(images, targets)
    reference.make_loader(*reference.read_split(data, "test"), train=False)
    model, state = reference.build(len(counts), counts)
    optimizer = reference.make_optimizer(model.train().parameters())
    reference.train_step(model, state, optimizer, *next(iter(loader)), 0)


SIDES = {"digits": digits, "library": library, "reference": plain}


def seconds(side, *data, rounds=1):
    """Median over `rounds` fresh processes."""
    times = []
    for _ in range(rounds):
        began = time.time()
        words = [sys.executable, Path(__file__), side, *data]
        answer = subprocess.run(words, capture_output=True, text=True, check=True)
        times.append(float(answer.stdout.split()[-1]) - began)
    return statistics.median(times)


def main():
    side, *data = sys.argv[1:]
    SIDES[side](*data)
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        sys.modules["torch"].cuda.synchronize()
    print(time.time())


if __name__ == "__main__":
    main()
