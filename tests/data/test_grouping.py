"""Which images belong together."""

from dataclasses import replace

import numpy as np
import pytest

from longtail.data.grouping import group_names, grouped
from longtail.data.listing import Listing, Source
from longtail.types import InputError

PATHS = ["train/fox/cam1/IMG_7_a.jpg", "Test/lynx/cam1/IMG_7_b.jpg", "fox/cam2/IMG_8.jpg"]


@pytest.mark.parametrize(
    ("spec", "groups"),
    [
        ("folder:1", ["fox", "lynx", "fox"]),
        ("folder:2", ["cam1", "cam1", "cam2"]),
        ("regex:IMG_[0-9]+", ["IMG_7", "IMG_7", "IMG_8"]),
        ("regex:(cam.)/IMG_([0-9]+)", ["cam1/7", "cam1/7", "cam2/8"]),
        ("column:patient", ["p", "p", "7"]),
    ],
)
def test_groups(spec, groups):
    assert group_names(spec, PATHS, {"patient": ["p", "p", "7"]}) == groups


@pytest.mark.parametrize("path", ["../photos/fox/cam1/a.jpg", "/photos/fox/cam1/a.jpg"])
def test_a_path_that_leads_out_of_the_root_has_no_depth(path):
    with pytest.raises(InputError, match="gives 1 of 1 images no group"):
        group_names("folder:2", [path], {})
    assert group_names("regex:cam.", [path], {}) == ["cam1"]


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("folder", "give folder:DEPTH, column:NAME, regex:PATTERN or none"),
        ("folder:0", "not understood"),
        ("folder:x", "not understood"),
        ("camera:1", "not understood"),
        ("folder:3", "3 of 3 images no group, such as 'train/fox/cam1/IMG_7_a.jpg'"),
        ("column:age", "no column 'age'; columns: none"),
        ("folder:" + "9" * 5_000, "not understood"),
        ("regex:(", "no regular expression"),
        ("regex:a{99999999999}", "no regular expression"),
        ("regex:" + "(" * 5_000 + ")" * 5_000, "no regular expression"),
        ("regex:_b", "2 of 3 images"),
        ("regex:(x)?", "3 of 3 images"),
    ],
)
def test_what_is_refused(spec, named):
    with pytest.raises(InputError, match="--group-by") as refused:
        group_names(spec, PATHS, {})
    assert named in str(refused.value)


def test_an_image_without_a_value_is_by_itself_and_counted():
    columns = {"camera": ["c", " ", ""], "empty": ["", "", ""]}
    assert group_names("column:camera", PATHS, columns) == ["c", "", ""]
    part = Listing(("fox",), np.zeros(3, np.int64), tuple(PATHS), lambda rows: (), columns=columns)
    (said,) = grouped(Source(part), "column:camera").reading
    assert said.startswith("2 of 3 images have no value in the column camera")
    bare = replace(part, columns={"camera": ["", "", ""]})
    both = grouped(Source(part, test=bare), "column:camera")
    assert (both.train.groups, both.test.groups) == (("c", "", ""), ("", "", ""))
    assert both.reading[0].startswith("5 of 6 images")
    with pytest.raises(InputError, match="3 of 3 images no group"):
        group_names("column:empty", PATHS, columns)
