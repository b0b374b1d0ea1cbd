"""How a caller asks for things, Python or the command line, for messages that tell it what to do."""

from typing import NamedTuple


class Words(NamedTuple):
    """How a caller asks for each thing; the defaults are Python's.

    Attributes:
        resume: a file is resumed.
        overwrite: a file is replaced.
        other: another place is named.
        strict: what would be skipped and reported is refused.
        data: images are named.
        again: the whole call that resumes this one.
    """

    resume: str = "resume=True"
    overwrite: str = "overwrite=True"
    other: str = "another path"
    strict: str = "strict=True"
    data: str = "data=PATH"
    again: str = "the same call with resume=True"


PYTHON = Words()
COMMAND = Words(
    "--resume", "--overwrite", "another -o", "--strict", "--data PATH", "the same command with --resume"
)
