"""Builds data, model and method of a run, and writes its description into the run folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from longtail.augment import Augment
from longtail.data import DataOptions, LongTailData, batch_sizes, load_data
from longtail.data.audit import audit_loaded
from longtail.data.content import to_text
from longtail.data.source_kinds import ReadSource, read_source
from longtail.engine.display import Display
from longtail.engine.feature_views import alone
from longtail.engine.global_norm import normalize_globally
from longtail.engine.probes import check_probes
from longtail.engine.processes import ALONE, Processes
from longtail.engine.runtime import building_in, environment, start_runtime, weight_dtype
from longtail.engine.scores import Classes
from longtail.method import Method, Stage
from longtail.metrics import class_groups
from longtail.models import ExpertModel, build_model, count_parameters
from longtail.recipe import Recipe
from longtail.runs import layout
from longtail.runs.folder import RunFolder
from longtail.types import InputError


@dataclass
class Job:
    """Everything that a run works with; functions of the engine take it, no layer below the engine sees it.

    `augment` is the recipe's own augmentation, `views` that of each view that the method asks for. `whole` is what is
    shipped: `model` itself or, of a frozen backbone, the network whose neck and classifiers `model` is.
    """

    recipe: Recipe
    folder: RunFolder
    runtime: Accelerator
    data: LongTailData
    model: ExpertModel
    whole: ExpertModel
    method: Method
    augment: Augment
    views: tuple[Augment, ...]
    stages: tuple[Stage, ...]
    display: Display
    processes: Processes = ALONE
    records: list[dict[str, Any]] = field(default_factory=list)
    kept_at: float = 0.0  # when the last state was written, by `time.perf_counter`

    @cached_property
    def own_parameters(self) -> dict[str, nn.Parameter]:
        """The method's parameters that take gradients, as patterns of stages name them; asked before any is frozen."""
        named = self.method.named_parameters()
        return {f"method.{name}": parameter for name, parameter in named if parameter.requires_grad}

    @property
    def steps_per_epoch(self) -> int:
        return len(batch_sizes(len(self.data.train.targets), self.recipe.optim.batch_size))

    @property
    def classes(self) -> Classes:
        o = self.recipe.data
        return Classes(self.data.class_names, self.data.class_counts.cpu(), o.many_above, o.few_below)

    @property
    def headlines(self) -> list[str]:
        """What is about to be trained, for people."""
        counts, test = self.data.class_counts, self.data.test or self.data.val
        line = (
            f"{len(counts)} classes, {int(counts.sum()):,} training images ({int(counts.max())} to {int(counts.min())} "
            f"a class), {0 if test is None else len(test):,} to evaluate on; "
            f"{count_parameters(self.whole) / 1e6:.2f} M weights{self._trained}, on {self.runtime.device.type}"
        )
        if self.processes.count > 1:
            line += f" in {self.processes.count} processes"
        blind = "nothing to evaluate on, so there will be no score: add a split named test, or more images a class"
        return [line] if test else [line, blind]

    @property
    def _trained(self) -> str:
        """How many of the weights are trained, where the others are frozen."""
        return "" if self.whole is self.model else f", {count_parameters(self.model):,} of them trained"

    def description(self, stage: Stage) -> dict[str, Any]:
        """What is needed to rebuild the network for prediction after a stage."""
        options = self.recipe.model.model_copy(update={"weights": None, "pretrained": False})
        if stage.bank != self.model.banks[0]:
            options = options.model_copy(update={"head": options.fresh_head or options.head})
        return {
            "model": options.model_dump(mode="json"),
            "stage": stage.name,
            "bank": stage.bank,
            "classes": list(self.data.class_names),
            "image_size": self.data.image_size,
            "fit": self.recipe.data.fit,
            "bits": self.data.depth.bits,
            "mean": list(self.data.mean),
            "std": list(self.data.std),
        }


Load = Callable[[DataOptions, int, torch.device, bool], LongTailData]


def load_on(
    options: DataOptions,
    seed: int,
    device: torch.device,
    boxes: bool,
    read: ReadSource = read_source,
    divided_later: bool = False,
) -> LongTailData:
    """The data on a device.

    Args:
        options: which.
        seed: draws the validation split, where one is held out.
        device: where targets and, if they are in memory, images go.
        boxes: whether boxes are cut out of training images as they are read.
        read: lists the source.
        divided_later: whether training images will be divided further, see `load_data`.
    """
    data = load_data(options, seed=seed, boxes=boxes, read=read, divided_later=divided_later)
    splits = {name: getattr(data, name) for name in ("train", "val", "test")}
    return replace(data, **{name: split and split.to(device) for name, split in splits.items()})


def data_of(recipe: Recipe, device: torch.device, load: Load = load_on) -> LongTailData:
    """The data of a recipe on a device."""
    boxes = any("resized_crop" in options.augment for options in recipe.views().values())
    return load(recipe.data, recipe.run.seed if recipe.data.validation else 0, device, boxes)


def build_job(
    recipe: Recipe,
    folder: RunFolder,
    display: Display,
    processes: Processes = ALONE,
    load: Load = load_on,
    *,
    begin: bool = True,
) -> Job:
    """Data, model and method of a recipe on the machine's device; writes nothing.

    Args:
        begin: start from the weights that the recipe names; a resumed run has its own,
            but for a frozen backbone.
    """
    stages = recipe.stages()
    runtime = start_runtime(recipe.run.device, recipe.optim.precision, threads=recipe.run.threads)
    shown = recipe.views()
    data = data_of(recipe, runtime.device, load)
    torch.manual_seed(recipe.run.seed)
    banks = tuple(dict.fromkeys(stage.bank for stage in stages))
    with building_in(weight_dtype(recipe.optim.precision)):
        model = build_model(recipe.model, len(data.class_names), banks, begin=begin or recipe.model.frozen)
        method = recipe.build_method(data.class_counts, model.feature_dim)
    _check_size(data.image_size, recipe.model.name, model.image_multiple)
    check_probes(recipe.run.probes, model)
    whole = model.to(runtime.device).to(memory_format=torch.channels_last)
    model = alone(whole, recipe.model, banks) if recipe.model.frozen else whole
    if processes.count > 1:
        normalize_globally(model)
    method = method.to(runtime.device)
    method.start(model)
    _check_trained(recipe, stages, model, method)
    model.branch_streams = recipe.run.expert_streams
    augments = {name: build_augment(options, data, recipe.optim.precision) for name, options in shown.items()}
    views = tuple(augments[name] for name in method.view_names())
    return Job(
        recipe,
        folder,
        runtime,
        data,
        model,
        whole,
        method,
        augments["train"],
        views,
        stages,
        display,
        processes,
    )


def _check_trained(recipe: Recipe, stages: Sequence[Stage], model: ExpertModel, method: Method) -> None:
    """Refuse a stage that has nothing to train."""
    o, own = (
        recipe.optim,
        [f"method.{name}" for name, weight in method.named_parameters() if weight.requires_grad],
    )
    frozen = 0 if o.frozen_epochs else o.frozen_stages
    for stage in stages:
        spare = tuple(f"heads.{bank}." for bank in model.banks if bank != stage.bank)
        names = [name for name, _ in model.named_parameters() if not name.startswith(spare)]
        if any(
            stage.trains(name)
            for name in (*own, *(n for n in names if not frozen or model.depth(n) > frozen))
        ):
            continue
        if frozen:
            raise InputError(
                f"optim.frozen_stages = {frozen} leaves the {stage.name} stage nothing to train; set it to "
                f"{max(map(model.depth, names)) - 1} or less"
            )
        raise InputError(
            f"the {stage.name} stage of {recipe.method.name} trains no weight; correct its `trainable`"
        )


def _check_size(size: int, network: str, multiple: int) -> None:
    if size % multiple:
        near = [str(fit) for fit in (size // multiple * multiple, -(-size // multiple) * multiple) if fit]
        raise InputError(
            f"data.image_size = {size} does not fit {network}, which takes multiples of {multiple}; "
            f"set it to {' or '.join(near)}"
        )


def build_augment(o: DataOptions, data: LongTailData, precision: str) -> Augment:
    """The augmentation that options of data ask for, with the normalisation of the data."""
    return Augment(
        o.augment,
        data.mean,
        data.std,
        crop_padding=o.crop_padding,
        crop_fill=o.crop_fill,
        crop_scale=o.crop_scale,
        rotation_degrees=o.rotation_degrees,
        randaugment_ops=o.randaugment_ops,
        randaugment_magnitude=o.randaugment_magnitude,
        jitter_strength=o.jitter_strength,
        jitter_probability=o.jitter_probability,
        grayscale_probability=o.grayscale_probability,
        blur_sigma=o.blur_sigma,
        blur_probability=o.blur_probability,
        cutout_size=o.cutout_size,
        fit=o.fit,
        dtype=weight_dtype(precision),
    )


def describe_job(job: Job, epochs: int = 0, more: Mapping[str, Any] | None = None) -> None:
    """Write what is known of a run before its first step.

    Args:
        epochs: how many are finished, of a run that is resumed.
        more: further entries of env.json.
    """
    data, folder = job.data, job.folder
    folder.write_text(layout.RECIPE, job.recipe.to_toml())
    folder.write_json(
        layout.ENVIRONMENT, environment(job.runtime) | {"index_hash": data.index_hash, **(more or {})}
    )
    o = job.recipe.data
    groups = class_groups(data.class_counts, o.many_above, o.few_below)
    rows = zip(data.class_names, data.class_counts.tolist(), groups, strict=True)
    folder.write_json(
        layout.CLASSES,
        [{"name": n, "index": i, "count": c, "group": g} for i, (n, c, g) in enumerate(rows)],
    )
    folder.write_csv(layout.SPLITS, image_rows(data))
    folder.write_json(layout.AUDIT, audit_loaded(data, job.recipe.data.fit).contents())
    if data.notes.unreadable:
        folder.write_csv(layout.UNREADABLE, [("path", "reason"), *data.notes.unreadable])
    folder.set_status("running", epoch=epochs, epochs=job.recipe.optim.epochs)


def image_rows(data: LongTailData) -> Iterator[Sequence[str]]:
    """The rows of splits.csv: path, class and split of each image, and its group and content where these are known."""
    parts = {"train": data.train, "val": data.val, "test": data.test}
    splits = {name: split for name, split in parts.items() if split is not None}
    grouped = any(split.groups is not None for split in splits.values())
    hashed = any(split.contents is not None for split in splits.values())
    yield ("path", "class", "split", *(["group"] if grouped else []), *(["content"] if hashed else []))
    for name, split in splits.items():
        labels = [data.class_names[index] for index in split.targets.tolist()]
        columns: list[Sequence[str]] = [split.ids, labels, [name] * len(labels)]
        if grouped:
            columns.append(split.groups or [""] * len(labels))
        if hashed:
            columns.append([""] * len(labels) if split.contents is None else to_text(split.contents))
        yield from zip(*columns, strict=True)
