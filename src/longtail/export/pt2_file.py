"""An exported graph in torch's own form."""

import io
import json
import warnings
from collections.abc import Mapping
from typing import Any

import torch

from longtail.export.graph import forget_source
from longtail.predict.archive import FACTS


def pt2_bytes(program: torch.export.ExportedProgram, facts: Mapping[str, Any]) -> bytes:
    """The content of a .pt2 file: operators that change nothing in place, and no example.

    Args:
        program: what `trace` gave.
        facts: what `describe` gave; they lie in the extra file longtail.json.
    """
    pure = program.run_decompositions({})
    forget_source(pure)
    pure.example_inputs = None  # it would be pickled
    file = io.BytesIO()
    with (
        warnings.catch_warnings()
    ):  # torch finds it odd that a tensor of one number has the strides it gave it
        warnings.filterwarnings("ignore", message="No complete tensor found")
        torch.export.save(pure, file, extra_files={FACTS: json.dumps(facts)})
    return file.getvalue()
