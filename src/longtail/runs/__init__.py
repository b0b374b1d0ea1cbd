"""The run folder, the interface between what writes runs and what reads them; nothing here imports PyTorch."""

from typing import TYPE_CHECKING

from longtail.on_demand import on_demand

if TYPE_CHECKING:
    from longtail.runs.folder import RunFolder as RunFolder
    from longtail.runs.run import Run as Run
    from longtail.runs.seeds import SeedRuns as SeedRuns
    from longtail.runs.seeds import planned_seeds as planned_seeds
else:
    __getattr__ = on_demand(
        __name__,
        {
            "Run": "longtail.runs.run",
            "RunFolder": "longtail.runs.folder",
            "SeedRuns": "longtail.runs.seeds",
            "planned_seeds": "longtail.runs.seeds",
        },
    )

__all__ = ["Run", "RunFolder", "SeedRuns", "planned_seeds"]
