"""What every benchmark says beside its figures, and how: tables as text, one JSON file, targets with their marks."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import torch

from longtail.engine.runtime import environment, start_runtime

ROOT = Path(__file__).parents[1]


class Target(NamedTuple):
    """What a measure has to reach (`must`), what it is meant to reach (`aim`), and in which direction."""

    measure: str
    must: float
    aim: float | None
    unit: str = "x"
    at_most: bool = False


TARGETS = {
    "1": Target("200 epochs against the reference", 40, 80),
    "2": Target("200 epochs against the reference with workers", 10, 20),
    "3": Target("step, contrastive phase", 2.0, 1.2, "ms", at_most=True),
    "4": Target("losses and statistics, share of the contrastive step", 12, 5, "%", at_most=True),
    "5": Target("contrastive step / plain step", 1.10, 1.03, "", at_most=True),
    "6": Target("augmentation, share of the contrastive step", 5, 1, "%", at_most=True),
    "7": Target("evaluation of 10,000 images", 40, 15, "ms", at_most=True),
    "8": Target("seeds at once against one after another", 1.8, 2.7),
    "9": Target("training step against the reference", 1.2, 1.35),
    "10": Target("200 epochs, identical work", 1.3, 1.45),
    "11": Target("200 epochs, evaluation every 5, reused features", 1.6, 1.8),
    "12": Target("augmentation, an image on one core", 100, 60, "us", at_most=True),
    "14": Target("import to first step, digits", 6, None, "s", at_most=True),
    "evaluation": Target("evaluation against the reference", 1.4, None),
    "predict": Target("predictions for files against a plain loop", 1.4, None),
    "memory": Target("greatest memory of predicting", 1.1, None, "", at_most=True),
    "experts": Target("step of 3 experts / step of 1", 1.35, None, "", at_most=True),
    "state": Target("state at 8,142 classes, 3 experts, 2,048 features", 1100, None, "MB", at_most=True),
}


def judge(row, value, detail=""):
    """A value beside what it has to reach; `row` is a key of TARGETS."""
    target = TARGETS[row]
    sign = -1 if target.at_most else 1
    reached = [goal is not None and sign * value >= sign * goal for goal in (target.must, target.aim)]
    mark = "aim reached" if reached[1] else "must reached" if reached[0] else "MISSED"
    measure = f"{target.measure}{f', {detail}' if detail else ''}"
    return {
        "row": row, "measure": measure, "value": value, "unit": target.unit,
        "must": target.must, "aim": target.aim, "at_most": target.at_most, "mark": mark,
    }  # fmt: skip


def targets_table(judged):
    """The judged values as a table: must and aim are least values, or greatest where the sign says so."""

    def bound(goal, entry):
        return "-" if goal is None else f"{'<=' if entry['at_most'] else '>='} {goal:g}"

    rows = [
        [e["row"], e["measure"], f"{e['value']:.2f} {e['unit']}".strip(), bound(e["must"], e),
         bound(e["aim"], e), e["mark"]]
        for e in judged
    ]  # fmt: skip
    return table("targets", ["row", "measure", "value", "must", "aim", ""], rows)


def table(title, head, rows):
    """A table for people: strings alone, the same in a terminal, in the JSON file and on a page."""
    return {"title": title, "head": head, "rows": [[str(cell) for cell in row] for row in rows]}


def show(table):
    """Print a table; columns of figures to the right."""
    rows, columns = table["rows"], range(len(table["head"]))
    widths = [max(len(line[column]) for line in (table["head"], *rows)) for column in columns]
    words = [not any(line[column][:1].isdigit() for line in rows) for column in columns]
    print(f"\n{table['title']}")
    for line in (table["head"], *rows):
        cells = [
            cell.ljust(width) if column == 0 or words[column] else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())


def about(program):
    """Command, commit and machine; ask before anything is written, or the tree is no longer what was measured."""
    return {
        "command": _command(program),
        "commit": _commit(),
        "machine": environment(start_runtime("auto", "fp32")) | {"load": round(os.getloadavg()[0], 1)},
    }


def save(path, result):
    """Write a result file, where one is wanted."""
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def tell(path, result):
    """Print a result's machine and tables, and write its file, where one is wanted."""
    print(head_line(result))
    for each in result["tables"]:
        show(each)
    save(path, result)


def head_line(result):
    """One line on the machine and the state of the code."""
    m = result["machine"]
    return (
        f"{m['device_name']} ({m['cpu_capability']}), {m['threads']} threads of {m['cpu_count']} cores, load "
        f"{m['load']} at the start, torch {m['versions']['torch']}, commit {result['commit']}"
    )


def wait():
    """Wait until the device has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _command(program):
    """The command without what depends on the machine: names of folders, and where the result goes."""
    words, given = ["python", f"benchmarks/{program}"], iter(sys.argv[1:])
    for word in given:
        if word in ("--json", "--out", "--work"):
            next(given, None)
        elif word in ("--data", "--fashion"):
            words += [word, Path(next(given)).name]
        else:
            words.append(word)
    return shlex.join(words)


def _commit():
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)

    head = git("rev-parse", "--short", "HEAD")
    if head.returncode:
        return "unknown"
    changed = git("status", "--porcelain", "--", ".", ":!benchmarks/results").stdout
    return head.stdout.strip() + ("-dirty" if changed else "")
