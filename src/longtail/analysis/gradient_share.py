"""Does one expert take the gradient? Each expert's share of it as training goes on (the paper's Figures 1 and 3a)."""

import pandas as pd
from matplotlib.figure import Figure

from longtail.analysis.drawing import color_of, mark_of, new_panels, short_name
from longtail.analysis.sources import Runs, need_experts, probing
from longtail.report.style import RULE, epoch_axis, name_ends
from longtail.report.training_plot import MARKED
from longtail.runs import Run, layout
from longtail.types import InputError

PROBE = "gradient_share"
KEY = "Dashed: equal shares. Dotted: a stage ends."


def compute(runs: Runs) -> pd.DataFrame:
    """Columns run, epoch (from 1), stage, expert (from 1) and share, empty for an epoch without one.

    Raises:
        InputError: a run has one expert, or was trained without the probe.
    """
    return pd.concat([_shares(name, run) for name, run in runs.items()], ignore_index=True)


def _shares(name: str, run: Run) -> pd.DataFrame:
    experts = need_experts(run)
    known = [record[PROBE] for record in run.log if record.get(PROBE) is not None]
    if not known:
        raise InputError(f"{run.path} has no shares of the gradient; train it with: {probing(run, PROBE)}")
    if any(len(shares) != experts for shares in known):
        raise InputError(
            f"{run.path / layout.LOG} is damaged (a {PROBE} is not of {experts} experts, as {layout.RECIPE} has); "
            f"train the run again: {probing(run, PROBE)}"
        )
    rows = [
        (name, record["epoch"] + 1, record["stage"], expert + 1, shares[expert])
        for record in run.log
        for shares in [record.get(PROBE) or [None] * experts]
        for expert in range(experts)
    ]
    table = pd.DataFrame(rows, columns=["run", "epoch", "stage", "expert", "share"])
    return table.astype({"share": float})


def notes(table: pd.DataFrame) -> list[str]:
    """What is not in the table."""
    return [
        f"{short_name(str(run))}: no share in {without:,} of {epochs:,} epochs, where the convolutions are not trained"
        for run, own in table.groupby("run", sort=False)
        for epochs in [own["epoch"].nunique()]
        for without in [own.loc[own["share"].isna(), "epoch"].nunique()]
        if without
    ]


def plot(table: pd.DataFrame) -> Figure:
    """A panel a run: a line for each expert, and a dashed one where all shares are equal."""
    runs = list(table.groupby("run", sort=False))
    title = "Share of the gradient at each expert's last convolution, mean of an epoch"
    figure, panels = new_panels(len(runs), title, [KEY, *notes(table)])
    top = 1.15 * max(table["share"].max(), 1 / table["expert"].max())
    for axes, (run, own) in zip(panels, runs, strict=True):
        epochs = int(own["epoch"].max())
        stage = own.drop_duplicates("epoch").set_index("epoch")["stage"]
        edges = [int(epoch) - 1 for epoch in stage.index[1:] if stage[epoch] != stage[epoch - 1]]
        epoch_axis(axes, epochs, edges)
        axes.set_ylim(0, top)
        axes.axhline(1 / own["expert"].max(), color=RULE, linewidth=1, linestyle=(0, (4, 3)))
        ends = []
        for place, (expert, line) in enumerate(own.groupby("expert")):
            known, color = line.dropna(subset="share"), color_of(place)
            mark = mark_of(place) if len(known) <= MARKED else None
            axes.plot(known["epoch"], known["share"], color=color, marker=mark, markersize=4)
            ends.append((float(known["share"].iloc[-1]), f"expert {expert}", color))
        name_ends(axes, ends, room=0.08 * top)
        axes.set_title(short_name(str(run)))
        axes.set_xlabel("epoch")
    panels[0].set_ylabel("share")
    return figure
