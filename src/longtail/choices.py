"""Words of a recipe that several layers know: how images are drawn, and how they become square."""

from typing import Literal

Sampler = Literal["instance", "class_balanced", "square_root", "progressive", "reverse", "effective", "power"]
"""How an epoch's images are drawn, see `longtail.data.epoch_order`."""
Fit = Literal["crop", "pad", "squash"]
"""How an image that is not square becomes so: its largest centred square, the whole image between borders of one
colour, or the whole image with both sides brought to one length."""
