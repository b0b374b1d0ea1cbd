"""Ten test images of each digit in place of fifty: to evaluate on all would take as long as training."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from longtail.data.sources.named import digits

TESTED = 10  # images of each class
ALL = digits.TEST_PER_CLASS


@contextmanager
def digits_tested(images: int = TESTED) -> Iterator[None]:
    """So many test images of each digit meanwhile, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "TEST_PER_CLASS", images)
        yield


@pytest.fixture(scope="module", autouse=True)
def few_tested() -> Iterator[None]:
    """For a conftest to import: all tests of its folder see ten."""
    with digits_tested():
        yield


@pytest.fixture
def all_tested() -> Iterator[None]:
    """For tests in which other processes train too: they see all fifty."""
    with digits_tested(ALL):
        yield
