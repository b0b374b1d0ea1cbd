"""From options to data: read a source, cut its tail, decode, match classes by name, and say what was odd."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from longtail.data.copies import copies_of
from longtail.data.dataset import LongTailData, Notes, Split, counted
from longtail.data.holdout import hold_out, looks_for_alike, related_in, said_of_division
from longtail.data.listing import Listing, Source, is_text
from longtail.data.matching import absent, by_name, present, with_one_image
from longtail.data.options import DataOptions
from longtail.data.profiles import subsample
from longtail.data.reading import read_split
from longtail.data.related import NOTHING_DIVIDED
from longtail.data.source_kinds import ReadSource, read_source
from longtail.text_file import as_windows
from longtail.types import InputError


def load_data(
    options: DataOptions,
    *,
    seed: int = 0,
    boxes: bool | None = None,
    read: ReadSource = read_source,
    divided_later: bool = False,
) -> LongTailData:
    """Load a long-tailed image set.

    The source's training images are cut to the profile, decoded, and divided into train and validation; other
    splits are matched to the classes by name. Images that cannot be read are skipped and noted.

    Args:
        options: which images and how.
        seed: draws the validation split, >= 0.
        boxes: whether boxes are cut out of training images as they are read; None: if `augment` has `resized_crop`.
        read: lists the source; one that remembers saves listing it again.
        divided_later: whether training images will be divided further, so that what they are compared by is kept.

    Raises:
        InputError: nothing to train on, an impossible request, or, with `strict`, anything to note.
    """
    source = read(options)
    if source.train is None:
        raise InputError(f"no training images in {options.path}; add a split named train")
    if source.val is not None and options.validation > 0:
        raise InputError(f"{options.path} has its own validation split; leave data.validation at 0")
    options = _settled(options, source)
    class_names, pool = _load_train(source.train, options, source.max_count, boxes, divided_later)
    together = related_in(pool, options) if options.validation else NOTHING_DIVIDED
    train, val = _divide(pool, len(class_names), options, seed, together.groups)
    read_alike = options.model_copy(update={"bits": pool.depth.bits})
    shares, blind = said_of_division(pool, val, class_names, options, source, together)
    if source.val is not None:
        val = _load_other("validation", source.val, class_names, read_alike)
    test = None if source.test is None else _load_other("test", source.test, class_names, read_alike)
    known = set(class_names)
    apart = [part for part in (val if source.val else None, test) if part is not None]
    splits = {"train": train, "val": val, "test": test}
    copies, wrong = copies_of(splits, class_names, options)
    notes = Notes(
        unreadable=sum((part.unreadable for part in apart), pool.unreadable),
        repaired=sum((part.repaired for part in apart), pool.repaired),
        unknown_classes=dict(sum((Counter(part.unknown_classes) for part in apart), Counter())),
        not_tested=absent(test or val, class_names),
        single_image=with_one_image(pool, class_names),
        empty_classes=tuple(name for name in source.train.class_names if name not in known),
        remarks=(*source.remarks, *_other_draw(source, options), *wrong, *blind),
        reading=(*source.reading, *pool.depth.lines(), *copies, *shares),
        left_out=source.left_out,
        listed=sum(len(part.ids) for part in source.parts.values()),
    )
    _refuse_if_strict(notes, options)
    return LongTailData(
        name=options.name, class_names=class_names, train=train, val=val, test=test,
        image_size=options.image_size or source.image_size, depth=pool.depth, mean=options.mean or source.mean,
        std=options.std or source.std, index_hash=train.digest(), notes=notes,
    )  # fmt: skip


def load_test(options: DataOptions, class_names: Sequence[str], part: str = "test") -> tuple[Split, Notes]:
    """Load images to evaluate a trained model on: the test split, or all of a tree of class folders.

    Args:
        options: the source, its path, the image size, and whether notes refuse; the rest is not used.
        class_names: the model's classes; test images are matched to them by name.
        part: "val" for the source's own validation split instead.

    Raises:
        InputError: no such split, no image of a known class, or, with `strict`, anything to note.
    """
    source = read_source(options)
    listing = source.val if part == "val" else source.test or (source.train if source.is_flat else None)
    if listing is None:
        raise InputError(
            f"no {part} images in {options.path}; add a split named {part}, or give class folders alone"
        )
    options = _settled(options, source)
    test = _load_other(part, listing, class_names, options)
    copies, wrong = copies_of({part: test}, class_names, options)
    notes = Notes(
        test.unreadable, test.unknown_classes, absent(test, class_names), repaired=test.repaired,
        remarks=(*source.remarks, *wrong), reading=(*source.reading, *test.depth.lines(), *copies),
        left_out=source.left_out,
    )  # fmt: skip
    _refuse_if_strict(notes, options)
    return test, notes


def _settled(options: DataOptions, source: Source) -> DataOptions:
    """The options with the set's own image size and mean where they name none, and the bits of a packed set.

    Raises:
        InputError: it was packed with other bits than those asked for.
    """
    bits = source.bits or options.bits
    if options.bits not in (None, bits):
        said = f"{options.path} was packed with images of 16 bits read as {bits}, not as {options.bits}"
        raise InputError(f"{said}; give the images it was made of")
    size, mean = options.image_size or source.image_size, options.mean or source.mean
    return options.model_copy(update={"bits": bits, "image_size": size, "mean": mean})


def _load_train(
    listing: Listing, options: DataOptions, default_max: int | None, boxes: bool | None, divided_later: bool
) -> tuple[tuple[str, ...], Split]:
    names = present(listing.class_names, listing.targets)
    _refuse_few(names, options)
    _refuse_no_text(names, options)
    targets = by_name(listing, names)
    rows = subsample(targets, names, options, default_max)
    kept = "resized_crop" in options.augment if boxes is None else boxes
    alike = looks_for_alike(options) and (options.validation > 0 or divided_later)
    split = read_split(listing, targets, rows, options, keep_on_disk=kept, with_prints=alike)
    readable = present(names, split.targets.numpy())
    if readable != names:  # every image of a class was unreadable
        _refuse_few(readable, options, split.unreadable)
        position = {name: c for c, name in enumerate(readable)}
        moved = torch.tensor([position.get(name, -1) for name in names])
        split = replace(split, targets=moved[split.targets])
    return readable, split


def _load_other(part: str, listing: Listing, class_names: Sequence[str], options: DataOptions) -> Split:
    targets = by_name(listing, class_names)
    unknown = Counter(listing.class_names[c] for c in np.sort(listing.targets[targets < 0]))
    known = options.model_copy(update={"bits": options.bits or 16})
    split = read_split(listing, targets, np.flatnonzero(targets >= 0), known)
    if len(split) == 0:
        raise _no_image(part, listing, class_names, split.unreadable)
    return replace(split, unknown_classes=dict(unknown))


def _no_image(
    part: str, listing: Listing, class_names: Sequence[str], unreadable: Sequence[tuple[str, str]]
) -> InputError:
    """Why a split has no image that a model could be tested on."""
    count = len(listing.targets)
    if not count:
        return InputError(f"the {part} split holds no image; give one with images of the training classes")
    if unreadable:
        others = count - len(unreadable)
        more = f", and {others:,} more belong to no training class" if others else ""
        known = "the one" if len(unreadable) == 1 else f"none of the {len(unreadable):,}"
        can = "cannot" if len(unreadable) == 1 else "can"
        return InputError(
            f"{known} {part} image{'s' * (len(unreadable) != 1)} of a training class {can} be read{more}; "
            "restore them and repeat the command",
            _shown(unreadable),
        )
    known, there = (", ".join(names[:5]) for names in (tuple(class_names), listing.class_names))
    return InputError(
        f"no readable {part} image belongs to a training class (training: {known}...; {part}, {count:,} in all: "
        f"{there}...); name the classes alike"
    )


def _shown(unreadable: Sequence[tuple[str, str]], most: int = 20) -> list[str]:
    lines = [f"{path} ({reason})" for path, reason in unreadable[:most]]
    return [*lines, f"and {len(unreadable) - most:,} more"] if len(unreadable) > most else lines


def _divide(
    pool: Split, num_classes: int, options: DataOptions, seed: int, groups: Sequence[str] | None
) -> tuple[Split, Split | None]:
    """The images to train on and those held out."""
    kept, held = hold_out(pool.targets.numpy(), num_classes, options.validation, seed, groups)
    if not len(held):
        return pool, None
    return pool.take(torch.from_numpy(kept)), pool.take(torch.from_numpy(held))


def _other_draw(source: Source, options: DataOptions) -> list[str]:
    """What to say where `shuffle0` cannot draw the images that published code draws."""
    if options.subset != "shuffle0" or source.train is None or source.num_train is None:
        return []
    have, whole = len(source.train.targets), source.num_train
    if have == whole:
        return []
    return [
        f"data.subset=shuffle0 draws the published images from all {whole:,} of {options.name}; "
        f"here are {have:,}, so it draws others"
    ]


def _refuse_few(
    class_names: Sequence[str], options: DataOptions, unreadable: Sequence[tuple[str, str]] = ()
) -> None:
    if len(class_names) >= 2:
        return
    found = f"only class {class_names[0]}" if class_names else "no class"
    where = f"{found} with readable training images in {options.path}"
    if not unreadable:
        raise InputError(f"{where}; training needs two: add a folder of images of another class")
    bad = f"{counted(len(unreadable), 'image')} cannot be read"
    raise InputError(f"{where}: {bad}; training needs two: repair these, or add another", _shown(unreadable))


def _refuse_no_text(class_names: Sequence[str], options: DataOptions) -> None:
    odd = next((name for name in class_names if not is_text(name)), None)
    if odd is not None:
        raise InputError(
            f"class {as_windows(odd)!r} in {options.path} is no UTF-8 text; rename it, or its folder"
        )


def _refuse_if_strict(notes: Notes, options: DataOptions) -> None:
    problems = notes.lines(None, problems_only=True)
    if options.strict and problems:
        where = options.path or options.name
        raise InputError(
            f"{where} is not clean; correct what follows, or read it without data.strict", problems
        )
