"""What training may change and what it leaves, when it stops by itself, and what it leaves on disk."""

import getpass
import json
import math
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import safetensors.torch
import torch
from tiny_runs import EPOCHS, FEATURE_EPOCHS, STEPS, state_of, stop_at, tiny
from torch import Tensor, nn

import longtail
from few_digits import TESTED
from longtail.engine.display import Display
from longtail.engine.evaluate import Evaluation, evaluate
from longtail.engine.job import Job, build_job
from longtail.engine.results import evaluate_split
from longtail.engine.step import StageTraining
from longtail.engine.train import fit
from longtail.methods.cross_entropy import CrossEntropy
from longtail.methods.icl import ICL
from longtail.runs.folder import RunFolder
from longtail.types import Batch, InputError, ModelOutput, Progress

pytestmark = pytest.mark.slow

Train = Callable[..., Path]
FILES = {
    "recipe.toml", "env.json", "audit.json", "classes.json", "splits.csv", "log.jsonl", "status.json", "state/last.pt",
    "weights/last.safetensors", "weights/model.json", "eval/test/metrics.json", "eval/test/per_class.csv",
    "eval/test/confusions.csv", "eval/test/predictions.parquet", "eval/test/risk_coverage.csv",
}  # fmt: skip


def weights(folder: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(folder / "weights/last.safetensors")


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def job_of(tmp_path: Path, **changes: Any) -> Job:
    return build_job(tiny(**changes), RunFolder(tmp_path / "job"), Display(1, quiet=True))


def train_epoch(job: Job, start: Progress) -> None:
    for _ in StageTraining(job, 0).epoch(start):
        pass


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_one_seed_gives_one_result_and_another_gives_another(finished: Path, train: Train) -> None:
    torch.manual_seed(12345)  # what the process did before must not matter
    assert same(weights(train("again")), weights(finished))
    other = weights(train("other", run__seed=4))
    assert not same(other, weights(finished))
    assert same(weights(train("often", run__evaluate_every=1, run__evaluate_batch_size=7)), weights(finished))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_classifier_stage_trains_its_classifiers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: Train, mode: str
) -> None:
    changes = {"method__classifier_batch_norm": mode}
    with monkeypatch.context() as patch:
        stop_at(patch, STEPS * FEATURE_EPOCHS, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train("stopped", **changes)
    before = state_of(tmp_path / "stopped")
    after = state_of(train("whole", **changes))
    moved = {name for name, value in after["model"].items() if not torch.equal(value, before["model"][name])}
    bank = {name for name in after["model"] if name.startswith("heads.classifier.")}
    statistics = {name for name in after["model"] if ".norm.running_" in name or "num_batches" in name}
    assert bank
    assert statistics
    assert moved == (bank | statistics if mode == "train" else bank)
    assert same(after["method"], before["method"])


def test_the_feature_stage_trains_all_but_the_other_bank(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    start = {name: value.clone() for name, value in job.model.state_dict().items()}
    train_epoch(job, Progress("feature", 1, 2, 1, STEPS, 3))
    kept = {name for name, value in job.model.state_dict().items() if torch.equal(value, start[name])}
    assert kept == {name for name in start if name.startswith("heads.classifier.")}


@pytest.mark.parametrize(("head", "fresh"), [("linear", "cosine"), ("cosine", "linear")])
def test_heads_of_another_kind_in_the_classifier_stage_are_shipped(
    train: Train, head: str, fresh: str
) -> None:
    folder = train(model__head=head, model__fresh_head=fresh)
    description = json.loads((folder / "weights/model.json").read_text("utf-8"))
    assert (description["bank"], description["model"]["head"]) == ("classifier", fresh)
    assert ("heads.classifier.bias" in weights(folder)) == (fresh == "linear")
    before = json.loads((folder / "eval/test/metrics.json").read_text("utf-8"))
    after = longtail.load(folder).evaluate()
    assert after["overall"] == before["overall"]
    assert after["nll"] == pytest.approx(before["nll"], abs=1e-5)


def test_evaluation_changes_nothing(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    train_epoch(job, Progress("feature", 0, 2, 0, 0, 3))
    before = [{n: v.clone() for n, v in m.state_dict().items()} for m in (job.model, job.method)]
    gradients = [p.requires_grad for p in job.model.parameters()]
    modes = [module.training for module in job.model.modules()]
    random = torch.get_rng_state()
    run_evaluation(job, 100)
    assert same(job.model.state_dict(), before[0])
    assert same(job.method.state_dict(), before[1])
    assert before[1]
    assert [p.requires_grad for p in job.model.parameters()] == gradients
    assert [module.training for module in job.model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)


def run_evaluation(job: Job, batch_size: int) -> tuple[dict[str, Any], Tensor]:
    evaluation = evaluate(
        job.model, job.method, job.data.test, job.augment, bank="feature", device=job.runtime.device,
        batch_size=batch_size,
    )  # fmt: skip
    return job.classes.scores(evaluation.counts), evaluation.predictions.confidences


def test_evaluation_does_not_hang_on_the_batch_size(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    expected, confidences = run_evaluation(job, 10 * TESTED)
    for batch_size in (1000, 10 * TESTED - 1, 64):
        scores, found = run_evaluation(job, batch_size)
        torch.testing.assert_close(found, confidences, rtol=1e-4, atol=1e-5)
        for key in ("overall", "macro", "many", "medium", "few", "num_images", "experts"):
            assert scores[key] == expected[key]
        assert scores["nll"] == pytest.approx(expected["nll"], rel=1e-5)


@pytest.mark.parametrize("step", [1, STEPS + 1, STEPS * FEATURE_EPOCHS + 2])
def test_a_loss_that_is_not_finite_stops_the_run(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    out, loss = tmp_path / "run", ICL.loss

    def broken(self: ICL, output: ModelOutput, batch: Batch, progress: Progress) -> Mapping[str, Tensor]:
        terms = dict(loss(self, output, batch, progress))
        last = list(terms)[-1]
        return terms | {last: terms[last] * math.nan} if progress.step == step else terms

    with monkeypatch.context() as patch:
        patch.setattr(ICL, "loss", broken)
        term = {1: "diversity", STEPS + 1: "contrastive"}.get(step, "logit_adjustment")
        with pytest.raises(InputError, match=rf"'{term}' is not finite at step {step};.*lower optim.peak_lr"):
            fit(tiny(), str(out), quiet=True)
    if step < STEPS:
        assert list(out.iterdir()) == []
        return
    status = {"status": "failed", "epoch": step // STEPS, "epochs": EPOCHS}
    assert RunFolder(out).status() == status
    state = state_of(out)
    assert len(state["records"]) == step // STEPS
    assert all(value.isfinite().all() for value in state["model"].values())
    fit(tiny(), str(out), resume=True, quiet=True)
    assert same(weights(out), weights(finished))


@pytest.mark.parametrize("evaluate_every", [0, 1])
@pytest.mark.parametrize("batch_size", [32, 84], ids=["within an epoch", "at its end"])
def test_a_learning_rate_that_explodes_stops_the_run_in_one_line(
    train: Train, tmp_path: Path, batch_size: int, evaluate_every: int
) -> None:
    """With one step an epoch the weights break after the last loss that could have shown it."""
    changes = {"optim__batch_size": batch_size, "run__evaluate_every": evaluate_every}
    with pytest.raises(InputError, match="not finite"):
        train(optim__peak_lr=1e6, optim__warmup_epochs=0, model__head="linear", **changes)
    left = list((tmp_path / "run").iterdir())
    if evaluate_every or batch_size == 32:  # an epoch whose evaluation fails is not a finished one
        assert left == []
    else:
        assert json.loads((tmp_path / "run/status.json").read_text())["status"] == "failed"


def test_the_run_folder(finished: Path) -> None:
    found = {str(file.relative_to(finished)) for file in finished.rglob("*") if file.is_file()}
    assert found == FILES
    names = {name.split(".")[1] for name in weights(finished) if name.startswith("heads.")}
    assert names == {"classifier"}
    model = json.loads((finished / "weights/model.json").read_text())
    assert (model["bank"], model["classes"]) == ("classifier", list("0123456789"))
    classes = json.loads((finished / "classes.json").read_text())
    assert [row["index"] for row in classes] == list(range(10))
    assert {row["group"] for row in classes} == {"many", "medium", "few"}
    splits = pd.read_csv(finished / "splits.csv")
    assert list(splits.columns) == ["path", "class", "split", "content"]
    assert splits["split"].value_counts().to_dict() == {
        "test": 10 * TESTED,
        "train": sum(row["count"] for row in classes),
    }


def test_metrics(finished: Path) -> None:
    metrics = json.loads((finished / "eval/test/metrics.json").read_text())
    fractions = ("overall", "macro", "many", "medium", "few", "ece", "geometric_mean")
    assert {*fractions, "worst_class", "experts", "nll", "num_images", "epoch", "split"} <= metrics.keys()
    assert all(0 <= metrics[key] <= 1 for key in fractions)
    assert 0 <= metrics["worst_class"]["recall"] <= metrics["macro"]
    assert len(metrics["experts"]) == 2
    assert metrics["nll"] > 0
    assert (metrics["num_images"], metrics["epoch"], metrics["split"]) == (10 * TESTED, EPOCHS, "test")
    table = pd.read_parquet(finished / "eval/test/predictions.parquet")
    assert metrics["overall"] == pytest.approx((table["label"] == table["class"]).mean())
    assert log_of(finished)[-1]["test"]["overall"] == metrics["overall"]


def test_the_log(finished: Path, train: Train) -> None:
    log = log_of(finished)
    assert [record["epoch"] for record in log] == list(range(EPOCHS))
    assert [record["stage"] for record in log] == ["feature"] * 2 + ["classifier"] * 2
    assert [list(record["loss"]) for record in log] == [
        ["parallel", "distillation", "diversity"],
        ["parallel", "distillation", "contrastive"],
        ["logit_adjustment"],
        ["logit_adjustment"],
    ]
    assert ["test" in record for record in log] == [False, True, False, True]  # the end of each stage
    often = log_of(train(run__evaluate_every=1, optim__epochs=3))
    assert all("test" in record for record in often)
    assert all(0 <= record["train_accuracy"] <= 1 for record in log)


def test_the_last_evaluation_is_that_of_the_last_epoch_unless_something_changed_since(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[str] = []

    def counted(*given: Any, **more: Any) -> Evaluation:
        evaluated.append("x")
        return evaluate_split(*given, **more)

    def finalize(self: CrossEntropy, model: nn.Module, *_: object) -> str:
        for parameter in model.heads.parameters():
            parameter.neg_()
        return "turned around"

    for module in ("train", "results"):
        monkeypatch.setattr(f"longtail.engine.{module}.evaluate_split", counted)
    changes = {"method__name": "cross_entropy", "optim__epochs": 2, "optim__average_last": 2}
    folder = train("plain", **changes)
    assert len(evaluated) == 1
    found = json.loads((folder / "eval/test/metrics.json").read_text())
    assert found["nll"] == pytest.approx(longtail.load(folder).evaluate()["nll"], rel=1e-5)
    monkeypatch.setattr(CrossEntropy, "finalize", finalize)
    folder = train("finalized", **changes)
    assert len(evaluated) == 3
    found = json.loads((folder / "eval/test/metrics.json").read_text())
    assert found["nll"] == pytest.approx(longtail.load(folder).evaluate()["nll"], rel=1e-5)
    assert found["nll"] != log_of(folder)[-1]["test"]["nll"]


def test_validation_takes_the_place_of_the_test_part_while_training(train: Train) -> None:
    folder = train(data__validation=0.2, optim__epochs=2, method__name="cross_entropy")
    assert "val" in log_of(folder)[-1]
    assert "test" not in log_of(folder)[-1]
    assert (folder / "eval/val/metrics.json").is_file()
    assert (folder / "eval/test/metrics.json").is_file()


def test_the_environment_names_no_one(finished: Path) -> None:
    text = (finished / "env.json").read_text()
    environment = json.loads(text)
    assert {"versions", "device", "threads", "index_hash"} <= environment.keys()
    for secret in (socket.gethostname(), getpass.getuser(), str(Path.home()), str(Path.cwd())):
        assert secret not in text


def test_bf16_on_a_cpu(train: Train) -> None:
    folder = train(optim__precision="bf16", optim__epochs=2, method__classifier_epochs=1)
    assert all(value.dtype in (torch.float32, torch.int64) for value in weights(folder).values())
    assert all(math.isfinite(value) for record in log_of(folder) for value in record["loss"].values())
    exact = train("fp32", optim__epochs=2, method__classifier_epochs=1)
    assert not same(weights(folder), weights(exact))


def test_fp16_on_a_cpu_is_refused(train: Train, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fp16 needs an accelerator"):
        train(optim__precision="fp16")
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_refused(train: Train, tmp_path: Path) -> None:
    missing = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(InputError, match=rf"run.device = '{missing}' is not on this machine"):
        train(run__device=missing)
    assert not (tmp_path / "run").exists()


def test_gradients_are_clipped_when_asked(finished: Path, tmp_path: Path) -> None:
    start = job_of(tmp_path).model.state_dict()
    far, near = (moved_by(tmp_path, start, clip) for clip in (0.0, 1e-4))
    assert near < 1e-3 < far


def moved_by(tmp_path: Path, start: Mapping[str, Tensor], clip_norm: float) -> float:
    job = job_of(tmp_path, optim__clip_norm=clip_norm, optim__weight_decay=0.0)
    train_epoch(job, Progress("feature", 1, 2, 1, STEPS, 3))
    return max((p - start[name]).abs().max().item() for name, p in job.model.named_parameters())


def test_the_display_says_what_happens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tiny(), str(tmp_path / "run"))
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert f"10 classes, 84 training images (16 to 4 a class), {10 * TESTED} to evaluate on" in lines[0]
    assert len([line for line in lines if line.startswith("epoch ")]) == EPOCHS
    assert "[test] overall" in lines[-1]
    fit(tiny(), str(tmp_path / "run"), resume=True)
    assert "is finished; nothing to resume" in capsys.readouterr().err
