"""Annotations are checked while the tests run: shapes by jaxtyping, all else by beartype, and each once a call.

Shapes are checked everywhere. Other types are checked in the packages that compute with tensors most (`NAMES`), where
mypy knows little; elsewhere mypy has to do.

jaxtyping's import hook puts `jaxtyping.jaxtyped` on every function and class of the package. Left to itself it checks
arguments twice, and keeps axis sizes for functions that have no shapes too: training takes nearly twice the time.
Tests marked slow run without checks (`unchecked`): what they train with is checked in all others.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, get_args

import jaxtyping
from beartype import beartype
from jaxtyping import AbstractArray

NAMES = (
    "losses",
    "metrics",
    "models",
    "augment",
    "method",
    "draws",
    "between_epochs",
    "features",
    "engine",
    "predict",
)
TENSORS = tuple(f"longtail.{name}" for name in NAMES)
of_jaxtyping = jaxtyping.jaxtyped
_off = False


def parts(annotation: object) -> list[object]:
    """The annotation and all that is in it."""
    inside = (
        annotation if isinstance(annotation, list) else get_args(annotation)
    )  # a list: a Callable's arguments
    return [annotation, *(part for one in inside for part in parts(one))]


def checked(given: Any) -> Any:
    """The function, checked; a dataclass is checked where it is made."""
    if inspect.isclass(given):
        if dataclasses.is_dataclass(given) and "__init__" in vars(given):
            given.__init__ = checked(given.__init__)
        return given
    if isinstance(given, classmethod | staticmethod):
        return type(given)(checked(given.__func__))
    if isinstance(given, property):
        return property(*(one and checked(one) for one in (given.fget, given.fset, given.fdel)))
    found = [part for annotation in given.__annotations__.values() for part in parts(annotation)]
    shapes = [part.dim_str for part in found if inspect.isclass(part) and issubclass(part, AbstractArray)]
    if not shapes and given.__module__.startswith("longtail.") and not given.__module__.startswith(TENSORS):
        return given
    special = inspect.isgeneratorfunction(given) or any("{" in shape for shape in shapes)
    if any(isinstance(part, str) for part in found) or (shapes and special):
        once = of_jaxtyping(given, typechecker=beartype)
        return while_on(lambda _: once, given)
    return while_on(with_axis_sizes if shapes else beartype, given) if found else given


def while_on(check: Callable[[Any], Any], given: Any) -> Any:
    """The checked function, made when it is first called, or the plain one while checks are off."""
    once = None

    @wraps(given)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal once
        __tracebackhide__ = True
        if _off:
            return given(*args, **kwargs)
        once = once or check(given)
        return once(*args, **kwargs)

    return wrapped


@contextmanager
def unchecked(off: bool = True) -> Iterator[None]:
    """Annotations are not checked meanwhile, where `off`."""
    global _off  # noqa: PLW0603 - read in every call of the package
    before, _off = _off, off
    try:
        yield
    finally:
        _off = before


def with_axis_sizes(given: Any) -> Any:
    """The function, checked; an axis has one size in all arguments and what is returned."""
    once = beartype(given)

    @wraps(given)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with of_jaxtyping("context"):
            return once(*args, **kwargs)

    return wrapped


def jaxtyped(*, typechecker: Any) -> Any:
    """What the import hook calls in place of jaxtyping's."""
    return checked
