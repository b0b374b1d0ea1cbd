"""Features of a split's images by a frozen backbone: read from the store where they are there, otherwise computed."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt64
from torch import Tensor

from longtail.augment import Augment
from longtail.data import ImageFiles, Split, batches
from longtail.data.content import content_number
from longtail.data.opening import read_encoded
from longtail.features.place import cache_folder
from longtail.features.store import FeatureStore

BLOCK = 128  # images computed between two writes: what a kill costs at most
VERSION = 3  # of what the settings and the numbers of images mean
_HEIGHT, _WIDTH = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)  # odd: no two sizes become one
Step = Callable[[int], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class ImageFeatures:
    """Features of the images of a split in their order: of the plain image, then of K augmented views.

    Attributes:
        views: K+1 tables (n, D), mapped from files; the rows of other images may lie among those of the split.
        places: K+1 times (N,), the row of each image in its table.
        folders: where they lie.
        computed: how many rows had to be computed, of (K+1) * N.
    """

    views: tuple[Float[Tensor, "_ d"], ...]
    places: tuple[Int64[Tensor, " n"], ...]
    folders: tuple[Path, ...]
    computed: int

    def view(self, number: int) -> Float[Tensor, "n d"]:
        """(N, D) float32: the plain image's (0), or those of a view (1 to K)."""
        return self.views[number].index_select(0, self.places[number]).float()

    def blocks(self, rows: Int64[Tensor, " k"] | None = None) -> Iterator[Float[Tensor, "b d"]]:
        """The plain images' features at `rows`, or all, some thousands at a time."""
        places = self.places[0] if rows is None else self.places[0][rows]
        for some in torch.split(places, 4096):
            yield self.views[0].index_select(0, some)


@dataclass(frozen=True)
class Views:
    """The views of each image whose features are computed.

    Attributes:
        plain: normalises; it is not random.
        augmented: the augmentation of views, or None with `count` 0.
        count: K.
        settings: what `augmented` was made of.
    """

    plain: Augment
    augmented: Augment | None = None
    count: int = 0
    settings: Mapping[str, Any] | None = None


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """sha256 over the names and values of a network's weights, so that features of other weights are never used."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()


def contents_of(split: Split) -> UInt64[np.ndarray, " n"]:
    """A number of each image's content and size: a packed image has the content of the file that it was shrunk from."""
    numbers = _contents(split)
    if split.sizes is None:
        return numbers
    height, width = split.sizes.astype(np.uint64).T
    mixed: UInt64[np.ndarray, " n"] = numbers ^ (height * _HEIGHT + width * _WIDTH)
    return mixed


def _contents(split: Split) -> UInt64[np.ndarray, " n"]:
    """The content number of each image, read where it is not known."""
    if split.contents is not None:
        return split.contents
    if isinstance(split.images, ImageFiles):
        files = split.images
        numbers = [content_number(read_encoded(files.image(row))) for row in files.rows.tolist()]
    else:
        numbers = [content_number(image.numpy()) for image in split.images.cpu()]
    return np.array(numbers, np.uint64)


def features_of(
    backbone: Callable[[Tensor], Float[Tensor, "b d"]],
    split: Split,
    views: Views,
    settings: Mapping[str, Any],
    dim: int,
    *,
    device: torch.device,
    batch_size: int,
    workers: int = 0,
    step: Step = lambda images: None,
    say: Say = lambda line: None,
    root: Path | None = None,
) -> ImageFeatures:
    """The features of every image of a split, in each view; nothing that is stored already is computed again.

    What a view shows of an image is a pure function of the image's content, the view's number and the augmentation.

    Args:
        backbone: from normalised images (B, 3, S, S) to features (B, D), in evaluation mode.
        split: the images.
        views: what is computed of each.
        settings: whatever else decides the features: the network, its weights' hash, size, fit, mean, deviation.
        dim: D.
        device: where the backbone is.
        batch_size: images at once; changes nothing but rounding.
        workers: threads that decode images that stay on disk.
        step: called after each batch with the number of its images that were computed.
        say: called with messages for people.
        root: the folder of all stores; None: `cache_folder()`.

    Raises:
        InputError: an image cannot be read, or the disk is full.
    """
    contents, place, computed = contents_of(split), root or cache_folder(), 0
    tables, places, folders = list[Tensor](), list[Tensor](), list[Path]()
    for number in range(views.count + 1):
        store = open_store(place, views, number, settings, dim, split)
        make = partial(_computed, backbone, split, views, number, device, batch_size, workers, contents, step)
        computed += _fill(store, contents, make, say)
        tables.append(store.rows())
        places.append(torch.from_numpy(store.places(contents)))
        folders.append(store.folder)
    return ImageFeatures(tuple(tables), tuple(places), tuple(folders), computed)


def _fill(
    store: FeatureStore,
    contents: UInt64[np.ndarray, " n"],
    make: Callable[[Int64[np.ndarray, " k"]], Tensor],
    say: Say,
) -> int:
    """Compute and add what is not stored; returns how many rows that was."""
    if not len(_missing(store, contents)):
        return 0
    with store.growing(lambda: say(f"waiting for another process that adds to {store.folder}")):
        missing = _missing(store, contents)
        for rows in np.split(missing, range(BLOCK, len(missing), BLOCK)):
            if len(rows):
                store.add(contents[rows], make(rows))
    return len(missing)


def open_store(
    root: Path, views: Views, number: int, settings: Mapping[str, Any], dim: int, split: Split
) -> FeatureStore:
    """The store for the features of a view: single precision for the plain image, half for augmented views."""
    own: dict[str, Any] = {"version": VERSION, **settings}
    if number:
        cut = "the file" if isinstance(split.images, ImageFiles) else "the resized image"
        own |= {"view": number, "cut out of": cut, "augmentation": dict(views.settings or {})}
    return FeatureStore(root, own, dim, "float16" if number else "float32")


def count_missing(
    splits: Sequence[tuple[Split, Views]], settings: Mapping[str, Any], dim: int, root: Path | None = None
) -> int:
    """How many features would have to be computed."""
    place, total = root or cache_folder(), 0
    for split, views in splits:
        contents = contents_of(split)
        for number in range(views.count + 1):
            total += len(_missing(open_store(place, views, number, settings, dim, split), contents))
    return total


def _missing(store: FeatureStore, contents: UInt64[np.ndarray, " n"]) -> Int64[np.ndarray, " k"]:
    """The first row of each content that is not stored."""
    absent = np.flatnonzero(store.places(contents) < 0)
    _, first = np.unique(contents[absent], return_index=True)
    return np.sort(absent[first])


@torch.no_grad()
def _computed(
    backbone: Callable[[Tensor], Tensor],
    split: Split,
    views: Views,
    number: int,
    device: torch.device,
    batch_size: int,
    workers: int,
    contents: UInt64[np.ndarray, " n"],
    step: Step,
    rows: Int64[np.ndarray, " k"],
) -> Float[Tensor, "k d"]:
    """One view's features of the images at `rows`."""
    keyed = torch.from_numpy((contents & np.uint64(0xFFFFFFFF)).astype(np.int64))[torch.from_numpy(rows)]
    augment, keys = views.augmented if number else None, Augment.keys(0, number, 0, "cpu")
    cropped = (
        augment is not None and "resized_crop" in augment.operations and isinstance(split.images, ImageFiles)
    )
    boxes = [partial(augment.boxes, keys=keys)] if augment is not None and cropped else []
    stream = batches(
        split, torch.from_numpy(rows), batch_size, device, workers=workers, views=boxes, repeats=keyed
    )
    made = []
    for batch in stream:
        if augment is None:
            image = views.plain.normalize(batch.image)
        else:
            image = augment.apply(batch.image, batch.drawn_by, keys.to(device), cropped=cropped)
        made.append(backbone(image).float().cpu())
        step(len(batch.index))
    return torch.cat(made)
