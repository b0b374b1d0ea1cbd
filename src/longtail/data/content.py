"""What an image is made of, as one number: the same bytes, the same number."""

from collections.abc import Callable
from hashlib import blake2b
from typing import TypeVar

import numpy as np
from jaxtyping import UInt64
from numpy.typing import NDArray

from longtail.data.opening import Encoded, read_encoded, reasons

Result = TypeVar("Result")
_BYTES = 8
_DIGITS = 2 * _BYTES


def content_hash(image: Encoded) -> str:
    """16 hexadecimal digits of BLAKE2b over the encoded bytes of an image, as in the column `content` of splits.csv.

    Two of a million different images share one with a chance of 1 in 37 million. Of (H, W, 3) pixels, or where such
    are stored, it is the hash of the shape and the pixels.

    Args:
        image: a file, an encoded image, pixels, or where pixels are stored.

    Raises:
        UnreadableError: the file cannot be read.

    >>> content_hash(b"an image")
    'ee103f7dd3756007'
    """
    with reasons(image):
        return to_text(np.array([content_number(read_encoded(image))], dtype=np.uint64))[0]


def content_number(data: bytes | NDArray[np.uint8]) -> int:
    """The same hash as a whole number in [0, 2**64), of what was read already: 8 bytes an image in an array."""
    if isinstance(data, bytes):
        digest = blake2b(data, digest_size=_BYTES)
    else:
        digest = blake2b(str(data.shape).encode(), digest_size=_BYTES)
        digest.update(np.ascontiguousarray(data).data)
    return int.from_bytes(digest.digest(), "big")


def to_text(numbers: UInt64[np.ndarray, " n"]) -> list[str]:
    """Numbers as 16 hexadecimal digits each."""
    return [f"{number:0{_DIGITS}x}" for number in numbers.tolist()]


def with_content(
    work: Callable[[bytes | NDArray[np.uint8]], Result],
) -> Callable[[Encoded], tuple[Result, int]]:
    """`work` on an image that is read once, with the image's number beside the result."""

    def both(image: Encoded) -> tuple[Result, int]:
        with reasons(image):
            data = read_encoded(image)
        return work(data), content_number(data)

    return both
