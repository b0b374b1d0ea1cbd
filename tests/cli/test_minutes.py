"""`longtail train FOLDER --minutes N`: settings found in the user's own time."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from photos import make_photos, write_digits

from longtail.recipe import load_recipe
from longtail.search import find
from longtail.search.within import Cut
from longtail.types import InputError

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]
SMALL = ("--model", "resnet8", "--set", "model.num_experts=1", "--set", "model.gates=false")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_minutes_are_refused_where_the_length_is_settled(refused: Refused, finished: Path) -> None:
    make_photos(Path("photos"), {"": {"a": 3, "b": 3}})
    assert "leave one of them out" in refused("train", "photos", "--minutes", "2", "--epochs", "9")
    assert "is a recipe" in refused("train", "icl-digits", "--minutes", "2")
    assert "was begun with" in refused("train", finished, "--resume", "--minutes", "2")
    assert "minutes = -1" in refused("train", "photos", "--minutes", "-1")
    assert "minutes = 0.01" in refused("train", "photos", "--minutes", "0.01")
    assert not Path("runs").exists()


def test_an_output_folder_that_is_taken_is_refused_before_anything_is_timed(refused: Refused) -> None:
    make_photos(Path("photos"), {"": {"a": 3, "b": 3}})
    make_photos(Path("taken"), {"": {"a": 1}})
    assert "not empty" in refused("train", "photos", "--minutes", "2", "--out", "taken")


def test_a_small_set_is_trained_with_suggested_settings_in_the_time(run: Run, tmp_path: Path) -> None:
    Path("photos").mkdir()
    write_digits(Path("photos"), 10)
    words = ("train", "photos", *SMALL, "--method", "cross_entropy", "--minutes", "0.1")
    code, _out, err = run(*words)
    assert code == 0
    assert err.splitlines()[0].startswith("looking at photos: 100 files")
    assert "none compared" in err
    chosen = [line for line in err.splitlines() if line.startswith("chosen: ")]
    assert len(set(chosen)) == len(chosen)
    assert err.index("timing a few steps") < err.index("chosen: batches of 16")
    assert "the run: images of" in err
    (folder,) = Path("runs").iterdir()
    found = json.loads((folder / "search.json").read_text())
    recipe = load_recipe(str(folder / "recipe.toml"))[0]
    assert found["minutes"] == 0.1
    assert found["epochs"] == recipe.optim.epochs
    assert recipe.method.name == "cross_entropy"
    assert found["trials"] == []
    assert found["speed"]
    spent = sum(json.loads(line)["seconds"] for line in (folder / "log.jsonl").read_text().splitlines())
    assert spent <= found["needed"] + 0.1
    again = run(*words, "--resume")
    assert again[0] == 0
    assert f"{folder} is finished" in again[2]
    assert len(list(Path("runs").iterdir())) == 1


def test_no_minutes_take_the_suggested_settings(run: Run) -> None:
    make_photos(Path("photos"), {"": {"a": 6, "b": 4}})
    words = (*SMALL, "--method", "cross_entropy", "--minutes", "0", "--set", "data.image_size=8")
    code, _, err = run("train", "photos", *words)
    assert code == 0
    assert "budget" not in err
    assert not list(Path("runs").glob("*/search.json"))


def test_a_machine_that_gets_slower_cuts_epochs_and_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("photos").mkdir()
    write_digits(Path("photos"), 10)
    cuts = [Cut(3, 40.0)]
    monkeypatch.setattr("longtail.search.within.Watch.fits", lambda _: cuts.pop() if cuts else None)
    code, _, err = run(
        "train", "photos", *SMALL, "--method", "cross_entropy", "--minutes", "5", "--out", "out"
    )
    assert code == 0
    assert re.search(r"cut: 3 epochs instead of \d+.* from epoch 2 with a shorter schedule", err)
    assert len(re.findall(r"training images \(", err)) == 1  # what is known of the set is not said again
    assert load_recipe("out/recipe.toml")[0].optim.epochs == 3
    assert len(Path("out/log.jsonl").read_text().splitlines()) == 3
    found = json.loads(Path("out/search.json").read_text())
    assert found["epochs"] == 3
    number, unit = re.search(r"training takes about (\d+) (s|min)", err).groups()
    scale = {"s": 1, "min": 60}[unit]
    assert found["estimate"] == pytest.approx(int(number) * scale, abs=0.6 * scale)
    assert found["estimate_after_cut"] > 40
    assert any(what.endswith(" epochs") for what in found["no_time_for"])


def test_one_search_serves_all_seeds(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("photos").mkdir()
    write_digits(Path("photos"), 10)
    searched = []
    plain = find.fitted
    monkeypatch.setattr(find, "fitted", lambda *words: searched.append(1) or plain(*words))
    code, _, _ = run("train", "photos", *SMALL, "--minutes", "0.1", "--seeds", "0,1", "--out", "out")
    assert code == 0
    assert len(searched) == 1
    files = [Path("out") / f"seed-{seed}" / "search.json" for seed in (0, 1)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("words", [("--minutes", "0"), ("--epochs", "9"), ("--set", "optim.epochs=9")])
def test_without_a_budget_the_time_that_is_said_is_called_untimed(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    make_photos(Path("photos"), {"": {"a": 6, "b": 4}})
    said: list[str] = []

    def fit(*_: object, notes: Sequence[str], **__: object) -> None:
        said.extend(notes)
        raise InputError("enough")

    monkeypatch.setattr("longtail.api.fit", fit)
    refused("train", "photos", "--set", "model.pretrained=false", "--model", "test_resnet", *words)
    assert [line for line in said if re.search(r"image size \d+.*: roughly .* not timed", line)]


def test_the_network_is_said_before_anything_is_timed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be one from random weights, and no search changes it; what a search may change is said after it."""
    make_photos(Path("photos"), {"": {"a": 6, "b": 4}})

    def probe(*_: object) -> None:
        raise InputError("enough")

    monkeypatch.setattr("longtail.search.command.probe", probe)
    _, _, err = run("train", "photos", "--set", "model.pretrained=false")
    assert "chosen: network resnet32 from random weights" in err
    assert err.count("chosen: ") == 1
