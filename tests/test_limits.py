"""Settings have a smallest and a largest value, texts a largest size, and messages a largest length."""

import typing
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel

from longtail.data import DataOptions
from longtail.methods import available
from longtail.models import ModelOptions
from longtail.recipe import load_recipe, toml_value
from longtail.recipe.options import OptimOptions, RunOptions
from longtail.types import InputError

OPTIONS = (
    DataOptions,
    ModelOptions,
    OptimOptions,
    RunOptions,
    *(method.Options for method in available().values()),
)


def numbers(annotation: Any, limits: tuple[Any, ...]) -> typing.Iterator[tuple[Any, ...]]:
    """The limits of each number in a type."""
    if annotation in (int, float):
        yield limits
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is Annotated:
        yield from numbers(arguments[0], (*limits, *arguments[1:]))
        return
    for argument in arguments:
        yield from numbers(argument, limits)


def unlimited(options: type[BaseModel]) -> list[str]:
    return [
        f"{options.__qualname__}.{key}"
        for key, field in options.model_fields.items()
        for limits in numbers(field.rebuild_annotation(), ())
        if not any(isinstance(limit, Ge | Gt) for limit in flat(limits))
        or not any(isinstance(limit, Le | Lt) for limit in flat(limits))
    ]


def flat(limits: tuple[Any, ...]) -> list[Any]:
    """A `Field` among annotations carries its limits in a list of its own."""
    return [one for limit in limits for one in (limit, *getattr(limit, "metadata", ()))]


@pytest.mark.parametrize("options", OPTIONS)
def test_every_number_has_a_smallest_and_a_largest_value(options: type[BaseModel]) -> None:
    assert unlimited(options) == []


def test_the_check_sees_what_is_missing() -> None:
    class Loose(BaseModel):
        free: int = 1
        half: Annotated[float, Ge(0)] = 0.0
        pair: tuple[float, float] = (0.0, 1.0)
        text: str = ""
        good: Annotated[int, Ge(0), Le(3)] | None = None

    assert [name.rpartition(".")[2] for name in unlimited(Loose)] == ["free", "half", "pair", "pair"]


@pytest.mark.parametrize(
    ("key", "value", "limit"),
    [
        ("optim.epochs", 10**20, "at most 1,000,000"),
        ("optim.batch_size", 10**12, "at most 1,048,576"),
        ("data.randaugment_ops", 10**9, "at most 16"),
        ("data.workers", 10**6, "at most 1,024"),
        ("run.threads", 10**6, "at most 1,024"),
        ("data.crop_padding", 10**9, "at most 4,096"),
        ("model.num_experts", 10**6, "at most 64"),
        ("optim.peak_lr", 0, "more than 0"),
        pytest.param("optim.epochs", 10**5000, "at most 1,000,000", id="long number"),
        pytest.param("optim.epochs", "9" * 5000, "at most 1,000,000", id="long text"),
        ("data.few_below", 200, "data.many_above = 100"),
    ],
)
def test_an_absurd_setting_is_refused_with_its_range(key: str, value: Any, limit: str) -> None:
    with pytest.raises(InputError, match=key) as refused:
        load_recipe("icl-digits", {key: toml_value(value)})
    assert limit in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 30_000,
        "[data]\n" + ".".join("a" * 30_000) + " = 1",
        "[data]\npath = " + "9" * 30_000,
        "# " + "x" * 2**20,
        "\n".join(f"[{'.'.join('ab' * 100)}.k{number}]" for number in range(4000)),
    ],
    ids=["deep lists", "dotted key", "long number", "long file", "many deep tables"],
)
def test_a_recipe_of_awkward_size_is_refused_at_once(tmp_path: Path, text: str) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"recipe\.toml") as refused:
        load_recipe(str(file))
    assert len(str(refused.value)) < 500


def test_a_long_value_is_not_repeated_whole() -> None:
    error = InputError(f"{'x' * 10**7} is odd; give another", ["y" * 10**7])
    assert len(str(error)) < 2100
    assert str(error).endswith("is odd; give another")
    assert len(error.details[0]) < 2100
