"""`longtail train --seeds`: what it says, where it goes, what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = ("--model", "resnet8", "--set", "model.num_experts=1", "--method", "cross_entropy", "--epochs", "1")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_several_seeds_end_in_one_table(
    run: Callable[..., tuple[int, str, str]], refused: Callable[..., str]
) -> None:
    code, out, err = run("train", "icl-digits", *SMALL, "--seeds", "5,1")
    assert code == 0
    folder = Path("runs/digits-cross_entropy-resnet8-seeds")
    lines = err.splitlines()
    assert "seeds 5, 1 -> runs/digits-cross_entropy-resnet8-seeds" in "\n".join(lines)
    assert [line[:7] for line in lines if ": epoch " in line] == ["seed 5:", "seed 1:"]
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows[-4:]] == ["seed", "seed", "mean", "sd"]
    mean = json.loads((folder / "summary.json").read_text("utf-8"))["scores"]["macro"]["mean"]
    assert rows[-2][2] == f"{100 * mean:.1f}"
    assert "is finished" in run("train", "icl-digits", *SMALL, "--seeds", "5,1", "--resume")[2]
    assert run("train", folder, "--resume", "--quiet")[:2] == (0, f"{folder}\n")
    assert "resume them with --resume alone" in refused("train", folder, "--resume", "--seeds", "2")
    other = ("--seeds", "5,1,2", "--out", folder, "--resume")
    assert "holds runs of seeds 5, 1; resume just those" in refused("train", "icl-digits", *SMALL, *other)
    assert run("train", "icl-digits", *SMALL, "--seeds", "2", "--quiet")[1] == f"{folder}-2\n"
    assert run("compare", *sorted(folder.glob("seed-*")))[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seeds", "1,1"), "give each once"),
        (("--seeds", ",".join(map(str, range(1001)))), "1,001 seeds are given; give at most 1,000"),
        (("--seeds", "a"), "no list of whole numbers, such as 0,1,2"),
        (("--seeds", ""), "an empty word"),
        (("--seeds", "-1"), "run.seed = -1 does not fit"),
        (("--seeds", "1", "--set", "run.seed=2"), "run.seed = 2 and several seeds are both given"),
        (("--seeds", "1", "--seed", "2"), "--seed and --seeds are both given"),
    ],
)
def test_mistaken_seeds_are_refused(refused: Callable[..., str], words: tuple[str, ...], said: str) -> None:
    assert said in refused("train", "icl-digits", *SMALL, *words)
    assert list(Path().iterdir()) == []
