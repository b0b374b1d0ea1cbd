"""`longtail data split`, and training on what it writes."""

import csv
import json
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from photos import make_photos

Run = Callable[..., tuple[int, str, str]]
SETTINGS = ("model.num_experts=1", "model.name=resnet8", "data.image_size=8", "data.augment=[]")
SHORT = (
    "--method",
    "cross_entropy",
    "--epochs",
    "1",
    *(w for s in SETTINGS for w in ("--set", s)),
    "--quiet",
)


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Three classes, one of them with a single image."""
    return make_photos(tmp_path / "my photos", {"": {"fox": 10, "lynx": 5, "owl": 1}})


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_splitting_and_training_on_it(
    run: Run, flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tables").mkdir()
    table = tmp_path / "tables" / "splits.csv"
    code, out, err = run("data", "split", flat, "-o", table, "--val", "0.1")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "class   train     val    test",
        "fox         7       1       2",
        "lynx        3       1       1",
        "owl         1       0       0",
        "all        11       2       3",
        "",
        "test 0.2 of each class, at least 1, val 0.1, seed 0",
        "without a test image: owl (one image)",
        f"{table}: 16 images; train on them with: longtail train {table}",
    ]
    written = rows(table)
    assert all((table.parent / row["path"]).is_file() for row in written)
    assert not any(Path(row["path"]).is_absolute() for row in written)
    monkeypatch.chdir("/")
    folder = tmp_path / "run"
    assert run("train", table, *SHORT, "--out", folder)[0] == 0
    kept = {(row["path"], row["class"], row["split"]) for row in rows(folder / "splits.csv")}
    assert kept == {(row["path"], row["label"], row["split"]) for row in written}
    assert json.loads((folder / "eval/test/metrics.json").read_text())["num_images"] == 3
    assert run("evaluate", folder, "--data", table)[0] == 0
    scores = [json.loads((folder / "eval" / n / "metrics.json").read_text()) for n in ("test", "splits")]
    assert scores[0]["nll"] == scores[1]["nll"]
    assert run("data", "pack", table, "-o", tmp_path / "packed")[1].startswith(
        f"{tmp_path}/packed: 11 train, 2 val, 3"
    )


def test_the_seed_decides(run: Run, flat: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run("data", "split", flat, "-o", tmp_path / f"{name}.csv", "--test", "0.4", "--seed", seed)
    a, b, c = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert (
        run("data", "split", flat, "-o", tmp_path / "a.csv", "--test", "0.4", "--seed", 1, "--overwrite")[0]
        == 0
    )
    assert (tmp_path / "a.csv").read_bytes() == c


def test_groups(run: Run, tmp_path: Path) -> None:
    photos = make_photos(
        tmp_path / "photos", {"fox": {f"burst{b}": 3 for b in range(5)}, "lynx": {"burst0": 3}}
    )
    table = tmp_path / "splits.csv"
    code, out, _ = run("data", "split", photos, "-o", table, "--group-by", "regex:^[^/]+/[^/]+")
    assert code == 0
    assert "by regex:^[^/]+/[^/]+, seed 0" in out
    assert "lynx (3 images in one group)" in out
    parts = {(row["group"], row["split"]) for row in rows(table)}
    assert max(Counter(group for group, _ in parts).values()) == 1
    assert Counter(row["split"] for row in rows(table)) == {"train": 15, "test": 3}
    again = tmp_path / "again.csv"
    assert "by the column group" in run("data", "split", table, "-o", again, "--again", "--seed", "3")[1]
    parts = {(row["group"], row["split"]) for row in rows(again)}
    assert max(Counter(group for group, _ in parts).values()) == 1
    code, out, _ = run(
        "data", "split", table, "-o", again, "--again", "--overwrite", "--group-by", "column:label"
    )
    assert code == 2


def test_what_was_asked_for_and_could_not_be_had(run: Run, flat: Path, tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    lines = [
        f"my photos/{path.relative_to(flat)},{path.parent.name}\n" for path in sorted(flat.rglob("*.png"))
    ]
    table.write_text("".join(["path,label\n", *lines, "my photos/gone.png,fox\n"]))
    code, out, _ = run("data", "split", table, "-o", tmp_path / "splits.csv", "--min-test", "4")
    assert code == 0
    assert "fewer test images than asked for: lynx (2)" in out
    assert f"files that do not exist, left out: {tmp_path}/my photos/gone.png" in out
    small = ("--test", "0.05", "--val", "0.2", "--min-test", "0", "-o", tmp_path / "three.csv")
    _, out, _ = run("data", "split", flat, *small)
    assert "without a test image: lynx (too few images), owl (one image)" in out
    _, out, _ = run("data", "split", flat, "--test", "0", "--val", "0.3", "-o", tmp_path / "val.csv")
    assert "without a validation image: owl (one image)" in out
    for many in ("1000", "99999999999999999999"):
        again = run("data", "split", table, "-o", tmp_path / "splits.csv", "--overwrite", "--min-test", many)
        assert again.code == 0
        assert "fewer test images than asked for: fox (5), lynx (2)" in again.out


def test_sets_with_parts_are_divided_anew_where_asked(
    run: Run, refused: Callable[..., str], photos: Path, tmp_path: Path
) -> None:
    table = tmp_path / "splits.csv"
    assert "is divided already (train, test)" in refused("data", "split", photos, "-o", table)
    assert run("data", "split", photos, "-o", table, "--again")[0] == 0
    assert len(rows(table)) == 18
    assert "is divided already (train, test)" in refused("data", "split", table, "-o", tmp_path / "other.csv")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--test", "0"), "leave nothing for a split"),
        (("--test", "0.5", "--val", "0.5"), "leave nothing for a split"),
        (("--test", "nan"), "leave nothing for a split"),
        (("--min-test", "-1"), "--min-test -1"),
        (("--group-by", "folder:9"), "gives 16 of 16 images no group"),
        (("--group-by", "folder:1"), "every class has one group"),
        (("--group-by", "column:camera"), "there is no column 'camera'"),
        (("--root", "."), "leave it out for data.name=folder"),
    ],
)
def test_what_is_refused(
    refused: Callable[..., str], flat: Path, tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    table = tmp_path / "splits.csv"
    assert named in refused("data", "split", flat, "-o", table, *words)
    assert not table.exists()


def test_refused_files(run: Run, refused: Callable[..., str], flat: Path, tmp_path: Path) -> None:
    assert "exists; choose another -o" in refused("data", "split", flat, "-o", flat / "fox" / "fox 1.png")
    for name in ("splits", "splits.txt", "splits.parquet"):
        said = refused("data", "split", flat, "-o", tmp_path / name)
        assert f"does not end in .csv, by which a table is known; give {tmp_path / 'splits.csv'}" in said
    assert "there is no folder" in refused("data", "split", flat, "-o", tmp_path / "no" / "splits.csv")
    assert "does not exist" in refused("data", "split", tmp_path / "no", "-o", tmp_path / "splits.csv")
    run("data", "pack", flat, "-o", tmp_path / "packed")
    assert "are no files" in refused("data", "split", tmp_path / "packed", "-o", tmp_path / "splits.csv")


def test_groups_in_names_are_proposed_and_the_command_keeps_them_together(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in list(make_photos(tmp_path / "my photos", {"": {"fox": 36, "owl": 24}}).glob("*/*")):
        number = int(file.stem.split()[-1])
        file.rename(file.with_name(f"cam{number % 6}_{number}.png"))
    monkeypatch.chdir(tmp_path)
    steps = run("data", "check", "my photos")[1].partition("What to do")[2].splitlines()
    (proposed,) = [line.partition(": longtail ")[2] for line in steps if "data split" in line]
    assert "--group-by" in proposed
    plain = ("data", "split", "my photos", "-o", "splits.csv")
    code, out, _ = run(*plain)
    assert code == 0
    assert len({row["split"] for row in rows(Path("splits.csv"))}) == 2
    (line,) = [line for line in out.splitlines() if "--group-by" in line]
    assert run(*plain, *shlex.split(line.partition("with: ")[2]))[0] == 0
    held = {(row["group"], row["split"]) for row in rows(Path("splits.csv"))}
    assert max(Counter(group for group, _ in held).values()) == 1
    written = Path("splits.csv").read_bytes()
    Path("splits.csv").unlink()
    code, out, _ = run(*shlex.split(proposed))
    assert code == 0
    assert Path("splits.csv").read_bytes() == written
    assert "--group-by" not in out


def test_a_set_that_keeps_the_groups_of_its_names_whole_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", {"": {"fox": 24, "owl": 24}})
    for file in list(photos.glob("*/*")):
        number = int(file.stem.split()[-1])
        folder = photos / ("test" if number % 6 < 2 else "train") / file.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        file.rename(folder / f"cam{number % 6}_{number}.png")
    for name in ("fox", "owl"):
        (photos / name).rmdir()
    out = run("data", "check", photos)[1]
    assert "data split" not in out.partition("What to do")[2]
    assert "--group-by" not in out
