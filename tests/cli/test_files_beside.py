"""What `predict`, `explain` and Python say of files that are not used."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import longtail
from longtail.predict import ImageSources


@pytest.fixture
def mixed(tmp_path: Path, few: Path) -> Path:
    """Two images, one that cannot be decoded, a text, and thumbnails of another program."""
    root, images = tmp_path / "mixed", sorted((few / "1").iterdir())
    (root / "deep" / "@eaDir").mkdir(parents=True)
    for name, image in zip(("1.png", "deep/2.png", "deep/@eaDir/2.png"), images, strict=False):
        shutil.copy(image, root / name)
    for name in ("phone.cr2", "deep/notes.txt"):
        (root / name).write_text("x")
    return root


def test_predict_ends_with_what_became_of_all_files(
    finished: Path, mixed: Path, run: Callable[..., object], tmp_path: Path
) -> None:
    code, _, err = run("predict", finished, mixed, "-o", tmp_path / "p.csv")
    assert code == 0
    assert "2 of 5 files are used; 3 left out" in err
    for name in ("phone.cr2", "deep/notes.txt", "deep/@eaDir/"):
        assert err.count(f"{mixed / name}".rstrip("/")) == 1
    assert "convert" in err
    assert (tmp_path / "p.csv").read_text().count("\n") == 3
    code, out, err = run("predict", finished, mixed)
    assert (code, out.count("\n"), "2 of 5 files are used" in err) == (0, 3, True)
    code, out, err = run("predict", finished, mixed / "1.png")
    assert "files are used" not in err


def test_strict_refuses_what_could_be_an_image(
    finished: Path, mixed: Path, refused: Callable[..., str], run: Callable[..., object], tmp_path: Path
) -> None:
    message = refused("predict", finished, mixed, "--strict", "-o", tmp_path / "p.csv", details=True)
    assert "more than images" in message
    assert "--strict" in message
    assert not (tmp_path / "p.csv").exists()
    (mixed / "phone.cr2").unlink()
    assert run("predict", finished, mixed, "--strict").code == 0


def test_python_warns_of_what_could_be_an_image(finished: Path, mixed: Path) -> None:
    model = longtail.load(finished)
    with pytest.warns(UserWarning, match=r"^1 file left out, camera raw.*phone.cr2$"):
        assert len(model.predict(mixed)) == 2
    with (
        pytest.warns(UserWarning, match=r"camera raw"),
        pytest.warns(UserWarning, match="3 rows for 2 images"),
    ):
        assert len(model.predict_proba([mixed / "1.png", mixed])) == 3


def test_explain_says_it_too(finished: Path, mixed: Path, run: Callable[..., object], tmp_path: Path) -> None:
    err = run("explain", finished, mixed, "-o", tmp_path / "sheet.png").err
    assert "3 files left out:" in err
    assert "  1 file, camera raw" in err
    assert "2 images in" in err


def test_a_folder_without_images_is_refused_with_what_it_holds(
    finished: Path, mixed: Path, refused: Callable[..., str]
) -> None:
    (mixed / "1.png").unlink()
    shutil.rmtree(mixed / "deep")
    assert "holds no images" in refused("predict", finished, mixed, details=True)
    assert "written by longtail" in refused("predict", finished, finished)


def test_left_out_is_of_the_last_walk(mixed: Path) -> None:
    sources = ImageSources(mixed)
    for _ in range(2):
        assert sources.count() == 2
        assert sum(one.count for one in sources.left_out) == 3
