"""Words of a recipe that several layers know: how images are drawn, how they become square, their bits, their views."""

from typing import Literal

Sampler = Literal["instance", "class_balanced", "square_root", "progressive", "reverse", "effective", "power"]
"""How an epoch's images are drawn, see `longtail.data.epoch_order`."""
Fit = Literal["crop", "pad", "squash"]
"""How an image that is not square becomes so: its largest centred square, the whole image between borders of one
colour, or the whole image with both sides brought to one length."""
Bits = Literal[8, 10, 12, 14, 16]
"""How many bits the values of images of 16 bits use."""
VIEWS = {
    1: "the image",
    2: "the image and its mirror image",
    5: "the image and its four corners",
    10: "the image, its four corners, and the mirror images of all five",
}
"""How many views can be asked for, and what they are."""
