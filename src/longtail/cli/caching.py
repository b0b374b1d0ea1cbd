"""`longtail cache`: the features of frozen backbones on disk."""

import json
from datetime import datetime
from typing import Annotated

import typer

from longtail.cli.output import say
from longtail.stopping import loading


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove all; runs that need them compute them again.")
    ] = False,
) -> None:
    """Show the stored features of frozen backbones: where they lie, how large they are, how to remove them."""
    with loading():
        from longtail.features import cache_folder, entries, limit, remove_all
    found, place = remove_all() if clear else entries(), cache_folder()
    total = f"{sum(entry.size for entry in found) / 1e6:,.1f} MB"
    if clear:
        left = len(entries())
        more = f"; kept, as a run adds to it now: {left:,}" if left else ""
        say(f"removed {len(found):,} tables of features, {total}, from {place}{more}")
        return
    for entry in found:
        about = json.loads((entry.folder / "settings.json").read_text("utf-8"))
        view = f"view {about['view']}" if "view" in about else "plain images"
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d")
        say(
            f"{entry.folder.name}  {entry.size / 1e6:>9,.1f} MB  used {used}  "
            f"{about['backbone']} at {about['size']}, {view}"
        )
    say(
        f"{len(found):,} tables of features, {total}, in {place} (LONGTAIL_CACHE names another place)",
        f"at most {limit() / 1e9:g} GB (LONGTAIL_CACHE_GB): what was not used for the longest time goes first; "
        "longtail cache --clear removes all",
    )
