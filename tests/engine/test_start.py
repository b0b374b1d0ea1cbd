"""A first step is soon there."""

import subprocess
import sys

STEP = """
import sys
from longtail.engine.display import Display
from longtail.engine.job import build_job
from longtail.runs.folder import RunFolder
from longtail.engine.step import StageTraining
from longtail.recipe import load_recipe
from longtail.types import Progress

recipe, _ = load_recipe("icl-digits", {"data.max_count": 40, "model.name": "resnet20"})
training = StageTraining(build_job(recipe, RunFolder("none"), Display(1, quiet=True)), 0)
next(training.epoch(Progress("feature", 0, 64, 0, 0, 0)))
training.optimizer.load_state_dict(training.optimizer.state_dict())
slow = ("torch._dynamo", "torch._inductor", "matplotlib", "sklearn", "scipy.stats")
print([name for name in sys.modules if name.startswith(slow)])
"""


def test_a_step_loads_no_compiler_and_no_statistics() -> None:
    done = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
