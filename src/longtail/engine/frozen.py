"""Training on a frozen backbone: features of all images are computed once, then neck and classifiers are trained."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from longtail.data import DataOptions, Split
from longtail.data.dataset import counted
from longtail.data.policies import ViewOptions
from longtail.engine.evaluate import evaluation_batch
from longtail.engine.feature_views import FeatureViews
from longtail.engine.job import Job
from longtail.engine.runtime import weight_dtype
from longtail.features import (
    Entry,
    ImageFeatures,
    Views,
    cache_folder,
    count_missing,
    entries,
    features_of,
    trim,
    weights_hash,
)
from longtail.models import ExpertModel, fold_batch_norm
from longtail.models.feature_model import backbone_dim

EVERY = 15.0  # seconds between two lines of progress where there is no terminal
READ_AS = ("fit", "bits", "draft")
"""Keys of [data], as far as there are such, that decide what is read from a file."""


class Progress:
    """Shows how many features are computed: a bar at a terminal, else a line every 15 seconds."""

    def __init__(self, job: Job, total: int) -> None:
        self.display, self.total, self.done = job.display, total, 0
        self.began = self.said_at = time.perf_counter()

    def __call__(self, images: int) -> None:
        self.done += images
        self.display.step("features", 0, self.done, self.total)
        now = time.perf_counter()
        if now - self.said_at >= EVERY:
            left = (now - self.began) / self.done * (self.total - self.done)
            self.display.say(f"features: {self.done:,} of {self.total:,} computed, {minutes(left)} left")
            self.said_at = now


def minutes(seconds: float) -> str:
    """A length of time in words of the size that matters.

    >>> minutes(29.6), minutes(100.0), minutes(4000.0)
    ('30 s', '2 min', '67 min')
    """
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def use_features(job: Job) -> dict[str, ImageFeatures]:
    """Put stored features in the place of a job's images, computing those that are not there yet.

    Splits then hold rows in the place of images, and `augment` and `views` give the features of rows. Mean and
    deviation of the neck are taken from the plain training images.

    Returns:
        The features of each split by name.

    Raises:
        InputError: an image cannot be read, or the disk is full.
    """
    splits = {"train": job.data.train, "val": job.data.val, "test": job.data.test}
    present = {name: split for name, split in splits.items() if split is not None}
    _tell_views(job)
    if job.processes.count > 1:  # the first computes, and all of them find the features on disk
        job.processes.run_on_main(lambda: bool(_features(job, present)))
    found = _features(job, present)
    device, dtype = job.runtime.device, weight_dtype(job.recipe.optim.precision)
    shown = FeatureViews(list(found.values()), device, dtype)
    rows, first = dict[str, Any](), 0
    for name, split in present.items():
        numbers = torch.arange(first, first + len(split), device=device)[:, None, None, None]
        rows[name], first = replace(split, images=numbers), first + len(split)
    job.data = replace(job.data, **rows)
    job.augment, job.views = shown, (shown,) * job.method.num_views
    neck = job.model.neck
    assert neck is not None
    neck.standardize(found["train"].blocks())
    return found


def _tell_views(job: Job) -> None:
    """Say where a method asks for views that are not those which are stored."""
    named = [name for name in dict.fromkeys(job.method.view_names()) if name != "train"]
    if named:
        job.display.say(
            f"features: the views of {job.recipe.method.name} ({', '.join(named)}) are drawn from the stored ones of "
            "data.augment"
        )


def _features(job: Job, splits: Mapping[str, Split]) -> dict[str, ImageFeatures]:
    folded, device, o = fold_batch_norm(job.whole), job.runtime.device, job.recipe
    dim, settings = backbone_dim(job.whole), feature_settings(job)
    plain = job.augment
    seen = Views(plain, plain, o.run.reuse_features, augmentation(o.data))
    wanted = {name: (split, seen if name == "train" else Views(plain)) for name, split in splits.items()}
    total = count_missing(list(wanted.values()), settings, dim)
    step = Progress(job, total)
    if total:
        views = (
            f" and of {counted(seen.count, 'augmented view')} of each training image" if seen.count else ""
        )
        job.display.say(
            f"computing features of {sum(map(len, splits.values())):,} images ({job.data.image_size} pixels, fit "
            f"{o.data.fit}){views}; {total:,} are not yet in {cache_folder()}, where they are kept"
        )
    found = {}
    for name, (split, views_of) in wanted.items():
        found[name] = features_of(
            partial(_extract, job, folded), split, views_of, settings, dim, device=device,
            batch_size=evaluation_batch(o.run.evaluate_batch_size, device, job.data.image_size),
            workers=o.data.workers, step=step, say=job.display.say,
        )  # fmt: skip
    _tell(job, found, total, time.perf_counter() - step.began)
    return found


def _extract(job: Job, folded: ExpertModel, image: Tensor) -> Float[Tensor, "b d"]:
    with job.runtime.autocast():
        return folded.backbone_features(image)[0]


def feature_settings(job: Job) -> dict[str, Any]:
    """Settings that the features of a plain image depend on, beside its content."""
    o, whole = job.recipe, job.whole
    backbone = {
        name: part for name, part in whole.state_dict().items() if not name.startswith(("heads.", "neck."))
    }
    known = o.data.model_dump(mode="json")
    return {
        "backbone": o.model.name, "weights": weights_hash(backbone), "size": job.data.image_size,
        "mean": list(job.data.mean), "std": list(job.data.std), "precision": o.optim.precision,
        **{key: known[key] for key in READ_AS if key in known}, "bits": job.data.depth.bits,
    }  # fmt: skip


def augmentation(options: DataOptions) -> dict[str, Any]:
    """Settings that an augmented view depends on in addition."""
    return options.model_dump(mode="json", include=set(ViewOptions.model_fields))


def _tell(job: Job, found: Mapping[str, ImageFeatures], computed: int, seconds: float) -> None:
    """Say what was computed, where it lies, how large that is, and what had to go for it."""
    folders = {folder for features in found.values() for folder in features.folders}
    sizes: list[Entry] = [entry for entry in entries() if entry.folder in folders]
    took = f"{computed:,} computed in {minutes(seconds)}" if computed else "all stored, none to compute"
    job.display.say(
        f"features: {took}; {sum(entry.size for entry in sizes) / 1e6:,.0f} MB in {cache_folder()} "
        "(`longtail cache` shows it, `longtail cache --clear` removes it)"
    )
    removed = trim(keep=folders)
    if removed:
        job.display.say(
            f"features: {sum(entry.size for entry in removed) / 1e6:,.0f} MB that were not used for the longest time "
            "are removed, to stay within LONGTAIL_CACHE_GB"
        )
