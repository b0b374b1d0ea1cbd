"""What tells an image from others although its bytes differ: how it looks, and when and by what it was taken."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8, UInt64
from numpy.typing import NDArray
from PIL import Image

from longtail.data.depth import Reading
from longtail.data.opening import Encoded, shrink, turn_upright
from longtail.data.repairing import with_image

THUMB = 16  # side of the thumbnail that near duplicates are compared by
SIDE, _KEPT = 32, 8  # the perceptual hash: pixels a side, and frequencies a side
_WAVES = np.cos(np.pi * np.outer(np.arange(_KEPT), 2 * np.arange(SIDE) + 1) / (2 * SIDE))
_DETAILS, _TAKEN, _FRACTION = (
    0x8769,
    (0x9003, 0x9004),
    0x9291,
)  # EXIF: its second table, two times, and their fraction
_CAMERA = (0x010F, 0x0110)  # EXIF: make and model
UNKNOWN = float("nan")


class Fingerprint(NamedTuple):
    """What an image is compared by.

    Attributes:
        hash: 64 bits that change little when the image does.
        thumb: (256,) uint8, the image as 16 x 16 grey values.
        taken: when it was taken by the camera's clock, in seconds; nan where its EXIF does not say.
        camera: make and model from EXIF; "" where they are not said.
    """

    hash: int
    thumb: UInt8[np.ndarray, " 256"]
    taken: float
    camera: str


NO_FINGERPRINT = Fingerprint(0, np.zeros(THUMB**2, dtype=np.uint8), UNKNOWN, "")
"""Of an image that cannot be read: like nothing."""


class Fingerprints(NamedTuple):
    """The fingerprints of N images, each attribute an array or tuple; see `Fingerprint`."""

    hashes: UInt64[np.ndarray, " n"]
    thumbs: UInt8[np.ndarray, "n 256"]
    taken: Float64[np.ndarray, " n"]
    cameras: tuple[str, ...]

    @classmethod
    def of(cls, prints: Iterable[Fingerprint]) -> "Fingerprints":
        """Those of single images, one after the other."""
        known = list(prints)
        thumbs = np.array([one.thumb for one in known], dtype=np.uint8).reshape(-1, THUMB**2)
        return cls(
            np.array([one.hash for one in known], dtype=np.uint64),
            thumbs,
            np.array([one.taken for one in known], dtype=np.float64),
            tuple(one.camera for one in known),
        )

    def take(self, rows: Int64[np.ndarray, " k"]) -> "Fingerprints":
        """Those at `rows`, in that order."""
        cameras = tuple(self.cameras[row] for row in rows.tolist())
        return Fingerprints(self.hashes[rows], self.thumbs[rows], self.taken[rows], cameras)


def take_fingerprint(image: Encoded) -> Fingerprint:
    """The fingerprint of an image, which is decoded no larger than that needs; raises `UnreadableError`."""
    return with_image(image, _decoded)[0]


def fingerprint(opened: Image.Image, upright: Image.Image) -> Fingerprint:
    """The fingerprint of an image that was decoded.

    Args:
        opened: the image as it was opened, with its EXIF.
        upright: the same in RGB, upright.
    """
    factor = min(upright.size) // (2 * SIDE)
    small = upright.reduce(factor) if factor > 1 else upright
    grey = small.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(grey, dtype=np.float32)
    thumb = values.reshape(THUMB, 2, THUMB, 2).mean(axis=(1, 3)).round().astype(np.uint8).ravel()
    return Fingerprint(perceptual_hash(values), thumb, *_taken(opened))


def perceptual_hash(grey: NDArray[np.float32]) -> int:
    """64 bits: which of the lowest 8 x 8 frequencies of an image lie above their median.

    Scaling, compression and changes of brightness or contrast flip few of them.

    Args:
        grey: (32, 32) grey values.

    Source: the DCT hash of C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.
    """
    waves = _WAVES @ grey @ _WAVES.T
    return int.from_bytes(np.packbits(waves > np.median(waves)).tobytes(), "big")


def _decoded(opened: Image.Image, reading: Reading) -> Fingerprint:
    shrink(opened, min(opened.size) // (2 * SIDE))
    return fingerprint(opened, turn_upright(opened, reading))


def _taken(image: Image.Image) -> tuple[float, str]:
    """When and by what an image was taken; whatever is damaged counts as not said."""
    data = image.info.get("exif")
    if not data:
        return UNKNOWN, ""
    exif, taken, camera = Image.Exif(), UNKNOWN, ""
    with suppress(Exception):
        exif.load(data)
        camera = " ".join(str(exif.get(tag, "")).strip("\0 ") for tag in _CAMERA).strip()
        details = exif.get_ifd(_DETAILS)
        written = next((text for tag in _TAKEN if (text := details.get(tag))), "")
        moment = datetime.strptime(str(written).strip("\0 "), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
        if any(
            (moment.hour, moment.minute, moment.second)
        ):  # midnight is what a clock says that was never set
            taken = moment.timestamp()
            taken += float("0." + str(details.get(_FRACTION, "0")).strip("\0 "))
    return taken, camera
