"""`longtail train`: what it says, what it refuses, and that a refusal leaves nothing behind."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from photos import make_photos

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]
SMALL = ("--model", "resnet8", "--set", "model.num_experts=1", "--method", "cross_entropy", "--epochs", "1")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def status(folder: Path) -> str:
    return str(json.loads((folder / "status.json").read_text())["status"])


def test_a_finished_run_is_reported_in_words(finished: Path, run: Run) -> None:
    code, out, err = run("train", finished, "--resume")
    assert code == 0
    assert "is finished" in err
    rows = {line[:11].strip(): line.split() for line in out.splitlines()}
    metrics = json.loads((finished / "eval/test/metrics.json").read_text())
    assert rows["all experts"][-5:-3] == [f"{100 * metrics[key]:.1f}" for key in ("overall", "macro")]
    assert {"expert 1", "expert 2", "classes"} <= rows.keys()
    assert f"longtail report '{finished}'" in out


def test_notes_plan_and_default_folder(run: Run, tmp_path: Path) -> None:
    words = ("train", "icl-digits", *SMALL, "--seed", "3")
    code, out, err = run(*words)
    assert code == 0
    assert "1 epoch instead of 80" in err
    assert "seed 3 -> runs/digits-cross_entropy-resnet8" in err
    assert "405 training images (120 to 6 a class)" in err
    assert "epoch   1/1" in err
    first = Path("runs/digits-cross_entropy-resnet8")
    assert str(first) in out
    assert "seed = 3" in (first / "recipe.toml").read_text()
    assert "finished; nothing to resume" in run(*words, "--resume")[2]
    code, out, err = run(*words, "--quiet")
    assert (code, out, err) == (0, f"{first}-2\n", "")
    code, _, err = run(*words[:-1], "4", "--resume")
    assert "nothing to resume yet" in err
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        f"{first.name}{n}" for n in ("", "-2", "-3")
    ]


def test_own_photos_are_recorded_with_their_absolute_path(run: Run, photos: Path) -> None:
    assert run("train", photos.name, *SMALL)[0] == 0
    folder = Path("runs/my_photos-cross_entropy-resnet8")
    assert f'path = "{photos}"' in (folder / "recipe.toml").read_text()
    assert (folder / "eval/test/metrics.json").is_file()


def test_a_flat_folder_is_evaluated_on_held_out_images(run: Run, tmp_path: Path) -> None:
    make_photos(tmp_path / "flat", {"": {"fox": 10, "owl": 5, "rare": 1}})
    code, out, err = run("train", "flat", *SMALL, "--out", "out")
    assert code == 0
    assert "20% of each class is held out" in err
    assert "rare" in err.split("single image")[1]
    assert "3 validation images" in out
    assert (tmp_path / "out/eval/val/metrics.json").is_file()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("icl-digit",), "'icl-digits'"),
        (("icl-digits", "--method", "icll"), "'icl'"),
        (("icl-digits", "--set", "optim.batchsize=3"), "'optim.batch_size'"),
        (("icl-digits", "--set", "optin.batch_size=3"), "'optim.batch_size'"),
        (("icl-digits", "--set", "optim.batch_size=many"), "'many'"),
        (("icl-digits", "--set", "optim.batch_size=0"), "optim.batch_size = 0"),
        (("icl-digits", "--model", "resnet33"), "resnet32"),
        (("icl-digits", "--epochs", "0"), "0"),
        (("icl-digits", "--seed", "-1"), "run.seed"),
        (("icl-digits", "--data", "photos"), "need no --data"),
        (("icl-cifar100-lt", "--data", "nowhere"), "nowhere does not exist"),
        (("icl-digits", "--set", "data.many=3"), "'data.many_above'"),
        (("icl-digits", "--set", "data.image_size=100000000"), "4,096"),
        (("icl-digits", "--set", "data.mean=[0.5,0.4]"), "data.mean does not fit: it has too few values"),
        (("",), "an empty word was given"),
        (("no/such/run", "--resume"), "there is no run folder no/such/run"),
        (("missing/folder",), "missing/folder does not exist; give a recipe.toml, a folder of images"),
        (("icl-images",), "--data"),
        (("icl-digits", "--set", "data.imbalance_factor=1e9"), "imbalance_factor"),
        (("icl-digits", "--set", "data.max_count=5000"), "5000"),
    ],
)
def test_refusals_name_what_was_given_and_leave_nothing(
    refused: Refused, tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    assert named in refused("train", *words)
    assert named in refused("train", *words, "--out", "out/run")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_trained_on(refused: Refused, tmp_path: Path) -> None:
    for name in ("empty", "loose"):
        (tmp_path / name).mkdir()
    make_photos(tmp_path / "one", {"": {"fox": 3}})
    shutil.copy(tmp_path / "one/fox/fox 0.png", tmp_path / "loose")
    assert "no images in" in refused("train", "empty", "--out", "out")
    assert "no class folders" in refused("train", "loose", "--out", "out")
    assert "only class fox" in refused("train", "one", "--out", "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_runs_is_no_folder_of_images(refused: Refused, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "runs" / name / "plots").mkdir(parents=True)
        for file in ("recipe.toml", "status.json"):
            (tmp_path / "runs" / name / file).touch()
    for more in ((), ("--resume",)):
        assert "runs holds run folders" in refused("train", "runs", *more)
    assert "a.md is neither a table of images nor a recipe; give its folder" in refused(
        "train", Path("a.md").write_text("") or "a.md"
    )


def test_a_folder_of_runs_may_bear_the_name_of_a_recipe(run: Run) -> None:
    assert run("train", "icl-digits", *SMALL, "--out", "icl-digits/seed-0")[0] == 0
    assert run("train", "icl-digits", *SMALL, "--out", "icl-digits/seed-1", "--seed", "1")[0] == 0


def test_a_path_that_a_recipe_cannot_keep_is_refused_before_training(
    refused: Refused, tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    make_photos(folder, {"": {"fox": 2, "owl": 2}})
    assert "is no UTF-8 text" in refused("train", folder, "--out", "out")
    assert not (tmp_path / "out").exists()


def test_resume_finds_the_newest_run_of_a_recipe_past_a_gap(run: Run) -> None:
    assert [run("train", "icl-digits", *SMALL)[0] for _ in range(3)] == [0, 0, 0]
    shutil.rmtree(sorted(Path("runs").iterdir())[1])
    err = run("train", "icl-digits", *SMALL, "--resume")[2]
    assert "-3 is finished; nothing to resume" in err


def test_nothing_to_evaluate_on_is_said(run: Run, tmp_path: Path) -> None:
    make_photos(tmp_path / "tiny", {"": {"fox": 2, "owl": 1}})
    code, out, err = run("train", "tiny", *SMALL, "--out", "out")
    assert code == 0
    assert "nothing to evaluate on" in err
    assert "not evaluated" in out


def test_parquet_without_labels(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    pq.write_table(pa.table({"img": [b"1", b"2"], "name": ["a", "b"]}), tmp_path / "set/train-0.parquet")
    assert "no labels in" in refused("train", "set", "--out", "out")
    assert not (tmp_path / "out").exists()


def test_a_corrupt_image_is_skipped_and_named_or_refused(run: Run, refused: Refused, photos: Path) -> None:
    (photos / "train/fox/broken.jpg").write_bytes(b"no image")
    code, _, err = run("train", photos, *SMALL, "--out", "out")
    assert code == 0
    assert "1 image unreadable and left out: train/fox/broken.jpg" in err
    strict = ("--set", "data.strict=true", "--out", "strict")
    assert "not clean" in refused("train", photos, *SMALL, *strict, details=True)
    assert not Path("strict").exists()


def test_an_output_folder_that_holds_something_is_left_alone(refused: Refused, finished: Path) -> None:
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    Path("file").write_text("mine")
    assert "is not empty" in refused("train", "icl-digits", "--out", "full")
    assert "is not empty" in refused("train", "icl-digits", "--out", "full", "--resume")
    assert "is a file" in refused("train", "icl-digits", "--out", "file")
    assert sorted(path.name for path in Path("full").iterdir()) == ["mine.txt"]
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert "--resume" in refused("train", finished)
    assert "leave out --out" in refused("train", finished, "--resume", "--out", "elsewhere")
    assert "another recipe" in refused("train", finished, "--resume", "--seed", "5", details=True)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


@pytest.mark.parametrize("failing", ["recipe.toml", "weights", "state"])
def test_a_full_disk_is_reported_and_leaves_nothing_half_written(
    run: Run, refused: Refused, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    sync = os.fsync

    def full(descriptor: int) -> None:
        if failing in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        message = refused("train", "icl-digits", *SMALL, "--out", "out")
    assert "No space left on device" in message
    if failing == "weights":  # written after the state, so the epoch is finished and can be resumed
        assert list(Path("out").rglob(".*")) == []
        assert status(Path("out")) == "failed"
        assert run("train", "out", "--resume")[0] == 0
        assert status(Path("out")) == "done"
    else:
        assert not Path("out").exists()


@pytest.mark.usefixtures("default_signals")
@pytest.mark.usefixtures("all_tested")
def test_interrupted_runs_are_continued(run: Run, tmp_path: Path) -> None:
    words = ["train", "icl-digits", *SMALL[:-1], "8"]
    command = [sys.executable, "-m", "longtail", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("epoch   1"):
            assert process.poll() is None
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)  # treated as Ctrl-C
        rest = process.stderr.read()
    assert process.returncode == 130
    folder = Path("runs/digits-cross_entropy-resnet8")
    assert f"resume with: longtail train {folder} --resume" in rest
    assert "Traceback" not in rest
    assert status(folder) == "interrupted"
    assert list(folder.rglob(".*")) == []
    assert "is not finished" in run("predict", folder, make_photos(Path("new"), {"": {"owl": 1}}))[2]
    code, _, err = run(*words, "--resume")
    assert code == 0
    assert re.search(r"resuming runs/\S+ after epoch [1-7] of 8", err)
    assert status(folder) == "done"
    assert len((folder / "log.jsonl").read_text().splitlines()) == 8


def test_a_run_stopped_before_its_first_epoch_begins_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    folder = Path("runs/digits-cross_entropy-resnet8")
    for stopped, said in (
        (
            "build_job",
            "interrupted before the first step; nothing was written, and the same command begins again",
        ),
        (
            "StageTraining",
            f"interrupted; resume with: longtail train {folder} --resume",
        ),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"longtail.engine.train.{stopped}", stop)
            code, _, err = run("train", "icl-digits", *SMALL)
        assert (code, err.splitlines()[-1]) == (130, said)
        assert Path("runs").exists() == (stopped == "StageTraining")
    assert "another recipe" in run("train", folder, "--resume", "--seed", "8")[2]
    assert run("train", folder, "--resume")[0] == 0
    assert status(folder) == "done"


def test_a_loss_that_is_not_finite_leaves_nothing(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "longtail.methods.cross_entropy.expert_cross_entropy", lambda logits, _: logits.sum() * torch.nan
    )
    assert "not finite at step 0" in refused("train", "icl-digits", *SMALL)
    assert list(Path().iterdir()) == []
