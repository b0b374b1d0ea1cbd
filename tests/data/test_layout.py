"""Whether folders are parts or classes: what is read, and what is refused with the command to type."""

import pytest

from longtail.data.listing import part_of
from longtail.data.sources.own.folder import read_folder
from longtail.types import InputError


@pytest.mark.parametrize(
    "word", ["training_set", "Train Set", "train-data", "TRAINING", "trainset", "train_images"]
)
def test_spellings_of_parts(word):
    assert part_of(word) == "train"
    assert (
        part_of(word.replace("raining", "esting").replace("RAINING", "EST").replace("rain", "est")) == "test"
    )
    assert part_of("val_set") == part_of("validation_data") == "val"
    assert part_of("tester") is None


@pytest.mark.parametrize(("train", "test"), [("training_set", "test_set"), ("Train Images", "Test Images")])
def test_spelt_out_parts_are_parts(tree, train, test):
    root = tree({f"{train}/cat": [1], f"{train}/dog": [2], f"{test}/cat": [3], f"{test}/dog": [4]})
    source = read_folder(root)
    assert source.train.class_names == source.test.class_names == ("cat", "dog")


PARTS = {"train/cat": [1], "train/dog": [2], "test/cat": [3], "test/dog": [4]}
REFUSED = {
    "one folder too high": (
        {f"photos/{name}": values for name, values in PARTS.items()},
        r"photos holds test, train, the parts of a set.*longtail train \S*images/photos",
    ),
    "several sets": (
        {f"{top}/{name}": values for top in ("birds", "fish") for name, values in PARTS.items()},
        r"birds holds test, train \(as do 1 more\).*longtail train \S*birds",
    ),
    "classes above parts": (
        {"cats/train": [1], "cats/test": [2], "dogs/train": [3], "dogs/test": [4]},
        r"splits lie below the classes; put them above \(\S*/test/cats\)",
    ),
    "classes above one part": ({"cats/train": [1], "dogs/train": [2]}, r"splits lie below the classes"),
    "unpacked twice": (
        {"images/cat": [1], "images/dog": [2]}, r"all images of .* lie in images.*longtail train \S*images/images$",
    ),
    "unpacked with a manual": (
        {"Dataset/cat": [1], "Dataset/dog": [2], "docs": []}, r"longtail train \S*images/Dataset$",
    ),
    "a part unpacked twice": (
        {"train/train/cat": [1], "train/train/dog": [2], "test/cat": [3]}, r"longtail train \S*train/train$",
    ),
    "folds": (
        {f"fold{k}/{name}": [k] for k in (1, 2, 3) for name in ("cat", "dog")},
        r"fold1, fold2, fold3 .*no classes: all hold cat, dog; give one of them \(longtail train \S*fold1\)",
    ),
    "folds of numbered classes": (
        {f"Fold {k}/{name}": [k] for k in (1, 2) for name in "0123"}, r"no classes: all hold 0, 1, 2, 3",
    ),
    "years": (
        {"train2017/cat": [1], "train2017/dog": [2], "val2017/cat": [3]},
        r"called as parts, not as classes; rename train2017 to train and val2017 to val$",
    ),
    "prefixes": (
        {"seg_train/cat": [1], "seg_train/dog": [2], "seg_test/cat": [3], "seg_pred": [4]},
        r"rename seg_test to test and seg_train to train$",
    ),
    "COCO": (
        {"train2017": [1], "val2017": [2], "unlabeled2017": [3], "annotations": []},
        r"train2017, val2017 .*called as parts.*folder for each class",
    ),
    "YOLO": ({"images/train": [1], "images/val": [2], "labels/train": []}, r"annotations beside them.*path,label"),
    "YOLO in parts": ({"train/images": [1], "train/labels": [], "valid/images": [2]}, r"train holds images, labels"),
    "VOC": ({"JPEGImages": [1], "Annotations": [], "ImageSets/Main": []}, r"holds JPEGImages, Annotations, ImageSets"),
    "masks": ({"images": [1], "masks": [2]}, r"images with annotations beside them"),
    "classes beside annotations": (
        {"images/cat": [1], "images/dog": [2], "annotations": []},
        r"if cat, dog are its classes or splits: longtail train \S*images/images$",
    ),
    "a class called train with subfolders": (
        {"bus": [1], "car": [2], "train/steam": [3], "train/diesel": [4]},
        r"train could be a class beside bus, car, or .*rename it.*longtail train \S*images/train$",
    ),
    "a class called train with images and subfolders": (
        {"bus": [1], "car": [2], "train": [3], "train/diesel": [4]}, r"could be a class beside bus, car",
    ),
    "a class called train with the subfolders of the others": (
        {f"{name}/{view}": [1] for name in ("bus", "car", "train") for view in ("front", "side")},
        r"train could be a class beside bus, car, .*\(front, side\).*longtail train \S*images/train;.* rename it",
    ),
    "a class called test with some of the subfolders of another": (
        {"tube/old": [1], "tube/new": [2], "test/old": [3], "test/lab": [4]},
        r"test could be a class beside tube, ",
    ),
    "other words": (
        {"dev/cat": [1], "dev/dog": [2], "eval/cat": [3]},
        r"dev, eval in \S*images are called as parts.*dev holds cat, dog; .*longtail train \S*images/dev\).* table",
    ),
    "abbreviated, with numbered classes": (
        {f"{part}/{name}": [1] for part in ("tr", "te") for name in "012"} | {"tr/0": [1, 2]},
        r"te, tr in .*called as parts.*longtail train \S*images/tr\)",
    ),
    "numbered": ({f"{part}/{name}": [1] for part in ("val1", "val2") for name in ("cat", "dog")}, r"called as parts"),
    "processed": (
        {f"{part}/{name}": [1] for part in ("original_images", "Augmented") for name in ("cat", "dog")},
        r"Augmented, original_images in .*called as parts, years or steps of processing",
    ),
    "labeled and unlabeled": (
        {"labeled/cat": [1], "labeled/dog": [2], "unlabeled": [3]}, r"longtail train \S*images/labeled\)",
    ),
    "a part in steps of processing": (
        {f"train/{step}/{name}": [1] for step in ("raw", "cropped") for name in ("cat", "dog")}
        | {"test/cat": [2]},
        r"cropped, raw in \S*images/train are called",
    ),
    "seasons": ({f"{year}/{name}": [1] for year in ("2019", "2020") for name in ("cat", "dog")}, r"parts, years"),
    "sites": (
        {f"{site}/{name}": [1] for site in ("siteA", "siteB") for name in ("cat", "dog")},
        r"in \S*images, the classes siteA, siteB .* the same subfolders cat, dog;.*longtail train \S*/siteA\).*table",
    ),
    "sites of which one lacks a class": (
        {f"{site}/{name}": [1] for site in ("siteA", "siteB") for name in ("cat", "dog")} | {"siteA/owl": [2]},
        r"the same subfolders cat, dog",
    ),
    "any names": (
        {f"{top}/{name}": [1] for top in ("north", "south") for name in ("cat", "dog")},
        r"the same subfolders cat, dog",
    ),
    "images to name beside classes": (
        {"bus": [1], "car": [2], "test": [3]}, r"test holds images but no class folders, beside the classes bus, car",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_classes_is_refused_with_the_remedy(tree, case):
    folders, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as caught:
        read_folder(tree(folders))
    assert "\n" not in str(caught.value)


READ = {
    "cameras": {f"{name}/cam{k}": [k] for name in ("fox", "owl") for k in (1, 2)},
    "days": {f"{name}/{day}": [1] for name in ("fox", "owl") for day in ("2024-05-01", "2024-05-02")},
    "individuals": {"fox/rex": [1], "fox/pia": [2], "owl/tom": [3]},
    "the same folder in each class": {"n01443537/images": [1], "n01629819/images": [2]},
    "grades of numbered patients": {f"{grade}/p{k}": [k] for grade in "012" for k in range(3)},
    "images and folders": {"fox": [1], "fox/train": [2], "owl": [3]},
    "lettered cameras": {f"{name}/cam{k}": [1] for name in ("fox", "owl") for k in "AB"},
    "words that are classes with images": {"raw": [1], "processed": [2]},
    "words with other words": {"raw fish": [1], "raw meat/beef": [2], "raw meat/pork": [3]},
    "steps of different classes": {
        "raw/ham": [1],
        "raw/beef": [2],
        "processed/salami": [3],
        "processed/jam": [4],
    },
    "one class has folders": {"fox/left": [1], "fox/right": [2], "owl": [3]},
    "numbered classes": {"set1": [1], "set2": [2], "set3": [3]},
    "a class called train": {"bus": [1], "car": [2], "train": [3]},
    "words that only begin so": {"trainer": [1], "tester": [2], "valid_parking": [3]},
    "class names of several words": {
        "bullet train": [1],
        "test tube": [2],
        "cat": [3],
        "dog": [4],
        "owl": [5],
    },
}


@pytest.mark.parametrize("case", READ)
def test_what_can_be_classes_is_read_without_a_word(tree, case):
    root = tree(READ[case])
    source = read_folder(root)
    assert source.train.class_names == tuple(sorted({name.split("/")[0] for name in READ[case]}))
    assert len(source.train.ids) == sum(map(len, READ[case].values()))
    assert (source.remarks, source.left_out, source.is_flat) == ((), (), True)


@pytest.mark.parametrize("tops", [("north", "south"), ("fox", "owl")])
def test_where_both_readings_are_possible_the_other_is_said(tree, tops):
    root = tree(
        {f"{top}/{name}": [1] for top in tops for name in ("indoor", "outdoor")} | {f"{tops[0]}/z": [2]}
    )
    (remark,) = read_folder(root).remarks
    assert "no images themselves but the same subfolders indoor, outdoor" in remark


def test_one_folder_that_holds_all_is_said(tree):
    (remark,) = read_folder(tree({"fox/cat": [1], "fox/dog": [2], "notes": []})).remarks
    assert remark.endswith("images/fox")
    assert "longtail train" in remark
    assert read_folder(tree({"fox/x1": [1], "fox/x2": [2]})).parts


def test_a_part_and_other_folders_of_images(tree):
    root = tree(
        {"train/a": [1], "train/b": [2], "unknown/deep": [3], "raw/a": [4], "extra/a": [], "docs": []}
    )
    (left,) = read_folder(root).left_out
    assert (left.count, left.examples, left.is_problem) == (2, ("raw/", "unknown/"), True)


def test_folders_of_copies_and_masks_within_classes_are_counted(tree):
    folders = {
        "owl": [1, 2],
        "owl/thumbs": [1, 2],
        "fox": [3],
        "fox/Original images/2020": [4],
        "fox/day 1": [5],
    }
    for top in ("", "train/"):
        source = read_folder(tree({top + name: values for name, values in folders.items()}) / top)
        (remark,) = source.remarks
        assert remark.startswith("3 images lie in folders")
        assert "owl/thumbs/ (2)" in remark
        assert "fox/Original images/ (1)" in remark
        assert len(source.train.ids) == 7
