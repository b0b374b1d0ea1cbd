"""Commands that list what there is, and `doctor`, which looks at the machine."""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer

ROOM = 2 * 2**30  # bytes on disk below which doctor complains


def methods() -> None:
    """List the methods."""
    from longtail.methods import describe, names

    _list_found(names(), lambda name: describe(name).sentence)


def models(
    pattern: Annotated[
        str | None,
        typer.Argument(metavar="PATTERN", help="Networks of timm by a shell pattern, such as '*resnet*'."),
    ] = None,
) -> None:
    """List the networks: those for small images, or with PATTERN those of timm that can have experts."""
    if pattern is not None:
        _timm(pattern)
        return
    import torch

    from longtail.models import RESNETS, ModelOptions, build_model, count_parameters

    def millions(name: str, experts: int) -> str:
        with torch.device("meta"):
            options = ModelOptions.model_validate(
                {"name": name, "num_experts": experts, "gates": False if experts == 1 else None}
            )
            return f"{count_parameters(build_model(options, 100, ('first',))) / 1e6:.2f} M"

    _list(
        (
            name,
            f"for {'small images' if layout.small_images else 'photographs'}: {millions(name, 1)} weights, "
            f"as 3 experts {millions(name, 3)}",
        )
        for name, layout in RESNETS.items()
    )
    typer.echo(
        "and networks of timm (ResNet, ResNeXt, EfficientNet, MobileNetV3, ConvNeXt, vision transformers), "
        "with --pretrained weights: longtail models '*'"
    )


def _timm(pattern: str) -> None:
    from longtail.models.backbone import backbone_input, backbone_names
    from longtail.models.weights import packaged_file
    from longtail.types import InputError

    names = backbone_names(pattern)
    if not names:
        raise InputError(f"no network of timm that can have experts matches {pattern!r}; '*' lists all")
    here = {True: ", its ImageNet weights are installed", False: ""}
    _list(
        (name, f"{backbone_input(name).size} pixels{here[packaged_file(name) is not None]}") for name in names
    )


def recipes() -> None:
    """List the shipped recipes."""
    from longtail.recipe import shipped

    _list((name, _first_sentence(text)) for name, text in shipped().items())


def _first_sentence(text: str) -> str:
    """What a recipe's opening comment says first."""
    comment = " ".join(
        line[1:].strip() for line in takewhile(lambda line: line[:1] == "#", text.splitlines())
    )
    return re.split(r"[.:;] |$", comment, maxsplit=1)[0].removesuffix(".")


def datasets() -> None:
    """List the sources of images."""
    from longtail.data.sources import find
    from longtail.source_names import named_sources, own_sources

    _list_found((*named_sources(), *own_sources()), lambda name: find(name).about)


def doctor() -> None:
    """Look at the machine, the libraries and the data."""
    from importlib import metadata

    from longtail.engine.runtime import environment, start_runtime
    from longtail.plurals import counted

    runtime = start_runtime("auto", "fp32")
    found = environment(runtime)
    versions = found["versions"]
    cores = f"{counted(found['cpu_count'], 'core')}, {counted(found['threads'], 'thread')}"
    _list([
        ("longtail", f"{versions.pop('longtail')} with Python {versions.pop('python')}"),
        ("libraries", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("device", f"{found['device']} ({found['device_name']}), {cores}"),
        ("precision", _precisions(found["device"])),
        ("data", f"digits (in scikit-learn {metadata.version('scikit-learn')}), {_downloaded()}"),
        *_plugins(),
        ("disk", _disk()),
    ])  # fmt: skip


def _precisions(device: str) -> str:
    import torch

    if device == "cuda":
        return "fp32, fp16" + (", bf16" if torch.cuda.is_bf16_supported() else "; no bf16 on this device")
    return "fp32, bf16; fp16 needs an accelerator" if device == "cpu" else "fp32, fp16"


def _downloaded() -> str:
    from longtail.data.cifar import FOLDERS

    cache = Path.home() / ".cache" / "longtail"
    here = {True: "downloaded", False: "not downloaded; --data PATH takes it from elsewhere"}
    return ", ".join(f"{name} ({here[(cache / folder).is_dir()]})" for name, folder in FOLDERS.items())


def _plugins() -> Iterator[tuple[str, str]]:
    """What is found by being there, in the package and in folders of one's own."""
    from longtail import methods, source_names
    from longtail.data import sources
    from longtail.report import discovery

    def own_sources() -> tuple[str, ...]:
        return (*source_names.named_sources(), *source_names.own_sources())

    yield "methods", _found("methods", methods.FOLDERS, methods.packaged(), methods.names, methods.find)
    shipped = source_names.packaged_sources()
    yield "sources", _found("sources of images", source_names.VARIABLE, shipped, own_sources, sources.find)
    about = discovery.VARIABLE, discovery.packaged(), discovery.names, discovery.find
    yield "sections", _found("sections of the report", *about)


def _found(
    kind: str,
    variable: str,
    packaged: Sequence[str],
    names: Callable[[], Iterable[str]],
    find: Callable[[str], object],
) -> str:
    """How many there are, in which folders of one's own, and what of these is broken.

    Args:
        kind: what they are, in words.
        variable: names the folders.
        packaged: the names of the package's own, which are not imported.
        names: all names.
        find: imports one.
    """
    from longtail.errors import InputError
    from longtail.plugins import named_folders

    folders = named_folders(variable)
    listed = ", ".join(folders) if folders else f"none; {variable} may name folders of further {kind}"
    known, broken = list(packaged), list[str]()
    try:
        known = list(names())
    except InputError as error:
        broken.append(f"BROKEN: {error}")
    for name in sorted({*known} - {*packaged}):
        try:
            find(name)
        except InputError as error:
            broken.append(f"BROKEN: {error}")
    return "; ".join([f"{len(known)} {kind}", f"folders: {listed}", *broken])


def _disk() -> str:
    free = shutil.disk_usage(".").free
    return f"{free / 2**30:.0f} GiB free here" + ("; little for checkpoints" if free < ROOM else "")


def _list_found(names: Iterable[str], about: Callable[[str], str]) -> None:
    """What files that are found by being there say of themselves, or what is wrong with them."""
    from longtail.errors import InputError

    def line(name: str) -> str:
        try:
            return about(name)
        except InputError as error:
            return f"BROKEN: {error}"

    _list((name, line(name)) for name in names)


def _list(rows: Iterable[tuple[str, str]]) -> None:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        typer.echo(f"{name:<{width}}  {text}".rstrip())
