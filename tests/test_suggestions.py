"""What `longtail train photos/` suggests, and that nothing asked for is changed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from longtail import suggestions
from longtail.models.backbone import flop_per_pixel
from longtail.planning import given_keys, plan
from longtail.recipe import Recipe, load_recipe
from longtail.run_options import RunOptions
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
    monkeypatch.setattr(suggestions, "can_begin", lambda _: True)
    monkeypatch.setattr(suggestions, "cpu_threads", lambda _: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def planned(target: str, epochs: int | None = None, **given: Any) -> tuple[Recipe, str]:
    found = plan(target, {k.replace("__", "."): v for k, v in given.items()}, epochs, False)
    return found.recipe, "\n".join(found.notes)


def reasons(notes: str) -> list[str]:
    return [line.removeprefix("chosen: ") for line in notes.splitlines() if line.startswith("chosen: ")]


def test_photographs_are_fine_tuned_and_the_choice_is_said(tmp_path: Path) -> None:
    recipe, notes = planned(photos(tmp_path / "p", 130, {"a": 20, "b": 4}))
    assert (recipe.model.name, recipe.model.pretrained) == ("tf_efficientnet_lite0", True)
    assert recipe.data.image_size == 128
    assert recipe.data.mean == (0.5, 0.5, 0.5)
    assert recipe.optim.batch_size == 16
    assert recipe.optim.epochs == 30  # few images: many epochs
    assert "chosen: network tf_efficientnet_lite0" in notes
    assert "image size 128, 30 epochs, batches of 16: about" in notes
    assert recipe.optim.frozen_stages == 2
    assert (recipe.method.name, recipe.model.num_experts) == ("balanced_softmax", 3)
    recipe, _ = planned(str(tmp_path / "p"), method__name="icl")
    assert recipe.method.classifier_epochs == 8  # a quarter of 30 epochs, as of 8
    assert recipe.model.fresh_head == "cosine"


def test_small_images_are_trained_from_scratch_at_their_size(tmp_path: Path) -> None:
    recipe, notes = planned(photos(tmp_path / "p", 24, {"a": 5, "b": 4}))
    assert (recipe.model.name, recipe.model.pretrained) == ("resnet32", False)
    assert recipe.data.image_size == 24
    assert "24 pixels" in notes
    assert (recipe.data.crop_padding, recipe.data.cutout_size) == (3, 12)  # as 4 and 16 are to 32 pixels


def test_without_weights_it_begins_afresh_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggestions, "can_begin", lambda _: False)
    recipe, notes = planned(photos(tmp_path / "p", 130, {"a": 5, "b": 4}))
    assert recipe.model.name == "resnet32"
    assert recipe.data.image_size == 64
    assert "cannot be downloaded" in notes
    assert "--weights FILE" in notes


def test_what_is_asked_for_is_kept(tmp_path: Path) -> None:
    where = photos(tmp_path / "p", 130, {"a": 5, "b": 4})
    recipe, notes = planned(where, 3, data__image_size=64, model__name="test_resnet", optim__batch_size=8,
                        model__pretrained=False, method__name="cross_entropy", model__num_experts=1)  # fmt: skip
    assert (recipe.model.name, recipe.model.pretrained, recipe.model.num_experts) == ("test_resnet", False, 1)
    assert (recipe.data.image_size, recipe.optim.batch_size, recipe.optim.epochs) == (64, 8, 3)
    assert recipe.method.name == "cross_entropy"
    assert reasons(notes) == ["no frozen stages: fresh weights have to learn in all of them"]
    recipe, notes = planned(where, None, optim__epochs=12)
    assert recipe.optim.epochs == 12
    assert "chosen: image size 128, batches of 16: about 1 minute on" in notes
    recipe, notes = planned(where, None, model__name="resnet20", data__image_size=24, data__cutout_size=3)
    assert recipe.model.name == "resnet20"
    assert (recipe.data.crop_padding, recipe.data.cutout_size) == (3, 3)
    assert reasons(notes) == [
        "crops that move by 3: in proportion to the size",
        "batches of 16: there are 9 training images",
    ]
    recipe, notes = planned(where, None, model__name="test_resnet", model__weights="w.pt")
    assert (recipe.model.weights, recipe.model.pretrained) == ("w.pt", False)
    assert recipe.optim.frozen_stages == 2
    assert len(reasons(notes)) == 1


def test_fresh_weights_are_not_frozen(tmp_path: Path) -> None:
    where = photos(tmp_path / "p", 130, {"a": 5, "b": 4})
    recipe, notes = planned(where, model__pretrained=False)
    assert (recipe.model.name, recipe.optim.frozen_stages) == ("tf_efficientnet_lite0", 0)
    assert "no frozen stages" in notes
    assert "pretrained weights" not in notes
    for target, name, more in (
        (where, "tf_efficientnet_lite0", {"optim__frozen_stages": 1}),
        ("icl-finetune", "tf_efficientnet_lite0", {"data__path": where}),
        ("icl-digits", "resnet20", {"optim__frozen_stages": 1}),
    ):
        with pytest.raises(
            InputError, match=r"frozen_stages = \d would keep .* of fresh weights.*frozen_stages=0"
        ):
            planned(target, model__name=name, model__pretrained=False, **more)
        planned(target, model__name=name, model__pretrained=False, optim__frozen_epochs=1, **more)


def test_time_is_reckoned_with_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = photos(tmp_path / "p", 130, {"a": 40, "b": 4})
    monkeypatch.setattr(suggestions, "SECONDS", 100.0)
    assert planned(where)[0].optim.epochs == 30
    assert planned(where, data__image_size=448)[0].optim.epochs == 8
    monkeypatch.setattr(suggestions, "SECONDS", 10.0)
    assert planned(where, 30)[0].data.image_size == 96
    recipe, notes = planned(where, 30, data__max_count=8)
    assert recipe.data.image_size == 128
    assert "for 12 images" in notes
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert planned(where, 30)[0].data.image_size == 128
    assert planned(where, 30, run__device="cpu")[0].data.image_size == 96


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


def test_a_cpu_gets_smaller_images_then_fewer_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    def affordable(number: int, *lengths: int) -> tuple[int, int, str]:
        work = number * flop_per_pixel("tf_efficientnet_lite0")
        return suggestions._affordable(suggestions.SIZES, lengths, work, RunOptions())

    assert affordable(5_000, 8)[:2] == (224, 8)
    assert affordable(30_000, 8)[0] == 96
    assert affordable(30_000, 20, 8)[:2] == (96, 8)  # not 64 pixels for 20
    assert affordable(60_000, 12, 8)[:2] == (64, 12)
    assert affordable(60_000, 20)[:2] == (64, 20)
    size, epochs, why = affordable(1_000_000, 20, 8)
    assert (size, epochs) == (64, 8)
    assert "a GPU would allow more" in why
    assert (
        8 < flop_per_pixel("resnet50") / flop_per_pixel("tf_efficientnet_lite0") < 12
    )  # 8.2 and 0.77 GFLOP at 224
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert affordable(1_000_000, 20, 8)[:2] == (224, 20)


@pytest.mark.parametrize(("side", "size"), [(50, 48), (75, 64), (500, 160)])
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
