"""What a fresh process needs until its first training step, and until a command answers.

    python benchmarks/start.py digits | library DIR | reference DIR     # prints the time of day then, in seconds
    python benchmarks/start.py commands [--rounds 3] [--json FILE]      # CPU seconds, beside those of `import torch`

`digits` is the shipped recipe icl-digits; the next two are the job of reference.py. `commands` counts the CPU seconds
(user and system) of each fresh process, so that a busy machine changes little; of a command with a first line, until
that line is read.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory


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
    from longtail.engine.step import StageTraining
    from longtail.runs.folder import RunFolder
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


def cpu_seconds(words, first=None):
    """CPU seconds of a process, or until it has printed its first line on "stdout" or "stderr" and is ended."""
    pipes = {name: subprocess.PIPE if name == first else subprocess.DEVNULL for name in ("stdout", "stderr")}
    process = subprocess.Popen([sys.executable, *map(str, words)], **pipes)
    if first is not None:
        said = getattr(process, first).readline()
        process.kill()
        if not said:
            raise SystemExit(f"{words}: no first line")
    _, status, used = os.wait4(process.pid, 0)
    if first is None and status:
        raise SystemExit(f"{words}: status {status}")
    return used.ru_utime + used.ru_stime


def measures(folder):
    """Name -> (the words after `python`, the stream of its first line, the most that it may need of import torch)."""
    command, photos = ("-m", "longtail"), folder / "photos"
    run = [folder / "one", folder / "two"]
    first = "stderr"
    return {
        "import torch": (("-c", "import torch"), None, None),
        "longtail --help": ((*command, "--help"), None, 0.5),
        "longtail methods": ((*command, "methods"), None, 0.5),
        "longtail recipes": ((*command, "recipes"), None, 0.5),
        "longtail compare RUN RUN": ((*command, "compare", *run), None, 0.5),
        "longtail report RUN, its text": ((*command, "report", run[0]), "stdout", 0.5),
        "longtail report RUN, with plots and page": ((*command, "report", run[0]), None, None),
        "longtail data check FOLDER, first line": ((*command, "data", "check", photos), first, 0.5),
        "longtail train FOLDER, first line": (
            (*command, "train", photos, "--out", folder / "new"),
            first,
            1.5,
        ),
        "first step of digits": ((__file__, "digits"), None, 2),
    }


def prepare(folder):
    """A short run, twice, and a folder of images."""
    from PIL import Image

    words = ["train", "icl-digits", "--model", "resnet8", "--epochs", "2", "--out", folder / "one"]
    subprocess.run([sys.executable, "-m", "longtail", *words], check=True, capture_output=True)
    shutil.copytree(folder / "one", folder / "two")
    for name, grey in (("dark", 40), ("light", 200)):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (32, 32), (grey, grey, number)).save(folder / "photos" / name / f"{number}.png")


def commands(*words):
    from record import about, table, tell

    parser = argparse.ArgumentParser(prog="start.py commands")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    given = parser.parse_args(words)
    result = about("start.py")
    with TemporaryDirectory() as folder:
        prepare(Path(folder))
        wanted = measures(Path(folder))
        times = {name: [] for name in wanted}
        for _ in range(given.rounds):
            for name, (process, first, _) in wanted.items():
                times[name].append(cpu_seconds(process, first))
    result["cpu_s"] = {name: statistics.median(values) for name, values in times.items()}
    torch = result["cpu_s"]["import torch"]
    rows = []
    for name, (_, _, most) in wanted.items():
        ratio = result["cpu_s"][name] / torch
        bound = "" if most is None else f"<= {most:g} {'reached' if ratio <= most else 'MISSED'}"
        rows.append([name, f"{result['cpu_s'][name]:.2f}", f"{ratio:.2f}", bound])
    head = ["", "CPU s", "of import torch", "wanted"]
    result["tables"] = [table("what a fresh process needs until it answers", head, rows)]
    tell(given.json, result)


def main():
    side, *data = sys.argv[1:]
    if side == "commands":
        commands(*data)
        return
    SIDES[side](*data)
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        sys.modules["torch"].cuda.synchronize()
    print(time.time())


if __name__ == "__main__":
    main()
