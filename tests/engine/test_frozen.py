"""Runs on a frozen backbone: features once, then classifiers on these."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_runs import STEPS, state_of, stop_at, tiny

from longtail.data import DataOptions, load_data
from longtail.data.packing import pack
from longtail.engine.display import Display
from longtail.engine.frozen import use_features
from longtail.engine.job import build_job
from longtail.engine.train import fit
from longtail.features import compute
from longtail.predict import load_run
from longtail.runs.folder import RunFolder
from longtail.types import InputError

FROZEN: dict[str, Any] = {"model__frozen": True, "run__reuse_features": 2}
PLAIN = FROZEN | {"method__name": "balanced_softmax", "optim__epochs": 2}
Train = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/features"


def backbone_of(run: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(run / "weights/last.safetensors")
    return {name: value for name, value in tensors.items() if not name.startswith(("heads.", "neck."))}


def no_image_is_looked_at(*_: Any) -> torch.Tensor:
    raise AssertionError("features were computed again")


def test_classifiers_learn_and_the_backbone_stays(train: Train) -> None:
    short, long = (
        train("short", **PLAIN | {"optim__epochs": 1}),
        train("long", **PLAIN | {"optim__epochs": 6}),
    )
    before, after = backbone_of(short), backbone_of(long)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    first, last = (json.loads((run / "eval/test/metrics.json").read_text()) for run in (short, long))
    assert last["macro"] > first["macro"] + 0.1


def test_the_run_predicts_from_images_what_it_was_scored_with(train: Train) -> None:
    run = train("run", **PLAIN | {"model__hidden_units": 16})
    scored = json.loads((run / "eval/test/metrics.json").read_text())
    again = load_run(run).evaluate()
    assert again["experts"] == scored["experts"]
    assert again["nll"] == pytest.approx(scored["nll"], rel=1e-4)


def test_another_method_computes_no_feature_again(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train("first", **PLAIN)
    monkeypatch.setattr(compute, "_computed", no_image_is_looked_at)
    for name in ("crt", "bbn", "bcl"):
        train(name, **PLAIN | {"method__name": name, "model__num_experts": 2, "model__head": "linear"})
    with pytest.raises(AssertionError, match="again"):
        train("more-views", **PLAIN | {"run__reuse_features": 3})
    with pytest.raises(AssertionError, match="again"):
        train("other-size", **PLAIN | {"data__image_size": 12})


def test_packed_images_that_were_shrunk_have_features_of_their_own(tmp_path: Path) -> None:
    for name in ("fox", "owl"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.random.default_rng([ord(name[0]), number]).integers(0, 256, (24, 30, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"photos/{name}/{number}.png")
    sides = {"small": 12, "whole": 24}
    for name, side in sides.items():
        pack(tmp_path / "photos", tmp_path / name, short_side=side)

    def numbers(name: str, kind: str) -> list[int]:
        options = DataOptions(name=kind, path=str(tmp_path / name), image_size=24)
        return compute.contents_of(load_data(options).train).tolist()

    files = numbers("photos", "folder")
    assert numbers("whole", "packed") == files  # the same pixels
    assert not set(numbers("small", "packed")) & set(files)


def test_features_that_a_stop_left_are_gone_on_with(
    train: Train, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = state_of(train("whole", **PLAIN))
    table = max(cache.glob("*/rows.bin"), key=lambda file: file.stat().st_size)
    numbers = table.with_name("contents.bin")
    count = numbers.stat().st_size // 8
    kept = count // 2
    row = table.stat().st_size // count
    with table.open("r+b") as opened:  # a kill within a row, whose number was not written yet
        opened.truncate(kept * row + row // 2)
    with numbers.open("r+b") as opened:
        opened.truncate(kept * 8)
    computed = list[int]()
    make = compute._computed

    def counted(*given: Any) -> torch.Tensor:
        computed.append(len(given[-1]))
        return make(*given)

    monkeypatch.setattr(compute, "_computed", counted)
    again = state_of(train("again", **PLAIN))
    assert sum(computed) == count - kept
    for name, value in whole["model"].items():
        torch.testing.assert_close(again["model"][name], value, rtol=1e-3, atol=1e-5)


def test_a_stopped_run_is_resumed_and_ends_the_same(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longtail.engine.train.KEEP_EVERY", 0.0)
    begun_with = train("first", **PLAIN | {"optim__epochs": 1, "run__seed": 11}) / "weights/last.safetensors"
    options = FROZEN | {"model__hidden_units": 8, "model__weights": str(begun_with)}
    whole = state_of(train("whole", **options))
    with monkeypatch.context() as patch:
        stop_at(patch, STEPS + 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train("stopped", **options)
    resumed = state_of(fit(tiny(**options), str(tmp_path / "stopped"), resume=True, quiet=True).path)
    assert all(torch.equal(value, resumed["model"][name]) for name, value in whole["model"].items())
    before, after = backbone_of(tmp_path / "whole"), backbone_of(tmp_path / "stopped")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_image_draws_the_plain_one_and_its_views() -> None:
    job = build_job(tiny(**PLAIN), RunFolder("."), Display(2, quiet=True))
    found = use_features(job)["train"]
    rows, keys = job.data.train.images, torch.tensor([3, 4])
    assert isinstance(rows, torch.Tensor)
    shown = job.views[0].apply(rows, torch.arange(len(rows)), keys).flatten(1)
    alike = torch.stack([(shown == found.view(number)).all(1) for number in range(3)])
    assert (alike.sum(0) >= 1).all()
    assert (alike.sum(1) > len(rows) / 6).all()
    torch.testing.assert_close(job.augment.normalize(rows).flatten(1), found.view(0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method__name": "glmc"}, "glmc does not go with model.frozen.*CutMix"),
        ({"method__name": "tsc"}, "contrast stage of tsc.*hidden_units"),
        ({"optim__frozen_stages": 1}, "frozen_stages"),
        ({"model__shared_stages": 1}, "model.shared_stages has no use"),
    ],
)
def test_what_needs_pixels_or_a_backbone_to_train_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        tiny(**PLAIN | changes)


def test_a_resumed_run_has_the_backbone_that_it_began_with(train: Train, tmp_path: Path) -> None:
    weights = train("other", **PLAIN | {"run__seed": 9}) / "weights/last.safetensors"
    recipe = tiny(**PLAIN | {"model__weights": str(weights)})
    began, resumed = (
        build_job(recipe, RunFolder(tmp_path / "run"), Display(2, quiet=True), begin=begin).whole.state_dict()
        for begin in (True, False)
    )
    own = [name for name in began if not name.startswith(("heads.", "neck."))]
    assert own
    assert all(torch.equal(began[name], resumed[name]) for name in own)
