"""What is found under folders: images, and everything else by reason and count; links, other programs, own output."""

from pathlib import Path

import pytest

from longtail.data import walking
from longtail.data.opening import UnreadableError, read_file
from longtail.data.own_output import is_own, said_among_images
from longtail.data.sources.own.folder import NO_CLASS, read_folder
from longtail.data.walking import (
    BY_CONTENT,
    FOREIGN,
    HIDDEN,
    IN_OWN,
    LIKE_OWN,
    NO_LINK,
    OWN,
    TWICE,
    UPWARD,
    Walker,
    walk_images,
)
from longtail.types import InputError

CLASSES = {"a": [1, 2], "b": [3, 4]}
FOLDERS = [
    "@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "@Recycle",
    "@__thumb", "@SynoResource", "#snapshot", "__pycache__", "node_modules", "My Previews.lrdata", "CaptureOne",
]  # fmt: skip
FILES = [
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "Desktop.ini",
    "a.png@SynoEAStream",
    "Icon\r",
    "Picasa.ini",
]
DOTTED = [".ipynb_checkpoints", ".git", ".dvc", ".thumbnails", ".AppleDouble", ".Trash-1000"]
OUTPUT = {
    "a run": ("recipe.toml", "classes.json", "plots/classes.png"),
    "a run that begins": ("recipe.toml", "env.json"),
    "runs": ("one/recipe.toml", "one/status.json", "one/plots/x.png", "two/recipe.toml", "two/env.json"),
    "runs of seeds": ("r/summary.json", "r/seed-0/recipe.toml", "r/seed-0/env.json", "r/seed-0/plots/x.png"),
    "a check": ("audit.json", "counts.csv", "counts.png"),
    "a packed set": ("packed.json", "train.pixels"),
    "explanations": ("explain.json", "sheet.png", "00.webp", "00-1.webp"),
    "an exported model": ("config.json", "model.safetensors", "preprocessor_config.json"),
}


def left_out(source, reason):
    """Count and examples of one reason."""
    found = [one for one in source.left_out if one.reason == reason]
    return (found[0].count, found[0].examples) if found else (0, ())


def number(root: Path) -> int:
    """Everything below a folder that is no folder, links included."""
    return sum(path.is_symlink() or not path.is_dir() for path in root.rglob("*"))


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


@pytest.mark.parametrize("name", [*FOLDERS, *DOTTED])
def test_folders_of_other_programs_are_no_data(tree, name):
    root = tree(CLASSES | {f"{name}/deep": [5], name: [6], f"a/{name}": [7]})
    source = read_folder(root)
    assert source.train.class_names == ("a", "b")
    assert len(source.train.ids) == 4
    reason = HIDDEN if name.startswith(".") else FOREIGN
    assert left_out(source, reason) == (3, (f"{name}/", f"a/{name}/"))
    assert not any(one.is_problem for one in source.left_out)


@pytest.mark.parametrize("name", FILES)
def test_files_of_other_programs_are_no_data(tree, name):
    root = tree(CLASSES)
    write(root, f"a/{name}")
    source = read_folder(root)
    assert left_out(source, FOREIGN) == (1, (f"a/{name}",))
    assert not source.left_out[0].is_problem


@pytest.mark.parametrize("kind", OUTPUT)
@pytest.mark.parametrize("where", ["runs", "a/deep/mine"])
def test_what_longtail_wrote_is_no_data(tree, kind, where):
    root = tree(CLASSES | {"a/deep": [5]})
    write(root, *(f"{where}/{name}" for name in OUTPUT[kind]))
    source = read_folder(root)
    assert source.train.class_names == ("a", "b")
    assert len(source.train.ids) == 5
    assert left_out(source, OWN) == (len(OUTPUT[kind]), (f"{where}/",))
    assert sum(one.count for one in source.left_out) == len(OUTPUT[kind])
    assert not any(one.is_problem for one in source.left_out)


@pytest.mark.parametrize("kind", [kind for kind in OUTPUT if not kind.startswith("runs")])
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"not JSON = {", b'{"format": "zip"}', b"[" * 9999])
def test_names_of_our_files_make_no_class_disappear(tree, kind, content):
    names = [name for name in OUTPUT[kind] if "/" not in name and not name.endswith((".png", ".webp"))]
    root = tree({"a": [1], "b/deep": [2, 3], "b": [4]})
    for name in names:
        (root / "b" / name).write_bytes(content)
    if "explain.json" in names:
        (root / "b" / "sheet.png").write_bytes((root / "a" / "000.png").read_bytes())
    source = read_folder(root)
    expected = 1 + 3 + ("explain.json" in names)
    assert (len(source.train.ids), source.train.class_names) == (expected, ("a", "b"))
    assert left_out(source, OWN) == (0, ())
    assert left_out(source, LIKE_OWN)[0] == len(names) - ("train.pixels" in names)
    assert source.left_out[0].is_problem


@pytest.mark.parametrize("name", ["photo.CR2", "x.heic", "link", "IMG_1"])
def test_what_could_be_images_keeps_a_folder_from_being_ours(tree, name):
    root = tree({"a": [1], "b": [2], "c": [], ".store": [3]})
    if name == "link":
        (root / "c" / "link").symlink_to("../.store", target_is_directory=True)
    else:
        (root / "c" / name).write_bytes((root / "a" / "000.png").read_bytes())
    (root / "c" / "packed.json").write_text("{}")
    source = read_folder(root)
    assert left_out(source, OWN) == (0, ())
    assert any(one.is_problem for one in source.left_out)
    assert ("c/link/000.png" in source.train.ids) == (name == "link")


def test_an_image_in_a_folder_that_is_ours_by_its_content_is_named(tree):
    root = tree(CLASSES | {"runs/one": [5]})
    write(root, "runs/one/status.json", "runs/one/plots/training.png", "runs/one/plots/@eaDir/training.png")
    (root / "runs" / "one" / "recipe.toml").write_text("[data]\n[model]\n[method]\n[optim]\n")
    source = read_folder(root)
    assert source.train.class_names == ("a", "b")
    assert left_out(source, IN_OWN) == (1, ("runs/one/000.png",))
    assert left_out(source, OWN) == (4, ("runs/",))
    assert source.left_out[0].is_problem
    assert sum(one.count for one in source.left_out) == number(root / "runs")


def test_a_folder_with_a_run_and_images_is_a_class_without_the_run(tree):
    root = tree({"a": [1], "b": [2], "c": [3]})
    write(root, "c/run/recipe.toml", "c/run/env.json", "c/run/plots/x.png")
    source = read_folder(root)
    assert source.train.ids == ("a/000.png", "b/000.png", "c/000.png")
    assert left_out(source, OWN) == (3, ("c/run/",))


def test_the_first_run_in_the_making_is_no_class(tree):
    root = tree(CLASSES)
    (root / "runs" / "images-icl").mkdir(parents=True)
    write(root, "runs/images-icl/.lock")
    assert read_folder(root).train.class_names == ("a", "b")


def test_its_own_output_is_refused_where_it_is_named(tree, tmp_path):
    write(tmp_path / "run", *OUTPUT["a run"])
    with pytest.raises(InputError, match="was written by longtail"):
        read_folder(tmp_path / "run")
    assert not is_own(tree(CLASSES))
    for folder, said in ((tmp_path / "run", "a folder that longtail wrote$"), (tree(CLASSES), "a folder$")):
        with pytest.raises(UnreadableError, match=said):
            read_file(folder)


def test_files_that_are_no_images_are_counted_by_ending(tree):
    root = tree(CLASSES)
    write(root, "README.txt", "a/1.xml", "a/2.xml", "b/LICENSE", "b/1.JSON")
    (source,) = read_folder(root).left_out
    assert (source.count, source.is_problem) == (5, False)
    assert source.reason == "no images (.xml 2, .txt 1, no ending 1, .json 1)" or ".xml 2" in source.reason
    assert set(source.examples) == {"README.txt", "a/1.xml", "a/2.xml", "b/LICENSE", "b/1.JSON"}


def test_kinds_that_are_not_decoded_are_named_with_the_remedy(tree):
    root = tree(CLASSES)
    write(root, "a/photo.CR2", "a/b.nef", "b/x.svg")
    found = read_folder(root).left_out
    raw = next(one for one in found if "raw" in one.reason)
    assert (raw.count, raw.examples, raw.is_problem) == (2, ("a/b.nef", "a/photo.CR2"), True)
    assert "convert" in raw.reason


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("name", ["a/image", "a/image.jpg_original", "a/image.bak"])
def test_images_of_no_known_ending_are_named(tree, encoded, kind, name):
    root = tree(CLASSES)
    (root / name).write_bytes(encoded(9, kind))
    source = read_folder(root)
    assert len(source.train.ids) == 4
    assert left_out(source, BY_CONTENT) == (1, (name,))
    assert source.left_out[0].is_problem


def test_images_beside_class_folders_are_named(tree):
    root = tree({"": [1, 2], "train": [3], "train/a": [4], "train/b": [5], "test/a": [6]})
    source = read_folder(root)
    assert left_out(source, NO_CLASS) == (1, ("train/000.png",))
    assert left_out(source, "beside train, test, so in no part") == (2, ("000.png", "001.png"))
    flat = read_folder(root / "train")
    assert left_out(flat, NO_CLASS) == (1, ("000.png",))


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_link_upwards_is_not_followed(tree, target):
    root = tree(CLASSES)
    (root / "a" / "deep").mkdir()
    (root / "a" / "deep" / "up").symlink_to(target, target_is_directory=True)
    source = read_folder(root)
    assert len(source.train.ids) == 4
    assert left_out(source, UPWARD) == (1, ("a/deep/up",))
    assert source.left_out[0].is_problem


def test_a_link_to_another_class_or_part_is_not_followed(tree):
    root = tree({"train/a": [1], "train/b": [2], "test/a": [3], "test/b/deep": [4]})
    (root / "train" / "a" / "more").symlink_to(root / "test" / "b" / "deep", target_is_directory=True)
    (root / "train" / "b" / "other").symlink_to("../a", target_is_directory=True)
    (root / "train" / "self").symlink_to("../..", target_is_directory=True)
    source = read_folder(root)
    assert source.train.ids == ("train/a/000.png", "train/b/000.png")
    assert left_out(source, TWICE) == (2, ("train/a/more", "train/b/other"))
    assert left_out(source, UPWARD) == (1, ("train/self",))


def test_links_to_elsewhere_are_followed(tree, tmp_path, encoded):
    for name in ("one", "two/deep"):
        (tmp_path / "else" / name).mkdir(parents=True)
        (tmp_path / "else" / name / "x.png").write_bytes(encoded(7))
    root = tree({"a": [1], ".store": [9]})
    (root / "b").symlink_to(tmp_path / "else" / "one", target_is_directory=True)
    (root / "a" / "more").symlink_to(tmp_path / "else" / "two", target_is_directory=True)
    (root / "a" / "kept").symlink_to("../.store", target_is_directory=True)
    (root / "a" / "file.png").symlink_to("../.store/000.png")
    source = read_folder(root)
    assert source.train.ids == (
        "a/000.png", "a/file.png", "a/kept/000.png", "a/more/deep/x.png", "b/x.png",
    )  # fmt: skip
    (root / "a" / "again").symlink_to(tmp_path / "else" / "two", target_is_directory=True)
    source = read_folder(root)
    assert left_out(source, TWICE) == (1, ("a/more",))
    assert "a/again/deep/x.png" in source.train.ids


@pytest.mark.parametrize(
    ("link", "target"),
    [("c", "a"), ("b/more", "else"), ("b/more", "else/deep"), ("0", "a/deep")],
)
def test_one_folder_under_two_classes_is_refused(tree, tmp_path, encoded, link, target):
    root = tree(CLASSES | {"a/deep": [5]})
    (tmp_path / "else" / "deep").mkdir(parents=True)
    (tmp_path / "else" / "deep" / "x.png").write_bytes(encoded(7))
    (root / "a" / "linked").symlink_to(tmp_path / "else", target_is_directory=True)
    place = root if target.startswith("a") else tmp_path
    (root / link).symlink_to(place / target, target_is_directory=True)
    with pytest.raises(InputError, match=r"are one folder, by a link.*remove one of the two"):
        read_folder(root)


def test_a_part_that_is_a_link_to_another_is_refused(tree):
    root = tree({"train/a": [1], "train/b": [2]})
    (root / "test").symlink_to("train", target_is_directory=True)
    with pytest.raises(InputError, match=r"are one folder, by a link.*train/a and in .*test/a"):
        read_folder(root)


def test_broken_links_and_circles_are_named(tree):
    root = tree(CLASSES)
    (root / "a" / "gone.png").symlink_to("nowhere.png")
    (root / "b" / "circle").symlink_to("circle")
    source = read_folder(root)
    assert left_out(source, NO_LINK) == (2, ("a/gone.png", "b/circle"))
    assert source.left_out[0].is_problem


def test_all_that_lies_there_is_used_or_counted(tree, encoded):
    root = tree(
        {
            "train/a": [1],
            "train/b": [2],
            "test/b": [3],
            "extra/x": [4],
            ".git/deep": [5],
            "train": [6],
            "": [7],
        }
    )
    write(
        root,
        "train/a/@eaDir/x@SynoEAStream",
        "train/b/Thumbs.db",
        "train/b/raw.cr3",
        "notes.txt",
        "docs/a.md",
    )
    write(root, "train/runs/r/recipe.toml", "train/runs/r/env.json", "test/b/.DS_Store", "test/none/x.txt")
    (root / "test" / "b" / "image").write_bytes(encoded(1))
    (root / "test" / "b" / "up").symlink_to("..", target_is_directory=True)
    (root / "test" / "b" / "x.png").symlink_to("gone")
    source = read_folder(root)
    used = sum(len(part.ids) for part in source.parts.values())
    assert (used, used + sum(one.count for one in source.left_out)) == (3, number(root))


def test_a_folder_of_any_depth_is_walked(tmp_path, encoded):
    deep = tmp_path.joinpath(*["d"] * 400)
    deep.mkdir(parents=True)
    (deep / "x.png").write_bytes(encoded(1))
    assert list(walk_images(tmp_path)) == [deep / "x.png"]


def test_looking_does_not_open_what_its_ending_tells(tree, monkeypatch):
    root = tree(CLASSES)
    write(root, "a/1.xml", "a/unknown")
    opened = []
    monkeypatch.setattr(walking, "begins_like_an_image", lambda path: opened.append(path.name) or False)
    list(Walker(root).walk(root))
    assert opened == ["unknown"]


def test_a_run_folder_among_the_images_is_said(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    photos = str(tmp_path / "photos")
    assert len(said_among_images(tmp_path / "photos/runs/new", photos)) == 1
    assert said_among_images(tmp_path / "photos-2", photos) == []
    assert said_among_images(tmp_path / "photos/run", None) == []
