"""Words in the names of folders: which are no classes, and which are places or views of things of one class."""

import os
import re
from collections.abc import Sequence

from longtail.data.listing import part_of

_OTHERS = """
    fold dev devel development eval evaluation evaluate tr trn te tst vld holdout heldout hold out unseen seen query
    queries gallery support probe minival trainval original originals orig augmented augmentation augmentations aug raw
    processed preprocessed unprocessed cropped crop crops uncropped resized clean cleaned noisy denoised normalized
    segmented masked labeled labelled unlabeled unlabelled annotated unannotated synthetic real
"""  # of splits and of steps of processing
_OTHER_PARTS = frozenset(_OTHERS.split())
_MADE = """
    thumb thumbs thumbnail thumbnails preview previews original originals orig augmented augmentation
    augmentations aug raw processed preprocessed cropped crop crops resized denoised normalized segmented
    segmentation segmentations mask masks masked label labels annotation annotations annotated annots
    groundtruth gt overlay overlays heatmap heatmaps edited backup backups copy copies duplicates trash
    deleted rejected discarded tmp temp cache
"""  # what is made of, or kept beside, the images of a class
_MADE_WORDS = frozenset(_MADE.split())
_FILLER_WORDS = "image images img imgs data dataset set split part photos pictures only"
_FILLERS = frozenset(_FILLER_WORDS.split())
_YEAR = re.compile(r"(19|20)\d\d([ _-]?\d\d){0,2}")
_VIEWS = """
    indoor outdoor indoors outdoors inside outside day night male female adult juvenile young old left right front back
    rear side top bottom upper lower near far dorsal ventral lateral rgb ir infrared nir thermal color colour gray grey
"""
_ASPECTS = frozenset(_VIEWS.split())


def words_of(name: str) -> list[str]:
    """The words of a name in lower case, without digits.

    >>> words_of("seg_train2017"), words_of("ValImages")
    (['seg', 'train'], ['val', 'images'])
    """
    return re.sub(r"[^a-z]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()).split()


def is_no_class(name: str) -> bool:
    """Whether a name is one of a split, a step of processing or a year: `dev`, `original_images`, `val1`, `2019`.

    >>> is_no_class("raw_data"), is_no_class("raw fish")
    (True, False)
    """
    words = [word for word in words_of(name) if word not in _FILLERS]
    return _YEAR.fullmatch(name) is not None or (
        bool(words) and all(word in _OTHER_PARTS or part_of(word) is not None for word in words)
    )


def is_made(name: str) -> bool:
    """Whether a folder within a class is called as one of copies, drawings or what was put aside: `thumbs`, `Masks`.

    >>> is_made("Original images"), is_made("thumbs_256"), is_made("images"), is_made("mask beetle")
    (True, True, False, False)
    """
    words = [word for word in words_of(name) if word not in _FILLERS]
    return bool(words) and all(word in _MADE_WORDS for word in words)


def is_series(names: Sequence[str]) -> bool:
    """Whether names are numbered (`cam1`, `siteB`, `2020-05`): places, days or individuals rather than classes."""
    if all(any(letter.isdigit() for letter in name) for name in names):
        return True
    stem = os.path.commonprefix(list(names))  # noqa: RUF071 and then one letter
    return len(names) > 1 and len(stem) > 2 and all(len(name) - len(stem) == 1 for name in names)


def are_aspects(names: Sequence[str]) -> bool:
    """Whether all names are of places, views, sexes or ages (`indoor`, `left`, `male`), as within a class."""
    return all(name.lower() in _ASPECTS for name in names)
