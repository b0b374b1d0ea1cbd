"""How the library's time and memory grow: with experts, with classes, and from one process to two.

    python benchmarks/growth.py [--rounds 3] [--json FILE]

On made-up images and made-up features: what they show changes no time. benchmarks/README.md explains the tables.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from floor import step_flop
from longtail.methods import find
from longtail.types import Batch, ModelOutput, Progress
from record import about, judge, table, targets_table, tell
from sides import ON_CUDA, TINY, Library, Sizes, load_job, made_up, windows
from timing import medians, seconds

EXPERTS = (1, 2, 3, 6)
CLASSES, SHAPES = (10, 100, 1000, 8142), ((3, 64), (3, 2048))
PHASES = ("plain", "contrastive")
BATCH, REPEATS = 128, 20 if ON_CUDA else 1


def by_experts(data, sizes, experts, rounds):
    """Rows: phase, M, seconds of a step, FLOP of a step."""
    library, rows = Library(load_job(data, sizes.batch)), []
    sides = {number: library.with_experts(number) for number in experts}
    for phase in PHASES:
        flop = {}
        for number, side in sides.items():
            side.phase(windows(library.job.recipe)[phase][0])
            flop[number] = step_flop(side, sizes.batch)
        calls = {number: partial(_steps, side) for number, side in sides.items()}
        rows += [
            {"phase": phase, "experts": number, "seconds": spent / REPEATS, "flop": flop[number]}
            for number, spent in medians(calls, rounds).items()
        ]
    return rows


def _steps(side):
    for _ in range(REPEATS):
        side.step()


def by_classes(classes, rounds):
    """Rows: C, (M, D), seconds of statistics + losses + backward to features and logits, megabytes of state."""
    device, rows = torch.device("cuda" if ON_CUDA else "cpu"), []
    for number, (experts, dim) in product(classes, SHAPES):
        method, work = statistics_and_losses(number, experts, dim, device)
        for _ in range(5):
            work()
        spent = statistics.median(seconds(work) for _ in range(3 * rounds))
        state = sum(value.numel() * value.element_size() for value in method.state_dict().values()) / 1e6
        shape = {"classes": number, "experts": experts, "features": dim}
        rows.append(shape | {"seconds": spent, "state_mb": state})
        del method, work
    return rows


def statistics_and_losses(classes, experts, dim, device):
    """(method, a call that does a batch's share of the contrastive phase without the network)."""
    icl = find("icl")
    counts = torch.ones(classes, dtype=torch.int64, device=device)
    method = icl(icl.Options(name="icl"), counts, experts, dim).to(device)
    generator = torch.Generator().manual_seed(0)
    start = method.options.contrastive_start
    progress = Progress("feature", start, start + 1, start, 0, 0)

    def work():
        features, logits = (
            torch.randn(experts, BATCH, size, generator=generator).to(device).requires_grad_()
            for size in (dim, classes)
        )
        target = torch.randint(classes, (BATCH,), generator=generator).to(device)
        batch = Batch(torch.empty(BATCH, 3, 1, 1, device=device), target, target)
        output = ModelOutput(features, logits)
        return lambda: _update(method, output, batch, progress)

    turns = [work() for _ in range(4)]
    return method, lambda: turns.append(turns.pop(0)) or turns[-1]()


def _update(method, output, batch, progress):
    with torch.no_grad():
        method.observe(output, batch, progress)
    total = sum(method.loss(output, batch, progress).values())
    torch.autograd.grad(total, (output.features, output.logits))


def by_processes(data, steps):
    """{"one": seconds a step, "two": seconds a step} on one global batch, or {"refused": why}."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    commands = {"two": ([*launcher, "--master-port", port], "1"), "one": ([], "2")}
    found = {}
    for name, (words, threads) in commands.items():
        program = [*words, str(Path(__file__).with_name("two_processes.py")), data, str(steps), str(BATCH)]
        try:
            answer = subprocess.run(
                [sys.executable, *program], env=os.environ | {"OMP_NUM_THREADS": threads},
                capture_output=True, text=True, check=True, timeout=180,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            return {"refused": f"{name}: {str(error.stderr or error).strip().splitlines()[-1]}"}
        said = json.loads(answer.stdout.strip().splitlines()[-1])
        found[name] = statistics.median(said["steps"])
    return found


def expert_table(rows, batch):
    lines, one = [], {}
    for row in rows:
        first = one.setdefault(row["phase"], row)
        lines.append([
            row["phase"], row["experts"], f"{1e3 * row['seconds']:.1f}", f"{row['flop'] / 1e9:.1f}",
            f"{row['seconds'] / first['seconds']:.2f}", f"{row['flop'] / first['flop']:.2f}",
        ])  # fmt: skip
    title = f"step by experts, batch {batch}"
    return table(title, ["phase", "experts", "ms", "GFLOP", "time / 1 expert", "GFLOP / 1 expert"], lines)


def class_table(rows):
    head = ["classes", "experts", "features", "ms", "state MB"]
    lines = [
        [r["classes"], r["experts"], r["features"], f"{1e3 * r['seconds']:.2f}", f"{r['state_mb']:.1f}"]
        for r in rows
    ]
    title = f"statistics, losses and their backward pass by classes, batch {BATCH}, contrastive phase"
    return table(title, head, lines)


def process_table(found):
    title = "one process of two threads against two of one thread, the same global batch"
    if "refused" in found:
        return table(title, ["", ""], [["not available", found["refused"]]])
    ms = [f"{1e3 * found[name]:.0f}" for name in ("one", "two")]
    return table(title, ["one, ms a step", "two", "one / two"], [[*ms, f"{found['one'] / found['two']:.2f}"]])


def judged(experts, classes):
    found = []
    if ON_CUDA:
        for phase in PHASES:
            step = {row["experts"]: row["seconds"] for row in experts if row["phase"] == phase}
            found.append(judge("experts", step[3] / step[1], phase))
    found += [judge("state", row["state_mb"]) for row in classes if row["classes"] == max(CLASSES)][-1:]
    return found


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="only show that the program runs")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def main():
    args = parse()
    result = about("growth.py")
    sizes, experts, classes = (TINY, EXPERTS[:2], CLASSES[:1]) if args.tiny else (Sizes(), EXPERTS, CLASSES)
    with TemporaryDirectory() as data:
        made_up(data, largest=100, tested=1)
        result["experts"] = by_experts(data, sizes, experts, args.rounds)
        result["classes"] = by_classes(classes, args.rounds)
        result["processes"] = {"refused": "not tried"} if args.tiny else by_processes(data, 8)
    result["targets"] = judged(result["experts"], result["classes"])
    result["tables"] = [
        expert_table(result["experts"], sizes.batch),
        class_table(result["classes"]),
        process_table(result["processes"]),
    ]
    if result["targets"]:
        result["tables"].append(targets_table(result["targets"]))
    tell(args.json, result)


if __name__ == "__main__":
    main()
