"""A text in the user's own editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from specmemo_chat.errors import UsageError
from specmemo_chat.texts import read_text

FALLBACKS = ("sensible-editor", "nano", "vim", "vi")


def editor_command() -> list[str]:
    """$VISUAL, $EDITOR, else an editor that is there. Raises UsageError where there is none."""
    for name in ("VISUAL", "EDITOR"):
        value = os.environ.get(name, "").strip()
        if not value:
            continue
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise UsageError(f"${name} cannot be read: {error}", f"export {name}=nano") from None
        if shutil.which(words[0]) is None:
            raise UsageError(f"${name} is {value!r}, and there is no such program", f"export {name}=nano")
        return words
    for fallback in FALLBACKS:
        if shutil.which(fallback):
            return [fallback]
    raise UsageError("no editor was found", "export EDITOR=/path/to/your/editor")


def edit(text: str) -> str:
    """`text` as the user left it. Raises UsageError where the editor fails; then the text counts as not edited."""
    command = editor_command()
    # The folder is private (0700), so is the file; the name ends in .md for the editor's sake.
    with tempfile.TemporaryDirectory(prefix="specmemo-") as folder:
        path = Path(folder) / "message.md"
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run([*command, str(path)], check=False)
        except OSError as error:
            raise UsageError(f"the editor {command[0]} cannot be started: {error.strerror}", "set $EDITOR") from None
        if done.returncode != 0:
            raise UsageError(f"the editor {command[0]} ended with exit code {done.returncode}", "the text is unchanged")
        try:
            return read_text(path, "what the editor left").rstrip("\n")
        except OSError as error:
            raise UsageError(f"what the editor left cannot be read: {error}") from None
