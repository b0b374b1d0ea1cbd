"""Recipes: what loads, what is refused and how it is said, and how a run is shortened."""

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from longtail.data import DataOptions
from longtail.data.policies import ViewOptions
from longtail.method import Epochs
from longtail.methods import available
from longtail.recipe import Recipe, difference, load_recipe, shipped, toml_value, validate
from longtail.runs import layout
from longtail.types import InputError
from run_factory import made_up_run

FULL = "icl-cifar100-lt"


def refusal(target: str = "icl-digits", **given: Any) -> str:
    """The one line with which a recipe is refused."""
    with pytest.raises(InputError) as refused:
        load_recipe(target, {key.replace("__", "."): value for key, value in given.items()})
    assert "\n" not in str(refused.value)
    return str(refused.value)


def file(folder: Path, text: str) -> str:
    path = folder / "my recipe.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", list(shipped()))
def test_every_shipped_recipe_loads_and_its_stages_fit(name: str) -> None:
    recipe, notes = load_recipe(name)
    assert notes == []
    stages = recipe.stages()
    assert sum(stage.epochs for stage in stages) == recipe.optim.epochs
    assert min(stage.epochs for stage in stages) >= 1
    assert recipe.method.name in available()
    assert shipped()[name].startswith("# ")


@pytest.mark.parametrize("name", list(shipped()))
def test_toml_round_trip(name: str, tmp_path: Path) -> None:
    recipe, _ = load_recipe(name, {"data.max_count": 7, "data.mean": [0.1, 0.2, 0.3], "data.std": [1, 1, 1]})
    again, notes = load_recipe(file(tmp_path, recipe.to_toml()))
    assert again == recipe
    assert (notes, difference(recipe, again)) == ([], [])


PRINTED = [
    "method.classifier_batch_norm: train -> eval",
    "method.classifier_peak_lr: 0.1 -> 0.05",
    "method.confusion_decay_every: epoch -> batch",
    "method.diversity_form: cosine_floored -> cosine",
    "method.parallel_factor: num_experts_squared -> one",
    "method.prototype_decay: 0.9 -> 0.1",
    "method.similarity: cosine -> dot",
    "model.fresh_head: cosine -> linear",
    "model.gates: True -> False",
    "optim.peak_lr: 0.15 -> 0.05",
    "optim.warmup_epochs: 5 -> 0",
]
RELEASED = [
    "data.augment: ['crop', 'flip', 'autoaugment', 'cutout'] -> ['crop', 'flip', 'autoaugment_port', 'cutout']",
    "method.classifier_warmup_epochs: 0 -> 5",
    "method.classifier_warmup_start_lr: 0.0 -> 0.1625",
    "method.contrastive_mode: add -> replace",
    "method.distillation_form: unordered_mean -> ordered_sum",
    "method.diversity_form: cosine_floored -> distance",
    "method.diversity_stop: 30 -> 31",
    "method.negatives: sum -> mean",
    "method.own_class: False -> True",
    "method.parallel_factor: num_experts_squared -> num_experts",
    "method.statistics_start: 0 -> 120",
    "model.gate_init: kaiming_normal -> pytorch",
    "model.head: linear -> cosine",
    "optim.lr_changes: step -> epoch",
    "optim.warmup_start_lr: 0.05 -> 0.025",
]


def test_forms_of_icl_stand_beside_each_other() -> None:
    default, printed, released = (load_recipe(FULL + end)[0] for end in ("", "-printed", "-released"))
    assert difference(default, printed) == PRINTED
    assert difference(default, released) == RELEASED
    cifar10 = load_recipe("icl-cifar10-lt")[0]
    assert difference(default, cifar10) == ["data.name: cifar100 -> cifar10"]
    assert default.data.augment == ("crop", "flip", "autoaugment", "cutout")
    assert (default.data.subset, default.data.crop_padding, default.data.cutout_size) == ("first", 4, 16)
    assert (default.optim.momentum, default.optim.nesterov, default.optim.weight_decay) == (0.9, False, 5e-4)
    for recipe in (default, printed, released):
        assert (recipe.optim.epochs, recipe.method.classifier_epochs) == (200, 20)
        assert recipe.method.contrastive_start == 120
        assert (recipe.data.imbalance_factor, recipe.optim.batch_size) == (100, 128)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("icl-digit", "'icl-digit'; did you mean 'icl-digits'"),
        ("zzz", f"; recipes are {next(iter(shipped()))}, "),
        ("no/such/recipe.toml", "no/such/recipe.toml does not exist; give a recipe.toml, "),
    ],
)
def test_an_unknown_recipe(target: str, said: str) -> None:
    assert said in refusal(target)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("modl.num_experts", 2, "unknown key 'modl.num_experts'; did you mean 'model.num_experts'"),
        ("model.num_expert", 2, "unknown key 'model.num_expert'; did you mean 'model.num_experts'"),
        ("num_experts", 2, "unknown key 'num_experts'; did you mean 'model.num_experts'"),
        (
            "method.diversity_stopp",
            2,
            "unknown key 'method.diversity_stopp'; did you mean 'method.diversity_stop'",
        ),
        ("optim.zzzzzz", 2, "unknown key 'optim.zzzzzz'; keys are optim.epochs, "),
        ("qqqq.zzzz", 2, "unknown key 'qqqq.zzzz'; sections are data, model, method, optim, run"),
        ("method.name", "icll", "unknown method 'icll'; did you mean 'icl'? methods are "),
        ("data.name", "digitz", "data.name = 'digitz' does not fit: "),
        ("optim.peak_lr", "fast", "optim.peak_lr = 'fast' does not fit: "),
        ("optim.peak_lr", -1, "optim.peak_lr = -1 does not fit: give more than 0 and at most 1,000,000"),
        ("optim.batch_size", 0, "optim.batch_size = 0 does not fit: "),
        ("optim.batch_size", 2.5, "optim.batch_size = 2.5 does not fit: "),
        ("model.head", "square", "model.head = 'square' does not fit: input should be 'cosine' or 'linear'"),
        ("model.num_experts", 0, "model.num_experts = 0 does not fit: "),
        ("method.temperature", 0, "method.temperature = 0 does not fit: "),
        ("method.diversity_stop", "soon", "method.diversity_stop = 'soon' does not fit: "),
        ("run.seed", -1, "run.seed = -1 does not fit: "),
        ("data.augment", ["spin"], "data.augment = 'spin' does not fit: "),
        ("data.validation", 1.0, "data.validation = 1.0 does not fit: "),
    ],
)
def test_refusals_say_the_key_the_value_and_what_is_valid(key: str, value: Any, said: str) -> None:
    assert said in refusal(**{key: value})


POLICIES = {"weak": {"crop_padding": 3}, "mine": {"augment": ["resized_crop"], "crop_scale": [0.2, 1.0]}}


def test_named_policies(tmp_path: Path) -> None:
    whole, notes = load_recipe("icl-digits", {"data.views": POLICIES})
    assert notes == [f"data.views.{name} is used by no view of icl" for name in POLICIES]
    parts, _ = load_recipe(
        "icl-digits",
        {f"data.views.{name}.{key}": value for name, own in POLICIES.items() for key, value in own.items()},
    )
    tables = "".join(f"[data.views.{name}]\n{tomli_w.dumps(own)}" for name, own in POLICIES.items())
    assert whole == parts == load_recipe(file(tmp_path, f'base = "icl-digits"\n{tables}'))[0]
    assert whole == load_recipe(file(tmp_path, whole.to_toml()))[0]
    weak, mine = whole.data.as_view("weak"), whole.data.as_view("mine")
    assert (weak.augment, weak.crop_padding) == (("crop", "flip"), 3)
    assert (mine.augment, mine.crop_padding) == (("resized_crop",), whole.data.crop_padding)
    assert whole.data.as_view("train") == whole.data
    changed, _ = load_recipe(file(tmp_path, whole.to_toml()), {"data.views.weak.crop_padding": 2})
    assert difference(whole, changed) == ["data.views.weak.crop_padding: 3 -> 2"]
    assert hash(whole.data) != hash(changed.data)  # runs that share their data have different hashes


def test_keys_of_a_policy_are_those_of_the_data() -> None:
    own = ViewOptions.model_fields.keys()
    assert own <= DataOptions.model_fields.keys()
    assert "views" not in load_recipe("icl-digits")[0].to_toml()
    data = load_recipe("icl-digits")[0].data
    simclr, blurred = data.as_view("simclr"), data.as_view("simclr_blur")
    assert simclr.augment == ("resized_crop", "flip", "color_jitter", "grayscale")
    assert blurred == simclr.model_copy(update={"augment": (*simclr.augment, "blur")})
    assert simclr.crop_scale == (0.2, 1.0) != data.crop_scale


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("weak.crop_padding", -3, "data.views.weak.crop_padding = -3 does not fit: give at least 0 and at most 4,096"),
        ("weak.blur_sigma", [2.0, 0.1], "does not fit: 2.0 is above 0.1; give the smaller number first"),
        ("weak.rotation_degrees", 0.0, "rotation_degrees = 0.0 does not fit: give more than 0 and at most 180"),
        ("weak", ["crop"], "data.views.weak = list of 1 does not fit: give its keys, such as data.views.weak.augment"),
        ("weak.augment", ["spin"], "data.views.weak.augment = 'spin' does not fit: "),
        ("weak.augmnt", ["crop"], "key 'data.views.weak.augmnt'; did you mean 'data.views.weak.augment'"),
        ("weak.augment", ["crop", "resized_crop"], "data.views.weak.augment: 'crop' and 'resized_crop' are both"),
        ("mine.crop_padding", 1, "data.views.mine has no augment; give its operations"),
        ("train.augment", ["crop"], "data.views.train is the recipe's own data.augment"),
        ("weak", 3, "data.views.weak = 3 does not fit: "),
    ],
)  # fmt: skip
def test_policies_that_are_refused(key: str, value: Any, said: str) -> None:
    assert said in refusal(**{f"data.views.{key}": value})
    assert "unknown key 'data.name.x'" in refusal(**{"data.name.x": 3})
    assert "data.views has 'a b'; give names of" in refusal(**{"data.views": {"a b": {"augment": ["crop"]}}})


def test_the_nearest_method_is_named() -> None:
    assert "did you mean 'cross_entropy'" in refusal(**{"method.name": "cross_entrpy"})


@pytest.mark.parametrize(
    ("given", "value"),
    [("3", 3), ("1e-3", 0.001), ("0.5", 0.5), ("7", 7.0)],
)
def test_words_become_values(given: str, value: float) -> None:
    key = "data.max_count" if isinstance(value, int) else "optim.weight_decay"
    recipe, _ = load_recipe("icl-digits", {key: toml_value(given)})
    section, leaf = key.split(".")
    assert getattr(getattr(recipe, section), leaf) == value


def test_words_of_other_kinds() -> None:
    given = {
        "model.gates": "false", "model.head": "linear", "run.device": '"cpu"', "data.augment": '["crop", "flip"]',
        "data.imbalance_factor": "none", "data.path": "a folder/with spaces",
    }  # fmt: skip
    recipe, _ = load_recipe("icl-digits", {key: toml_value(value) for key, value in given.items()})
    assert (recipe.model.gates, recipe.model.head, recipe.run.device) == (False, "linear", "cpu")
    assert recipe.data.augment == ("crop", "flip")
    assert recipe.data.imbalance_factor is None
    assert recipe.data.path == "a folder/with spaces"


def test_a_file_on_a_base(tmp_path: Path) -> None:
    recipe, _ = load_recipe(file(tmp_path, f'base = "{FULL}"\n[optim]\npeak_lr = 0.3\n[method]\ntau = 0.5\n'))
    expected = load_recipe(FULL)[0]
    assert difference(expected, recipe) == ["method.tau: 1.0 -> 0.5", "optim.peak_lr: 0.15 -> 0.3"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('base = "icl-digit"', "base = 'icl-digit' is not a shipped recipe; recipes are"),
        (f'base = "{FULL}-printed"', "only one level is allowed"),
        (
            "epochs = 3\n[data]\nname = 'digits'",
            "key 'epochs' stands outside the sections data, model, method",
        ),
        ("[data", "is not valid TOML"),
        ("[data]\nname = 'digits'", "section [method] is missing; add it, or begin with base = 'icl-images'"),
        ("[data]\nname = 'digits'\n[method]\ntau = 1.0", "key 'method.name' is missing"),
        ("[data]\nname = 'digits'\n[method]\nname = 'icl'\n[optm]\nepochs = 3", "unknown key 'optm'"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(file(tmp_path, text))


def test_a_folder_is_a_recipe_for_images(tmp_path: Path) -> None:
    recipe, _ = load_recipe(str(tmp_path))
    assert (recipe.data.name, recipe.data.path, recipe.method.name) == ("folder", str(tmp_path), "icl")
    (tmp_path / "train-00000.parquet").write_bytes(b"")
    assert load_recipe(str(tmp_path))[0].data.name == "parquet"


def test_another_method_drops_the_keys_of_the_old_one(tmp_path: Path) -> None:
    recipe, notes = load_recipe("icl-digits", {"method.name": "cross_entropy"})
    assert recipe.method.model_dump() == {"name": "cross_entropy"}
    (note,) = notes
    old = set(load_recipe("icl-digits")[0].model_dump(exclude_unset=True)["method"]) - {"name"}
    assert set(note.rpartition(": ")[2].split(", ")) == old
    assert len(old) == 4
    recipe, _ = load_recipe("icl-digits", {"method.tau": 0.5, "method.name": "balanced_softmax"})
    assert recipe.method.tau == 0.5
    _, notes = load_recipe("icl-digits", {"method.name": "icl"})
    assert notes == []
    nameless = file(tmp_path, '[data]\nname = "digits"\n[method]\ndiversity_stop = 3\n')
    assert load_recipe(nameless, {"method.name": "icl"})[0].method.diversity_stop == 3
    assert "unknown key 'method.diversity_stop'" in refusal(
        **{"method.name": "cross_entropy", "method.diversity_stop": 1}
    )


def test_thirty_epochs_of_cifar() -> None:
    recipe, (note,) = load_recipe(FULL, epochs=30)
    assert [stage.epochs for stage in recipe.stages()] == [26, 4]
    assert (recipe.method.diversity_stop, recipe.method.contrastive_start) == (4, 18)
    assert (recipe.method.classifier_epochs, recipe.optim.warmup_epochs, recipe.optim.epochs) == (4, 1, 30)
    for part in ("30 epochs instead of 200", "diversity_stop 30 -> 4", "contrastive_start 120 -> 18",
                 "classifier_epochs 20 -> 4", "warmup_epochs 5 -> 1"):  # fmt: skip
        assert part in note


def test_the_same_length_is_no_change() -> None:
    assert load_recipe(FULL, epochs=200) == (load_recipe(FULL)[0], [])


def test_keys_that_were_given_do_not_scale() -> None:
    recipe, (note,) = load_recipe(FULL, {"method.contrastive_start": 9, "optim.warmup_epochs": 3}, epochs=30)
    assert (recipe.method.contrastive_start, recipe.optim.warmup_epochs, recipe.method.diversity_stop) == (
        9,
        3,
        4,
    )
    assert "contrastive_start" not in note
    assert "warmup_epochs" not in note


@pytest.mark.parametrize("name", ["icl-cifar100-lt", "icl-digits", "icl-images"])
def test_a_window_that_is_never_reached_is_reported(name: str) -> None:
    for epochs in range(2, 41):
        recipe, notes = load_recipe(name, epochs=epochs)
        feature = recipe.stages()[0].epochs
        said = [note for note in notes if "is never reached" in note]
        late = recipe.method.contrastive_start >= feature
        assert any(note.startswith("contrastive_start") for note in said) == late
    assert not said
    assert load_recipe(FULL, {"method.diversity_stop": 180})[1] == []
    _, notes = load_recipe(FULL, {"method.contrastive_start": 180})
    assert notes == ["contrastive_start = 180 is never reached: the feature stage has 180 epochs"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optim.milestones": [90, 180]}, "never falls at epoch 180: the feature stage"),
        (
            {"optim.optimizer": "adamw"},
            "0.2 in the feature stage and 0.1 in the classifier stage, which fits sgd",
        ),
        ({"optim.average_last": 30}, "average_last = 30 averages over fewer: the classifier stage"),
        ({"optim.warmup_epochs": 180}, "warm-up of 180 epochs never ends: the feature stage"),
        ({"optim.final_lr": 0.15}, "the classifier stage rises"),
    ],
)
def test_what_a_stage_is_too_short_for_is_said(given: dict[str, object], said: str) -> None:
    """Of 200 epochs the last 20 are the classifier's, at its own rate and without a warm-up."""
    _, notes = load_recipe(FULL, {"optim.peak_lr": 0.2} | given)
    assert len(notes) == 1
    assert said in notes[0]


def test_a_method_without_windows_has_little_to_scale() -> None:
    recipe, notes = load_recipe(FULL, {"method.name": "cross_entropy"}, epochs=20)
    assert recipe.optim.epochs == 20
    assert notes[1:] == ["20 epochs instead of 200: warmup_epochs 5 -> 1"]


@pytest.mark.parametrize(
    ("kind", "value", "old", "new", "scaled"),
    [
        ("window", 30, 200, 30, 4), ("window", 120, 200, 400, 240), ("window", 30, 200, 1, 0),
        ("stage", 20, 200, 30, 4), ("stage", 20, 200, 100, 10), ("stage", 20, 200, 4, 2), ("stage", 20, 200, 1, 1),
        ("stage", 20, 200, 400, 40), ("stage", 0, 200, 30, 0), ("stage", 2, 200, 100, 2),
        ("warmup", 5, 200, 30, 1), ("warmup", 5, 200, 100, 3), ("warmup", 0, 200, 30, 0),
    ],
)  # fmt: skip
def test_scaling(kind: str, value: int, old: int, new: int, scaled: int) -> None:
    assert Epochs(kind).scale(value, old, new) == scaled


def test_steps_of_the_rate_scale_and_never_fall_before_the_first_epoch() -> None:
    for epochs, expected in ((30, (24, 27)), (3, (2, 2)), (1, (1, 1))):
        recipe, _ = load_recipe("focal-cifar100-lt", epochs=epochs)
        assert recipe.optim.milestones == expected


def test_too_few_epochs_say_how_many_it_takes() -> None:
    said = refusal(FULL, **{"optim.epochs": 20})
    assert "epochs = 20 is too short for the stages of icl (feature 0, classifier 20)" in said
    assert "ask for at least 21 epochs" in said
    assert load_recipe(FULL, {"optim.epochs": 21})[0].stages()[0].epochs == 1
    with pytest.raises(InputError, match="at least 6 epochs"):
        load_recipe(FULL, {"method.classifier_epochs": 5}, epochs=3)
    load_recipe(FULL, {"method.classifier_epochs": 5}, epochs=6)


@pytest.mark.parametrize("epochs", [0, -3])
def test_no_epochs_are_refused(epochs: int) -> None:
    with pytest.raises(InputError, match=rf"optim.epochs = {epochs} does not fit"):
        load_recipe(FULL, epochs=epochs)


@pytest.mark.parametrize("epochs", [2, 3, 5])
def test_the_shortest_runs(epochs: int) -> None:
    with pytest.raises(InputError, match="at least 2 epochs"):
        load_recipe(FULL, epochs=1)
    assert sum(stage.epochs for stage in load_recipe(FULL, epochs=epochs)[0].stages()) == epochs


def test_rows_of_the_ablation_table_are_overrides() -> None:
    off = {"method.diversity_weight": 0, "method.contrastive_weight": 0}
    plain = off | {"method.competition": False, "method.distillation_weight": 0}
    single = plain | {"model.num_experts": 1, "model.gates": False}
    full = load_recipe(FULL)[0]
    for row, changed in ((single, 6), (plain, 4), (off, 2), ({}, 0)):
        recipe, notes = load_recipe(FULL, row)
        assert notes == []
        assert len(difference(full, recipe)) == changed
        assert [stage.epochs for stage in recipe.stages()] == [180, 20]


def test_a_recipe_is_frozen_and_equal_by_value() -> None:
    recipe = load_recipe("icl-digits")[0]
    assert recipe == validate(recipe.model_dump(mode="json"))
    assert isinstance(recipe, Recipe)
    for part in (recipe, recipe.optim, recipe.method, recipe.data, recipe.model, recipe.run):
        with pytest.raises(ValueError, match="frozen"):
            setattr(part, next(iter(type(part).model_fields)), None)


def test_a_run_of_a_method_that_is_not_here_names_the_folders_of_methods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made_up_run(tmp_path / "run", num_classes=3, evaluated=False) / layout.RECIPE
    file.write_text(file.read_text().replace('name = "icl"', 'name = "toy"'))
    monkeypatch.delenv("LONGTAIL_METHODS", raising=False)
    with pytest.raises(InputError, match=r"'toy'.*LONGTAIL_METHODS is not set.*toy\.py"):
        load_recipe(str(file))
    monkeypatch.setenv("LONGTAIL_METHODS", str(tmp_path))
    with pytest.raises(InputError, match=f"LONGTAIL_METHODS is {tmp_path}"):
        load_recipe(str(file))
    assert load_recipe(str(file), {"method.name": "cross_entropy", "model.num_experts": 1})
