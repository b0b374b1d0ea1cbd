"""Where in an image each expert sees what it says: Grad-CAM for each expert, as pictures."""

from longtail.explain.examples import rule
from longtail.explain.explanation import PICTURE, Explanation, explain_files, explain_images
from longtail.explain.folder import explain_chosen, write_explanations
from longtail.explain.grad_cam import NEEDS_CAPTUM, brightest_is_one, grad_cam
from longtail.explain.picture import fit, overlay
from longtail.explain.sheet import write_sheet
from longtail.explain.shown_layers import LEAST, shown_layers

__all__ = [
    "LEAST",
    "NEEDS_CAPTUM",
    "PICTURE",
    "Explanation",
    "brightest_is_one",
    "explain_chosen",
    "explain_files",
    "explain_images",
    "fit",
    "grad_cam",
    "overlay",
    "rule",
    "shown_layers",
    "write_explanations",
    "write_sheet",
]
