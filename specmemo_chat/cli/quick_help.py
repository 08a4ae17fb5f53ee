"""`--help` without what it never shows: typer's help imports rich's Markdown renderer, a tenth of the time, for texts
that are written in Markdown. Ours are not."""

from __future__ import annotations

import sys
from types import ModuleType

_UNUSED = "rich.markdown"


def import_help() -> None:
    """Import typer's help with an empty module in that one's place, which is gone afterwards."""
    if _UNUSED in sys.modules:
        return
    empty = ModuleType(_UNUSED)
    empty.Markdown = type("Markdown", (), {})  # type: ignore[attr-defined]
    sys.modules[_UNUSED] = empty
    try:
        import typer.rich_utils  # noqa: F401
    finally:
        del sys.modules[_UNUSED]
