"""Which evaluated images are worth a look: by a rule that is printed, never by hand."""

from collections.abc import Mapping

import pandas as pd

DISAGREE, UNSURE = "experts disagree", "least confident"
_DOUBTFUL = {
    DISAGREE: "the two on which the experts disagree most",
    UNSURE: "the two with the lowest confidence",
}


def rule(experts: int) -> str:
    """Which images are chosen, in words, for a run of so many experts."""
    return (
        "the two most confident mistakes; of the other images "
        f"{_DOUBTFUL[DISAGREE if experts > 1 else UNSURE]}; "
        "and the most confident right answer in each of the two rarest classes that have one; ties by path"
    )


def select_examples(table: pd.DataFrame, train_counts: Mapping[str, int]) -> list[tuple[int, str]]:
    """The images that `rule` names.

    Args:
        table: rows of predictions.parquet: path, class, label, confidence, agreement, expert_1 .. expert_M.
        train_counts: training images of each class.

    Returns:
        (row, why) of at most six images, each once; fewer where there are no mistakes, say.
    """
    votes = table.filter(regex=r"^expert_\d+$")
    ranked = table.assign(
        row=range(len(table)), opinions=votes.nunique(axis=1), count=table["class"].map(dict(train_counts))
    )
    mistaken = ranked["label"] != ranked["class"]
    wrong = ranked[mistaken].sort_values(["confidence", "path"], ascending=[False, True]).head(2)
    others = ranked[~ranked["row"].isin(wrong["row"])]
    if votes.shape[1] > 1:
        by, split = ["opinions", "agreement", "confidence", "path"], others[others["opinions"] > 1]
        why, doubtful = DISAGREE, split.sort_values(by, ascending=[False, True, True, True]).head(2)
    else:
        why, doubtful = UNSURE, others.sort_values(["confidence", "path"]).head(2)
    rest = others[~others["row"].isin(doubtful["row"]) & ~mistaken[others.index]]
    by = ["count", "class", "confidence", "path"]
    right = rest.sort_values(by, ascending=[True, True, False, True]).drop_duplicates("class").head(2)
    groups = {"confident mistake": wrong, why: doubtful, "rare and right": right}
    return [(int(row), reason) for reason, group in groups.items() for row in group["row"]]
