"""The words of the command line, looked at without running a command."""

from collections.abc import Sequence
from typing import Any

import typer

from longtail.cli.main import app


def commands(group: Any = None) -> dict[str, Any]:
    """Every command by the words that name it, such as `data check`."""
    found = {}
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            found |= {f"{name} {rest}": leaf for rest, leaf in commands(command).items()}
        else:
            found[name] = command
    return found


def parse(words: Sequence[str]) -> None:
    """Let the command that the words name read the others; raises what it refuses them with."""
    known = commands()
    length = next(n for n in (2, 1) if " ".join(words[:n]) in known)
    known[" ".join(words[:length])].make_context("longtail", list(words[length:])).close()
