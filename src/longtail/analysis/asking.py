"""What a run's network says of the images that the run is evaluated on."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from longtail.data import Split, batches
from longtail.engine.probes import ExpertDivergence
from longtail.engine.processes import ALONE
from longtail.predict import Classifier, load_run
from longtail.report.facts.evaluation import Evaluation
from longtail.runs import Run
from longtail.types import Batch, InputError


def _stream(classifier: Classifier, split: Split) -> Iterator[Batch]:
    order = torch.arange(len(split))
    return batches(
        split, order, classifier.batch_size, classifier.device, workers=classifier.recipe.data.workers
    )


def divergence(run: Run) -> list[float | None]:
    """(C,) KL divergence between the experts' predictions, see `ExpertDivergence`."""
    classifier = load_run(run.path)
    found = ExpertDivergence(len(classifier.classes), classifier.device)
    for batch, _, each in classifier.infer(_stream(classifier, classifier.images())):
        found.add(each, batch.target)
    return found.by_class(ALONE)


def known_mixes(run: Run) -> Callable[[Evaluation, Float[ndarray, "k c"]], Int[ndarray, "k n"]]:
    """What the run predicts (K, N) of the images of an evaluation where it knows each of K class priors (K, C).

    Raises:
        InputError: the evaluation is of other images than the run's own.
    """

    def known(e: Evaluation, mixes: Float[ndarray, "k c"]) -> Int[ndarray, "k n"]:
        classifier = load_run(run.path)
        split = classifier.images()
        if split.ids != e.paths:
            raise InputError(
                f"{run.path} was evaluated on other images than its own, or these have changed; evaluate it again: "
                f"longtail evaluate {run.path}"
            )
        decisions = [classifier.decision(dict(zip(e.names, mix.tolist(), strict=True))) for mix in mixes]
        answers = classifier.infer(_stream(classifier, split))
        labels = [
            torch.stack([decision(logits).argmax(dim=-1) for decision in decisions]).cpu()
            for _, logits, _ in answers
        ]
        return torch.cat(labels, dim=1).numpy()

    return known


def features_of(
    run: Run, choose: Callable[[ndarray, ndarray], ndarray]
) -> tuple[Float[ndarray, "m n d"], Int[ndarray, " n"], tuple[str, ...]]:
    """Each expert's features of some images that the run is evaluated on, their classes and their names.

    Args:
        run: see there.
        choose: targets (N,) and class counts (C,) of all images -> the rows of those wanted.
    """
    classifier = load_run(run.path)
    split = classifier.images()
    rows = choose(split.targets.cpu().numpy(), np.asarray(classifier.class_counts))
    chosen = split.take(torch.from_numpy(rows))
    parts = [features.float().cpu() for _, features in classifier.features(_stream(classifier, chosen))]
    return torch.cat(parts, dim=1).numpy(), chosen.targets.cpu().numpy(), chosen.ids
