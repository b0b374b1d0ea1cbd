"""What fine-tuning asks of a stage: frozen layers, slower early layers, and a network of timm through a whole run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import EPOCHS, tiny
from torch import Tensor

import longtail
from longtail.engine.display import Display
from longtail.engine.job import Job, build_job
from longtail.engine.step import StageTraining, set_rate
from longtail.engine.train import fit
from longtail.runs.folder import RunFolder
from longtail.types import InputError, Progress

KEYS = torch.zeros(1, 2, dtype=torch.int64)
TIMM = {
    "model__name": "test_resnet", "model__head": "linear", "data__image_size": 32,
    "method__diversity_stop": 1,
}  # fmt: skip


def job_of(tmp_path: Path, **changes: Any) -> Job:
    return build_job(tiny(**changes), RunFolder(tmp_path / "job"), Display(1, quiet=True))


def state(job: Job) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in job.model.state_dict().items()}


def moved(job: Job, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in job.model.state_dict().items() if not torch.equal(value, before[name])}


def train_epoch(training: StageTraining, epoch: int) -> None:
    for _ in training.epoch(Progress("feature", epoch, 2, epoch, epoch * 3, 3)):
        pass


@pytest.mark.parametrize("timm", [False, True])
def test_frozen_stages_keep_weights_and_statistics(tmp_path: Path, timm: bool) -> None:
    job = job_of(tmp_path, optim__frozen_stages=1, **(TIMM if timm else {}))
    before = state(job)
    train_epoch(StageTraining(job, 0), 0)
    first = {name for name in before if name.startswith(("trunk.stem.", "trunk.stages.0."))}
    assert first
    assert not first & moved(job, before)
    assert any(name.startswith("trunk.stages.1.") for name in moved(job, before))


def test_frozen_stages_thaw_after_their_epochs(tmp_path: Path) -> None:
    job = job_of(tmp_path, optim__frozen_stages=1, optim__frozen_epochs=1)
    training, before = StageTraining(job, 0), state(job)
    train_epoch(training, 0)
    assert not {name for name in moved(job, before) if name.startswith("trunk.stages.0.")}
    train_epoch(training, 1)
    assert {name for name in moved(job, before) if name.startswith("trunk.stages.0.")}


def test_layers_learn_the_slower_the_further_from_the_classifiers(tmp_path: Path) -> None:
    job = job_of(tmp_path, optim__layer_decay=0.5)
    training = StageTraining(job, 0)
    set_rate(training.optimizer, 0.8)
    rates = {id(p): group["lr"] for group in training.optimizer.param_groups for p in group["params"]}
    named = {name: rates.get(id(p)) for name, p in job.model.named_parameters()}
    assert named["heads.feature.weight"] == 0.8
    assert named["experts.0.stages.0.0.first.conv.weight"] == 0.4
    assert named["trunk.stages.1.0.first.conv.weight"] == 0.2
    assert named["trunk.stages.0.0.first.conv.weight"] == 0.1
    assert named["trunk.stem.0.conv.weight"] == 0.05


def test_a_network_of_timm_goes_through_a_whole_run(tmp_path: Path) -> None:
    folder = fit(tiny(**TIMM, optim__layer_decay=0.7), str(tmp_path / "run"), quiet=True)
    run = longtail.load(folder.path)
    assert run.num_experts == 2
    assert folder.status()["epoch"] == EPOCHS
    assert (
        run.evaluate()["overall"]
        == json.loads((folder.path / "eval/test/metrics.json").read_text("utf-8"))["overall"]
    )


def test_a_resumed_run_needs_no_first_weights(tmp_path: Path) -> None:
    file = tmp_path / "first.pt"
    import timm

    torch.save(timm.create_model("test_resnet").state_dict(), file)
    recipe = tiny(**TIMM, model__weights=str(file))
    with pytest.raises(InputError, match="no file"):
        fit(tiny(**TIMM, model__weights=str(tmp_path / "none.pt")), str(tmp_path / "refused"), quiet=True)
    assert not (tmp_path / "refused" / "recipe.toml").exists()
    whole = fit(recipe, str(tmp_path / "whole"), quiet=True)
    assert str(file).encode() not in (whole.path / "weights/last.safetensors").read_bytes()
    from longtail.engine.train import training

    parts = training(recipe, RunFolder(tmp_path / "parts"), Display(4, quiet=True))
    for _ in range(5):
        next(parts)
    parts.close()
    file.unlink()
    fit(recipe, str(tmp_path / "parts"), resume=True, quiet=True)
    assert longtail.load(whole.path).evaluate()["nll"] == longtail.load(tmp_path / "parts").evaluate()["nll"]


@pytest.mark.parametrize(("size", "near"), [(36, "32 or 48"), (8, "16")])
def test_an_image_size_that_patches_do_not_divide_is_refused(tmp_path: Path, size: int, near: str) -> None:
    vit = TIMM | {"model__name": "test_vit", "data__image_size": size}
    with pytest.raises(InputError, match=rf"image_size = {size} .*multiples of 16; set it to {near}$"):
        job_of(tmp_path, **vit)


def test_maps_of_one_place_need_two_images_a_batch(tmp_path: Path) -> None:
    """Of 84 images one remains beside a batch of 83: it is trained on, in a batch with others."""
    job = job_of(tmp_path, **TIMM, optim__batch_size=83)
    seen = [batch.index for batch in StageTraining(job, 0)._batches(Progress("feature", 0, 2, 0, 0, 3), KEYS)]
    assert [len(index) for index in seen] == [84]
    assert sorted(torch.cat(seen).tolist()) == list(range(84))
    train_epoch(StageTraining(job, 0), 0)
    with pytest.raises(InputError, match="batch_size = 1"):
        train_epoch(StageTraining(job_of(tmp_path, **TIMM, optim__batch_size=1), 0), 0)


@pytest.mark.parametrize("frozen", [4, 50])
def test_a_stage_with_nothing_to_train_is_refused(frozen: int, tmp_path: Path) -> None:
    recipe = tiny(optim__frozen_stages=frozen)
    with pytest.raises(InputError, match="set it to 3 or less"):
        build_job(recipe, RunFolder(tmp_path), Display(1, quiet=True))
    build_job(tiny(optim__frozen_stages=3), RunFolder(tmp_path), Display(1, quiet=True))
