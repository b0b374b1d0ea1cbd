"""`longtail explain`: heat maps of what the network or each of its experts looks at, as a contact sheet."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longtail.caller_words import COMMAND
from longtail.cli.runs import INCOMPLETE, RunArgument, note
from longtail.runs import layout
from longtail.stopping import loading

if TYPE_CHECKING:
    from longtail.explain import Explanation
    from longtail.predict import Classifier


def explain(
    run: RunArgument,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Images or folders of images. [default: six evaluated images, by a rule; written to "
            f"RUN/{layout.EXPLAIN}/]",
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FILE", help="The sheet, a PNG file.")
    ] = None,
    class_: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME", help="Look for this class. [default: the label of each image]"
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=100, help="With SOURCE: most images on a sheet. [default: 24]"),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help=f"Replace FILE of -o; RUN/{layout.EXPLAIN}/ is always replaced."),
    ] = False,
) -> None:
    """Show where in an image the network, or each of its experts, sees the class (Grad-CAM)."""
    if sources and out is None:
        raise typer.BadParameter(f"name the sheet to write, such as -o {layout.SHEET}")
    if not sources and limit is not None:
        raise typer.BadParameter("--limit is for the images of SOURCE; give some, or leave it out")
    file = None if out is None else _png(out, sources or [], overwrite=overwrite)
    with loading():
        from longtail.data.entries import refuse_among_images
        from longtail.predict import load_run

    classifier = load_run(run, words=COMMAND)
    note(classifier)
    if file is not None and classifier.recipe.data.path is not None:
        refuse_among_images(file, [classifier.recipe.data.path])
    if sources:
        _sheet_of_files(classifier, sources, class_, limit or 24, Path(str(out)))
    else:
        _chosen(classifier, class_, file)


def _sheet_of_files(
    classifier: "Classifier", sources: list[str], class_name: str | None, limit: int, file: Path
) -> None:
    from longtail.data.dataset import counted
    from longtail.data.left_out import left_out_lines
    from longtail.explain import explain_files
    from longtail.predict import ImageSources, repaired_lines, unreadable_error, unreadable_lines

    images = ImageSources(sources)
    paths = list(images)
    bad: list[tuple[str, str]] = []
    repaired: list[tuple[str, str]] = []
    found = list(explain_files(classifier, paths[:limit], bad, repaired, class_name))
    if not found:
        raise unreadable_error(bad)
    _write_sheet(classifier, found, file)
    _note_of_few_places(found)
    for line in unreadable_lines(bad):
        typer.echo(f"could not be read and was left out: {line}", err=True)
    overlap = [images.overlap] if images.overlap else []
    for line in (*overlap, *repaired_lines(repaired), *left_out_lines(images.left_out)):
        typer.echo(line, err=True)
    more = f"; the first of {len(paths):,}, more with --limit" if len(paths) > limit else ""
    typer.echo(f"{counted(len(found), 'image')} in {file}{more}", err=True)
    if bad:
        raise typer.Exit(INCOMPLETE)


def _chosen(classifier: "Classifier", class_name: str | None, file: Path | None) -> None:
    from longtail.data.dataset import counted
    from longtail.explain import explain_chosen, rule, write_explanations

    found = explain_chosen(classifier, class_name)
    folder = write_explanations(classifier.folder, found, _title(classifier))
    if file is not None:
        _write_sheet(classifier, found, file)
    _note_of_few_places(found)
    typer.echo(f"chosen: {rule(len(found[0].votes))}", err=True)
    typer.echo(
        f"{counted(len(found), 'image')} in {file or folder / layout.SHEET}; for the report: {folder}",
        err=True,
    )


def _note_of_few_places(found: "list[Explanation]") -> None:
    from longtail.explain import LEAST

    height, width = found[0].maps.shape[-2:]
    if min(height, width) < LEAST:
        typer.echo(
            f"maps of {height} x {width} places show little: the run's images are small; train on larger ones with "
            "--set data.image_size=N",
            err=True,
        )
    typer.echo(f"maps: {found[0].layer}, {height} x {width} places", err=True)


def _write_sheet(classifier: "Classifier", found: "list[Explanation]", file: Path) -> None:
    from longtail.explain import write_sheet
    from longtail.runs.atomic_write import atomic_write

    with (
        atomic_write(file, "then repeat the command, or choose another -o") as partial,
        partial.open("wb") as opened,
    ):
        write_sheet(found, _title(classifier), opened)


def _title(classifier: "Classifier") -> str:
    name = classifier.folder.path.resolve().name
    return f"What the experts of {name} look at" if classifier.num_experts > 1 else f"What {name} looks at"


def _png(out: str, sources: list[str], *, overwrite: bool) -> Path:
    """The file to write, refused where it is no PNG file, lies in the way or among the images."""
    from longtail.data.entries import refuse_among_images
    from longtail.runs.atomic_write import check_free
    from longtail.types import InputError

    file = Path(out)
    if file.suffix.lower() != ".png":
        raise InputError(f"a sheet is a PNG file and {out} is not; give -o a name that ends in .png")
    if file.is_dir():
        raise InputError(f"{out} is a folder; choose another -o")
    check_free(file, overwrite=overwrite)
    refuse_among_images(file, sources)
    return file
