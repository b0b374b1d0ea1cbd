"""The errors that a user can correct. Imports no library, so a command that only reads answers at once."""

from collections.abc import Sequence

from longtail.printable import shortened


class InputError(ValueError):
    """Something the user gave cannot be used; the message says what, what is valid, and what to do.

    Args:
        message: one line without the word "error"; the middle of a very long one is left out, as of the next.
        details: further lines, only where a list is the message (classes, files, changed keys).
    """

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(shortened(message))
        self.details = tuple(map(shortened, details))
        for line in self.details:
            self.add_note(line)  # for who sees the exception itself


class LocalInputError(InputError):
    """One that, where several processes train together, only the process that raises it knows of."""
