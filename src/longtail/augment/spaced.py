"""Operations whose strength is drawn evenly from a range: steps that choose among many values, finely spaced.

A step with a table of values is what every form of `Augment` knows, and what is drawn is a whole number, equal on every
device. Angles have 1,024 values, factors and hues 256, deviations of the blur 64; each is the middle of its part
of the range.
"""

from collections.abc import Sequence

from longtail.augment.policies import Operation
from longtail.augment.sampling import FIRST_STEP, MOST_RANDAUGMENT_OPS, SLOTS_PER_STEP, Policy, policy

ANGLES, FACTORS, SIGMAS = 1024, 256, 64
_NEXT = FIRST_STEP + SLOTS_PER_STEP * MOST_RANDAUGMENT_OPS
ROTATION, JITTER, GRAYSCALE, BLUR = _NEXT, _NEXT + 3, _NEXT + 9, _NEXT + 12  # first slots
JITTERED = ("brightness", "contrast", "color", "hue")


def evenly(low: float, high: float, count: int) -> list[float]:
    """The middles of `count` equal parts of a range.

    >>> evenly(-1.0, 1.0, 4)
    [-0.75, -0.25, 0.25, 0.75]
    """
    return [low + (high - low) * (2 * number + 1) / (2 * count) for number in range(count)]


def rotation(degrees: float) -> Policy:
    """Turn by an angle between -degrees and degrees, about the centre: torchvision's `RandomRotation`.

    Args:
        degrees: in (0, 180].
    """
    angles = [Operation("rotation", angle) for angle in evenly(-degrees, degrees, ANGLES)]
    return _policy((ROTATION, ROTATION + 1, angles, 1.0))


def color_jitter(strength: Sequence[float], probability: float) -> Policy:
    """Brightness, contrast, saturation and hue, in this order, all of them or none.

    torchvision's `ColorJitter` has the same ranges and draws an order for each image. Saturation is the operation
    `color`. A strength of 0 leaves its operation out.

    Args:
        strength: reach b, c, s of the three factors around 1, which do not fall below 0; reach h <= 0.5 of the hue, as
            a share of the circle.
        probability: of applying.
    """
    steps = []
    for number, (name, reach) in enumerate(zip(JITTERED, strength, strict=True)):
        if name == "hue":
            values = [float(int(share * 255) % 256) for share in evenly(-reach, reach, FACTORS)]
        else:
            values = evenly(max(0.0, 1 - reach), 1 + reach, FACTORS)
        if reach:
            steps.append(
                (JITTER + 2 + number, JITTER, [Operation(name, value) for value in values], probability)
            )
    return _policy(*steps)


def grayscale(probability: float) -> Policy:
    """No colour: torchvision's `RandomGrayscale`.

    Args:
        probability: of applying.
    """
    return _policy((GRAYSCALE, GRAYSCALE + 1, [Operation("color", 0.0)], probability))


def blurred(sigma: tuple[float, float], probability: float) -> Policy:
    """A Gaussian blur; see `longtail.augment.blur`.

    Args:
        sigma: smallest and largest deviation in pixels, > 0.
        probability: of applying.
    """
    return _policy((BLUR, BLUR + 1, [Operation("blur", one) for one in evenly(*sigma, SIGMAS)], probability))


def _policy(*steps: tuple[int, int, Sequence[Operation], float]) -> Policy:
    """Steps of (choice_slot, own_slot, operations, probability); what the sign is makes no difference."""
    return policy(
        (choice, own, [(probability, (one, one)) for one in operations])
        for choice, own, operations, probability in steps
    )
