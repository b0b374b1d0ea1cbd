"""What would raise accuracy? Each with this run's own evidence, the most macro points at stake first.

What larger images, the whole picture and more time would bring is assumed, no run says it; that only sorts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longtail.data.shapes import HARDLY
from longtail.errors import InputError
from longtail.methods import describe
from longtail.models.map_size import FOR_SMALL_IMAGES, map_side
from longtail.printable import printable
from longtail.report.facts.class_rows import Classes
from longtail.report.facts.confusions import Confusions
from longtail.report.facts.evaluation import Evaluation
from longtail.report.facts.experts import Experts
from longtail.report.facts.words import classes, count, listed, whole
from longtail.report.limits import AGAIN
from longtail.report.places import command_of, from_here, recipe_of
from longtail.runs import layout
from longtail.runs.groups import GROUPS
from longtail.runs.run import Run
from longtail.source_names import data_name

SURE = 0.9
ABOVE = (
    1 / 3
)  # of the way from always guessing the commonest class to no error, from which on it may doubt labels
OVERCONFIDENT = 0.1  # mean confidence of the sure answers less their accuracy, above which it may not
HIDDEN = 5.0  # macro points for all that a crop hides, were it all; an assumption that only sorts
CONFUSED = 0.2  # share of a class's images from which on a pair is worth merging
RISE, FALL = 0.005, 0.03  # of macro and, as a share, of the training loss, from which on either still moves
WORSE = 0.1  # share by which a training loss has to have risen over the run to say that the rate is too high
LEARNED = 0.95  # accuracy on the training images from which on more epochs have little to learn
PLACES = 4  # along a side of the last map; with fewer, most of an image falls into one
LONG = 15  # minutes at least that are suggested where a search had too few
ENLARGED = 4.0  # macro points for larger images where there are fewer; an assumption that only sorts
SEARCHED = 4.0  # macro points for all that a search had no time for; an assumption that only sorts


@dataclass(frozen=True, slots=True)
class Step:
    """Something worth doing.

    Attributes:
        text: what, and the evidence for it, with its numbers.
        command: to be run in the folder in which the report is made; "" where there is none.
        place: the section of the page that helps, or "".
        points: macro points that the evidence puts at stake, or that are assumed; they only sort.
    """

    text: str
    command: str
    place: str = ""
    points: float = 0.0


def accuracy_steps(run: Run, e: Evaluation, ranked: Classes, pairs: Confusions, found: Experts) -> list[Step]:
    """The steps that hold, most points at stake first."""
    longer = list(_longer(run))
    has_ended = run.finished and not longer  # until then, neither experts nor searches are compared
    steps = (
        *longer, *(_more_minutes(run) if has_ended else ()), *_larger(run), *_whole_picture(run),
        *(_fewer_experts(run, found) if has_ended else ()),
        *_collect(run, e, ranked), *_review(run, e), *_merge(run, e, pairs),
    )  # fmt: skip
    return sorted(steps, key=lambda step: -step.points)


def lower_rate(run: Run) -> Iterator[Step]:
    """Where the training loss ends above where it began; one that is not finite has ended the run before."""
    losses, rate = _losses(_longest_stage(run.log)), float(run.recipe["optim"]["peak_lr"])
    if len(losses) < 2:
        return
    first, (_, last, _) = float(np.mean(losses[: max(1, len(losses) // 4)])), _ends(losses)
    if first > 0 and last >= (1 + WORSE) * first:
        text = (
            f"Train with a lower learning rate: the training loss rose from {first:.3g} to {last:.3g}, so {rate:g} is "
            "too high. Until then the scores say little."
        )
        yield Step(text, f"longtail train {recipe_of(run)} --set optim.peak_lr={rate / 4:.3g}")


def _longer(run: Run) -> Iterator[Step]:
    """Where validation, or without it the training loss, still moved at the end; test images say nothing of it."""
    if not run.finished:
        return
    epochs = int(run.status["epochs"])
    command = f"longtail train {recipe_of(run)} --epochs {2 * epochs}"
    scored = [float(r["val"]["macro"]) for r in run.log if r.get("val", {}).get("macro") is not None]
    if len(scored) >= 3:
        before, last, span = _ends(scored)
        if last - before >= RISE:
            text = f"macro on validation images rose from {whole(before, 1000)} to {whole(last, 1000)} %"
            over = f"the last {count(span, 'evaluation')}" if span > 1 else "the last evaluation"
            yield Step(f"Train longer: with {over}, {text}.", command, points=100 * (last - before))
        return
    log = _longest_stage(run.log)
    losses, right = _losses(log), [r["train_accuracy"] for r in log]
    if len(log) < 2 or right[-1] >= LEARNED:
        return
    (before, last, span), (less, more, _) = _ends(losses), _ends(right)
    if before > 0 and last <= (1 - FALL) * before:
        over = f"the last {span} of {epochs} epochs" if span > 1 else "the last epoch"
        text = (
            f"Train longer: over {over} the training loss fell from {before:.3g} to {last:.3g}, and only "
            f"{whole(right[-1])} % of the training images are classified correctly."
        )
        yield Step(text, command, points=100 * max(0.0, more - less))


def _more_minutes(run: Run) -> Iterator[Step]:
    """Where a search had too little time for all that it would have done."""
    found = run.read(layout.SEARCH)
    if found is None or not found.no_time_for:
        return
    text = f"Give it more time: {found.minutes:g} minutes were too few for {listed(found.no_time_for, 5)}."
    command = command_of(run, found.asked)
    minutes = f" --minutes {max(LONG, 4 * found.minutes):g}"
    yield Step(text, command and command + minutes, points=SEARCHED)


def _ends(values: Sequence[float]) -> tuple[float, float, int]:
    """The means of the last quarter and of that before it, the earlier one first, and how many are in a quarter."""
    span = max(1, len(values) // 4)
    return float(np.mean(values[-2 * span : -span])), float(np.mean(values[-span:])), span


def _losses(log: Sequence[dict[str, Any]]) -> list[float]:
    """The training loss of each epoch, by the terms that all of them have: some begin later than others."""
    terms = set.intersection(*(set(r["loss"]) for r in log)) if log else set()
    return [sum(r["loss"][term] for term in terms) for r in log]


def _longest_stage(log: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    stages = [[r for r in log if r["stage"] == name] for name in dict.fromkeys(r["stage"] for r in log)]
    return max(stages, key=len, default=[])


def _larger(run: Run) -> Iterator[Step]:
    """Where the network's last map is so small that it hardly says where."""
    name, size = run.recipe["model"]["name"], run.recipe["data"].get("image_size")
    if name in FOR_SMALL_IMAGES or size is None:
        return
    side = map_side(name, int(size))
    if side is None or side >= PLACES:
        return
    wanted = -(-size * PLACES // side)
    text = (
        f"Train on larger images: with {size} pixels the last feature map is {side} x {side}, with {wanted} pixels it "
        f"is {PLACES} x {PLACES}, also where smaller images are enlarged. A step takes about "
        f"{(wanted / size) ** 2:.0f} times as long."
    )
    command = f"longtail train {recipe_of(run)} --set data.image_size={wanted}"
    yield Step(text, command, points=ENLARGED)


def _whole_picture(run: Run) -> Iterator[Step]:
    """Where images are cropped and the square hides much of them."""
    found = run.read(layout.AUDIT, AGAIN)
    shapes = found.shapes if found else None
    if shapes is None or shapes.usually_hidden <= HARDLY or run.recipe["data"].get("fit", "crop") != "crop":
        return
    text = (
        f"Show the whole picture: the model sees only the centred square of each image, which hides "
        f"{whole(shapes.hidden)} % of it (median of {count(shapes.images, 'training image')}) and "
        f"{whole(shapes.most_hidden)} % of {printable(shapes.example)}. `squash` shows all of it. Compare on "
        "validation images."
    )
    command = f"longtail train {recipe_of(run)} --fit squash"
    yield Step(text, command, points=HIDDEN * shapes.hidden)


def _fewer_experts(run: Run, found: Experts) -> Iterator[Step]:
    """Where all together do not even reach the best one; whether the method can do with one is asked first."""
    gain = next((gain for gain in found.gains if gain.score == "macro"), None)
    if gain is None or gain.value > 0 or not _takes_one_expert(run):
        return
    low, high = (f"{100 * end:+.1f}" for end in gain.interval)
    below = f"{-100 * gain.value:.1f}"
    how = "no better than" if float(below) == 0 else f"{below} points below"
    text = (
        f"Train with one expert: all {len(found.rows) - 1} together are {how} {gain.best} alone in macro "
        f"(95 % of the difference: {low} to {high}), and one needs less time. Compare on validation images."
    )
    command = f"longtail train {recipe_of(run)} --set model.num_experts=1"
    yield Step(text, command, points=-100 * gain.value)


def _takes_one_expert(run: Run) -> bool:
    """Whether nothing that the recipe says of single experts, and nothing that the method needs, stands against it."""
    try:
        needs = describe(run.recipe["method"]["name"]).needs
    except InputError:  # it is not installed here
        return False
    wanted = needs.get("num_experts", 1)
    one = 1 in (wanted if isinstance(wanted, tuple) else (wanted,))
    return one and not run.recipe["model"].get("detach_trunk")


def _collect(run: Run, e: Evaluation, ranked: Classes) -> Iterator[Step]:
    """Training images of rare classes, by what macro would be if these were named as well as the others are."""
    rare = [row for row in ranked.rows if row.group == GROUPS[2] and row.certainty in ("", "rough")]
    weak = [row for row in rare if row.standing == "weak"] or rare
    others = e.recall[e.tested & (e.group != GROUPS.index("few"))]
    if not weak:
        return
    names = [f"{row.name} ({row.train_images}, {row.correct} of {row.test_images} right)" for row in weak]
    what = f"{classes(len(weak))} with few, the weakest first: {listed(names, 3)}"
    lost = float(np.sum([others.mean() - (row.recall or 0.0) for row in weak])) if len(others) else 0.0
    points = max(0.0, 100 * lost / int(e.tested.sum()))
    worth = (
        f" With the recall of larger classes, macro would be {points:.1f} points higher." if points else ""
    )
    own = run.recipe["data"].get("path") is not None
    yield Step(
        f"Collect training images of {what}.{worth}",
        f"longtail train {recipe_of(run)}" if own else "",
        points=points,
    )


def _review(run: Run, e: Evaluation) -> Iterator[Step]:
    """Where a good network, not overconfident where it is sure, is sure of another class; else it errs itself."""
    surely = e.confidence >= SURE
    surely_wrong = surely & ~e.right
    if surely_wrong.any() and _is_good(e) and not _is_overconfident(e.confidence[surely], e.right[surely]):
        images = count(int(surely_wrong.sum()), "image")
        lost = float((1 / e.images[e.target[surely_wrong]]).sum())
        text = (
            f"Review the labels of {images} of {len(e.right):,} for which it predicts another class with "
            f"{100 * SURE:.0f} % confidence or more."
        )
        command = f"longtail explain {from_here(run.path)}"
        yield Step(text, command, "surest", 100 * lost / int(e.tested.sum()))


def _is_overconfident(confidence: np.ndarray, right: np.ndarray) -> bool:
    return float(confidence.mean() - right.mean()) > OVERCONFIDENT


def _is_good(e: Evaluation) -> bool:
    """Whether a network is so much better than guessing that its errors can speak against labels."""
    guessed = float(e.images.max() / len(e.right))
    return float(e.right.mean()) >= guessed + ABOVE * (1 - guessed)


def _merge(run: Run, e: Evaluation, pairs: Confusions) -> Iterator[Step]:
    """Where a network that is good confuses two classes with each other; one that is not confuses many."""
    mixed = [
        pair for pair in pairs.pairs if pair.both_ways and pair.share is not None and pair.share >= CONFUSED
    ]
    if not mixed or not _is_good(e):
        return
    pair, images = mixed[0], dict(zip(e.names, e.images, strict=True))
    lost = pair.count / images[pair.name] + pair.reverse / max(1, images[pair.label])
    data = run.recipe["data"]
    apart = " or, where nobody needs to tell them apart, put both into one folder"
    into = apart if data_name(data["name"], data.get("path")) != data["name"] else ""
    text = (
        f"{pair.name} and {pair.label} are confused with each other ({pair.count + pair.reverse} images): agree on "
        f"their labels,{into} and train again."
    )
    points = 100 * lost / int(e.tested.sum())
    yield Step(text, f"longtail train {recipe_of(run)}", points=points)
