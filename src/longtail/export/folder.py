"""A folder in the style of `save_pretrained`: what `longtail.load` needs, and what a stranger wants to read."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longtail.export.card import model_card
from longtail.predict import Classifier
from longtail.runs import layout

LOADING = (
    "In Python, where this folder lies in `model`:",
    '```python\nimport longtail\n\nprint(longtail.load("model").predict("photos"))\n```',
    "On the command line:",
    "```console\n$ longtail predict model photos -o predictions.csv\n```",
)


def write_folder(folder: Path, classifier: Classifier, facts: Mapping[str, Any]) -> None:
    """Write config.json, model.safetensors, preprocessor_config.json and README.md.

    Args:
        folder: an empty folder.
        classifier: of a run.
        facts: what `describe` gave.
    """
    run = classifier.folder.path
    shutil.copyfile(run / layout.WEIGHTS, folder / layout.EXPORTED_WEIGHTS)
    recipe = classifier.recipe.model_dump(mode="json", exclude_none=True)
    for section, key in (("data", "path"), ("data", "root"), ("model", "weights")):  # places on one machine
        recipe[section].pop(key, None)
    names = dict(enumerate(facts["classes"]))
    config = {
        "model_type": "longtail",
        "architectures": [classifier.recipe.model.name],
        **facts,
        "id2label": names,
        "label2id": {name: index for index, name in names.items()},
        "status": classifier.folder.status(),
        "recipe": recipe,
        "recipe_name": facts["recipe"],
    }
    size = facts["image_size"]
    preprocessor = {
        "do_convert_rgb": True, "do_resize": True, "size": {"height": size, "width": size}, "resample": 2,
        "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": facts["mean"], "image_std": facts["std"], "resize": facts["resize"],
    }  # fmt: skip
    _write(folder / layout.EXPORTED, json.dumps(config, indent=2))
    _write(folder / layout.PREPROCESSOR, json.dumps(preprocessor, indent=2))
    _write(folder / "README.md", model_card(run, facts, LOADING))


def _write(file: Path, text: str) -> None:
    file.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
