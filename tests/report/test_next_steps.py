"""What next? Each step has its evidence, and every command of the report does what it says when it is pasted."""

import html
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from longtail import train
from longtail.cli.main import main
from longtail.data.shapes import shapes_of
from longtail.errors import InputError
from longtail.recipe.plan import given_keys
from longtail.report import report_lines, write_page
from longtail.report.accuracy_steps import ENLARGED, Step, accuracy_steps
from longtail.report.discovery import collect
from longtail.report.facts.experts import Experts, Gain
from longtail.report.places import from_here
from longtail.report.sections.next import next_steps
from longtail.runs import Run, RunFolder, layout
from longtail.runs.schema import Trial
from longtail.search import Search
from run_factory import made_up_run

CLASSES = {"a cat": 8, "dog": 6, "rare_owl": 4}


def photographs(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name, images in CLASSES.items():
            (folder / part / name).mkdir(parents=True)
            for number in range(images if part == "train" else 4):
                pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{number}.png")
    return folder


def steps(path: Path, log: list[dict[str, Any]] | None = None, **made: Any) -> tuple[Step, ...]:
    """Those of a made-up run, some keys of whose epochs are exchanged."""
    folder = made_up_run(path, **made)
    if log is not None:
        file = folder / "log.jsonl"
        records = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        changed = [record | more for record, more in zip(records, log, strict=True)]
        file.write_text("".join(json.dumps(record) + "\n" for record in changed), "utf-8")
    return collect(Run(folder)).next


def advised(found: tuple[Step, ...], words: str) -> list[Step]:
    return [step for step in found if words in step.command]


def scored(values: list[float]) -> list[dict[str, Any]]:
    same = {"overall": 0.5, "many": None, "medium": None, "few": None}
    more = {"num_images": 9, "experts": [same | {"macro": 0.5}], "ece": 0.1, "nll": 1.0, "not_tested": []}
    return [{"val": same | more | {"macro": value}} for value in values]


def test_longer_training_is_advised_by_validation_first(tmp_path: Path) -> None:
    rising, level = [0.1 * n for n in range(8)], [0.5] * 8
    for name, values in (("rising", rising), ("level", level)):
        found = advised(steps(tmp_path / name, scored(values), epochs=8), "--epochs")
        assert bool(found) == (name == "rising")  # the training loss falls in both
    (step,) = advised(steps(tmp_path / "again", scored(rising), epochs=8), "--epochs")
    assert "--epochs 16" in step.command
    assert {"45.0", "65.0"} <= set(re.findall(r"\d+\.\d", step.text))
    assert step.points == pytest.approx(20)


def test_longer_training_is_advised_by_the_loss_where_nothing_is_validated(tmp_path: Path) -> None:
    assert advised(steps(tmp_path / "falling", epochs=8), "--epochs 16")
    done = [{"train_accuracy": 0.99}] * 8
    assert not advised(steps(tmp_path / "learned", done, epochs=8), "--epochs")
    flat = [{"loss": {"parallel": 1.0}}] * 8
    assert not advised(steps(tmp_path / "flat", flat, epochs=8), "--epochs")
    assert not advised(steps(tmp_path / "stopped", epochs=8, status="interrupted"), "--epochs")


@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_lower_rate_is_advised_first_where_the_loss_rises(tmp_path: Path, status: str) -> None:
    rising = [{"loss": {"parallel": 1.0 + 50.0 * n}} for n in range(8 if status == "done" else 4)]
    first = steps(tmp_path / "rising", rising, epochs=8, status=status)[0]
    rate = re.search(r"optim\.peak_lr=(\S+)", first.command)
    assert rate is not None
    assert float(rate[1]) < 0.1
    assert "from 1 to " in first.text or "from 26 to " in first.text  # the first quarter


def test_a_loss_that_rises_in_warm_up_alone_needs_no_lower_rate(tmp_path: Path) -> None:
    losses = (1.0, 3.0, 2.0, 1.0, 0.9, 0.9, 0.8, 0.8)
    log = [{"loss": {"parallel": value}} for value in losses]
    assert not advised(steps(tmp_path / "warm-up", log, epochs=8), "peak_lr")


@pytest.mark.parametrize(("size", "wanted"), [(64, 128), (96, 128), (128, None), (224, None)])
def test_larger_images_are_advised_where_the_last_map_is_small(
    tmp_path: Path, size: int, wanted: int | None
) -> None:
    backbone = {
        "model.name": "mobilenetv3_small_050", "model.shared_stages": None, "model.gates": None,
        "data.image_size": size,
    }  # fmt: skip
    found = advised(steps(tmp_path / "run", overrides=backbone), "data.image_size")
    assert {step.points for step in found} <= {ENLARGED}  # one assumption, whatever the size
    assert [step.command.rpartition("=")[2] for step in found] == ([] if wanted is None else [str(wanted)])


@pytest.mark.parametrize(
    ("height", "fit", "is_said"),
    [(36, "crop", True), (36, "pad", False), (60, "crop", False), (None, "crop", False)],
)
def test_the_whole_picture_is_advised_where_a_crop_hides_much(
    tmp_path: Path, height: int | None, fit: str, is_said: bool
) -> None:
    shapes = None if height is None else shapes_of(np.array([[height, 64]] * 3), ("a.jpg", "b.jpg", "c.jpg"))
    audit = {"shapes": None if shapes is None else shapes.contents()}
    found = advised(steps(tmp_path / "run", audit=audit, overrides={"data.fit": fit}), "--fit squash")
    assert bool(found) == is_said
    assert all({"44", "3"} <= set(re.findall(r"\d+", step.text)) and "a.jpg" in step.text for step in found)


def levelled(folder: Path) -> Path:
    """A run whose training loss no longer falls."""
    log = folder / "log.jsonl"
    records = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    flat = [json.dumps(record | {"loss": dict.fromkeys(record["loss"], 1.0)}) for record in records]
    log.write_text("".join(f"{line}\n" for line in flat), "utf-8")
    return folder


def test_experts_are_not_counted_before_training_has_levelled(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run"))
    facts = collect(run)
    experts = Experts(facts.experts.rows, (Gain("macro", "expert 2", -0.1, (-0.2, -0.05), True),), (), ())
    found = accuracy_steps(run, facts.evaluation, facts.classes, facts.confusions, experts)
    assert not advised(tuple(found), "num_experts=1")


@pytest.mark.parametrize("gain", [-0.02, -1e-5, 0.02])
def test_one_expert_is_advised_where_all_do_not_reach_the_best(tmp_path: Path, gain: float) -> None:
    run = Run(levelled(made_up_run(tmp_path / "run")))
    facts = collect(run)
    e = facts.evaluation
    assert None not in (facts.experts, facts.classes, facts.confusions, e)
    gains = (Gain("macro", "expert 2", gain, (gain - 0.01, gain + 0.01), True),)
    experts = Experts(facts.experts.rows, gains, (), ())
    found = advised(tuple(accuracy_steps(run, e, facts.classes, facts.confusions, experts)), "num_experts=1")
    assert len(found) == (gain < 0)
    assert all(
        ("2.0 points below" in step.text) == (gain < -0.01) and "-0.0 " not in step.text for step in found
    )


ONE = Trial(
    name="a", how="3 epochs", macro=0.5, low=0.4, high=0.6, gain=None, gain_low=None, gain_high=None, seconds=1.0,
    chosen=True, verdict="suggested",
)  # fmt: skip


@pytest.mark.parametrize("missing", [(), ("images of 224 pixels", "comparing short fine-tunings")])
def test_more_minutes_are_advised_where_they_were_too_few(tmp_path: Path, missing: tuple[str, ...]) -> None:
    found = Search(4.0, 60.0, "1 ms", 10.0, 4, 60, no_time_for=missing, asked={"given": {}})
    folder = levelled(made_up_run(tmp_path / "run", data=str(photographs(tmp_path / "photos"))))
    RunFolder(folder).write_json(layout.SEARCH, found.contents())
    more = advised(collect(Run(folder)).next, "--minutes 16")
    assert bool(more) == bool(missing)
    assert all(words in step.text for step in more for words in missing)


GIVEN = {
    "method.name": "ce", "model.pretrained": True, "data.group_by": "none", "data.two_labels": "leave_out",
    "optim.peak_lr": 0.1, "data.mean": [0.5, 0.5, 0.5], "data.image_size": None, "data.root": "my photos",
}  # fmt: skip


@pytest.mark.parametrize("seed", [0, 3])
def test_more_minutes_ask_for_all_that_the_command_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.chdir(tmp_path)
    table = {"data.name": "table", "data.root": str(tmp_path / "my photos")}
    folder = levelled(made_up_run(tmp_path / "run", data=str(tmp_path / "t.csv"), overrides=table, seed=seed))
    search = Search(4.0, 60.0, "1 ms", 10.0, 4, no_time_for=("more",), asked={"given": GIVEN})
    RunFolder(folder).write_json(layout.SEARCH, search.contents())
    (step,) = advised(collect(Run(folder)).next, "--minutes 16")
    called: dict[str, Any] = {}

    def record(target: str, **options: Any) -> None:
        called.update(options | {"target": target})
        raise InputError("no training here")

    monkeypatch.setattr("longtail.api.train", record)
    main(shlex.split(step.command)[1:])
    assert called["target"] == "t.csv"
    assert called["minutes"] == 16
    given = given_keys(called["set"], data=None, method=None, model=None, strict=False)
    assert given == GIVEN | ({"run.seed": seed} if seed else {})


@pytest.mark.parametrize(
    "asked",
    [{}, {"given": 1}, {"given": {"data.views": {"a": 1}}}, {"given": {"model.weights": "w.pt"}}],
    ids=["unknown", "damaged", "table", "path from elsewhere"],
)
def test_more_minutes_carry_no_command_where_the_request_is_not_known_in_full(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    folder = levelled(made_up_run(tmp_path / "run", data=str(photographs(tmp_path / "photos"))))
    search = Search(4.0, 60.0, "1 ms", 10.0, 4, no_time_for=("more",), asked=asked)
    RunFolder(folder).write_json(layout.SEARCH, search.contents())
    (step,) = [step for step in collect(Run(folder)).next if step.text.startswith("Give it more time")]
    assert step.command == ""


@pytest.mark.parametrize("status", ["done", "interrupted"])
def test_more_minutes_are_not_advised_before_the_training_has_ended(tmp_path: Path, status: str) -> None:
    folder = made_up_run(tmp_path / "run", epochs=8, data=str(tmp_path))
    if status == "interrupted":  # and evaluated on the way
        RunFolder(levelled(folder)).set_status(status, epoch=4, epochs=8)
    search = Search(4.0, 60.0, "1 ms", 10.0, 8, no_time_for=("more",), asked={"given": {}})
    RunFolder(folder).write_json(layout.SEARCH, search.contents())
    found = collect(Run(folder)).next
    assert not [step for step in found if step.text.startswith("Give it more time")]
    assert len(advised(found, "--epochs 16" if status == "done" else "--resume")) == 1


@pytest.mark.parametrize(
    ("low", "high", "kinds", "is_said", "is_explained"),
    [
        (0.9, 1.0, 2, True, True),
        (0.9, 1.0, 1, True, False),  # it was not chosen from several
        (0.05, 0.15, 2, True, False),  # the best of several is not too low
        (0.3, 1.0, 2, True, False),  # chance explains it
        (0.0, 1.0, 2, False, False),
    ],
    ids=["higher", "of one kind", "lower", "chance", "near"],
)
def test_a_score_of_the_search_that_is_far_from_the_held_out_one_is_explained_where_the_cause_is_known(
    tmp_path: Path, low: float, high: float, kinds: int, is_said: bool, is_explained: bool
) -> None:
    folder = made_up_run(tmp_path / "run")
    recipe = folder / layout.RECIPE
    recipe.write_text(recipe.read_text("utf-8").replace("frozen = false", "frozen = true"), "utf-8")
    assert Run(folder).recipe["model"]["frozen"]
    middle = Run(folder).metrics["macro"] if not is_said else 0.95 if low == 0.3 else (low + high) / 2
    best = ONE.model_copy(update={"macro": middle, "low": low, "high": high})
    found = Search(4.0, 60.0, "1 ms", 10.0, 4, heads=(best,) * kinds, head_images=300)
    RunFolder(folder).write_json(layout.SEARCH, found.contents())
    said = [line for line in collect(Run(folder)).verdict.sentences if "cross-validation" in line]
    assert len(said) == is_said
    assert all("300 training images" in line and f"{100 * middle:.1f}" in line for line in said)
    assert any("believe" in line.lower() for line in said) == is_explained


def test_no_command_claims_to_label_images(tmp_path: Path) -> None:
    """What was held out of training comes from the images that it was given: nothing divides them into more."""
    held = {"data.validation": 0.2}
    found = steps(tmp_path / "run", images=3, split="val", data="photos", overrides=held)
    (label,) = [step for step in found if step.text.startswith("Label more")]
    assert label.command == ""
    assert {"20", "50"} <= set(re.findall(r"\d+", label.text))  # to have 10 of a class held out


@pytest.mark.parametrize(
    ("right", "confidence", "is_said"), [(0.2, 0.95, False), (0.9, 0.95, True), (0.75, 0.95, False)]
)
def test_labels_are_doubted_by_a_good_network_that_knows_how_good_it_is(
    tmp_path: Path, right: float, confidence: float, is_said: bool
) -> None:
    run = Run(made_up_run(tmp_path / "run", images=40))
    facts = collect(run)
    e = facts.evaluation
    assert None not in (facts.experts, facts.classes, facts.confusions, e)
    is_right = np.arange(len(e.label)) < right * len(e.label)
    label = np.where(is_right, e.target, (e.target + 1) % len(e.names))
    sure = replace(e, label=label, confidence=np.full(len(label), confidence))
    found = accuracy_steps(run, sure, facts.classes, facts.confusions, facts.experts)
    assert any(step.place == "surest" for step in found) == is_said


def test_labels_are_not_doubted_where_it_is_overconfident_in_its_sure_answers_alone(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run", images=20))
    facts = collect(run)
    e = facts.evaluation
    place = np.arange(len(e.label))
    surely = place % 5 == 0
    is_right = np.where(surely, place % 15 > 0, place % 10 < 7)
    label = np.where(is_right, e.target, (e.target + 1) % len(e.names))
    sure = replace(e, label=label, confidence=np.where(surely, 0.92, 0.6))
    assert sure.confidence.mean() - is_right.mean() < 0.1
    assert 0.6 < is_right[surely].mean() < 0.7
    found = accuracy_steps(run, sure, facts.classes, facts.confusions, facts.experts)
    assert all(step.place != "surest" for step in found)


def test_labels_are_ranked_by_what_they_cost_in_macro(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run", images=[10] + [100] * 9, rates=[1.0] * 10))
    facts = collect(run)
    e = facts.evaluation
    label = e.target.copy()
    label[0] = 1  # one image of class 0, which has ten
    sure = replace(e, label=label, confidence=np.full(len(label), 0.95))
    found = accuracy_steps(run, sure, facts.classes, facts.confusions, facts.experts)
    (step,) = [step for step in found if step.place == "surest"]
    assert step.points == pytest.approx(1)


@pytest.mark.parametrize(("rate", "is_said"), [(0.45, False), (0.75, True)])
def test_confusions_speak_against_labels_where_the_network_is_good(
    tmp_path: Path, rate: float, is_said: bool
) -> None:
    found = steps(tmp_path / "run", num_classes=2, images=200, rates=[rate, rate])
    assert any("confused with each other" in step.text for step in found) == is_said


def test_steps_are_ranked_by_the_points_at_stake(tmp_path: Path) -> None:
    found = steps(tmp_path / "run", scored([0.1 * n for n in range(8)]), epochs=8, images=60)
    points = [step.points for step in found if step.points]
    assert len(points) >= 3
    assert points == sorted(points, reverse=True)


def test_images_of_named_classes_are_wanted_for_what_they_would_bring(tmp_path: Path) -> None:
    found = steps(tmp_path / "run", num_classes=4, images=50, rates=[0.8, 0.8, 0.8, 0.2], data="photos")
    (step,) = [step for step in found if step.text.startswith("Collect")]
    assert "class 3 (5, " in step.text
    assert step.points == pytest.approx(15, abs=4)


def test_the_terminal_says_the_steps_of_the_page(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run"))
    lines, found = report_lines(run), collect(run).next
    start = lines.index("What next") + 1
    stripped = [line.strip() for line in lines[start:]]
    assert [step.text for step in found[:5]] == [
        line[3:] for line in stripped if line[:2] in ("1.", "2.", "3.", "4.", "5.")
    ]
    assert [step.command for step in found[:5] if step.command] == [
        line for line in stripped if line.startswith("longtail")
    ]


def test_places_are_seen_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.chdir(tmp_path / "a b")
    assert [from_here(tmp_path / word) for word in ("a b", "a b/x;y", "c")] == [".", "'x;y'", "../c"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with runs/it: two epochs, three experts, images of which the last map has one place."""
    place = tmp_path_factory.mktemp("work here")
    images = photographs(place / "my photos")
    settings = {"data.image_size": 32, "model.num_experts": 3, "optim.batch_size": 16}
    train(
        images, model="mobilenetv3_small_050", epochs=2, method="balanced_softmax", out=place / "runs" / "it",
        set=settings | {"model.pretrained": False, "optim.frozen_stages": 0}, quiet=True,
    )  # fmt: skip
    log = place / "runs" / "it" / "log.jsonl"
    first, last = (json.loads(line) for line in log.read_text("utf-8").splitlines())
    last |= {"loss": {key: value / 2 for key, value in first["loss"].items()}, "train_accuracy": 0.9}
    log.write_text("".join(json.dumps(record) + "\n" for record in (first, last)), "utf-8")
    return place


def every_step(run: Run, made: Run) -> tuple[Step, ...]:
    """The steps of a run as if it were as another is, and had every fault."""
    facts = collect(made)
    e = facts.evaluation
    assert None not in (facts.experts, facts.classes, facts.confusions, facts.confidence, e)
    worse = (Gain("macro", "expert 1", -0.1, (-0.2, -0.01), True),)
    experts = Experts(facts.experts.rows, worse, (), ())
    return next_steps(run, e, facts.classes, facts.confusions, facts.confidence, experts, facts.audit)


@pytest.mark.usefixtures("undrawn")
def test_every_command_runs_from_where_the_report_is_made(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = trained / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run = Run("../runs/it")
    audit = {
        "duplicates": [
            {"kind": "exact", "paths": ["a", "b"], "splits": ["train", "test"], "classes": ["dog"]}
        ],
        "unreadable": [{"path": "c.jpg", "reason": "empty"}],
    }
    rates = [0.9, 0.9, 0.5, 0.5, 0.5, 0.5]
    made = Run(
        made_up_run(tmp_path / "run", num_classes=6, images=[60, 60, 60, 60, 60, 3], rates=rates, audit=audit)
    )
    page = (run.path / write_page(run)).read_text("utf-8")
    shown = [html.unescape(code) for code in re.findall(r"<pre><code>(.*?)</code></pre>", page)]
    commands = {step.command for step in every_step(run, made) if step.command} | set(shown)
    log = run.path / "log.jsonl"
    before = log.read_text("utf-8")
    levelled(run.path)
    commands |= {step.command for step in every_step(Run("../runs/it"), made) if step.command}
    log.write_text(before, "utf-8")
    kinds = {tuple(word for word in shlex.split(command)[1:3] if word.isalpha()) for command in commands}
    assert kinds >= {
        ("train",),
        ("data", "split"),
        ("data", "check"),
        ("explain",),
        ("evaluate",),
        ("predict",),
    }
    for option in ("--epochs", "data.image_size", "data.validation", "model.num_experts", "--abstain-below"):
        assert any(option in command for command in commands), option
    for command in sorted(commands):
        words = shlex.split(
            command.replace("FOLDER", "'../my photos/test'").replace("PHOTOS", "'../my photos/test'")
        )
        status, said = main(words[1:]), capsys.readouterr().err
        assert status == 0 or "settle no temperature" in said, command  # of noise, whatever it is given
