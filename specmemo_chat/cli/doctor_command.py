"""`specmemo doctor`: what is wrong with this machine, and how to mend it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from specmemo_chat.cli import options
from specmemo_chat.setup.flags import Color

if TYPE_CHECKING:
    from specmemo_chat.doctor.findings import Finding
    from specmemo_chat.terminal.console import Screen

MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "broken": ("broken", "bold red")}


def doctor(
    offline: options.Offline = False,
    json: options.Json = False,
    color: options.ColorWhen = Color.auto,
    debug: options.Debug = False,
) -> None:
    """Look for what is broken on this machine. Exit code 1 where something is."""
    from specmemo_chat.doctor.checks import all_checks, examine
    from specmemo_chat.terminal.console import Screen

    screen = Screen(color.value)
    findings: list[Finding] = []
    for finding in examine(all_checks(offline=offline)):
        findings.append(finding)
        if not json:
            _show(screen, finding)
    broken = [finding for finding in findings if finding.status == "broken"]
    if json:
        screen.print_json({"schema": 1, "ok": not broken, "checks": [finding.as_json() for finding in findings]})
    else:
        notes = sum(finding.status == "note" for finding in findings)
        screen.note(f"{len(broken)} broken, {notes} to note")
    sys.exit(1 if broken else 0)


def _show(screen: Screen, finding: Finding) -> None:
    from rich.text import Text

    from specmemo_chat.terminal.text import safe_line

    word, style = MARKS[finding.status]
    screen.out.print(Text.assemble((f"{word:<6}", style), f"  {finding.name:<15} {safe_line(finding.detail)}"))
    if finding.remedy:
        screen.out.print(Text(f"{'':<8}{'':<15} fix: {safe_line(finding.remedy)}"))
