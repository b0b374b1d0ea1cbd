"""What does not fit its annotation is noticed in the tests, whatever it is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float, TypeCheckError
from torch import Tensor

import longtail
from longtail.csv_text import csv_text
from longtail.engine.schedule import learning_rate
from longtail.losses import expert_cross_entropy
from shape_checks import NAMES, checked, unchecked

SOURCE = Path(longtail.__file__).parent
MYPY_ALONE = {  # packages with some tensors or arrays of which shapes are checked here, and other types by mypy
    "analysis", "data", "demo_app", "estimator", "explain", "export", "recipe", "report", "search", "study", "types",
}  # fmt: skip
WRONG = (BeartypeCallHintViolation, TypeCheckError)


@checked
def product(a: Float[Tensor, "m n"], b: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
    return a @ b if a.sum() else b


@checked
def quoted(a: "Float[Tensor, ' n']", b: "Float[Tensor, ' n']") -> "int":
    return len(a) + len(b)


@checked
def plain(count: int, name: str = "") -> str:
    return name * count or None  # type: ignore[return-value]


@checked
@dataclass
class Pair:
    a: Float[Tensor, " n"]
    b: Float[Tensor, " n"]
    name: str = ""

    @classmethod
    @checked
    def of(cls, a: Float[Tensor, " n"]) -> "Pair":
        return cls(a, a)

    @property
    @checked
    def text(self) -> str:
        return self.name or None  # type: ignore[return-value]


def test_what_fits_passes() -> None:
    two, three = torch.ones(2), torch.ones(3)
    assert product(torch.ones(2, 3), torch.ones(3, 4)).shape == (2, 4)
    assert product(torch.ones(4, 3), torch.ones(3, 2)).shape == (4, 2)  # sizes are those of one call
    assert quoted(two, two) + quoted(three, three) == 10
    assert plain(2, "a") == "aa"
    assert Pair.of(three).b is three
    assert Pair(two, two, "x").text == "x"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: product(torch.ones(2, 3), torch.ones(2, 4)),
        lambda: product(torch.ones(2, 3), torch.ones(3, 4, dtype=torch.int64)),
        lambda: product(torch.zeros(2, 3), torch.ones(3, 4)),
        lambda: quoted(torch.ones(2), torch.ones(3)),
        lambda: plain("2"),  # type: ignore[arg-type]
        lambda: plain(2),
        lambda: Pair(torch.ones(2), torch.ones(3)),
        lambda: Pair(torch.ones(2), torch.ones(2), 3),  # type: ignore[arg-type]
        lambda: Pair.of(torch.ones(2, 2)),
        lambda: Pair(torch.ones(2), torch.ones(2)).text,
    ],
    ids=[
        "size",
        "kind",
        "returned size",
        "quoted",
        "type",
        "returned type",
        "fields",
        "field",
        "method",
        "property",
    ],
)
def test_what_does_not_fit_is_noticed(wrong: Callable[[], object]) -> None:
    with pytest.raises(WRONG):
        wrong()


def test_the_package_is_checked() -> None:
    with pytest.raises(WRONG):
        expert_cross_entropy(torch.ones(1, 2, 3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(WRONG):
        learning_rate("3", total_steps=9, peak_lr=0.1, warmup_steps=2, warmup_start_lr=0.1)  # type: ignore[arg-type]
    assert not hasattr(csv_text, "__wrapped__")  # no tensors there: mypy's alone


def test_every_package_of_tensors_is_checked_or_left_to_mypy_by_name() -> None:
    found = {
        file.relative_to(SOURCE).with_suffix("").parts[0]
        for file in SOURCE.rglob("*.py")
        if any(word in file.read_bytes() for word in (b"Tensor", b"ndarray", b"NDArray"))
    }
    assert {name for name in found if not name.startswith(NAMES)} == MYPY_ALONE


def test_checks_can_be_left_out_for_a_while() -> None:
    with unchecked():
        assert plain(0) is None
    with pytest.raises(WRONG):
        plain(0)
