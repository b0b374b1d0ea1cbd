"""What `longtail train photos/` suggests, and that nothing asked for is changed."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from longtail.models.cost import flop_per_pixel
from longtail.models.options import ModelOptions
from longtail.recipe import Recipe, changed, load_recipe
from longtail.recipe.plan import given_keys, plan
from longtail.recipe.suggest import Suggestion, facts, suggest_settings, training_time
from longtail.recipe.suggest.facts import Facts
from longtail.recipe.suggest.settings import SIZES
from longtail.types import InputError


def photos(root: Path, side: int, counts: dict[str, int]) -> str:
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        pixels = rng.integers(0, 256, (side, 2 * side, 3), dtype=np.uint8)
        for number in range(count):
            Image.fromarray(pixels).save(root / name / f"{number}.png", compress_level=1)
    return str(root)


@pytest.fixture(autouse=True)
def _a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "can_begin", lambda _: True)
    monkeypatch.setattr(facts, "cpu_threads", lambda _: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def planned(target: str, epochs: int | None = None, **given: Any) -> tuple[Recipe, str]:
    found = plan(target, {k.replace("__", "."): v for k, v in given.items()}, epochs, False)
    return found.recipe, "\n".join(found.lines)


def reasons(notes: str) -> list[str]:
    return [line.removeprefix("chosen: ") for line in notes.splitlines() if line.startswith("chosen: ")]


def suggested(
    side: int = 300, number: int = 500, *, threads: int = 2, has_gpu: bool = False, has_weights: bool = True,
    epochs: int | None = None, **given: Any,
) -> Suggestion:  # fmt: skip
    keys = {key.replace("__", "."): value for key, value in given.items()}
    found = Facts(side, number, threads, has_gpu, has_weights)
    return suggest_settings(load_recipe("icl-images", keys)[0], keys, epochs, facts=found)


def test_photographs_are_fine_tuned_and_the_choice_is_said(tmp_path: Path) -> None:
    recipe, notes = planned(photos(tmp_path / "p", 130, {"a": 20, "b": 4}))
    assert (recipe.model.name, recipe.model.pretrained) == ("tf_efficientnet_lite0", True)
    assert recipe.data.image_size == 224
    assert recipe.data.mean == (0.5, 0.5, 0.5)
    assert (recipe.optim.batch_size, recipe.optim.peak_lr) == (16, 1.5e-4)
    assert (recipe.optim.optimizer, recipe.optim.fitted_heads) == ("adamw", True)
    assert recipe.optim.frozen_statistics
    assert recipe.optim.epochs == 30  # few images: many epochs
    said = "\n".join(reasons(notes))
    for fact in (
        "tf_efficientnet_lite0",
        "size 224",
        "130 pixels are enlarged",
        "30 epochs",
        "batches of 16",
        "0.00015",
        "2 CPU threads",
    ):
        assert fact in said
    assert recipe.optim.frozen_stages == 2
    assert (recipe.method.name, recipe.model.num_experts) == ("balanced_softmax", 1)
    recipe, _ = planned(str(tmp_path / "p"), method__name="icl")
    assert recipe.method.classifier_epochs == 8  # a quarter of 30 epochs, as of 8
    assert (recipe.model.num_experts, recipe.model.fresh_head) == (3, "cosine")


@pytest.mark.parametrize(
    ("number", "batch", "rate"),
    [
        (9, 16, 1.5e-4),
        (582, 16, 1.5e-4),
        (640, 32, 2.12e-4),
        (1_279, 32, 2.12e-4),
        (1_280, 64, 3e-4),
        (10**6, 64, 3e-4),
    ],
)
def test_the_rate_goes_with_the_batch(number: int, batch: int, rate: float) -> None:
    settings = suggested(number=number).settings
    assert (settings["optim.batch_size"], settings["optim.peak_lr"]) == (batch, rate)
    assert settings["optim.frozen_statistics"] is (batch < 64)  # too few images for batch norm's own
    fresh = suggested(32, number, has_weights=False).settings
    assert (fresh["optim.batch_size"], fresh["optim.peak_lr"]) == (batch, pytest.approx(0.1 * batch / 64))
    assert fresh["optim.warmup_start_lr"] == pytest.approx(fresh["optim.peak_lr"] / 5)


def test_reasons_hold_for_a_run_that_has_the_same_values(tmp_path: Path) -> None:
    found = plan(photos(tmp_path / "p", 130, {"a": 20, "b": 4}), {}, None, False)
    assert found.is_open
    assert found.reasons_of(found.recipe) == list(found.reasons)
    other = changed(found.recipe, {"optim.peak_lr": 6e-4, "data.image_size": 96})
    gone = [why.split(":")[0] for why in found.reasons if why not in found.reasons_of(other)]
    assert gone == ["images of 130 pixels are enlarged", "learning rate 0.00015", "image size 224, 30 epochs"]


def test_the_rate_goes_with_a_batch_and_an_optimizer_that_were_asked_for() -> None:
    assert (
        suggested(optim__batch_size=256).settings["optim.peak_lr"] == 6e-4
    )  # four times the batch, twice the rate
    settings = suggested(optim__optimizer="sgd").settings
    assert settings["optim.peak_lr"] == 0.0075  # a quarter of the batch, a quarter of the rate
    assert (settings["optim.nesterov"], settings["optim.weight_decay"]) == (True, 1e-4)
    settings = suggested(optim__optimizer="adamw", method__name="icl").settings
    assert (settings["optim.peak_lr"], settings["optim.nesterov"]) == (1.5e-4, False)
    assert suggested(model__head="cosine").settings["optim.fitted_heads"] is False
    fresh = suggested(32, has_weights=False, optim__peak_lr=0.5)
    assert fresh.settings["optim.warmup_start_lr"] == pytest.approx(0.1)
    assert not any("learning rate" in reason for reason in fresh.reasons)


def test_one_epoch_is_enough_for_what_has_one_stage(tmp_path: Path) -> None:
    place = photos(tmp_path / "p", 40, {"a": 9, "b": 9})
    assert planned(place, 1)[0].optim.epochs == 1
    assert planned(place, optim__epochs=1)[0].optim.epochs == 1
    with pytest.raises(InputError, match="stages of icl"):
        planned(place, 1, method__name="icl")
    with pytest.raises(InputError, match=r"optim\.epochs"):
        planned(place, optim__epochs=0)


def test_fewer_images_get_more_epochs() -> None:
    lengths = [suggested(number=number).epochs for number in (10, 582, 1_000, 1_500, 2_500, 10_000)]
    assert lengths == [30, 30, 20, 14, 8, 8]


@pytest.mark.parametrize(("side", "size"), [(8, 128), (22, 160), (32, 224), (90, 224)])
def test_small_images_are_enlarged_for_pretrained_weights(side: int, size: int) -> None:
    found = suggested(side)
    assert (found.base, found.settings["model.pretrained"]) == ("finetune", True)
    assert found.settings["data.image_size"] == size
    assert any(f"{side} pixels are enlarged" in reason for reason in found.reasons)
    assert suggested(side, 40_000).settings["data.image_size"] == 96  # many images, on a CPU
    assert suggested(side, data__image_size=64).settings["data.image_size"] == 64
    fresh = suggested(side, model__name="tf_efficientnet_lite0", model__pretrained=False)
    assert fresh.settings["data.image_size"] == (side if side < 64 else 64)


def test_small_images_without_weights_are_trained_from_scratch_at_their_size(tmp_path: Path) -> None:
    where = photos(tmp_path / "p", 24, {"a": 5, "b": 4})
    recipe, notes = planned(where, model__pretrained=False)
    assert (recipe.model.name, recipe.model.pretrained) == ("resnet32", False)
    assert recipe.data.image_size == 24
    assert "24 pixels" in notes
    assert re.search(r"roughly \d+ (s|min) on 2 CPU threads, not timed", notes)
    assert (recipe.data.crop_padding, recipe.data.cutout_size) == (3, 12)  # as 4 and 16 are to 32 pixels
    assert recipe.optim.epochs == 60
    assert suggested(32, 10**6, has_weights=False).epochs == 20
    assert suggested(32, 10**6, has_weights=False, has_gpu=True).epochs == 60


def test_time_is_that_of_the_threads() -> None:
    def minutes(threads: int, **given: Any) -> int:
        said = "\n".join(suggested(number=300, threads=threads, data__image_size=224, **given).reasons)
        return int(re.search(r"roughly (\d+) min on .* not timed", said)[1])  # type: ignore[index]

    assert minutes(1) == pytest.approx(2 * minutes(2), abs=1)
    needed = 300 * 30 * 0.132 / 60  # 132 ms a training image at 224 pixels, as measured
    assert needed / 1.5 < minutes(1) < 1.5 * needed
    assert minutes(1, model__num_experts=3) > 1.2 * minutes(1)


def test_without_weights_it_begins_afresh_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "can_begin", lambda _: False)
    recipe, notes = planned(photos(tmp_path / "p", 130, {"a": 5, "b": 4}))
    assert recipe.model.name == "resnet32"
    assert recipe.data.image_size == 64
    assert "cannot be downloaded" in notes
    assert "--weights FILE" in notes


def test_what_is_asked_for_is_kept(tmp_path: Path) -> None:
    where = photos(tmp_path / "p", 130, {"a": 5, "b": 4})
    recipe, notes = planned(where, 3, data__image_size=64, model__name="test_resnet", optim__batch_size=8,
                        model__pretrained=False, method__name="cross_entropy", model__num_experts=1,
                        data__fit="pad")  # fmt: skip
    assert (recipe.model.name, recipe.model.pretrained, recipe.model.num_experts) == ("test_resnet", False, 1)
    assert (recipe.data.image_size, recipe.optim.batch_size, recipe.optim.epochs) == (64, 8, 3)
    assert (recipe.method.name, recipe.data.fit) == ("cross_entropy", "pad")
    said = reasons(notes)
    assert [line.split(":")[0] for line in said] == ["no frozen stages", "learning rate 0.000106"]
    recipe, notes = planned(where, None, optim__epochs=12)
    assert recipe.optim.epochs == 12
    assert "chosen: image size 224: roughly " in notes
    recipe, notes = planned(where, 60, model__name="resnet20", data__image_size=24, data__cutout_size=3,
                            data__fit="crop")  # fmt: skip
    assert recipe.model.name == "resnet20"
    assert (recipe.data.crop_padding, recipe.data.cutout_size) == (3, 3)
    said = reasons(notes)
    assert [line.split(":")[0] for line in said] == [
        "crops that move by 3",
        "batches of 16",
        "learning rate 0.025",
    ]
    recipe, notes = planned(where, None, model__name="test_resnet", model__weights="w.pt")
    assert (recipe.model.weights, recipe.model.pretrained) == ("w.pt", False)
    assert recipe.optim.frozen_stages == 2


def test_fresh_weights_are_not_frozen(tmp_path: Path) -> None:
    where = photos(tmp_path / "p", 130, {"a": 5, "b": 4})
    recipe, notes = planned(where, model__pretrained=False)
    assert (recipe.model.name, recipe.optim.frozen_stages) == ("tf_efficientnet_lite0", 0)
    assert (recipe.optim.fitted_heads, recipe.optim.frozen_statistics) == (False, False)
    assert "no frozen stages" in notes
    assert "pretrained weights" not in notes
    for target, name, more in (
        (where, "tf_efficientnet_lite0", {"optim__frozen_stages": 1}),
        ("icl-finetune", "tf_efficientnet_lite0", {"data__path": where}),
        ("icl-digits", "resnet20", {"optim__frozen_stages": 1}),
    ):
        with pytest.raises(
            InputError, match=r"frozen_stages = \d would keep .* of random weights.*frozen_stages=0"
        ):
            planned(target, model__name=name, model__pretrained=False, **more)
        planned(target, model__name=name, model__pretrained=False, optim__frozen_epochs=1, **more)


def test_time_is_that_of_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def suggested_for(seconds: float, **given: Any) -> Suggestion:
        keys = {key.replace("__", "."): value for key, value in given.items()}
        recipe = load_recipe("icl-images", keys)[0]
        return suggest_settings(recipe, keys, None, facts=Facts(130, 44, 2, False, True), seconds=seconds)

    assert suggested_for(100.0).epochs == 30
    assert 8 <= suggested_for(100.0, data__image_size=448).epochs < 30
    assert suggested_for(10.0, optim__epochs=30).settings["data.image_size"] == 96
    where = photos(tmp_path / "p", 130, {"a": 40, "b": 4})
    assert "for 12 training images" in planned(where, 30, data__max_count=8)[1].replace("there are", "for")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert "GPU" in planned(where, 30)[1]
    assert "GPU" not in planned(where, 30, run__device="cpu")[1]


def test_text_is_read_before_anything_is_chosen(tmp_path: Path) -> None:
    where = photos(tmp_path / "p", 130, {"a": 5, "b": 4})
    more = {"model.name": '"resnet20"', "model.weights": "none"}
    given = given_keys(more, data=None, method=None, model=None, strict=False)
    recipe = plan(where, given, None, False).recipe
    assert (recipe.model.name, recipe.model.pretrained) == ("resnet20", False)
    recipe = plan(where, {"model.weights": None}, None, False).recipe
    assert recipe.model.pretrained
    given = given_keys(None, data="2024", method=None, model=None, strict=False)
    assert load_recipe("icl-images", given)[0].data.path == "2024"


def test_a_cpu_gets_smaller_images_then_fewer_epochs() -> None:
    work = flop_per_pixel(ModelOptions(name="tf_efficientnet_lite0", num_experts=1))

    def affordable(number: int, *lengths: int, has_gpu: bool = False) -> tuple[int, int, str]:
        found = Facts(300, number, 2, has_gpu, True)
        return training_time.affordable(SIZES, lengths, found, work, training_time.FINE_TUNED, None)

    assert affordable(5_000, 8)[:2] == (224, 8)
    assert affordable(30_000, 8)[0] == 96
    assert affordable(30_000, 20, 8)[:2] == (96, 8)  # not 64 pixels for 20
    assert affordable(60_000, 12, 8)[:2] == (64, 12)
    assert affordable(60_000, 20)[:2] == (64, 20)
    size, epochs, why = affordable(1_000_000, 20, 8)
    assert (size, epochs) == (64, 8)
    assert "a GPU would allow more" in why
    assert affordable(1_000_000, 20, 8, has_gpu=True)[:2] == (224, 20)
    resnet50 = flop_per_pixel(ModelOptions(name="resnet50", num_experts=1))
    assert 8 < resnet50 / work < 12  # 8.2 and 0.77 GFLOP at 224


@pytest.mark.parametrize(("side", "size"), [(16, 128), (500, 160)])
def test_a_transformer_gets_whole_patches(tmp_path: Path, side: int, size: int) -> None:
    recipe, _ = planned(photos(tmp_path / "p", side, {"a": 3, "b": 2}), model__name="test_vit")
    assert recipe.data.image_size == size


def test_a_recipe_with_a_network_of_timm_takes_its_size_and_statistics(tmp_path: Path) -> None:
    recipe, _ = planned("icl-digits", model__name="resnet18", data__image_size=None)
    assert recipe.data.image_size == 224
    assert recipe.data.mean == (0.485, 0.456, 0.406)


def test_images_that_cannot_be_had_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images"):
        planned(str(tmp_path / "empty"))
