"""Groups that file names seem to hold: which names are taken for groups, and which are not."""

import numpy as np
import pytest

from longtail.data.grouping import group_names
from longtail.data.name_groups import find_name_groups

CLASSES = ["fox"] * 30 + ["owl"] * 30


def found(name):
    """What is found where `name(class, number)` names each file."""
    ids = [f"{label}/{name(label, number)}.jpg" for number, label in enumerate(CLASSES)]
    groups = find_name_groups(ids, CLASSES, np.arange(60) % 5 == 0)
    if groups is None:
        return None
    assert tuple(group_names(groups.rule, ids, {})) == groups.names  # the rule fits every image
    return groups.rule, len(set(groups.names)), groups.spanning


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (lambda _, n: f"cam{n % 6}_{n:04d}", ("regex:(cam[0-9]+)_[^/]*$", 6, 6)),
        (lambda _, n: f"patient_{n // 5}_{n % 5}", ("regex:(patient_[0-9]+)_[^/]*$", 12, 0)),
        (lambda _, n: f"{n // 5:05d}_{n % 5}", ("regex:([0-9]+)_[^/]*$", 12, 0)),
        (lambda _, n: f"{n}_cam{n % 6}", ("regex:[_-]([^/_-]+)[.][^./]+$", 6, 6)),
        (lambda _, n: f"{'cam' if n % 2 else 'trap'}{n // 5}_{n}", ("regex:([^/_-]+)[^/]*$", 24, 0)),
        (lambda _, n: f"site{n % 6}/{n}", ("folder:2", 6, 6)),
    ],
)
def test_what_repeats_over_many_files_is_a_group(name, expected):
    assert found(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        lambda _, n: f"IMG_{n:04d}",  # a counter
        lambda label, n: f"{label}_{n:04d}",  # the class
        lambda _, n: f"{n % 30}_x",  # numbered again in each folder
        lambda label, n: f"{label}_img{n % 30}",
        lambda label, n: f"{label}-frame{n % 30:04d}",
        lambda label, n: f"photo{n % 30}_{label}",
        lambda _, n: f"img{n % 30}_small",
        lambda _, n: f"img{n % 30 // 2}_{'large' if n % 2 else 'small'}",
        lambda _, n: f"IMG_20240501_12{n:04d}",  # one day
        lambda _, n: f"cam{n % 3}_{n}",  # too few to divide
        lambda _, n: f"cam{n % 6 if n > 35 else 9}_{n}",  # most images in one
    ],
)
def test_other_names_are_none(name):
    assert found(name) is None


def test_a_division_that_parts_them_is_counted_and_one_that_keeps_them_whole_needs_none():
    ids = [f"fox/cam{n % 6}_{n}.jpg" for n in range(30)] + [f"owl/cam{n % 6}_{n}.jpg" for n in range(30)]
    parted, whole = np.arange(60) == 7, np.array(["cam1_" in path for path in ids])
    assert find_name_groups(ids, CLASSES, whole) is None
    groups = find_name_groups(ids, CLASSES, parted | whole & (np.arange(60) < 14))
    assert (groups.tested, groups.shared) == (3, 3)
    for fact in ("6 groups", "cam0 10", "6 with images of several classes", "3 of 3 images"):
        assert fact in groups.said()
