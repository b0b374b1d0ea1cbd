"""docs/methods.md: every method with its idea, paper, recipes, published and measured figures; made by tables.py."""

import textwrap

from longtail.methods import available
from longtail.recipe import load_recipe, shipped
from longtail.study.settings import row_recipe
from longtail.study.study_file import load_study
from longtail.study.table import percent, rows_of

STUDY = "table1"
MEASURED = ("table1", "table1-mini")
HEAD = """# Methods

This page is made by `python benchmarks/tables.py` from the methods, the shipped recipes, the study `table1` and the
result files. Figures are top-1 accuracy in per cent on CIFAR-100-LT with imbalance factor 100 and ResNet-32.
*Published* is the figure of the method's authors or of the ICL paper, in the published setting: other lengths,
augmentations and widths, and often the best epoch on the test images. *Measured* is our own, at an equal budget: the
same epochs, images, augmentation and batch size for all ([](studies.md)), the last epoch.

Each method is run by `longtail train RECIPE`, or by `--method NAME` in place of another recipe's method
([](generated/methods.md) has the keys of each). Two methods are left out: TLC (Li et al., CVPR 2022), because its
released prediction is a softmax over the images of a batch, so the prediction for an image depends on the other images
of the batch; and RIDE's router, which saves computation and lowers accuracy, and so is not a training method.
"""


def page(results):
    """The text of docs/methods.md.

    Args:
        results: of `longtail.study.result.read_results`.
    """
    study, recipes = load_study(STUDY), _recipes()
    methods = {key: row_recipe(study, key, {}).method.name for key in study.rows}
    found = {name: _measured(results, name) for name in MEASURED}
    lines = [HEAD, _overview(study, methods, found)]
    for name, method in available().items():
        lines += [
            f"## {name}",
            _filled(_idea(method)),
            _filled(f"{method.paper}." if method.paper else ""),
            _filled(_named(recipes.get(name, []))),
        ]
    return "\n\n".join(line for line in lines if line) + "\n"


def _filled(text):
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _idea(method):
    """The first paragraph of its docstring, on one line."""
    return " ".join(method.__doc__.split("\n\n")[0].split())


def _recipes():
    """Method -> names of its recipes."""
    found = {}
    for name in shipped():
        found.setdefault(load_recipe(name)[0].method.name, []).append(name)
    return found


def _named(names):
    return f"Recipe{'s' * (len(names) != 1)}: {', '.join(f'`{name}`' for name in names)}." if names else ""


def _measured(results, study):
    """Key -> cell, of the rows of a study that have results."""
    rows = rows_of(result for result in results if result.study == study)
    return {row.key: f"{percent(row.values('overall'))} ({len(row.seeds)})" for row in rows}


def _overview(study, methods, found):
    """A table of all rows of the study."""
    head = [
        "",
        "method",
        "published",
        *(f"measured, {load_study(name).epochs or 200} epochs (seeds)" for name in found),
    ]
    lines = [f"| {' | '.join(head)} |", f"|---|---|{'--:|' * (len(head) - 2)}"]
    for key, row in study.rows.items():
        published = "-" if row.published is None else f"{row.published:.1f}"
        cells = [study.title_of(key), f"[{methods[key]}](#{methods[key]})", published]
        lines.append(
            "| " + " | ".join([*cells, *(cells_of.get(key, "-") for cells_of in found.values())]) + " |"
        )
    return "\n".join(lines)
