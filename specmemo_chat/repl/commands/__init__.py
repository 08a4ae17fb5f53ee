"""The slash commands of the REPL, by subject. Importing this package fills the table (registry.COMMANDS)."""

from specmemo_chat.repl.commands import basics, files, insight, models, sessions, tuning, turns
from specmemo_chat.repl.commands.registry import Leave, UnknownCommandError, find, suggestions

__all__ = [
    "Leave", "UnknownCommandError", "basics", "files", "find", "insight", "models", "sessions", "suggestions", "tuning",
    "turns",
]  # fmt: skip
