"""Images of camera traps: groups by location or sequence, two species on one image, and ids."""

import json

import pytest
from PIL import Image

from longtail.data import DataOptions, load_data
from longtail.data.audit import check
from longtail.data.dividing import divide
from longtail.data.source_kinds import options_of, read_source
from longtail.types import InputError


@pytest.fixture
def traps(tmp_path):
    """Writes `traps.json`: 24 images of fox and 16 of deer, two a sequence, at eight locations in turn."""
    for number in range(40):
        Image.new("RGB", (9, 8), (number, 60, 90)).save(tmp_path / f"{number}.png")

    def write(change=lambda content: None):
        content = {
            "images": [
                {"id": n, "file_name": f"{n}.png", "location": n % 8, "seq_id": f"s{n // 16}"}
                for n in range(40)
            ],
            "annotations": [{"image_id": n, "category_id": int(n >= 24)} for n in range(40)],
            "categories": [{"id": 0, "name": "fox"}, {"id": 1, "name": "empty"}],
        }
        change(content)
        (tmp_path / "traps.json").write_text(json.dumps(content))
        return tmp_path / "traps.json"

    return write


def load(path, **more):
    return load_data(
        DataOptions(name="inaturalist", path=str(path), **{"image_size": 8, "validation": 0.2} | more)
    )


def without(key, images):
    def change(content):
        for number in images:
            content["images"][number].pop(key, None)

    return change


def test_locations_are_groups(traps):
    data = load(traps())
    assert data.class_names == ("empty", "fox")
    assert len(data.val)
    assert not set(data.train.groups) & set(data.val.groups)
    assert set(data.train.groups) | set(data.val.groups) == set("01234567")
    said = " ".join(data.notes.reading)
    for fact in ("one location", "8 groups", "column:seq_id", "none", "data.group_by"):
        assert fact in said
    assert data.notes.lines() == []
    chosen = load(traps(), group_by="column:seq_id")
    assert set(chosen.train.groups) | set(chosen.val.groups) == {f"{n % 8}/s{n // 16}" for n in range(40)}
    assert load(traps(), group_by="none").train.groups is None


def test_sequences_are_groups_where_there_are_few_locations(traps):
    def change(content):
        for image in content["images"]:
            image["location"] = "north" if image["id"] % 2 else "south"
            image["seq_id"] = image["id"] // 4

    source = read_source(options_of(traps(change)))
    assert set(source.train.groups) == {f"{place}/{n}" for place in ("north", "south") for n in range(10)}
    said = " ".join(source.reading)
    assert "one seq_id" in said
    assert "location has 2 values" in said
    (note,) = read_source(options_of(traps(without("seq_id", range(40))))).reading
    assert "seq_id" not in note
    plain = read_source(
        options_of(traps(lambda c: [without(k, range(40))(c) for k in ("location", "seq_id")]))
    )
    assert (plain.train.groups, plain.reading) == (None, ())


def test_images_without_a_location_are_by_themselves_and_counted(traps):
    def change(content):
        without("location", (3, 7))(content)
        without("seq_id", range(20))(content)

    source = read_source(options_of(traps(change)))
    assert [source.train.groups[n] for n in (2, 3, 7)] == ["2", "", ""]
    assert "2 images without one" in source.reading[0]


def second_species(content):
    content["annotations"] += [{"image_id": n, "category_id": 1} for n in range(7)]


def test_images_with_two_species_are_left_out_where_asked(traps, tmp_path):
    with pytest.raises(InputError, match=r"7 images .* two labels or more.*two_labels=leave_out"):
        load(traps(second_species))
    data = load(traps(second_species), two_labels="leave_out")
    assert len(data.train) + len(data.val) == 33
    (left,) = data.notes.left_out
    assert (left.count, left.is_problem, len(left.examples)) == (7, True, 5)
    assert left.examples[0] == "0.png (fox and empty)"
    assert data.files.seen == 40
    with pytest.raises(InputError, match="not clean"):
        load(traps(second_species), two_labels="leave_out", strict=True)
    audit = check(traps(second_species))
    assert (audit.files.left_out, audit.has_problems) == (7, True)
    found = divide(traps(second_species), tmp_path, two_labels="leave_out")
    assert len(found.paths) == 33
    assert any("7 images left out" in line for line in found.said)


@pytest.mark.parametrize("name", ["photos.csv", "photos.txt"])
def test_tables_and_lists_leave_them_out_as_well(traps, name):
    folder = traps().parent
    rows = [f"{n}.png,{'ab'[n % 2]}" for n in range(10)]
    lines = [*rows, "0.png,b", "0.png,c", "1.png,b"]
    text = "path,label\n" + "\n".join(lines) if name.endswith("csv") else "\n".join(lines).replace(",", " ")
    (folder / name).write_text(text)
    options = options_of(folder / name)
    with pytest.raises(InputError, match="two_labels=leave_out"):
        read_source(options)
    source = read_source(options.model_copy(update={"two_labels": "leave_out"}))
    assert "0.png" not in source.train.ids
    assert len(source.train.ids) == 9
    assert [one.count for one in source.left_out] == [1]


def test_a_class_named_twice_on_an_image_counts_once_and_nothing_is_said(traps):
    def boxes(content):
        content["annotations"] += content["annotations"][:9]

    source = read_source(options_of(traps(boxes)))
    assert (len(source.train.ids), source.remarks) == (40, ())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda c: c["annotations"][0].update(image_id="0"),
            r"annotation of image '0' and lists 0.*one way",
        ),
        (
            lambda c: c["annotations"][0].update(category_id="1"),
            r"annotation of category '1' and lists 1",
        ),
        (lambda c: c["images"][1].update(id=0), r"1 ids that more than one image has, such as 0"),
        (lambda c: c["categories"][1].update(id=0), r"more than one category has"),
        (
            lambda c: [image.update(file_name=f"a\\{image['file_name']}") for image in c["images"]],
            r"folders are divided by /",
        ),
    ],
)
def test_what_is_refused(traps, change, said):
    with pytest.raises(InputError, match=said):
        load(traps(change))


def test_every_image_with_two_labels_is_refused(traps):
    def all_of_them(content):
        content["annotations"] = [{"image_id": n, "category_id": c} for n in range(40) for c in (0, 1)]

    with pytest.raises(InputError, match="every image"):
        load(traps(all_of_them), two_labels="leave_out")


def test_what_groups_do_to_shares_is_said(traps, tmp_path):
    table = traps().parent / "t.csv"
    table.write_text(
        "path,label,group\n"
        + "".join(f"{n}.png,{'fox' if n < 24 else 'owl'},{n // 12 if n < 24 else n}\n" for n in range(40))
    )
    found = divide(table, tmp_path, test=0.2)
    assert found.grouped_by == "the column group of t.csv"
    (line,) = [line for line in found.said if "far from" in line]
    assert "fox (asked 5 of 24, got 12; groups of 12, 12)" in line
    assert "owl" not in line


def test_classes_that_groups_leave_untested_name_the_column(traps):
    table = traps().parent / "t.csv"
    table.write_text(
        "path,label,group\n"
        + "".join(f"{n}.png,{'fox' if n < 24 else 'owl'},{'one' if n < 24 else n}\n" for n in range(40))
    )
    options = options_of(table).model_copy(update={"image_size": 8, "validation": 0.2})
    (line,) = [one for one in load_data(options).notes.remarks if "fox" in one]
    for fact in ("the column group of t.csv", "1 class", "data.group_by=none"):
        assert fact in line
    assert "owl" not in line
    assert any("the column group of t.csv" in one for one in check(table).remarks)
    assert not any("the column" in one for one in check(table, group_by="none").remarks)
