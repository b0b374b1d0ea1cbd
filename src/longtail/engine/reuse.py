"""Features of frozen layers, computed once and reused by a stage that trains only classifiers."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor

from longtail.data import batches, epoch_order
from longtail.engine.job import Job
from longtail.engine.runtime import weight_dtype
from longtail.engine.views import augment_views, crops_on_reading, view_boxes, view_keys


@torch.no_grad()
def stored_features(job: Job, position: int, *, again: bool) -> Float[Tensor, "k n m d"] | None:
    """Features of K augmented views of every training image, where the recipe asks for them and the stage allows it.

    Epoch k < K of a stage that shows each image once sees the very features that it would have computed, batch
    statistics included; later epochs see those of epoch k mod K again. Running statistics move as in K epochs.

    Args:
        job: the run.
        position: which of its stages.
        again: a run that is resumed within the stage, whose running statistics have moved already.

    Returns:
        (K, N, M, D) on the device, of the weights' type (4 * K * N * M * D bytes in float32); None where images are
        to be used.
    """
    stage, device = job.stages[position], job.runtime.device
    if job.recipe.model.frozen or not job.recipe.run.reuse_features or not stage.trains_classifiers_alone:
        return None
    seed, first = job.recipe.run.seed, sum(earlier.epochs for earlier in job.stages[:position])
    split, classes, network = job.data.train, len(job.data.class_names), copy.deepcopy(job.model)
    cropped = crops_on_reading(job.views, split)
    views = min(job.recipe.run.reuse_features, stage.epochs)
    sizes = views, len(split), network.num_experts, network.feature_dim
    stored = torch.empty(sizes, device=device, dtype=weight_dtype(job.recipe.optim.precision))
    for view, of_view in enumerate(stored):
        job.display.say(f"features of view {view + 1} of {views}, kept for the {stage.name} stage")
        keys = view_keys(seed, first + view, 1)
        order = epoch_order(
            "instance", split.targets, classes, seed=seed * 64 + position, epoch=view, epochs=stage.epochs
        )
        shared = job.processes
        stream = batches(
            split, order, job.recipe.optim.batch_size, device, workers=job.recipe.data.workers,
            part=shared.part, views=view_boxes(job.views, split, keys),
        )  # fmt: skip
        for batch in stream:
            image = augment_views(
                job.views, batch.image, shared.part(batch.index), keys.to(device), cropped=cropped
            )
            with job.runtime.autocast():
                features = network.extract(image)
            of_view[batch.index] = shared.gather(features, len(batch.index)).to(stored.dtype).transpose(0, 1)
    if not again:
        job.model.load_state_dict(network.state_dict())
    return stored
