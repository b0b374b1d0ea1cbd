"""Views by name: each is what its policy makes of the image, in memory and from disk; a run goes on with them."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import state_of, tiny
from torch import Tensor

from longtail import methods
from longtail.augment import OPERATIONS, Augment
from longtail.data import DataOptions, load_data
from longtail.data.files import ImageFiles
from longtail.data.policies import Operation, ViewOptions
from longtail.engine.display import Display
from longtail.engine.job import Job, build_augment, build_job
from longtail.engine.step import StageTraining
from longtail.engine.train import fit
from longtail.method import Method
from longtail.recipe import Recipe, load_recipe
from longtail.runs.folder import RunFolder
from longtail.types import InputError, Progress

NAMED = {"method__name": "two_policies", "optim__epochs": 2, "model__num_experts": 1}
WEAK, STRONG = ("crop", "flip"), ("crop", "flip", "autoaugment", "cutout")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Method]]:
    """The method with two policies, which has seen nothing yet."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(Path(__file__).parent / "plugins")])
    found: Any = methods.find("two_policies")
    monkeypatch.setattr(found, "shown", [])
    yield found
    methods._load.cache_clear()


def epoch_of(recipe: Recipe, tmp_path: Path) -> Job:
    """A job after the first epoch of its first stage."""
    job = build_job(recipe, RunFolder(tmp_path / "job"), Display(1, quiet=True))
    for _ in StageTraining(job, 0).epoch(Progress("train", 0, recipe.optim.epochs, 0, 0, recipe.run.seed)):
        pass
    return job


def expected(job: Job, operations: tuple[str, ...], view: int, images: Tensor, index: Tensor) -> Tensor:
    o = job.recipe.data
    augment = Augment(
        operations, job.data.mean, job.data.std, crop_padding=o.crop_padding, cutout_size=o.cutout_size
    )
    return augment(images, index, seed=job.recipe.run.seed, epoch=0, view=view)


def test_each_view_is_made_by_its_policy(two: Any, tmp_path: Path) -> None:
    job = epoch_of(tiny(**NAMED, data__augment=["flip"]), tmp_path)
    images = job.data.train.images
    assert isinstance(images, Tensor)
    assert sum(len(index) for _, index in two.shown) == len(images)
    for shown, index in two.shown:
        for view, operations in enumerate((WEAK, STRONG)):
            assert torch.equal(shown.chunk(2)[view], expected(job, operations, view, images[index], index))


def test_a_number_of_views_is_the_recipes_own(
    two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two, "views", 2)
    job = epoch_of(tiny(**NAMED, data__augment=["flip"]), tmp_path)
    shown, index = two.shown[0]
    for view in range(2):
        assert torch.equal(
            shown.chunk(2)[view], expected(job, ("flip",), view, job.data.train.images[index], index)
        )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of three images of two sizes, on disk."""
    draw = np.random.default_rng(0)
    for number in range(6):
        place = tmp_path / "photos" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        size = (20, 30, 3) if number < 3 else (25, 18, 3)
        Image.fromarray(draw.integers(0, 256, size, dtype=np.uint8)).save(place / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("workers", [0, 2])
def test_views_of_files_with_and_without_boxes(two: Any, tmp_path: Path, photos: Path, workers: int) -> None:
    changes = {
        "data.views.strong.augment": ["resized_crop"], "data.image_size": 8, "data.validation": 0.0,
        "data.workers": workers, "model.name": "resnet8", "model.num_experts": 1, "method.name": "two_policies",
        "optim.epochs": 1, "optim.warmup_epochs": 0, "run.device": "cpu",
    }  # fmt: skip
    recipe, notes = load_recipe(str(photos), changes)
    assert not [note for note in notes if "views" in note]
    job = epoch_of(recipe, tmp_path)
    files = job.data.train.images
    assert isinstance(files, ImageFiles)
    (shown, index), crops = two.shown[0], job.views[1]
    squares = torch.stack([torch.as_tensor(files.read(row, None)) for row in index.tolist()])
    assert torch.equal(shown.chunk(2)[0], expected(job, WEAK, 0, squares, index))
    sizes = torch.from_numpy(files.sizes[index.tolist()])
    boxes = crops.boxes(index, sizes, crops.keys(recipe.run.seed, 0, 1, "cpu")).tolist()
    cut = [files.read(row, tuple(box)) for row, box in zip(index.tolist(), boxes, strict=True)]
    assert torch.equal(shown.chunk(2)[1], expected(job, (), 1, torch.stack(cut), index))


def test_a_run_is_resumed_with_its_views(two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(tiny(**NAMED), str(tmp_path / "whole"), quiet=True)
    seen, two.shown = two.shown, []
    observe = two.observe

    def stopping(self: Method, *given: Any) -> None:
        if given[-1].epoch == 1:
            raise KeyboardInterrupt
        observe(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(two, "observe", stopping)
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(**NAMED), str(tmp_path / "parts"), quiet=True)
    parts = fit(tiny(**NAMED), str(tmp_path / "parts"), resume=True, quiet=True)
    assert all(
        torch.equal(a, b) for a, b in zip(seen, two.shown, strict=True) for a, b in zip(a, b, strict=True)
    )
    for name, value in state_of(whole.path)["model"].items():
        assert torch.equal(value, state_of(parts.path)["model"][name]), name


def test_every_setting_of_a_view_reaches_its_augmentation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under one name and with one default in the recipe and in `Augment`."""
    given: dict[str, Any] = {
        "augment": ("crop", "color_jitter"), "crop_padding": 3, "crop_fill": "reflect", "crop_scale": (0.5, 0.9),
        "rotation_degrees": 7.0, "randaugment_ops": 3, "randaugment_magnitude": 4, "cutout_size": 5,
        "jitter_strength": (0.1, 0.2, 0.3, 0.05), "jitter_probability": 0.6, "grayscale_probability": 0.7,
        "blur_sigma": (1.0, 3.0), "blur_probability": 0.9,
    }  # fmt: skip
    assert given.keys() == ViewOptions.model_fields.keys()
    parameters = inspect.signature(Augment).parameters
    for name in given.keys() - {"augment"}:
        assert parameters[name].default == DataOptions.model_fields[name].default != given[name]
    assert get_args(Operation) == OPERATIONS
    recipe = tiny(data__views={"mine": given})
    made: Any = []

    def recorded(operations: tuple[str, ...], *values: Any, **settings: Any) -> Augment:
        made.append((operations, settings))
        return Augment(operations, *values, **settings)

    monkeypatch.setattr("longtail.engine.job.Augment", recorded)
    build_augment(recipe.data.as_view("mine"), load_data(recipe.data), "fp32")
    ((operations, settings),) = made
    assert {"augment": operations, **settings} == given | {"dtype": torch.float32, "fit": "crop"}


def test_a_policy_that_does_not_exist_is_refused_by_name(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two, "views", ("train", "wek"))
    with pytest.raises(InputError, match=r"'wek'; there are train, weak, strong.*data\.views\.wek\.augment"):
        tiny(**NAMED)
    recipe = tiny(**NAMED, data__views={"wek": {"augment": ["flip"]}})
    assert {name: options.augment for name, options in recipe.views().items()}["wek"] == ("flip",)
