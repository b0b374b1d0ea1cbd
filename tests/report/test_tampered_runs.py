"""A run folder whose files were changed by hand: each reader refuses in one line, or gives what the files say."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from longtail.export.card import model_card
from longtail.predict.weights import training_counts
from longtail.report import comparison_lines, report_lines
from longtail.report.discovery import collect
from longtail.report.pictures.heat_maps import heat_maps
from longtail.runs import Run, layout
from longtail.runs.folder import RunFolder
from longtail.runs.seeds import planned_seeds
from longtail.types import InputError
from run_factory import made_up_run

NAMES = ("ant", "bee", "cat", "dog")
AUDIT = {
    "counts": {"train": {"ant": 3}}, "unreadable": [{"path": "a.png", "reason": "empty"}],
    "duplicates": [{"kind": "exact", "paths": ["a", "b"], "splits": ["train"], "classes": ["ant"]}],
    "leaking_groups": [{"group": "g", "splits": ["train", "test"], "images": 2}], "checked_near": True, "bits": 12,
    "left_out": [{"reason": "no ending", "count": 1, "examples": ["x"], "is_problem": True, "noun": "file"}],
}  # fmt: skip
EXPLAINED = {"rule": "all.", "images": [
    {"class": "ant", "label": "bee", "confidence": 0.5, "experts": ["ant"], "shown": "ant", "image": "0.webp",
     "maps": ["1.webp"]}
]}  # fmt: skip
FACTS = {"classes": list(NAMES), "recipe": "r", "method": "icl", "model": "resnet32", "num_experts": 2,
         "image_size": 32, "fit": "crop", "longtail_version": "0", "epoch": 4}  # fmt: skip
JSON = {
    "status.json": lambda path: Run(path).status,
    "classes.json": lambda path: training_counts(RunFolder(path), NAMES),
    "env.json": lambda path: Run(path).read(layout.ENVIRONMENT),
    "audit.json": lambda path: Run(path).read(layout.AUDIT),
    "eval/test/metrics.json": lambda path: Run(path).metrics,
    "explain/explain.json": lambda path: heat_maps(Run(path), "all"),
    "summary.json": planned_seeds,
}
WRONG: tuple[Any, ...] = (
    None,
    -1,
    True,
    1e300,
    10**30,
    0.5,
    "",
    "x" * 100_000,
    "line\nbreak",
    [],
    {},
    [[]],
    ["ant"] * 3,
)
WHOLE = {
    "empty": b"", "not UTF-8": b"\xff\xfe\x00", "deep": b"[" * 100_000, "deep objects": b'{"a":' * 100_000,
    "a number": b"3", "null": b"null", "digits": b"9" * 10_000, "not a number": b"NaN", "a list": b"[[]]",
}  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = made_up_run(
        tmp_path_factory.mktemp("tampered") / "run", names=NAMES, images=4, experts=2, audit=AUDIT
    )
    (run / "explain").mkdir()
    (run / "explain/explain.json").write_text(json.dumps(EXPLAINED))
    for name in ("0.webp", "1.webp"):
        from PIL import Image

        Image.new("RGB", (4, 4)).save(run / "explain" / name)
    (run / "summary.json").write_text(json.dumps({"seeds": [0, 1], "scores": None}))
    return run


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def refused(read: Callable[[Path], object], run: Path) -> bool:
    """Whether it was refused as everything should be: in one short line with a remedy."""
    try:
        read(run)
    except InputError as error:
        said = str(error)
        assert "\n" not in said
        assert ";" in said
        assert len(said) < 3 * len(str(run)) + 500
        return True
    return False


def everything(run: Path) -> None:
    """All that is read of a run by the commands that do not ask its network."""
    report_lines(Run(run))
    comparison_lines([Run(run), Run(run)])
    collect(Run(run))
    model_card(run, FACTS, [])


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each key of a JSON value, and the first entry of each list."""
    inside = (
        value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    )
    for key, inner in inside:
        yield (*at, key)
        yield from places(inner, (*at, key))


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    copied = json.loads(json.dumps(value))
    inner = copied
    for key in at[:-1]:
        inner = inner[key]
    if new is KeyError:
        del inner[at[-1]]
    else:
        inner[at[-1]] = new
    return copied


def test_the_sound_run_is_read(run: Path) -> None:
    everything(run)
    assert not any(refused(read, run) for read in JSON.values())


@pytest.mark.parametrize("name", JSON)
def test_json_files(run: Path, name: str) -> None:
    file, read = run / name, JSON[name]
    value = json.loads(file.read_text("utf-8"))
    accepted = []
    for at in places(value):
        for new in (KeyError, *WRONG):
            file.write_text(json.dumps(changed(value, at, new)), "utf-8")
            if not refused(read, run):
                accepted.append((at, new))
    assert len(accepted) < 10 * len(list(places(value)))  # of 14 each: keys may be missing, texts be others
    for content in WHOLE.values():
        file.write_bytes(content)
        assert refused(read, run)
    file.unlink()
    file.mkdir()
    assert refused(read, run)


def test_what_is_accepted_gives_a_report_or_one_line(run: Path) -> None:
    """Files that do not agree are refused in one line; `refused` lets every other error through."""
    name = "eval/test/metrics.json"
    file = run / name
    value = json.loads(file.read_text("utf-8"))
    reports = []
    for at in places(value):
        for new in (KeyError, "<other>", []):
            file.write_text(json.dumps(changed(value, at, new)), "utf-8")
            if not refused(JSON[name], run):
                reports.append(not refused(everything, run))
    assert any(reports)


@pytest.mark.parametrize(
    "text",
    [
        *(content.decode("latin-1") for kind, content in WHOLE.items() if kind != "empty"),
        '{"epoch": 0}\n', '{"epoch": 0, "stage": "a", "loss": {"x": NaN}, "lr": 0.1, "train_accuracy": 0.5}\n',
    ],
)  # fmt: skip
def test_the_log(run: Path, text: str) -> None:
    (run / "log.jsonl").write_bytes(text.encode("latin-1"))
    assert refused(lambda path: Run(path).log, run)


@pytest.mark.parametrize(
    "change", [{"epoch": 1}, {"epoch": -1}, {"loss": {"x": "low"}}, {"lr": -1}, {"test": {}}]
)
def test_an_epoch_of_the_log(run: Path, change: dict[str, Any]) -> None:
    file = run / "log.jsonl"
    first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps(json.loads(first) | change), *rest]) + "\n")
    assert refused(lambda path: Run(path).log, run)


@pytest.mark.parametrize(
    "text",
    [
        "", "[data]", "data = 3", "[data]\nname = 3", "[data\n", "a = " + "[" * 10_000, "a = " + "9" * 10_000,
        '[data]\nname = "x"\n[model]\nname = "y"\nnum_experts = -1\n[method]\nname = "icl"',
        '[data]\nname = "x"\nmany_above = "a"\n[model]\nname = "y"\nnum_experts = 1\n[method]\nname = "icl"',
    ],
    ids=range(9),
)  # fmt: skip
def test_the_recipe(run: Path, text: str) -> None:
    (run / "recipe.toml").write_text(text)
    assert refused(lambda path: Run(path).recipe, run)


TABLES: dict[str, Callable[[Run], object]] = {
    "eval/test/per_class.csv": lambda run: run.table("per_class"),
    "eval/test/confusions.csv": lambda run: run.table("confusions"),
    "eval/test/predictions.parquet": lambda run: run.predictions,
    "splits.csv": lambda run: run.splits,
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(run: Path, name: str) -> None:
    file, read = run / name, TABLES[name]
    whole = file.read_bytes()
    is_csv = file.suffix == ".csv"
    table = pd.read_csv(file, dtype=str, keep_default_na=False) if is_csv else pd.read_parquet(file)
    free = {
        "path",
        "group",
        "mistaken_for",
        "precision",
        "agreement",
        "content",
    }  # other texts or fractions fit too

    def write(changed: pd.DataFrame) -> None:
        changed.to_csv(file, index=False) if is_csv else changed.to_parquet(file, index=False)

    for column in table.columns:
        write(table.drop(columns=column))
        assert refused(lambda path: read(Run(path)), run), column
        for new in (
            ("nothing", "-1", "nan", "1e300", "7.5") if is_csv else ("nothing", -1.0, None, float("nan"), 7.5)
        ):
            other = table.astype(object)
            other[column] = new
            write(other)
            assert refused(lambda path: read(Run(path)), run) or column in free, (column, new)
    write(table.iloc[1:])
    assert refused(lambda path: read(Run(path)), run) or name.endswith("confusions.csv")
    for content in (b"", b"\xff\x00" * 10, whole[: len(whole) // 2], b"[" * 100_000):
        file.write_bytes(content)
        assert refused(lambda path: read(Run(path)), run)
    file.unlink()
    file.mkdir()
    assert refused(lambda path: read(Run(path)), run)
