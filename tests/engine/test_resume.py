"""A run that was stopped anywhere and resumed ends bit for bit where the uninterrupted run ends."""

import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from tiny_runs import EPOCHS, FEATURE_EPOCHS, STEPS, state_of, stop_at, tiny
from torch import Tensor, nn

import longtail
from few_digits import TESTED
from longtail.engine.job import Job, build_job
from longtail.engine.train import fit
from longtail.methods.icl import ICL
from longtail.runs.folder import RunFolder
from longtail.types import InputError, ModelOutput, Progress

pytestmark = pytest.mark.slow

KILLED = """
import json, os, signal, sys
import torch
from longtail.data.sources.named import digits
from longtail.engine.train import fit
from longtail.methods.icl import ICL
from longtail.recipe import load_recipe

digits.TEST_PER_CLASS = int(sys.argv[3])
observe = ICL.observe
def killed(self, output, batch, progress):
    if progress.step == step:
        os.kill(os.getpid(), signal.SIGKILL)
    observe(self, output, batch, progress)
ICL.observe = killed
for given in sys.argv[4:]:
    step, resume = int(given.removesuffix("r")), given.endswith("r")
    if os.fork() == 0:
        fit(load_recipe(sys.argv[1])[0], sys.argv[2], resume=resume, quiet=True)
        os._exit(0)
    _, status = os.wait()
    records = len(torch.load(sys.argv[2] + "/state/last.pt", weights_only=True)["records"])
    said = json.load(open(sys.argv[2] + "/status.json"))["status"]
    print(os.waitstatus_to_exitcode(status), records, said, flush=True)
"""


def differences(a: Any, b: Any, where: str = "") -> list[str]:
    """Where two nested states differ in any bit."""
    if isinstance(a, torch.Tensor):
        same = isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
        return [] if same else [where]
    if isinstance(a, Mapping):
        keys = [] if a.keys() == b.keys() else [f"{where}: {sorted(map(str, a.keys() ^ b.keys()))}"]
        return keys + [
            d for key in a.keys() & b.keys() for d in differences(a[key], b[key], f"{where}/{key}")
        ]
    if isinstance(a, list | tuple):
        pairs = zip(a, b, strict=True)
        return [d for i, (x, y) in enumerate(pairs) for d in differences(x, y, f"{where}/{i}")]
    return [] if a == b else [where]


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The log without what a clock says."""
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if "seconds" not in key} for record in records]


def assert_same_end(folder: Path, other: Path) -> None:
    a, b = state_of(folder), state_of(other)
    for part in ("model", "method", "optimizer", "random", "recipe", "index_hash"):
        assert differences(a[part], b[part]) == [], part
    weights = "weights/last.safetensors"
    assert (folder / weights).read_bytes() == (other / weights).read_bytes()
    assert log_of(folder) == log_of(other)
    for name in ("metrics.json", "per_class.csv", "confusions.csv", "predictions.parquet"):
        assert (folder / "eval/test" / name).read_bytes() == (other / "eval/test" / name).read_bytes()
    status = {"status": "done", "epoch": EPOCHS, "epochs": EPOCHS}
    assert RunFolder(folder).status() == status


@pytest.mark.parametrize(
    "step",
    [0, STEPS + 2, STEPS * FEATURE_EPOCHS, STEPS * FEATURE_EPOCHS + 1, STEPS * EPOCHS - 1],
    ids=["first step", "epoch end", "new stage", "classifier", "last step"],
)
def test_interrupted_anywhere(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_at(patch, step, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(), str(out), quiet=True)
    status = {"status": "interrupted", "epoch": step // STEPS, "epochs": EPOCHS}
    assert RunFolder(out).status() == status
    assert (out / "state/last.pt").is_file() == (step >= STEPS)
    torch.manual_seed(99)  # nothing of the new process's random state may matter
    fit(tiny(), str(out), resume=True, quiet=True)
    assert_same_end(out, finished)


def test_killed_twice(finished: Path, tmp_path: Path) -> None:
    """Real processes, one killed in the feature stage, and one that goes on with it in the classifier stage."""
    out, recipe = tmp_path / "run", tmp_path / "recipe.toml"
    recipe.write_text(tiny().to_toml())
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    first, second = STEPS + 1, STEPS * FEATURE_EPOCHS + STEPS + 1
    words = [sys.executable, "-c", KILLED, str(recipe), str(out), str(TESTED), str(first), f"{second}r"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ends = [line.split() for line in done.stdout.splitlines()]
    assert ends == [[str(-signal.SIGKILL), str(step // STEPS), "running"] for step in (first, second)], (
        done.stderr
    )
    fit(tiny(), str(out), resume=True, quiet=True)
    assert_same_end(out, finished)


def test_killed_between_the_last_state_and_the_evaluation(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(
            "longtail.engine.results.write_evaluation", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(), str(out), quiet=True)
    assert len(state_of(out)["records"]) == EPOCHS
    fit(tiny(), str(out), resume=True, quiet=True)
    assert_same_end(out, finished)


def test_a_finished_run_is_left_as_it_is(finished: Path) -> None:
    before = {
        file: (file.stat().st_mtime_ns, file.read_bytes()) for file in finished.rglob("*") if file.is_file()
    }
    assert fit(tiny(), str(finished), resume=True, quiet=True).path == finished
    after = {
        file: (file.stat().st_mtime_ns, file.read_bytes()) for file in finished.rglob("*") if file.is_file()
    }
    assert after == before


@pytest.mark.parametrize("when", ["finished", "before the first state"])
def test_a_changed_recipe_is_refused(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    folder = finished
    if when != "finished":
        folder = tmp_path / "run"
        stop_at(monkeypatch, 0, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(), str(folder), quiet=True)
    before = (folder / "status.json").read_bytes()
    with pytest.raises(InputError, match="another recipe") as refused:
        fit(tiny(optim__peak_lr=0.07, model__head="linear"), str(folder), resume=True, quiet=True)
    assert refused.value.details == ("model.head: cosine -> linear", "optim.peak_lr: 0.05 -> 0.07")
    assert (folder / "status.json").read_bytes() == before


def test_a_folder_that_cannot_be_resumed(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        fit(tiny(), str(tmp_path / "nothing"), resume=True, quiet=True)
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(InputError, match=r"not empty.*--resume"):
        fit(tiny(), str(finished), quiet=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        fit(tiny(), str(tmp_path / "file"), quiet=True)


@pytest.mark.parametrize("content", [b"", b"no state", "half"], ids=["empty", "foreign", "cut"])
def test_a_damaged_state_is_refused(finished: Path, tmp_path: Path, content: bytes | str) -> None:
    folder = tmp_path / "run"
    (folder / "state").mkdir(parents=True)
    for name in ("recipe.toml", "status.json"):
        (folder / name).write_text((finished / name).read_text().replace("done", "running"))
    whole = (finished / "state/last.pt").read_bytes()
    (folder / "state/last.pt").write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    with pytest.raises(InputError, match="damaged"):
        fit(tiny(), str(folder), resume=True, quiet=True)


def interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with monkeypatch.context() as patch:
        stop_at(patch, STEPS, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(), str(folder), quiet=True)
    return folder


def test_an_edited_recipe_is_refused_with_what_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(tmp_path / "run", monkeypatch)
    kept = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    edited = tiny(optim__peak_lr=0.07).to_toml()
    (folder / "recipe.toml").write_text(edited)
    for given in (tiny(), tiny(optim__peak_lr=0.07)):  # the original command, and `train RUN --resume`
        with pytest.raises(
            InputError, match=r"recipe\.toml was changed since the run began; undo"
        ) as refused:
            fit(given, str(folder), resume=True, quiet=True)
        assert refused.value.details == ("optim.peak_lr: 0.05 -> 0.07",)
    (folder / "recipe.toml").write_text("[data")
    with pytest.raises(InputError, match=r"recipe\.toml"):
        fit(tiny(), str(folder), resume=True, quiet=True)
    (folder / "recipe.toml").write_bytes(kept[folder / "recipe.toml"])
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == kept


TAMPERED: dict[str, Callable[[dict[str, Any]], object]] = {
    "no state": lambda state: [1],
    "no recipe": lambda state: state.pop("recipe"),
    "other recipe": lambda state: state["recipe"].update(data=3),
    "no epochs": lambda state: state.update(records=[]),
    "negative epoch": lambda state: state["records"][0].update(epoch=-1),
    "skipped epoch": lambda state: state["records"][0].update(epoch=1),
    "too many epochs": lambda state: state.update(
        records=[state["records"][0] | {"epoch": n} for n in range(99)]
    ),
    "other stage": lambda state: state["records"][0].update(stage="classifier"),
    "loss is text": lambda state: state["records"][0].update(loss="low"),
    "no tensors": lambda state: state["model"].update(dict.fromkeys(state["model"], 1.0)),
    "a tensor less": lambda state: state["model"].popitem(),
    "a tensor more": lambda state: state["model"].update(more=torch.ones(1)),
    "a tensor of another shape": lambda state: state["model"].update(
        dict.fromkeys(list(state["model"])[:1], torch.ones(1))
    ),
    "not finite": lambda state: next(iter(state["model"].values())).fill_(torch.nan),
    "method": lambda state: state["method"].update(more=torch.ones(1)),
    "optimizer is a list": lambda state: state.update(optimizer=[]),
    "optimizer is empty": lambda state: state.update(optimizer={}),
    "optimizer of others": lambda state: state["optimizer"].update(param_groups=[]),
    "random state": lambda state: state["random"].update(cpu=torch.ones(3)),
    "no random state": lambda state: state["random"].pop("cpu"),
}


def test_a_state_that_was_tampered_with_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = interrupted(tmp_path / "run", monkeypatch)
    for change in TAMPERED.values():
        state = state_of(folder)
        whole = copy.deepcopy(state)
        changed = change(state)
        torch.save(changed if isinstance(changed, list) else state, folder / "state/last.pt")
        with pytest.raises(
            InputError,
            match=r"last\.pt (is damaged|does not fit) .*; train again: longtail train \S+/recipe\.toml",
        ) as refused:
            fit(tiny(), str(folder), resume=True, quiet=True)
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < len(str(folder)) + 400
        torch.save(whole, folder / "state/last.pt")
    (folder / "state/last.pt").unlink()
    (folder / "state/last.pt").mkdir()
    with pytest.raises(InputError, match=r"last\.pt is damaged"):
        fit(tiny(), str(folder), resume=True, quiet=True)


def test_other_training_images_are_refused(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    stop_at(monkeypatch, STEPS, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), str(folder), quiet=True)
    state = state_of(folder)
    torch.save(state | {"index_hash": "0" * 64}, folder / "state/last.pt")
    with pytest.raises(InputError, match="training images are not those"):
        fit(tiny(), str(folder), resume=True, quiet=True)


def test_weights_say_themselves_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped between the state and the weights of the first classifier epoch, then again soon after the resume."""
    out, write = tmp_path / "run", RunFolder.write

    def stop(folder: RunFolder, name: str, fill: Callable[[BinaryIO], Any]) -> Path:
        if name.endswith(".safetensors") and len(state_of(out)["records"]) == FEATURE_EPOCHS + 1:
            raise KeyboardInterrupt
        return write(folder, name, fill)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(), str(out), quiet=True)
    assert longtail.load(out).evaluate()["epoch"] == FEATURE_EPOCHS
    with monkeypatch.context() as patch:
        stop_at(patch, STEPS * (FEATURE_EPOCHS + 1), KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(), str(out), resume=True, quiet=True)
    assert longtail.load(out).evaluate()["epoch"] == FEATURE_EPOCHS + 1


@pytest.mark.parametrize("resume", [True, False])
def test_one_folder_is_trained_into_by_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_at(patch, STEPS, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(), str(out if resume else tmp_path / "other"), quiet=True)
    out.mkdir(exist_ok=True)
    with RunFolder(out).locked(), pytest.raises(InputError, match="another process is writing into"):
        fit(tiny(), str(out), resume=resume, quiet=True)
    assert not (out / ".lock").exists()


def test_a_process_that_comes_second_leaves_the_first_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found the folder free; the other began while this one was loading its images."""
    out = tmp_path / "run"

    def slow(*given: Any) -> Job:
        RunFolder(out).write_text("recipe.toml", "of the other")
        return build_job(*given)

    monkeypatch.setattr("longtail.engine.train.build_job", slow)
    with pytest.raises(InputError, match="is not empty"):
        longtail.train("icl-digits", epochs=2, out=out, quiet=True)
    assert [file.read_text() for file in out.iterdir()] == ["of the other"]


def test_what_a_method_makes_of_the_model_is_restored(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(self: ICL, model: nn.Module) -> None:
        self.average = copy.deepcopy(model).requires_grad_(False)

    def after_step(self: ICL, model: nn.Module, progress: Progress) -> None:
        for kept, new in zip(self.average.parameters(), model.parameters(), strict=True):
            kept.lerp_(new, 0.1)

    def expert_logits(self: ICL, output: ModelOutput) -> Tensor:
        return output.logits + 0 * self.average.heads["classifier"].weight.sum()

    monkeypatch.setattr(ICL, "start", start)
    monkeypatch.setattr(ICL, "after_step", after_step)
    monkeypatch.setattr(ICL, "expert_logits", expert_logits)
    monkeypatch.setattr(ICL, "predicts_with_state", True)
    whole, out = fit(tiny(), str(tmp_path / "whole"), quiet=True).path, tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_at(patch, STEPS + 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(), str(out), quiet=True)
    fit(tiny(), str(out), resume=True, quiet=True)
    assert_same_end(out, whole)
    assert any(name.startswith("average.") for name in state_of(out)["method"])
    metrics = json.loads((out / "eval/test/metrics.json").read_text())
    assert longtail.load(out).evaluate()["overall"] == metrics["overall"]
