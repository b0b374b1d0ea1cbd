"""Tables from the result files: benchmarks/results/tables.md, docs/methods.md, the part of README.md between its marks.

python benchmarks/tables.py           # write
python benchmarks/tables.py --check   # exit 1 when what is written is not what the files say
"""

import argparse
import json
import sys
from pathlib import Path

import first_folder_scores as scoring
import methods_page
from longtail.study.layout import Table, markdown, markdown_rows
from longtail.study.result import SCORES, read_results
from longtail.study.run import table_of
from longtail.study.study_file import load_study, shipped_studies
from longtail.study.table import percent, plain_cells, rows_of

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
TITLES = {
    "digits": "Digits, imbalance factor 20 (405 training images, 500 test images), last epoch",
    "cifar100-lt-30": "CIFAR-100-LT, imbalance factor 100, ResNet-32, 30 epochs (the paper: 200), last epoch",
    "cifar100-lt-20-validation": "The same, 20 epochs, on validation images (a fifth of each class, not trained on)",
    "cifar-lt": "CIFAR-LT, ResNet-32, 200 epochs, last epoch",
    "ham": "HAM10000 (7 classes of 34 to 3,658 images, 20 test images each), EfficientNet-Lite0 with ImageNet weights, "
    "96 pixels, 8 epochs",
    "ham-validation": "The same on validation images (15 % of each class, not trained on: 876, 6 of the rarest)",
}
IN_README = ("digits", "cifar100-lt-30", "cifar-lt", "ham")
PER_CLASS = ("ham", "ham-validation")


def table(name, results):
    head = ["", *SCORES, "paper", "seeds"]
    lines = markdown_rows(head, [plain_cells(row) for row in rows_of(results)])
    return "\n".join([f"**{TITLES.get(name, name)}**", "", *lines])


def study_table(name, results):
    """The table of a study that is shipped, or of one of which the result files alone are here."""
    own = ROOT / "benchmarks" / "studies" / f"{name}.toml"
    if name not in shipped_studies() and not own.is_file():
        return markdown(Table(name, rows_of(results), None))
    study = load_study(str(own) if own.is_file() else name)
    return markdown(table_of(study, [r for key in study.rows for r in results if r.key == key]))


def recalls(results):
    """The recall of each class, where classes are so few that the result files keep it."""
    rows = rows_of(results)
    names = list(next(iter(rows[0].seeds.values())).recall)
    cells = [
        [row.title, *(percent([s.recall[name] for s in row.seeds.values()]) for name in names)]
        for row in rows
    ]
    return "\n".join(markdown_rows(["recall of", *names], cells))


def machine(m):
    cpu = f"{m['threads']} threads of a CPU with {m['cpu_capability']}"
    name = cpu if m["device"] == "cpu" else m["device_name"]
    return f"{name}, torch {m['versions']['torch']}"


def load():
    """The results, by table, in the order of their files' names."""
    tables = {}
    for result in read_results(RESULTS):
        tables.setdefault(result.table, []).append(result)
    return tables


def measured(path):
    """The tables of a result file of speed.py, growth.py, probes.py or the like."""
    result, lines = json.loads(path.read_text("utf-8")), []
    for each in result["tables"]:
        rows = [each["head"], ["---", *["--:"] * (len(each["head"]) - 1)], *each["rows"]]
        lines += [f"**{each['title'][:1].upper()}{each['title'][1:]}**", ""]
        lines += [*(f"| {' | '.join(row)} |" for row in rows), ""]
    return "\n".join(
        [*lines, f"`{result['command']}` ({machine(result['machine'])}, commit {result['commit']})"]
    )


def first_folder(paths):
    """One table of all sets of first_folder.py with a count of threads, and one of its estimates."""
    results = scoring.read(paths)
    lines = ["**The first folder: `longtail train FOLDER` against a plain loop and fastai**", ""]
    lines += markdown_rows(scoring.HEAD, [row for result in results for row in scoring.rows(result)])
    rows = [row for result in results for row in scoring.estimates(result)]
    lines += ["", "**Time said at the start, and needed**", "", *markdown_rows(scoring.ESTIMATES_HEAD, rows)]
    commands = {f"`{r['command']}` ({machine(r['machine'])})": r for r in results}
    return "\n".join([*lines, "", *(f"- {text}" for text in commands)])


def first_folder_short(paths):
    """A line for each set of first_folder.py, for README.md; first those with the default budget."""
    compared = [result for result in scoring.read(paths) if len({run["side"] for run in result["runs"]}) > 1]
    results = sorted(compared, key=lambda result: (result.get("minutes") is not None, result["set"]))
    lines = [
        "**The first folder: macro accuracy of `longtail train FOLDER` and of programs that got its CPU seconds**",
        "",
    ]
    return "\n".join(
        [*lines, *markdown_rows(scoring.SHORT_HEAD, [scoring.short(result) for result in results])]
    )


def augmentation(path):
    result = json.loads(path.read_text("utf-8"))
    ours, plain = (result["us_per_image"][side] for side in ("longtail", "torchvision"))
    return (
        f"**Augmentation on one core** (crop, flip, AutoAugment, Cutout, normalise): {ours:.0f} us an image, "
        f"torchvision {plain:.0f}, ratio {result['ratio']:.1f}: `python benchmarks/augment.py --rounds 7`"
    )


def loading(path):
    result = json.loads(path.read_text("utf-8"))
    lines = [
        f"**Loading at {result['side']} px on two cores** (crop, flip, normalise), alternating rounds, medians; "
        f"torch {result['versions']['torch']}, Pillow {result['versions']['pillow']}", "",
        "| images per second | as they are | ratio (min-max) | 500 x 375 | ratio (min-max) |", "|---|--:|--:|--:|--:|",
    ]  # fmt: skip
    sets = [result["sets"][name] for name in ("as they are", "500 x 375")]
    for side in sets[0]["images_per_s"]:
        cells = [side]
        for s in sets:
            low, high = (s[key].get(side) for key in ("ratio_min", "ratio_max"))
            ratio = f"{s['ratio'][side]:.2f} ({low:.2f}-{high:.2f})" if side in s["ratio"] else ""
            cells += [f"{s['images_per_s'][side]:.0f}", ratio]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| rows of a packed set | ms of a step | MiB after epoch 1, 2, 3 |", "|--:|--:|--:|"]
    for row in result["growth"]:
        memory = ", ".join(f"{value:.0f}" for value in row["mib_after_epochs"])
        lines.append(f"| {row['rows']:,} | {row['ms_a_step']:.2f} | {memory} |")
    return "\n".join([*lines, "", f"`{result['command']}`"])


def pages():
    """(text of tables.md, text for README.md)."""
    tables, full, short = load(), [], []
    for name in sorted(tables, key=lambda n: (list(TITLES).index(n) if n in TITLES else len(TITLES), n)):
        results = tables[name]
        if results[0].study is not None:
            text = study_table(name, results)
            full.append(f"{text}\n\n({machine(results[0].machine)})")
            text = text.split("\n\n- ")[0]  # without the commands
        else:
            text = table(name, results)
            commands = [f"- {r.row}: `{r.command}` ({machine(r.machine)})" for r in results]
            each = ["", recalls(results)] if name in PER_CLASS else []
            full.append("\n".join([text, *each, "", *commands]))
        if name in IN_README:
            short.append(text)
    for kind in (
        "printed_form",
        "experts",
        "speed",
        "predict",
        "predict_many",
        "seeds",
        "growth",
        "probes",
        "start",
    ):
        full += [measured(path) for path in sorted(RESULTS.glob(f"{kind}-*.json"))]
    if paths := sorted(RESULTS.glob("first_folder-*.json")):
        full.append(first_folder(paths))
        short.insert(0, first_folder_short(paths))
    full += [augmentation(path) for path in sorted(RESULTS.glob("augment-*-cores.json"))]
    full += [loading(path) for path in sorted(RESULTS.glob("loader-*-cores.json"))]
    return "\n\n".join(full) + "\n", "\n\n".join(short) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    full, short = pages()
    readme = ROOT / "README.md"
    before, rest = readme.read_text("utf-8").split(BEGIN)
    after = rest.split(END)[1]
    wanted = {
        RESULTS / "tables.md": full,
        ROOT / "docs" / "methods.md": methods_page.page(read_results(RESULTS)),
        readme: f"{before}{BEGIN}\n{short}{END}{after}",
    }
    stale = [p for p, text in wanted.items() if not p.exists() or p.read_text("utf-8") != text]
    if check:
        if stale:
            names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
            print(
                f"error: {names} differ from the result files; run python benchmarks/tables.py",
                file=sys.stderr,
            )
        return int(bool(stale))
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
