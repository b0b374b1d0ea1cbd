"""What an exported model says of itself."""

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from longtail.predict import Classifier
from longtail.recipe import Recipe
from longtail.source_names import data_name
from longtail.types import Fit

INPUT = "image: uint8 (batch, 3, image_size, image_size), RGB from 0 to 255; normalisation is inside"
OUTPUTS = (
    "probabilities: float32 (batch, classes), of all experts together; "
    "expert_probabilities: float32 (experts, batch, classes); both divided by the temperature before the softmax"
)
UPRIGHT = "turn the image upright by its EXIF orientation, convert it to RGB, and "
AVERAGING = "with Pillow's bilinear filter, which averages when it shrinks: "
RESIZE: Mapping[Fit, str] = {
    "crop": f"resize the largest centred square {AVERAGING}with s = min(width, height), "
    "image.resize((image_size, image_size), Image.Resampling.BILINEAR, "
    "box=((width - s) / 2, (height - s) / 2, (width + s) / 2, (height + s) / 2))",
    "pad": "put all of it, its proportions kept, in the middle of a square of the mean colour, resized "
    f"{AVERAGING}ImageOps.pad(image, (image_size, image_size), Image.Resampling.BILINEAR, "
    "color=tuple(round(255 * value) for value in mean))",
    "squash": f"resize all of it, whatever its proportions, {AVERAGING}"
    "image.resize((image_size, image_size), Image.Resampling.BILINEAR)",
}
"""How an image becomes a square, in words and in Pillow's terms."""
LICENCE = "not stated; ask whoever trained the model and whoever owns the images"


def describe(classifier: Classifier) -> dict[str, Any]:
    """The facts that are written into an exported file; whatever JSON can hold.

    Returns:
        longtail_version, recipe, method, model, epoch, epochs, num_experts, flips (whether
        training showed mirror images), classes (C names, as outputs are ordered),
        class_counts (C), prior (C, what the probabilities assume; they sum to 1), temperature, image_size, fit, bits
        (of images of 16 bits a value, how many are used: white is 2**bits - 1), mean, std, input, outputs, resize,
        licence.
    """
    about, recipe = classifier.description, classifier.recipe
    return {
        "longtail_version": metadata.version("longtail"),
        "recipe": recipe_name(recipe),
        "method": recipe.method.name,
        "model": recipe.model.name,
        "epoch": about["epoch"],
        "epochs": recipe.optim.epochs,
        "num_experts": classifier.num_experts,
        "flips": classifier.flips,
        "classes": list(classifier.classes),
        "class_counts": classifier.class_counts.tolist(),
        "prior": classifier.assumed_log_prior().exp().tolist(),
        "temperature": classifier.temperature,
        "image_size": about["image_size"],
        "fit": classifier.framing.fit,
        "bits": classifier.bits,
        "mean": list(about["mean"]),
        "std": list(about["std"]),
        "input": INPUT,
        "outputs": OUTPUTS,
        "resize": UPRIGHT + RESIZE[classifier.framing.fit],
        "licence": LICENCE,
    }


def recipe_name(recipe: Recipe) -> str:
    """Data, method and network, as a run folder is called by default."""
    return "-".join((data_name(recipe.data.name, recipe.data.path), recipe.method.name, recipe.model.name))


def summary(facts: Mapping[str, Any]) -> str:
    """One line of the model for people."""
    return f"{facts['recipe']}, {len(facts['classes'])} classes, {facts['image_size']} pixels"
