"""Features of images without augmentation by the current network: for surveys, and of validation images."""

import torch
from jaxtyping import Float
from torch import Tensor

from longtail.data import Split, batches
from longtail.engine.evaluate import evaluation_batch
from longtail.engine.job import Job
from longtail.method import HeldOut, Stage
from longtail.models import fold_batch_norm
from longtail.types import Progress


@torch.no_grad()
def survey(job: Job, stage: Stage, progress: Progress) -> None:
    """Call the method's `survey` with features of all training images before an epoch, where it asks for that."""
    if progress.epoch in job.method.survey_epochs(stage):
        features = split_features(job, job.data.train)
        job.method.survey(features, job.data.train.targets.to(features.device), progress)


@torch.no_grad()
def held_out(job: Job, stage: Stage) -> HeldOut | None:
    """Logits and features of the validation images by the trained network; None where there are none."""
    split = job.data.val
    if split is None:
        return None
    features = split_features(job, split)
    output = job.model.classify(features, stage.bank)
    return HeldOut(features, output.logits, split.targets.to(features.device))


def split_features(job: Job, split: Split) -> Float[Tensor, "m n d"]:
    """(M, N, D) float32 features of a split's images in order, on the run's device and in each process; no state moves.

    They take 4 * M * N * D bytes.
    """
    folded, device, shared = fold_batch_norm(job.model), job.runtime.device, job.processes
    size = evaluation_batch(job.recipe.run.evaluate_batch_size, device, job.data.image_size)
    stream = batches(
        split, torch.arange(len(split)), size, device, workers=job.recipe.data.workers, part=shared.part
    )
    parts = [
        shared.gather(folded.extract(job.augment.normalize(batch.image)), len(batch.target))
        for batch in stream
    ]
    return torch.cat(parts, dim=1).float()
