"""What do the experts add? Each alone, all together, and where they disagree."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from longtail.metrics.pairs import macro_weights, paired_gain
from longtail.report.facts.evaluation import Evaluation
from longtail.report.facts.run_sections import Agreement, ExpertRow, Experts, Gain
from longtail.report.facts.words import hits, whole
from longtail.report.limits import ENOUGH
from longtail.runs.groups import GROUPS
from longtail.runs.run import SCORES, Run

TOGETHER = "all experts"


def experts(run: Run, e: Evaluation) -> Experts | None:
    """The section; None for a single expert."""
    if len(e.votes) < 2:
        return None
    metrics = run.metrics or {}
    scores = [*metrics["experts"], metrics]
    names = [*(f"expert {m}" for m in range(1, len(e.votes) + 1)), TOGETHER]
    rows = tuple(
        ExpertRow(name, *(row[key] for key in SCORES)) for name, row in zip(names, scores, strict=True)
    )
    gains, agreement = tuple(_gains(e)), _agreement(e)
    return Experts(rows, gains, agreement, (*_worth(e, gains), *_agreed(e, agreement)))


def _gains(e: Evaluation) -> Iterator[Gain]:
    """Of all together over the expert with the best macro, chosen on the same images: gains look small, not large."""
    hits = e.votes == e.target
    everywhere = macro_weights(e.target, e.tested)
    best = int((hits * everywhere).sum(1).argmax())
    weights = [
        np.full(len(e.target), 1 / len(e.target)),
        *(macro_weights(e.target, w) for w in e.of_groups()),
    ]
    several = sum(bool(weight.any()) for weight in weights[2:]) > 1
    for key, weight in zip(SCORES, weights, strict=True):
        if weight.any() and (several or key not in GROUPS):
            value, low, high = paired_gain(e.right, hits[best], weight, e.source)
            yield Gain(key, f"expert {best + 1}", value, (low, high), not low <= 0 <= high)


def _agreement(e: Evaluation) -> tuple[Agreement, ...]:
    most = (e.votes[:, None] == e.votes[None]).sum(0).max(0)
    united = most == len(e.votes)
    majority = ~united & (2 * most > len(e.votes))
    parts: dict[str, Bool[ndarray, " n"]] = {
        "all agree": united,
        "majority": majority,
        "split": ~united & ~majority,
    }
    return tuple(
        Agreement(
            name, int(mine.sum()), float(mine.mean()), float(e.right[mine].mean()) if mine.any() else None
        )
        for name, mine in parts.items()
    )


def _worth(e: Evaluation, gains: tuple[Gain, ...]) -> Iterator[str]:
    if len(e.right) < ENOUGH:
        yield f"Too few {e.part} images to compare the experts."
        return
    macro = next(gain for gain in gains if gain.score == "macro")
    for gain, where in (
        (macro, "in macro"),
        *((g, "in macro of rare classes") for g in gains if g.score == "few"),
    ):
        low, high = (f"{100 * end:+.1f}" for end in gain.interval)
        text = f"{abs(100 * gain.value):.1f} points {'better' if gain.value > 0 else 'worse'} {where} than {gain.best}"
        if gain.measurable:
            yield f"Together {text} (95 %: {low} to {high})."
        elif gain is macro:
            chance = f"macro {100 * gain.value:+.1f}, 95 %: {low} to {high}"
            yield f"Together not measurably better than {gain.best} ({chance})."


def _agreed(e: Evaluation, agreement: tuple[Agreement, ...]) -> Iterator[str]:
    united, _, split = agreement
    if united.images >= ENOUGH and united.accuracy is not None:
        text = f"All agree on {whole(united.share)} % of images and are right on {_hits(united)}"
        apart = [part for part in agreement[1:] if part.images >= ENOUGH]
        if apart:
            text += f"; where they do not, on {_hits(*apart)}"
        yield text + "."
    if split.images >= ENOUGH:
        yield f"They are split on {whole(split.share)} %: have a person look at those."


def _hits(*parts: Agreement) -> str:
    right = sum(part.images * (part.accuracy or 0) for part in parts)
    return hits(round(right), sum(part.images for part in parts))
