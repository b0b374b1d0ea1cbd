"""Tables of plain text for a terminal."""

from collections.abc import Sequence

from rich.cells import cell_len

from longtail.printable import printable


def table_lines(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)
) -> list[str]:
    """Columns under their headings, padded to equal width; numbers stand right, the columns in `left` left.

    >>> table_lines(("run", "macro"), [("a", "9.5"), ("long", "10.0")])
    ['run   macro', 'a       9.5', 'long   10.0']
    """
    cells = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]

    def padded(cell: str, column: int) -> str:
        space = " " * (widths[column] - cell_len(cell))
        return cell + space if column in left else space + cell

    return ["  ".join(padded(cell, c) for c, cell in enumerate(row)).rstrip() for row in cells]
