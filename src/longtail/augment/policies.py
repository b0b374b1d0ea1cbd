"""What the policies choose from: the operations, their magnitudes, and the two policies as tables.

Magnitudes follow the PIL implementations of the CIFAR-10 policy that long-tail training code shares:

===================  ==============================================  ====
operation            value at level l of L (L = 9; RandAugment: 30)   sign
===================  ==============================================  ====
shear_x, shear_y     0.3 l / L                                        yes
translate_x, _y      150/331 l / L of the width, of the height        yes
rotate               30 l / L degrees                                 yes
brightness, color,   factor 1 + 0.9 l / L                             yes
contrast, sharpness
posterize            round(8 - 4 l / L) bits                          no
solarize             threshold 256 - 256 l / L                        no
===================  ==============================================  ====

Signs are + or - with probability 1/2. Every geometric operation is nearest neighbour with a constant fill, as
in the policy authors' code (Cubuk et al.). The much copied PIL port (DeepVoltaire/AutoAugment) has the same
table, but resamples the two shears bicubically and rotates counter-clockwise alone: `port`. torchvision's
`AutoAugment` has two other definitions: it cuts translations to whole pixels towards zero (14 of 32 at level 9;
here, as in PIL, the nearest, 15), and solarize starts at 255 instead of 256. torchvision's `RandAugment` has 31
bins, the levels 0 to 30 here.
"""

from typing import NamedTuple

AUTOAUGMENT_LEVELS = 9
RANDAUGMENT_LEVELS = 30

_REACH = {
    "shear_x": 0.3,
    "shear_y": 0.3,
    "shear_x_bicubic": 0.3,
    "shear_y_bicubic": 0.3,
    "translate_x": 150 / 331,
    "translate_y": 150 / 331,
    "rotate": 30.0,
    "brightness": 0.9,
    "color": 0.9,
    "contrast": 0.9,
    "sharpness": 0.9,
}
_AROUND_ONE = ("brightness", "color", "contrast", "sharpness")


class Operation(NamedTuple):
    """One operation at one value.

    Attributes:
        name: such as "shear_x".
        value: shear, shift as a fraction of the side, degrees, factor, bits or threshold; 0 where unused.
    """

    name: str
    value: float = 0.0


class Choice(NamedTuple):
    """An operation as a policy lists it: its name, the probability that it is applied, and its level."""

    name: str
    probability: float
    level: int


def operation(name: str, level: int, levels: int, sign: int) -> Operation:
    """The operation that a policy's level stands for.

    Args:
        name: operation.
        level: 0 <= level <= levels.
        levels: the highest level, 9 for AutoAugment, 30 for RandAugment.
        sign: +1 or -1; ignored by operations without one.
    """
    if name in _REACH:
        value = sign * level * (_REACH[name] / levels)
        return Operation(name, 1.0 + value if name in _AROUND_ONE else value)
    if name == "posterize":
        return Operation(name, float(round(8 - 4 * level / levels)))
    if name == "solarize":
        return Operation(name, 256 - 256 * level / levels)
    return Operation(name)


def port(choice: Choice, sign: int) -> Operation:
    """What the PIL port of AutoAugment does for a choice of the policy.

    Args:
        choice: of `CIFAR10_POLICY`.
        sign: +1 or -1.
    """
    name = f"{choice.name}_bicubic" if choice.name in ("shear_x", "shear_y") else choice.name
    return operation(name, choice.level, AUTOAUGMENT_LEVELS, 1 if name == "rotate" else sign)


CIFAR10_POLICY: tuple[tuple[Choice, Choice], ...] = (
    (Choice("invert", 0.1, 7), Choice("contrast", 0.2, 6)),
    (Choice("rotate", 0.7, 2), Choice("translate_x", 0.3, 9)),
    (Choice("sharpness", 0.8, 1), Choice("sharpness", 0.9, 3)),
    (Choice("shear_y", 0.5, 8), Choice("translate_y", 0.7, 9)),
    (Choice("autocontrast", 0.5, 8), Choice("equalize", 0.9, 2)),
    (Choice("shear_y", 0.2, 7), Choice("posterize", 0.3, 7)),
    (Choice("color", 0.4, 3), Choice("brightness", 0.6, 7)),
    (Choice("sharpness", 0.3, 9), Choice("brightness", 0.7, 9)),
    (Choice("equalize", 0.6, 5), Choice("equalize", 0.5, 1)),
    (Choice("contrast", 0.6, 7), Choice("sharpness", 0.6, 5)),
    (Choice("color", 0.7, 7), Choice("translate_x", 0.5, 8)),
    (Choice("equalize", 0.3, 7), Choice("autocontrast", 0.4, 8)),
    (Choice("translate_y", 0.4, 3), Choice("sharpness", 0.2, 6)),
    (Choice("brightness", 0.9, 6), Choice("color", 0.2, 8)),
    (Choice("solarize", 0.5, 2), Choice("invert", 0.0, 3)),
    (Choice("equalize", 0.2, 0), Choice("autocontrast", 0.6, 0)),
    (Choice("equalize", 0.2, 8), Choice("equalize", 0.6, 4)),
    (Choice("color", 0.9, 9), Choice("equalize", 0.6, 6)),
    (Choice("autocontrast", 0.8, 4), Choice("solarize", 0.2, 8)),
    (Choice("brightness", 0.1, 3), Choice("color", 0.7, 0)),
    (Choice("solarize", 0.4, 5), Choice("autocontrast", 0.9, 3)),
    (Choice("translate_y", 0.9, 9), Choice("translate_y", 0.7, 9)),
    (Choice("autocontrast", 0.9, 2), Choice("solarize", 0.8, 3)),
    (Choice("equalize", 0.8, 8), Choice("invert", 0.1, 3)),
    (Choice("translate_y", 0.7, 9), Choice("autocontrast", 0.9, 1)),
)
"""The 25 sub-policies found for CIFAR-10 (Cubuk et al. 2019, AutoAugment, appendix, table 7)."""

RANDAUGMENT_OPERATIONS: tuple[str, ...] = (
    "identity",
    "autocontrast",
    "equalize",
    "rotate",
    "solarize",
    "color",
    "posterize",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
"""The 14 operations of RandAugment (Cubuk et al. 2020), each with probability 1/14, with replacement."""
