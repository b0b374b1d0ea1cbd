"""What the report states, on made-up run folders of every kind: the numbers, the marks and the sentences."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from longtail.report import report_lines
from longtail.report.discovery import collect
from longtail.report.nearest_recipe import nearest_recipe
from longtail.report.section import Facts
from longtail.runs import Run
from longtail.types import InputError
from run_factory import ODD_NAMES, made_up_run

EVERY = {
    "plain": {},
    "large": {"num_classes": 100, "images": 40},
    "one expert": {"experts": 1},
    "two experts": {"experts": 2},
    "one image a class": {"num_classes": 40, "images": 1},
    "two classes": {"num_classes": 2, "images": (3, 4)},
    "odd names": {"names": ODD_NAMES},
    "validation": {"split": "val", "temperature": 1.4},
    "never predicted, unknown, untested": {
        "never": 2,
        "unknown": {"zebra": 3},
        "images": [20] * 7 + [0, 5, 12],
    },
    "sources": {"sources": 30, "images": 50},
    "all right": {"rates": [1.0] * 10},
    "all wrong": {"rates": [0.0] * 10, "experts": 1},
    "unfinished": {"status": "interrupted"},
    "not evaluated": {"evaluated": False},
    "no images": {"images": 0},
    "fresh": {"status": "running", "epochs": 1},
    "own images": {"data": "photos", "audit": {}},
}


def facts(path: Path, **made: Any) -> Facts:
    return collect(Run(made_up_run(path / "run", **made)))


def is_advised(found: Facts, command: str) -> bool:
    return any(step.command.startswith(command) for step in found.next)


@pytest.mark.parametrize("made", EVERY.values(), ids=EVERY.keys())
def test_every_kind_of_run_has_facts(tmp_path: Path, made: dict[str, Any]) -> None:
    found = facts(tmp_path, **made)
    evaluated = found.classes is not None
    assert evaluated == (not {"status", "evaluated"} & made.keys() and made.get("images") != 0)
    assert found.verdict.sentences
    for sentence in (*found.verdict.sentences, *(step.text for step in found.next)):
        assert sentence.endswith(".")
        assert not re.search(r"\bnan\b", sentence)
    for row in found.verdict.rows:
        if evaluated and row.value is not None:
            assert row.interval is not None
            assert 0 <= row.interval[0] <= row.value <= row.interval[1] <= 1
    if found.classes is not None:
        order = ["", "rough", "too few", "not tested"]
        marks = [max(1, order.index(row.certainty)) for row in found.classes.rows]
        assert marks == sorted(marks)
        assert (not found.experts.rows) == (made.get("experts") == 1)


def test_scores_are_those_of_metrics_json(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run"))
    metrics = json.loads((run.path / "eval/test/metrics.json").read_text())
    found = collect(run)
    assert found.experts is not None
    for row in found.verdict.rows:
        assert row.value == metrics[row.name]
        assert getattr(found.experts.rows[-1], row.name) == metrics[row.name]
    assert [(row.classes, row.images) for row in found.verdict.rows[:2]] == [(10, 200), (10, 200)]
    assert found.head.num_images == 200


def test_classes_are_those_of_per_class_csv(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run", never=1, images=[30] * 9 + [4]))
    found, table = collect(run).classes, run.table("per_class")
    assert found is not None
    assert table is not None
    by_index = sorted(found.rows, key=lambda row: row.index)
    same = {"class": "name", "group": "group", "train_images": "train_images", "test_images": "test_images"}
    for column, field in (same | {"correct": "correct"}).items():
        assert [getattr(row, field) for row in by_index] == table[column].tolist()
    assert [row.mistaken_for or "" for row in by_index] == table["mistaken_for"].tolist()
    precision = [np.nan if row.precision is None else row.precision for row in by_index]
    assert precision == pytest.approx(table["precision"].to_numpy(), nan_ok=True)
    assert found.never_predicted == ("class 9",)
    assert found.rows[-1].certainty == "too few"


def test_confusions_are_those_of_confusions_csv(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run", num_classes=6, images=60))
    found, table = collect(run).confusions, run.table("confusions")
    assert found is not None
    assert table is not None
    assert [(p.name, p.label, p.count) for p in found.pairs] == [
        tuple(row) for row in table[table["images"] > 1].head(20).itertuples(index=False)
    ]
    assert found.errors == table["images"].sum()
    counts = np.array(found.matrix.counts if found.matrix else 0)
    assert counts.sum() == np.sum(found.groups) == 360
    assert len(found.listed) == 20 < found.errors
    images = pd.read_parquet(run.path / "eval/test/predictions.parquet").set_index("path")
    for pair in found.pairs:
        assert len(pair.wrong) == min(3, pair.count)
        assert all(
            tuple(images.loc[p.path, ["class", "label"]]) == (pair.name, pair.label) for p in pair.wrong
        )
        assert pair.right is None or images.loc[pair.right.path, "label"] == pair.name
        sure = [prediction.confidence for prediction in pair.wrong]
        assert sure == sorted(sure, reverse=True)


def test_the_matrix_of_many_classes_shows_errors_and_that_of_more_is_left_out(tmp_path: Path) -> None:
    some = facts(tmp_path / "a", num_classes=21).confusions
    assert some is not None
    assert some.matrix is not None
    assert some.matrix.errors_only
    assert np.diagonal(some.matrix.counts).sum() == 0
    assert np.sum(some.matrix.counts) == some.errors
    assert set(some.matrix.names) == {f"class {c}" for c in range(21)}
    more = facts(tmp_path / "b", num_classes=151, images=2).confusions
    assert more is not None
    assert more.matrix is None


def test_few_errors_are_listed(tmp_path: Path) -> None:
    found = facts(tmp_path, rates=[1.0] * 9 + [0.5]).confusions
    assert found is not None
    assert 0 < len(found.listed) == found.errors < 20


def test_clearly_weak_and_strong_classes_are_named(tmp_path: Path) -> None:
    rates = [0.8] * 30
    rates[4], rates[20] = 0.2, 1.0
    found = facts(tmp_path, num_classes=30, images=100, rates=rates)
    assert found.classes is not None
    assert found.classes.weakest == ("class 4",)
    assert "Clearly weakest: class 4." in found.verdict.sentences
    assert [row.name for row in found.classes.rows if row.standing == "strong"] == ["class 20"]
    assert found.classes.rows[0].name == "class 4"
    assert found.classes.differ


def test_equal_classes_are_not_ranked_apart(tmp_path: Path) -> None:
    found = facts(tmp_path, num_classes=30, images=40, rates=[0.8] * 30, seed=3)
    assert (
        "No class can be singled out: classes differ no more than luck makes them." in found.verdict.sentences
    )
    assert found.classes is not None
    assert found.classes.differ is False
    assert not found.classes.weakest


def test_luck_leaves_classes_of_three_without_a_hit(tmp_path: Path) -> None:
    found = facts(tmp_path, num_classes=1200, images=3, rates=[0.76] * 1200)
    assert found.classes is not None
    assert found.classes.luck_at_zero == pytest.approx(1200 * 0.24**3, rel=0.2)
    (said,) = [s for s in found.verdict.sentences if s.startswith("No class can be singled out")]
    assert "with 3 test images each, luck alone would leave about" in said
    assert said.endswith("of 1,200 classes at 0 of 3.")
    assert "Too few test images to say: 1,200 classes." in found.verdict.sentences


def test_rare_classes_are_the_medium_ones_where_none_has_few(tmp_path: Path) -> None:
    found = facts(tmp_path, num_classes=6, images=[30] * 4 + [0, 0])
    assert found.verdict.rows[-1].value is None
    (said,) = [s for s in found.verdict.sentences if s.startswith("Rare classes")]
    medium = found.verdict.rows[3]
    assert said.startswith(
        f"Rare classes (20 to 100 training images): macro {100 * (medium.value or 0):.0f} % ("
    )


def test_boasting_leads_to_a_temperature_unless_one_is_fitted(tmp_path: Path) -> None:
    for temperature in (None, 1.5):
        found = facts(tmp_path / str(temperature), images=100, temperature=temperature)
        assert is_advised(found, "longtail calibrate") == (temperature is None)
    held_out = facts(tmp_path / "held out", images=100, overrides={"data.validation": 0.2})
    assert is_advised(held_out, "longtail calibrate")


def test_validation_is_called_validation(tmp_path: Path) -> None:
    found = facts(tmp_path, split="val", temperature=1.4)
    assert found.head.part == "validation"
    assert "validation images" in found.verdict.sentences[0]
    assert not any("test" in sentence.split() for sentence in found.verdict.sentences)
    assert len(found.head.notices) == 2


def test_no_percentage_of_a_few_images(tmp_path: Path) -> None:
    found = facts(tmp_path, num_classes=2, images=(3, 4))
    assert found.verdict.sentences[0].endswith("7 test images correctly: too few to say more.")
    assert not any("%" in sentence for sentence in found.verdict.sentences)


def test_counts_are_those_of_the_images_where_they_are_fewer_than_a_hundred(tmp_path: Path) -> None:
    found, every = facts(tmp_path, num_classes=2, images=(4, 8), rates=[0.0, 1.0]), (4, 8, 12)
    said = found.verdict.sentences[0]
    named = re.match(r"It names (\d+) of 12 test images correctly .*commonest class: (\d+) of 12\.", said)
    assert named is not None
    assert int(named[2]) in every
    assert not any("Of 100" in sentence for sentence in found.verdict.sentences)


@pytest.mark.parametrize(
    ("classes", "images", "form"),
    [(30, 20, "named"), (31, 20, "dots"), (501, 10, "bins"), (501, 9, "shares"), (12, 3, "named")],
)
def test_class_size_takes_the_form_that_suits(tmp_path: Path, classes: int, images: int, form: str) -> None:
    found = facts(tmp_path, num_classes=classes, images=images).size
    assert found is not None
    assert found.form == form
    assert len(found.points) == (classes if form in ("named", "dots") else 0)
    assert sum(cell.classes for cell in found.bins) == (classes if form == "bins" else 0)
    if form == "shares":
        assert sum(part.classes for part in found.deciles) == classes
        for part in found.deciles:
            assert part.none + part.up_to_half + part.over_half + part.all_right == pytest.approx(1)
    assert found.edges == (19.5, 100.5)


@pytest.mark.parametrize(("evaluated", "now"), [(None, 1.7), (1.5, 1.7), (1.5, None)])
def test_a_temperature_fitted_since_the_evaluation_is_said(
    tmp_path: Path, evaluated: float | None, now: float | None
) -> None:
    run = made_up_run(tmp_path / "run", temperature=evaluated)
    assert not any("fitted again" in notice for notice in collect(Run(run)).head.notices)
    file = run / "weights/model.json"
    model = json.loads(file.read_text())
    file.write_text(
        json.dumps({key: model[key] for key in ("classes", "epoch")} | ({"temperature": now} if now else {}))
    )
    (said,) = (notice for notice in collect(Run(run)).head.notices if "fitted again" in notice)
    assert f"{now or 1:.3g} in the weights" in said
    file.write_text(json.dumps(model | {"temperature": now or 3.0, "epoch": model["epoch"] - 1}))
    assert not any("fitted again" in notice for notice in collect(Run(run)).head.notices)
    file.unlink()  # weights may be removed
    assert not any("fitted again" in notice for notice in collect(Run(run)).head.notices)


def test_confidence_before_and_after_the_temperature(tmp_path: Path) -> None:
    found = facts(tmp_path, images=100, temperature=2.0).confidence
    assert found is not None
    assert found.temperature == 2.0
    assert found.after is not None
    assert found.after.confidence < found.before.confidence
    assert len(found.before.bins) == 15
    assert sum(found.before.histogram) == 1000
    assert [line.name for line in found.risk] == ["all", "many", "medium", "few"]
    assert all(line.coverage[-1] == 1 for line in found.risk)
    assert [row.coverage for row in found.answered] == pytest.approx([1, 0.9, 0.8, 0.7, 0.5], abs=0.005)


def test_groups_are_compared_at_common_thresholds(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run", images=100))
    found, images = collect(run).confidence, pd.read_parquet(run.path / "eval/test/predictions.parquet")
    assert found is not None
    classes = {entry["name"]: entry["group"] for entry in run.classes}
    for line in found.risk[1:]:
        place = len(line.coverage) // 2
        threshold = images["confidence"].nlargest(round(line.coverage[place] * len(images))).iloc[-1]
        mine = images[(images["class"].map(classes) == line.name) & (images["confidence"] >= threshold)]
        assert line.error[place] == pytest.approx((mine["class"] != mine["label"]).mean())


def test_few_images_have_no_diagram(tmp_path: Path) -> None:
    found = facts(tmp_path, images=19).confidence
    assert found is not None
    assert found.before.bins == ()
    assert found.after is None


def test_experts_are_compared_in_pairs(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run", num_classes=10, images=100))
    found, images = collect(run).experts, pd.read_parquet(run.path / "eval/test/predictions.parquet")
    assert found is not None
    recall = [
        (images[f"expert_{m}"] == images["class"]).groupby(images["class"]).mean().mean() for m in (1, 2, 3)
    ]
    macro = next(gain for gain in found.gains if gain.score == "macro")
    assert macro.best == f"expert {1 + int(np.argmax(recall))}"
    assert macro.value == pytest.approx((run.metrics or {})["macro"] - max(recall))
    assert macro.interval[0] < macro.value < macro.interval[1]
    votes = images[["expert_1", "expert_2", "expert_3"]].nunique(axis=1)
    assert [part.images for part in found.agreement] == [(votes == n).sum() for n in (1, 2, 3)]
    assert sum(part.share for part in found.agreement) == pytest.approx(1)


def test_sources_widen_intervals_and_are_named(tmp_path: Path) -> None:
    alone = facts(tmp_path / "a", images=60)
    of_few = facts(tmp_path / "b", images=60, sources=4)
    assert alone.classes is not None
    assert of_few.classes is not None
    assert {row.note for row in of_few.classes.rows} == {"from only 4 sources"}
    assert {row.note for row in alone.classes.rows} == {""}

    def width(found: Facts) -> float:
        low, high = found.verdict.rows[1].interval or (0, 0)
        return high - low

    assert width(of_few) > 2 * width(alone)
    assert any(limit.startswith("Every image is taken to be independent") for limit in alone.repeat.limits)
    assert [limit for limit in of_few.repeat.limits if "independent" in limit] == [
        "The grey bands of confidence, unlike the intervals, take every image to be independent of the others."
    ]
    assert of_few.confidence is not None
    assert of_few.confidence.upper == (of_few.verdict.rows[0].interval or (0, 0))[1]


AUDIT = {
    "unreadable": [{"path": "a.jpg", "reason": "empty"}],
    "duplicates": [
        {"kind": "exact", "paths": ["a", "b"], "splits": ["train", "train"], "classes": ["x", "x"]},
        {"kind": "near", "paths": ["c", "d"], "splits": ["train", "test"], "classes": ["x", "y"]},
    ],
    "leaking_groups": [{"group": "patient 7", "splits": ["train", "test"], "images": 12}],
    "checked_near": True,
}


def test_the_audit_is_reported_and_leads_to_a_step(tmp_path: Path) -> None:
    found = facts(tmp_path, data="photos", audit=AUDIT)
    assert found.audit.audited
    assert [entry.kind for entry in found.audit.duplicates] == ["near", "exact"]
    assert found.audit.unreadable == (("a.jpg", "empty"),)
    assert "1 group of images (patients, cameras, bursts) straddle" in " ".join(found.head.notices)
    assert found.next[0].text == "Split the data again: 2 sets of related images straddle the splits."
    assert nearest_recipe(Run(tmp_path / "run")).shipped == "icl-images"


def test_unreadable_images_of_the_audit_and_the_evaluation_are_reported_once(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", audit=AUDIT)
    file = run / "eval/test/metrics.json"
    expected = (("a.jpg", "empty"), ("b (1).jpg", "truncated (40 bytes missing)"))
    unreadable = [{"path": path, "reason": reason} for path, reason in expected]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"unreadable": unreadable}))
    assert collect(Run(run)).audit.unreadable == expected
    (run / "audit.json").unlink()
    assert collect(Run(run)).audit.unreadable == expected


def test_a_damaged_audit_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"audit\.json is damaged \(unreadable\[0\]\.path is missing"):
        facts(tmp_path, audit={"unreadable": [{}]})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("confusions", lambda rows: rows[:1]),
        ("confusions", lambda rows: rows[:-1]),
        ("confusions", lambda rows: [*rows, rows[1]]),
        ("confusions", lambda rows: [rows[0], re.sub(r"\d+$", "999", rows[1]), *rows[2:]]),
        ("per_class", lambda rows: [rows[0], rows[1].replace(",", ",x", 2), *rows[2:]]),
    ],
)
def test_tables_of_an_evaluation_agree(tmp_path: Path, name: str, change: Any) -> None:
    run = Run(made_up_run(tmp_path / "run"))
    file = run.path / f"eval/test/{name}.csv"
    file.write_text("\n".join(change(file.read_text().splitlines())) + "\n")
    with pytest.raises(InputError, match=rf"{name}\.csv is damaged .*longtail evaluate"):
        run.table(name)


def test_a_number_that_is_none_is_named_with_its_column(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run"))
    file = run.path / "eval/test/confusions.csv"
    for wrong in ("many", "9" * 5000):
        file.write_text(f"class,predicted,images\na,b,1\na,b,{wrong}\n")
        with pytest.raises(InputError, match=r"images should be numbers, not '(many|9+)") as caught:
            run.table("confusions")
        assert "sys." not in str(caught.value)


def test_damaged_predictions_are_refused_in_a_line(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run"))
    file = run.path / "eval/test/predictions.parquet"
    pd.read_parquet(file).drop(columns="label").to_parquet(file)
    with pytest.raises(InputError, match=r"no column 'label'.*longtail evaluate"):
        collect(run)
    made_up_run(tmp_path / "other", names=("a", "b"))
    file.write_bytes((tmp_path / "other/eval/test/predictions.parquet").read_bytes())
    with pytest.raises(InputError, match=r"class is 'a'; valid are the classes that classes\.json names"):
        collect(Run(run.path))
    file.write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged"):
        collect(Run(run.path))


@pytest.mark.parametrize(
    "text", ["", "path,class\na,b\n", 'path,split,group\n"a'], ids=["empty", "columns", "cut"]
)
def test_damaged_splits_are_refused_in_a_line(tmp_path: Path, text: str) -> None:
    run = made_up_run(tmp_path / "run", sources=4)
    (run / "splits.csv").write_text(text)
    with pytest.raises(InputError, match=r"splits\.csv is damaged"):
        collect(Run(run))


def test_images_from_elsewhere_are_reported_where_the_run_has_none_of_its_own(tmp_path: Path) -> None:
    made = made_up_run(tmp_path / "run", data="photos")
    log = made / "log.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps({k: v for k, v in r.items() if k != "test"}) + "\n" for r in records))
    (made / "eval/test").rename(made / "eval/field")
    exchanged = json.loads((made / "eval/field/metrics.json").read_text()) | {"prior": {}, "overall": 0.1}
    (made / "eval/field-prior-uniform").mkdir()
    (made / "eval/field-prior-uniform/metrics.json").write_text(json.dumps(exchanged))
    run = Run(made)
    found = collect(run)
    assert run.split == "field"
    assert found.verdict.sentences[0].startswith("Of 100 evaluated images it names")
    assert "Scores are on images that were given with --data (eval/field)." in found.head.notices
    assert found.experts is not None
    assert report_lines(run)[1].startswith("200 evaluated images")
    assert is_advised(facts(tmp_path / "thin", images=3), "longtail evaluate")


def test_changes_from_the_shipped_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = facts(tmp_path, epochs=200, overrides={"optim.weight_decay": 0.001}).repeat
    nearest = nearest_recipe(Run(tmp_path / "run"))
    assert nearest.shipped == "icl-cifar100-lt"
    assert [(key, new) for key, _, new in nearest.changes] == [("optim.weight_decay", "0.001")]
    assert found.command == "longtail train run/recipe.toml"
    assert str(tmp_path) not in repr((found, nearest))


def test_training_is_reported_unsmoothed(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run", epochs=6, split="val"))
    found = collect(run).training
    assert found.stages == (("feature", 1, 5), ("classifier", 6, 6))
    assert found.edges == (5,)
    assert found.scores_on == "validation"
    curves = {curve.name: curve for curve in found.series}
    assert curves["parallel"].values == tuple(record["loss"]["parallel"] for record in run.log[:5])
    assert curves["macro"].epochs == (2, 4, 6)


def test_the_terminal_says_what_stands_out(tmp_path: Path) -> None:
    lines = report_lines(Run(made_up_run(tmp_path / "run", names=ODD_NAMES, never=3)))
    start = lines.index("What stands out")
    assert lines[start + 1].startswith("  Of 100 test images it names")
    assert all(line.isprintable() for line in lines)


def test_the_terminal_ranks_as_the_page_does(tmp_path: Path) -> None:
    run = Run(made_up_run(tmp_path / "run", rates=[0.5] * 10, images=[12, 200] * 5, seed=1))
    found, lines = collect(run).classes, report_lines(run)
    assert found is not None
    below = [row for row in found.rows if (row.recall or 0) < (found.macro or 0)]
    start = lines.index("Weakest classes") + 2
    assert [line[2:9] for line in lines[start : start + len(below)]] == [row.name for row in below]
    assert below != sorted(below, key=lambda row: row.recall or 0)
