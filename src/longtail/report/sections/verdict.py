"""Is it any good, and for whom? The scores with their intervals, and the sentences that hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from longtail.report.facts.class_rows import Classes
from longtail.report.facts.evaluation import Evaluation, Interval
from longtail.report.facts.words import SURE, between, classes, count, hits, listed, of_hundred, whole
from longtail.report.parts import Images, Part, Table, cent, span
from longtail.report.section import Facts, Section
from longtail.runs import layout
from longtail.runs.groups import ENOUGH, FEW_BELOW, GROUPS, MANY_ABOVE
from longtail.runs.run import SCORES, Run

TEMPLATE = """\
{% set v = content %}
{{ sentences(v.sentences, "verdict") }}
{% if v.table %}{{ table(v.table) }}
<p class="quiet">Overall counts every image the same, macro every class; many, medium and few are macro within \
their classes. The interval says how far luck in the choice of test images may have moved the value.</p>{% endif %}
"""


SURE_AT = 0.8
_HUNDRED = 100  # images from which on it is said how many of a hundred are right


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score, named overall, macro, many, medium or few.

    Attributes:
        name: which.
        value: None where nothing was tested.
        interval: None too where the evaluated images are not in the folder.
        classes: with images behind the value; all where that is not known.
        images: None where that is not known.
    """

    name: str
    value: float | None
    interval: Interval | None
    classes: int
    images: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Is it any good, and for whom? `sentences` holds only those that hold; `rows` is empty without an evaluation."""

    rows: tuple[ScoreRow, ...]
    sentences: tuple[str, ...]


def compute(facts: Facts) -> Verdict:
    e = facts.evaluation
    return _unseen(facts.run) if e is None else _verdict(facts.run, e, facts.classes)


def terminal(found: Verdict, facts: Facts) -> Mapping[str, Sequence[str]]:
    return {} if facts.evaluation is None else {"What stands out": found.sentences}


def page(found: Verdict, facts: Facts, images: Images) -> Part:
    """The answer, and the scores behind it."""
    rows = [
        (
            row.name, cent(row.value, row.images), span(row.interval, row.images),
            f"{row.classes:,}", "-" if row.images is None else f"{row.images:,}",
        )
        for row in found.rows
        if row.classes
    ]  # fmt: skip
    header = ("score", "value", "interval", "classes", "images")
    table = Table("Accuracy, with 95 % intervals", header, rows, of_groups=True)
    return Part({"sentences": found.sentences, "table": table if rows else None})


def _unseen(run: Run) -> Verdict:
    """What the scores alone say, where the evaluated images are not in the folder."""
    metrics, group = run.metrics, [entry["group"] for entry in run.classes]
    if metrics is None:
        text = (
            "Not evaluated: there are no scores yet."
            if not run.finished
            else "Not evaluated: there are no scores."
        )
        return Verdict((), (text,))
    images = metrics["num_images"]
    if not images:
        return Verdict((), ("Not evaluated: there were no images of the model's classes.",))
    rows = tuple(
        ScoreRow(
            key,
            metrics[key],
            None,
            group.count(key) if key in GROUPS else len(group),
            None if key in GROUPS else images,
        )
        for key in SCORES
    )
    return Verdict(
        rows,
        (
            f"{_named(run.part, round(metrics['overall'] * images), images)}.",
            f"These scores are those of epoch {metrics['epoch']}; predictions of single images are not recorded, so "
            "nothing can be said about confidence.",
        ),
    )


def _verdict(run: Run, e: Evaluation, ranked: Classes) -> Verdict:
    """The scores as metrics.json has them, intervals from the images, and the sentences."""
    metrics = run.metrics or {}
    number = [int(which.sum()) for which in e.of_groups()]
    images = [int(e.images[which].sum()) for which in e.of_groups()]
    rows = tuple(
        ScoreRow(key, metrics[key], interval, classes_, images_)
        for key, interval, classes_, images_ in zip(
            SCORES, e.score_intervals, (number[0], *number), (images[0], *images), strict=True
        )
    )
    data = run.recipe["data"]
    said = (
        *_overall(e, rows[0]),
        *_against_search(run, e, rows[1]),
        *_rare(e, rows[2:], int(data.get("few_below", FEW_BELOW)), int(data.get("many_above", MANY_ABOVE))),
        *_outliers(e, ranked),
        *_not_ranked(e, ranked),
        *_sureness(e),
    )
    return Verdict(rows, said)


def _overall(e: Evaluation, row: ScoreRow) -> Iterator[str]:
    right, images, commonest = int(e.right.sum()), len(e.right), int(e.images[e.counts.argmax()])
    said = _named(e.part, right, images)
    if images < ENOUGH:
        yield f"{said}: too few to say more."
        return
    guessed = of_hundred(commonest / images) if images >= _HUNDRED else f"{commonest} of {images}"
    yield f"{said}{_range(row)}. Always guessing the commonest class: {guessed}."


def _against_search(run: Run, e: Evaluation, row: ScoreRow) -> Iterator[str]:
    """Where classifiers on features were chosen by a score that is far from the one here: both, and a known cause.

    The best score of several kinds is too high because it is the best of them. Nothing else is known here: the images
    may be of another sort, and a score that is lower, or of one kind, is not explained.
    """
    found = run.read(layout.SEARCH)
    best = next((one for one in found.heads if one.chosen), None) if found else None
    if not (found and best and row.interval and row.value is not None and run.recipe["model"].get("frozen")):
        return
    (low, high), value = row.interval, row.value
    if best.low <= value <= best.high and low <= best.macro <= high:
        return
    chance = "which may be chance" if best.low <= high and low <= best.high else "more than chance explains"
    kinds, cause = len(found.heads), ""
    if kinds > 1 and high < best.low:
        cause = f" The best of {kinds} kinds was chosen by that score, which makes it too high: believe the value here."
    yield (
        f"The search said macro {100 * best.macro:.1f} ({between((best.low, best.high))}) by cross-validation on "
        f"{count(found.head_images, 'training image')}; here it is {100 * value:.1f} ({between(row.interval)}) on "
        f"{count(len(e.right), f'{e.part} image')}, {chance}.{cause}"
    )


def _named(part: str, right: int, images: int) -> str:
    """How many images are named correctly: of a hundred, or of those that there are where they are fewer."""
    if images >= _HUNDRED:
        return f"Of 100 {part} images it names {of_hundred(right / images)} correctly"
    return f"It names {right} of {count(images, f'{part} image')} correctly"


def _range(row: ScoreRow) -> str:
    return f" ({between(row.interval)} %)" if row.interval else ""


def _rare(e: Evaluation, rows: Sequence[ScoreRow], few_below: int, many_above: int) -> Iterator[str]:
    if e.rarest is None:
        return
    rare, row = e.group[e.target] == e.rarest, rows[e.rarest]
    images = int(rare.sum())
    size = f"fewer than {few_below}" if e.rarest == GROUPS.index("few") else f"{few_below} to {many_above}"
    who = f"Rare classes ({size} training images)"
    if images < ENOUGH:
        yield f"{who}: {int(e.right[rare].sum())} of {images} images, too few to say more."
        return
    errors = rare & ~e.right
    common = int((e.group[e.label[errors]] == GROUPS.index("many")).sum())
    where = ""
    if (e.group == GROUPS.index("many")).any() and errors.any():
        total = int(errors.sum())
        share = f"{whole(common / total)} % of their" if total >= ENOUGH else f"{common} of their {total}"
        where = f" {share} errors name a common class."
    yield f"{who}: macro {of_hundred(row.value or 0.0)} %{_range(row)}.{where}"


def _outliers(e: Evaluation, ranked: Classes) -> Iterator[str]:
    if ranked.never_predicted:
        yield f"Never predicted: {classes(len(ranked.never_predicted))}: {listed(ranked.never_predicted)}."
    if ranked.weakest:
        yield f"Clearly weakest: {listed(ranked.weakest)}."
    elif ranked.strongest:
        yield f"No class is clearly weak for its group. Clearly strongest: {listed(ranked.strongest)}."
    elif int(e.tested.sum()) > 1:
        yield _none_singled_out(e, ranked)


def _none_singled_out(e: Evaluation, ranked: Classes) -> str:
    tested, least, most = int(e.tested.sum()), int(e.images[e.tested].min()), int(e.images.max())
    if ranked.luck_at_zero >= 1 and not ranked.differ:
        images = f"{most} {e.part} image{'s' * (most != 1)} each"
        typical = f"{ranked.typical_images:.0f} {e.part} images in the middle class"
        left = f"0 of {most}" if least == most else "no right image"
        return (
            f"No class can be singled out: with {images if least == most else typical}, luck alone would leave about "
            f"{ranked.luck_at_zero:,.0f} of {tested:,} classes at {left}."
        )
    if ranked.differ is False:
        return "No class can be singled out: classes differ no more than luck makes them."
    if ranked.differ:
        return "Classes differ more than luck makes them, but no single one can be singled out."
    return "No class can be singled out."


def _not_ranked(e: Evaluation, ranked: Classes) -> Iterator[str]:
    sentences = []
    if ranked.too_few:
        sentences.append(f"Too few {e.part} images to say: {classes(len(ranked.too_few))}.")
    if ranked.not_tested:
        sentences.append(f"Not tested: {classes(len(ranked.not_tested))}.")
    if sentences:
        yield " ".join(sentences)


def _sureness(e: Evaluation) -> Iterator[str]:
    sure, rare = e.confidence >= SURE_AT, e.group[e.target] == e.rarest
    images, right = int(sure.sum()), int((sure & e.right).sum())
    if len(sure) < ENOUGH:
        return
    if not images:
        yield f"It is nowhere {100 * SURE_AT:.0f} % sure."
        return
    share = f"{whole(images / len(sure))} % of images"
    text = f"When {100 * SURE_AT:.0f} % sure ({share}) it is right on {hits(right, images)}"
    if rare.sum() >= ENOUGH:
        surely, every = int(sure[rare].sum()), int(rare.sum())
        less = "only " if surely / every < sure.mean() else ""
        share = f"{whole(surely / every)} %" if every >= SURE else f"{surely} of {every}"
        text += f"; it is that sure of {less}{share} of rare ones"
    yield text + "."


SECTION = Section(
    rank=10,
    short="Verdict",
    heading="Is it any good, and for whom?",
    compute=compute,
    terminal=terminal,
    page=page,
    template=TEMPLATE,
)
