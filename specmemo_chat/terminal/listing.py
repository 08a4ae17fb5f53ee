"""Plain tables of names: what stands in the last column is cut where the terminal is narrow, the rest never."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.text import safe_line

GAP = 2


def print_table(screen: Screen, titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: str = "") -> None:
    """`right`: the title of the column that is set to the right. Cells may hold any text; it is made safe."""
    cleaned = [[safe_line(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[at]) for row in [list(titles), *cleaned]) for at in range(len(titles))]
    if not screen.out.is_terminal:
        for row in [list(titles), *cleaned]:  # scripts read it: nothing is cut
            cells = (
                _padded(cell, width, title == right) for cell, width, title in zip(row, widths, titles, strict=True)
            )
            screen.write((" " * GAP).join(cells).rstrip() + "\n")
        return
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    for at, title in enumerate(titles):
        table.add_column(
            title,
            justify="right" if title == right else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=widths[at] if at < len(titles) - 1 else None,
        )
    for row in cleaned:
        table.add_row(*(Text(cell) for cell in row))  # Text, not str: a title is no markup of rich
    screen.out.print(table, soft_wrap=False)


def _padded(cell: str, width: int, right: bool) -> str:
    blank = " " * (width - cell_len(cell))
    return blank + cell if right else cell + blank
