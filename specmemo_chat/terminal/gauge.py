"""Bars of blocks, as wide as the terminal allows."""

from __future__ import annotations

FULL, EMPTY = "█", "░"


def gauge(done: float, total: float, cells: int) -> str:
    """`████░░░░`: `done` of `total` in `cells` characters; something is never shown as nothing, nor what is not full
    as full."""
    share = min(1.0, max(0.0, done / total)) if total > 0 else 0.0
    filled = round(share * cells)
    if 0 < share < 1:
        filled = min(max(filled, 1), cells - 1)
    return FULL * filled + EMPTY * (cells - filled)


def bar_cells(width: int, beside: int = 0) -> int:
    """Cells of a bar in a terminal of `width` columns, with `beside` columns taken by other text."""
    return max(8, min(64, width - beside))
