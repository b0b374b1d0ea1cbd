"""What loading returns: splits of images with their targets, and what there is to say about them."""

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Int, Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor

from longtail.data.depth import NO_DEPTH, Depth
from longtail.data.files import ImageFiles
from longtail.data.fingerprint import Fingerprints
from longtail.data.left_out import FileCounts, LeftOut, left_out_lines
from longtail.data.options import Triple
from longtail.data.repairing import REPAIRED
from longtail.plurals import counted as counted


@dataclass(frozen=True)
class Split:
    """Images of one split (train, val or test) with their classes.

    Attributes:
        images: (N, 3, H, W) uint8 in memory, or the files where that would be too large or `resized_crop` cuts boxes
            out of the original images; (N, 1, 1, 1) int64 rows of stored features in their place.
        targets: (N,) class indices in [0, C).
        ids: N names: the path relative to the data's root, or "train/123" (split and row).
        unreadable: (path, reason) of images that were left out; those of a split that was divided are in `Notes`.
        repaired: (path, what was ignored) of images whose pixels are sound and whose metadata or end is damaged;
            they are used. Those of a split that was divided are in `Notes`.
        depth: of its images of 16 bits; that of a split that was divided is said in `Notes`.
        unknown_classes: images left out because the model does not know their class.
        groups: N groups (patient, camera, burst), "" for an image by itself; None where the source has none.
        contents: (N,) `content_number` of the encoded images; None where it is not known.
        sizes: (N, 2) height and width of the images as they came, upright; None where it is not known.
        prints: what the images are compared by; None where that was not asked for.
    """

    images: UInt8[Tensor, "n 3 h w"] | Int64[Tensor, "n 1 1 1"] | ImageFiles
    targets: Int[Tensor, " n"]
    ids: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    repaired: tuple[tuple[str, str], ...] = ()
    depth: Depth = NO_DEPTH
    unknown_classes: Mapping[str, int] = field(default_factory=dict)
    groups: tuple[str, ...] | None = None
    contents: NDArray[np.uint64] | None = None
    sizes: NDArray[np.int64] | None = None
    prints: Fingerprints | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> "Split":
        """The split with targets and, where they are in memory, images on `device`."""
        images = self.images if isinstance(self.images, ImageFiles) else self.images.to(device)
        return replace(self, images=images, targets=self.targets.to(device))

    def take(self, rows: Int[Tensor, " k"]) -> "Split":
        """The images at `rows`, in that order."""
        at = rows.cpu().numpy()
        images = self.images.take(at) if isinstance(self.images, ImageFiles) else self.images[rows]
        chosen = rows.tolist()
        groups = None if self.groups is None else tuple(self.groups[i] for i in chosen)
        contents, sizes = (None if known is None else known[at] for known in (self.contents, self.sizes))
        ids = tuple(self.ids[i] for i in chosen)
        prints = None if self.prints is None else self.prints.take(at)
        return Split(
            images, self.targets[rows], ids, groups=groups, contents=contents, sizes=sizes, prints=prints
        )

    def digest(self) -> str:
        """sha256 (hex) over the ids, the targets, and the pixels or, for images on disk, their stamps."""
        digest = hashlib.sha256("\n".join(self.ids).encode(errors="surrogateescape"))
        digest.update(self.targets.numpy().tobytes())
        if isinstance(self.images, ImageFiles):
            digest.update(self.images.stamps().tobytes())
        else:
            digest.update(np.ascontiguousarray(self.images.numpy()).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Notes:
    """What a person should know about the data before believing a number; `strict` refuses it.

    It does not refuse `reading` and `repaired`, nor what is recognisably no data in `left_out`.

    Attributes:
        unreadable: (path, reason) of each image that was skipped.
        unknown_classes: class names outside train, with the number of images left out.
        not_tested: classes without an image in the split used for evaluation (test, else val).
        single_image: classes with a single image; it stays in train.
        empty_classes: classes without any readable training image; they are no classes of the model.
        remarks: further lines, on what is odd about the source.
        reading: how the source was read, where there was a choice; no fault.
        left_out: what was found and is not used, by reason.
        repaired: (path, what was ignored) of images with damaged metadata or end, and sound pixels; they are used.
        listed: images that the source lists, readable or not.
    """

    unreadable: tuple[tuple[str, str], ...] = ()
    unknown_classes: Mapping[str, int] = field(default_factory=dict)
    not_tested: tuple[str, ...] = ()
    single_image: tuple[str, ...] = ()
    empty_classes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    repaired: tuple[tuple[str, str], ...] = ()
    listed: int = 0

    def lines(self, shown: int | None = 10, *, problems_only: bool = False) -> list[str]:
        """One line for each kind of note, with the first `shown` names (None: all); empty where all is well.

        Args:
            shown: how many names.
            problems_only: only what `strict` refuses.
        """
        unknown = [f"{name} ({count})" for name, count in self.unknown_classes.items()]
        said = [
            (
                "image",
                "unreadable and left out",
                [f"{p} ({reason})" for p, reason in self.unreadable],
            ),
            ("image", REPAIRED, [] if problems_only else [f"{p} ({what})" for p, what in self.repaired]),
            ("class", "not in the training split, images left out", unknown),
            ("class", "without images to evaluate on", self.not_tested),
            ("class", "with a single image, kept for training", self.single_image),
            ("class", "without a readable training image, left out", self.empty_classes),
        ]
        lines = [
            f"{counted(len(names), noun)} {text}: {_shortened(names, shown)}"
            for noun, text, names in said
            if names
        ]
        return [*lines, *left_out_lines(self.left_out, problems_only=problems_only), *self.remarks]


@dataclass(frozen=True)
class LongTailData:
    """A long-tailed image set, ready to train on.

    Attributes:
        name: the source's name.
        class_names: C names; a class's index is its position.
        train: the chosen training images, without those held out.
        val: the validation images, if any.
        test: the test images, if any.
        image_size: side in pixels.
        depth: of the training images of 16 bits, before some are held out; all splits are read alike.
        mean: per channel, of images in [0, 1].
        std: per channel.
        index_hash: sha256 (hex) of train: ids, targets, and pixels (for images on disk the files' sizes).
        notes: what there is to report.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    val: Split | None
    test: Split | None
    image_size: int
    depth: Depth
    mean: Triple
    std: Triple
    index_hash: str
    notes: Notes

    @property
    def class_counts(self) -> Int[Tensor, " c"]:
        """(C,) int64: training images of each class (the paper's n_c)."""
        return torch.bincount(self.train.targets, minlength=len(self.class_names))

    @property
    def files(self) -> FileCounts:
        """What became of all that the source holds."""
        used = sum(len(part) for part in (self.train, self.val, self.test) if part is not None)
        unreadable, unknown = len(self.notes.unreadable), sum(self.notes.unknown_classes.values())
        not_drawn = self.notes.listed - used - unreadable - unknown
        return FileCounts(used, unreadable, unknown, not_drawn, sum(one.count for one in self.notes.left_out))


def look_alike(names: Collection[str]) -> list[str]:
    """What to say of classes whose names look the same.

    >>> look_alike(["fox", "Fox", "owl"])
    ["classes that differ in spaces, _, capitals or the form of letters alone, kept apart: 'Fox' = 'fox'"]
    """
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        plain = unicodedata.normalize("NFKC", name).casefold().replace("_", " ")
        spellings[" ".join(plain.split())].append(name)
    same = [" = ".join(map(ascii, alike)) for alike in spellings.values() if len(alike) > 1]
    kind = "classes that differ in spaces, _, capitals or the form of letters alone, kept apart"
    return [f"{kind}: {_shortened(same, 10)}"] if same else []


def _shortened(names: Sequence[str], shown: int | None) -> str:
    rest = 0 if shown is None else len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
