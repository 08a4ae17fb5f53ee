"""A text in the user's own editor."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from specmemo_chat.errors import UsageError
from specmemo_chat.texts import read_at_most

FALLBACKS = ("sensible-editor", "nano", "vim", "vi")


def editor_command() -> list[str]:
    """$VISUAL, $EDITOR, else an editor that is there. Raises UsageError where there is none."""
    for name in ("VISUAL", "EDITOR"):
        value = os.environ.get(name, "").strip()
        if not value:
            continue
        # A path with blanks in it, as it is.
        if shutil.which(value) is not None:
            return [value]
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise UsageError(f"${name} cannot be read: {error}", f"export {name}=nano") from None
        words[0] = os.path.expanduser(words[0])
        if shutil.which(words[0]) is None:
            raise UsageError(f"${name} is {value!r}, and there is no such program", f"export {name}=nano")
        return words
    for fallback in FALLBACKS:
        if shutil.which(fallback):
            return [fallback]
    raise UsageError("no editor was found", "export EDITOR=/path/to/your/editor")


def edit(text: str) -> tuple[str, str]:
    """`text` as the user left it, and what went wrong ("": nothing).

    What was written stays, however the editor ended; where it left nothing, that is `text`. Raises UsageError where
    there is no editor.
    """
    command = editor_command()
    # The folder is private (0700), so is the file; the name ends in .md for the editor's sake.
    with tempfile.TemporaryDirectory(prefix="specmemo-") as folder:
        path = Path(folder) / "message.md"
        path.write_text(text, encoding="utf-8", errors="replace")
        problem = _run(command, path)
        try:
            with path.open("rb") as file:
                written = read_at_most(file, f"what the editor {command[0]} left")
        except OSError as error:
            return text, problem or f"what the editor {command[0]} left cannot be read: {error.strerror}"
        except UsageError as error:
            return text, problem or error.message
    left = written.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").rstrip("\n")
    if not left.strip():
        return text, problem or (f"the editor {command[0]} left an empty text" if text.strip() else "")
    if "\ufffd" in left and "\ufffd" not in text:
        problem = problem or f"what the editor {command[0]} left is not UTF-8 everywhere: the rest became \ufffd"
    return left, problem


def _run(command: list[str], path: Path) -> str:
    """Let the editor have the file; what went wrong."""
    try:
        editor = subprocess.Popen([*command, str(path)])
    except OSError as error:
        return f"the editor {command[0]} cannot be started: {error.strerror}"
    while True:
        try:
            code = editor.wait()
            break
        except KeyboardInterrupt:
            continue  # the editor got the key, too, and says what it means
    if code < 0:
        return f"the editor {command[0]} was ended: {signal.strsignal(-code) or f'signal {-code}'}"
    return f"the editor {command[0]} ended with exit code {code}" if code else ""
