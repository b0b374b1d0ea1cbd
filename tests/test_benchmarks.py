"""Benchmark programs that can be short run, and what they make of their figures is right."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import longtail
from longtail.recipe import load_recipe
from longtail.study.plan import Request
from longtail.study.result import read_results
from longtail.study.run import run_study

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def run(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Run a program in this process; returns its result file."""

    def run(program: str, *words: str) -> dict[str, Any]:
        path = tmp_path / "result.json"
        monkeypatch.setattr(sys, "argv", [program, *words, "--json", str(path)])
        load(program).main()
        result: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return result

    return run


def test_speed(run: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    result = run("speed", "--tiny", "--starts", "0")
    assert result["command"] == "python benchmarks/speed.py --tiny --starts 0"
    assert {"commit", "machine"} < result.keys()
    phases = ["step, diversity", "step, plain", "step, contrastive", "step, classifier"]
    assert list(result["rows"]) == [*phases, "evaluation"]
    assert all(row["library_s"] > 0 and row["ratio"] > 0 for row in result["rows"].values())
    parts = result["parts"]["contrastive"]["library"]
    assert all(parts[name] > 0 for name in ("augmentation", "forward", "backward"))
    assert {"4", "5", "6", "9", "10"} <= {entry["row"] for entry in result["targets"]}
    assert "200 epochs, identical work" in capsys.readouterr().out


def test_growth(run: Callable[..., dict[str, Any]]) -> None:
    result = run("growth", "--tiny", "--rounds", "1")
    one, two = (row["flop"] for row in result["experts"] if row["phase"] == "plain")
    assert 1.2 < two / one < 1.5
    small, large = result["classes"]
    assert small["state_mb"] < large["state_mb"]
    assert large["state_mb"] == pytest.approx(4 * 3 * (10 * 10 + 10 * 2048) / 1e6, rel=0.01)


def test_probes(run: Callable[..., dict[str, Any]]) -> None:
    result = run("probes", "--tiny", "--rounds", "1")
    assert [len(times) for times in result["seconds"].values()] == [5, 4, 2]


def test_seeds(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seeds = load("seeds")
    recipe = tmp_path / "few.toml"
    recipe.write_text(
        'base = "icl-digits"\n[data]\nmax_count = 4\nimbalance_factor = 1.0\n[model]\nname = "resnet8"\n'
    )
    monkeypatch.setattr(seeds, "RECIPE", str(recipe))
    measured = seeds.measure(None, range(2), 2, tmp_path)
    assert all(0 < spans["training"] < spans["everything"] for spans in measured.values())


def test_predict(run: Callable[..., dict[str, Any]]) -> None:
    rows = run("predict", "--images", "4", "--rounds", "1")["rows"]
    assert [row["images"] for row in rows.values()] == [4, 4]


def test_augment(run: Callable[..., dict[str, Any]]) -> None:
    threads = torch.get_num_threads()
    try:
        result = run("augment", "--rounds", "1")
    finally:
        torch.set_num_threads(threads)
    assert result["command"] == "python benchmarks/augment.py --rounds 1"
    assert result["machine"]["threads"] == 1
    assert result["tables"][0]["rows"][-1] == ["ratio", f"{result['ratio']:.1f}"]


def test_changed_copies_of_a_small_set_with_a_broken_image(
    load: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load("predict").photographs(tmp_path, 4, (64, 64))
    (tmp_path / "class 0" / "broken.jpg").write_bytes(b"no image")
    load("near_duplicates").measure(tmp_path, 150)
    assert "JPEG quality 30      4 of 4 found" in capsys.readouterr().out


def test_steps_without_a_launcher(
    load: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = load("sides").made_up(tmp_path, largest=100, tested=1)
    monkeypatch.setattr(sys, "argv", ["two_processes.py", data, "2", "4"])
    load("two_processes").main()
    assert len(json.loads(capsys.readouterr().out)["steps"]) == 2


def test_first_step(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["start.py", "digits"])
    load("start").main()
    assert float(capsys.readouterr().out) > 1e9


def test_all_targets_on_one_page(
    load: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench, judge = load("bench"), load("record").judge
    found = {
        "speed": {"targets": [judge("10", 1.31)]},
        "growth": {"targets": [judge("state", 2000)]},
        "augment": {"us_per_image": {"longtail": 40.0}},
    }
    monkeypatch.setattr(bench, "run", lambda program, words, out: found[program])
    monkeypatch.setattr(bench.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["bench.py", "--out", str(tmp_path)])
    bench.main()
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["10"].endswith("must reached")
    assert lines["state"].endswith("MISSED")
    assert lines["12"].endswith("aim reached")


@pytest.mark.parametrize(
    ("row", "value", "mark"),
    [
        ("9", 1.19, "MISSED"), ("9", 1.2, "must reached"), ("9", 1.36, "aim reached"),
        ("12", 101, "MISSED"), ("12", 99, "must reached"), ("12", 60, "aim reached"),
        ("14", 6.1, "MISSED"), ("14", 2.0, "must reached"),
    ],
)  # fmt: skip
def test_marks(load: Callable[[str], ModuleType], row: str, value: float, mark: str) -> None:
    assert load("record").judge(row, value)["mark"] == mark


def test_a_composed_run_is_epochs_times_steps_and_evaluations(load: Callable[[str], ModuleType]) -> None:
    recipe, whole = load_recipe("icl-cifar100-lt")[0], load("whole")
    rows = {
        f"step, {phase}": {"library_s": spent, "reference_s": spent}
        for phase, spent in (("diversity", 1.0), ("plain", 2.0), ("contrastive", 3.0), ("classifier", 0.5))
    }
    rows["evaluation"] = {"library_s": 0.5, "reference_s": 1.0, "images": 500}
    expected = {"diversity": 30.0, "plain": 180.0, "contrastive": 180.0, "classifier": 10.0}
    parts = whole.compose(rows, recipe, 10, "reference")
    assert parts == {name: 10 * value for name, value in expected.items()} | {"evaluation": 200 * 20.0}
    assert whole.compose(rows, recipe, 10, "library", every=5)["evaluation"] == 41 * 10.0


def test_sides_are_paired(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    timing = load("timing")
    times = iter([5.0, 9.0, 1.0, 2.0, 2.0, 6.0, 1.0, 1.0])  # the warm-up, then three pairs
    monkeypatch.setattr(timing, "seconds", lambda call: next(times))
    result = timing.compare(lambda: None, lambda: None, rounds=3)
    assert (result["library_s"], result["reference_s"]) == (1.0, 2.0)
    assert (result["ratio"], result["ratio_min"], result["ratio_max"]) == (2.0, 1.0, 3.0)
    assert result["library_first_s"] == 4.0


def test_commands_name_no_folder(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["x", "--data", "/a/b/cifar", "--json", "/tmp/x.json", "--rounds", "3"]
    monkeypatch.setattr(sys, "argv", words)
    assert load("record")._command("speed.py") == "python benchmarks/speed.py --data cifar --rounds 3"


def test_a_study_of_a_class_mix(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = """title = "t"\nrecipe = "icl-digits"\nepochs = 2\nseeds = [0, 1]\nset.run.evaluate_every = 0
        set.model.name = "resnet8"\nset.data.max_count = 20
        [rows.icl]\n[rows.uniform]\ntitle = "ICL, uniform"\nprior = "uniform"\n"""
    (tmp_path / "mix.toml").write_text(text, "utf-8")
    outcome = run_study(Request(str(tmp_path / "mix.toml"), out=str(tmp_path)), lambda news: None, quiet=True)
    assert not outcome.failed
    results = read_results(outcome.plan.results)
    assert [result.split for result in results] == ["test"] * 2 + ["test-prior-uniform"] * 2
    assert not (tmp_path / "mix" / "uniform").exists()  # its runs are those of the row before
    file = tmp_path / "mix" / "icl" / "seed-1" / "eval" / "test-prior-uniform" / "metrics.json"
    metrics = json.loads(file.read_text("utf-8"))
    last = results[-1].seeds["1"]
    assert (last.metrics.macro, results[-1].key) == (metrics["macro"], "uniform")
    assert list(last.recall) == [str(n) for n in range(10)]
    assert sum(last.recall.values()) / 10 == pytest.approx(metrics["macro"])
    assert last.images.flags.mean() == pytest.approx(metrics["overall"])

    tables = load("tables")
    lines = tables.recalls(results).splitlines()
    assert lines[0].count("|") == lines[-1].count("|") == 12
    assert lines[-1].startswith("| ICL, uniform | ")
    text = tables.study_table("mix", results)
    assert "`longtail bench mix.toml --only uniform --seeds 0,1`" in text

    words = ["experts", str(tmp_path / "mix/icl"), "--json", str(tmp_path / "e.json")]
    monkeypatch.setattr(sys, "argv", words)
    load("experts").main()
    (found,) = json.loads((tmp_path / "e.json").read_text("utf-8"))["tables"][0]["rows"]
    runs = [longtail.Run(tmp_path / f"mix/icl/seed-{seed}") for seed in (0, 1)]
    assert found[:2] == ["icl", "2"]
    assert float(found[7]) == pytest.approx(50 * sum(run.metrics["macro"] for run in runs), abs=0.06)
    alone = [expert["macro"] for run in runs for expert in run.metrics["experts"]]
    assert float(found[6]) == pytest.approx(100 * sum(alone) / len(alone), abs=0.06)
