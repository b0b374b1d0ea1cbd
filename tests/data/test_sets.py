"""The digits, and the real sets where they are on this disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.datasets import load_digits

from longtail.data import DataOptions, load_data
from longtail.data.profiles import subsample
from longtail.data.source_kinds import read_source
from longtail.data.sources import find
from longtail.data.sources.named.digits import digit_rows
from longtail.source_names import named_sources, own_sources


def test_digits_are_split_evenly():
    data = load_data(DataOptions(name="digits"))
    digits = load_digits()
    assert torch.bincount(data.test.targets).tolist() == [50] * 10
    assert data.class_counts.tolist() == [128, 132, 127, 133, 131, 132, 131, 129, 124, 130]
    assert data.class_names == tuple("0123456789")
    assert data.train.images.shape == (1297, 3, 8, 8)
    rows = [int(name.split("/")[1]) for name in (*data.train.ids, *data.test.ids)]
    assert sorted(rows) == list(range(1797))
    last = [row for row in range(1797) if digits.target[row] == 4][-50:]
    assert [
        int(i.split("/")[1]) for i, t in zip(data.test.ids, data.test.targets, strict=True) if t == 4
    ] == last


def test_the_table_of_digits_is_that_of_scikit_learn(monkeypatch):
    digits = load_digits()
    expected = np.column_stack((digits.data, digits.target))
    assert np.array_equal(digit_rows(), expected)
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    assert np.array_equal(digit_rows(), expected)


def test_digits_keep_their_pixels():
    data = load_data(DataOptions(name="digits"))
    row = int(data.train.ids[7].split("/")[1])
    expected = torch.from_numpy(load_digits().images[row] * 255 / 16)
    for channel in data.train.images[7]:
        assert (channel.double() - expected).abs().max() <= 0.5
    assert int(data.train.images.max()) == 255


def test_digits_normalise_to_zero_and_one():
    data = load_data(DataOptions(name="digits"))
    pixels = torch.cat([data.train.images, data.test.images]).double() / 255
    assert data.mean[0] == pytest.approx(float(pixels.mean()), abs=1e-3)
    assert data.std[0] == pytest.approx(float(pixels.std()), abs=1e-3)


def test_digits_with_a_tail():
    data = load_data(DataOptions(name="digits", imbalance_factor=10))
    assert data.class_counts.tolist() == [120, 92, 71, 55, 43, 33, 25, 20, 15, 12]
    assert data.class_counts.dtype == torch.int64
    assert load_data(DataOptions(name="digits", image_size=16)).train.images.shape[-1] == 16


def test_every_source_is_described():
    found = {name: find(name).about for name in (*named_sources(), *own_sources())}
    named = ("cifar10", "cifar100", "digits", "imagenet_lt", "inaturalist2018", "places_lt")
    own = ("folder", "inaturalist", "list", "packed", "parquet", "table")
    assert list(found) == [*named, *own]
    assert all(found.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "mnist"},
        {"validation": 1.0},
        {"image_size": 0},
        {"subset": "last"},
        {"tail": 3},
        {"max_count": 0},
        {"max_count": True},
        {"max_count": 2.0},
        {"imbalance_factor": -1},
        {"imbalance_factor": float("nan")},
        {"imbalance_factor": float("inf")},
        {"imbalance_factor": True},
        {"mean": [0.5, 0.5, float("inf")]},
        {"std": [True, 1, 1]},
        {"cutout_size": 0},
        {"randaugment_ops": 0},
        {"strict": 1},
    ],
)
def test_options_are_checked(wrong):
    with pytest.raises(ValidationError):
        DataOptions(**{"name": "digits"} | wrong)


def test_options_take_what_toml_gives():
    given = {"imbalance_factor": 10, "validation": 0, "augment": ["crop"], "mean": [0, 0.5, 1]}
    options = DataOptions(name="digits", **given)
    assert (options.imbalance_factor, options.augment, options.mean) == (10.0, ("crop",), (0.0, 0.5, 1.0))


def real_cifar(shared_data, name, factor):
    return DataOptions(name=name, path=str(shared_data / f"{name}-lt10"), imbalance_factor=factor)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "factor", "total"),
    [
        ("cifar100", 100, 10_847),
        ("cifar100", 50, 12_608),
        ("cifar100", 10, 19_573),
        ("cifar100", None, 19_573),
        ("cifar10", 100, 12_406),
        ("cifar10", 50, 13_996),
        ("cifar10", 10, 20_431),
    ],
)
def test_cifar_has_the_published_totals(shared_data, name, factor, total):
    options = real_cifar(shared_data, name, factor)
    train = read_source(options).train
    assert len(subsample(train.targets, train.class_names, options)) == total


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "first_names"),
    [("cifar100", ("apple", "aquarium_fish")), ("cifar10", ("airplane", "automobile"))],
)
def test_cifar_has_its_names_and_test_images(shared_data, name, first_names):
    source = read_source(real_cifar(shared_data, name, 100))
    classes = len(source.train.class_names)
    assert source.test.class_names == source.train.class_names
    assert source.train.class_names[:2] == first_names
    assert np.bincount(source.test.targets).tolist() == [10_000 // classes] * classes


@pytest.mark.data
def test_cifar_is_loaded_whole(shared_data):
    data = load_data(real_cifar(shared_data, "cifar100", 100))
    assert data.train.images.shape == (10_847, 3, 32, 32)
    assert data.test.images.shape == (10_000, 3, 32, 32)
    assert int(data.class_counts[-1]) == 5
    assert data.class_names[:2] == ("apple", "aquarium_fish")
    assert data.notes.lines() == []


@pytest.mark.data
def test_skin_lesions_from_folders(shared_data):
    data = load_data(DataOptions(name="folder", path=str(shared_data / "ham10000_lt"), image_size=16))
    assert dict(zip(data.class_names, data.class_counts.tolist(), strict=True)) == {
        "akiec": 163, "bcc": 244, "bkl": 563, "df": 40, "mel": 471, "nv": 4303, "vasc": 60,
    }  # fmt: skip
    assert torch.bincount(data.test.targets).tolist() == [20] * 7
    assert data.notes.lines(problems_only=True) == []
    assert [(one.count, one.examples) for one in data.notes.left_out] == [(2, ("README.md", "counts.json"))]
